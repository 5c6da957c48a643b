"""What the server holds is bounded, and given back whatever happens; what would wait for too long is refused."""

import contextlib
from collections import deque
from dataclasses import dataclass

import pytest

from infer.serve.admission import Admission, HeldImages
from infer.serve.errors import RequestError


def test_images_beyond_the_limit_are_refused_at_once_and_those_before_stay() -> None:
    admission = Admission(10, 100, 60)
    with admission.hold_images(6):
        with pytest.raises(RequestError) as refused, admission.hold_images(5):
            pass
        assert (refused.value.status, admission.images) == (503, 6)
        with admission.hold_images(4):
            assert admission.images == 10
    assert admission.images == 0


def test_a_refused_client_is_asked_to_come_back_when_what_waits_has_been_answered() -> None:
    admission = Admission(10, 100, 1e9)
    admission.pace.warmed_up(0.35, delay=0)
    for images, retry_after in ((10, "4"), (9, "4"), (2, "1")):
        with admission.hold_images(images):
            with pytest.raises(RequestError) as refused:
                admission.require_room(11 - images)
            assert refused.value.headers == {"Retry-After": retry_after}
            with pytest.raises(RequestError) as full, admission.hold_bytes() as held:
                held.add(101)
            assert full.value.headers == {"Retry-After": retry_after}


def test_the_bytes_of_a_request_are_given_back_when_it_fails() -> None:
    admission = Admission(10, 100, 60)
    with admission.hold_bytes() as first:
        first.add(60)
        with pytest.raises(RequestError) as refused, admission.hold_bytes() as second:
            list(map(second.add, (30, 20)))
        assert (refused.value.headers, admission.nbytes) == ({"Retry-After": "1"}, 60)
    assert admission.nbytes == 0


def test_images_that_would_wait_for_too_long_are_refused_at_once_but_an_idle_server_takes_any() -> None:
    admission = Admission(100, 100, 0.35)
    admission.pace.warmed_up(0.1, delay=0)
    with admission.hold_images(50):
        assert admission.wait == pytest.approx(5)
        with pytest.raises(RequestError, match="503"), admission.hold_images(1):
            pass
    with admission.hold_images(2):
        with pytest.raises(RequestError) as refused:
            admission.require_room(2)
        assert refused.value.reason == "the answer would take about 0.4 s, and it may take 0.35 s"
        admission.require_room(1)
        admission.pace.ran(images=1, accepted=0, now=0.9)  # the device has become slower
        with pytest.raises(RequestError):
            admission.require_room(1)


class Clock:
    """Seconds that are only counted."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Accepted:
    """An image on its way."""

    since: float
    answered: float
    place: contextlib.AbstractContextManager[HeldImages]
    held: HeldImages


class Device:
    """Answers images one after another; each waits `delay` seconds for others before it is run."""

    def __init__(self, admission: Admission, clock: Clock, delay: float = 0.0) -> None:
        self._admission, self._clock, self._delay = admission, clock, delay
        self._free, self._accepted = 0.0, deque[Accepted]()
        self.times: list[float] = []

    def ask(self, at: float, seconds_per_image: float) -> None:
        """Ask for one image at a time; `times` gets what its answer takes, where it is accepted."""
        while self._accepted and self._accepted[0].answered <= at:
            image = self._accepted.popleft()
            self._clock.now = image.answered
            self._admission.pace.ran(1, image.since, image.answered)
            image.held.predicted()
            image.place.__exit__(None, None, None)
        self._clock.now = at
        place = self._admission.hold_images(1)
        try:
            held = place.__enter__()
        except RequestError:
            return
        self._free = max(self._free, at + self._delay) + seconds_per_image
        self._accepted.append(Accepted(at, self._free, place, held))
        self.times.append(self._free - at)


def longest_answer(admission: Admission, rate: float, seconds_per_image: float, count: int) -> tuple[float, int]:
    """The longest time to an answer, and the number of answers, of images that arrive at a rate at one device."""
    device = Device(admission, Clock())
    for number in range(count):
        device.ask(number / rate, seconds_per_image)
    return max(device.times), len(device.times)


@pytest.mark.parametrize("seconds_per_image", [0.001, 0.05])
@pytest.mark.parametrize("load", [0.5, 3.0, 20.0])
def test_under_any_load_what_is_accepted_is_answered_in_time_and_the_device_is_kept_busy(
    seconds_per_image: float, load: float
) -> None:
    admission = Admission(1000, 100, 4 * seconds_per_image)
    admission.pace.warmed_up(seconds_per_image, delay=0)
    rate, count = load / seconds_per_image, 2000
    longest, answers = longest_answer(admission, rate, seconds_per_image, count)
    assert longest < 4.001 * seconds_per_image
    assert answers >= 0.95 * min(count, count / load)
    without, _ = longest_answer(Admission(1000, 100, 1e9), rate, seconds_per_image, count)
    assert load < 1 or without > 100 * seconds_per_image


@pytest.mark.parametrize(("seconds_per_image", "delay"), [(0.04, 0.005), (0.002, 0.005), (0.3, 0.0)])
def test_without_a_limit_given_answers_under_overload_take_at_most_twice_those_on_an_idle_server_and_the_delay(
    seconds_per_image: float, delay: float
) -> None:
    clock = Clock()
    admission = Admission(1000, 100, None, clock)
    admission.pace.warmed_up(seconds_per_image / 3, delay)  # a black image is decoded in no time
    device = Device(admission, clock, delay)
    for second in range(50):
        device.ask(float(second), seconds_per_image)
    unloaded, device.times = max(device.times), []
    gap, count = seconds_per_image / 3, 3000
    for number in range(count):
        device.ask(100 + number * gap, seconds_per_image)
    assert max(device.times) <= 2.0001 * unloaded + delay
    assert len(device.times) >= 0.95 * count / 3


@pytest.mark.parametrize(
    ("seconds_per_image", "alone", "most"),
    [
        (0.1, 0.1, 2),  # the network takes nearly all of the time: less would leave it idle between two images
        (0.0118, 0.018, 2),  # three would be answered in twice the time of one on average, and half of them later
        (0.01, 0.02, 3),
        (0.001, 0.02, 30),
    ],
)
def test_without_a_limit_given_so_many_images_are_in_the_server_that_one_in_a_hundred_is_in_time_too(
    seconds_per_image: float, alone: float, most: int
) -> None:
    admission = Admission(1000, 100, None)
    admission.pace.warmed_up(seconds_per_image, delay=alone - seconds_per_image)
    accepted = 0
    with contextlib.ExitStack() as held, contextlib.suppress(RequestError):
        while True:
            held.enter_context(admission.hold_images(1))
            accepted += 1
    assert accepted == most


def test_without_a_limit_given_it_follows_a_device_that_becomes_slower_and_fast_again() -> None:
    clock, delay = Clock(), 0.005
    admission = Admission(1000, 100, None, clock)
    device, now = Device(admission, clock, delay), 0.0
    for seconds_per_image in (0.04, 0.2, 0.04):
        count = 1000
        for _ in range(count):  # under overload throughout: never idle
            now += seconds_per_image / 3
            device.ask(now, seconds_per_image)
        late, device.times = device.times[len(device.times) // 2 :], []
        assert max(late) <= 2.2 * (seconds_per_image + delay)
        assert len(late) >= 0.8 * count / 3 / 2


def test_a_request_of_many_images_may_take_twice_what_it_takes_alone() -> None:
    admission = Admission(1000, 100, None)
    admission.pace.warmed_up(0.1, delay=0.02)
    assert admission.max_wait(1) == pytest.approx(0.24)
    assert admission.max_wait(8) == pytest.approx(2 * (0.12 + 7 * 0.1))
    with admission.hold_images(8):
        admission.require_room(8)
        with pytest.raises(RequestError, match="503"):
            admission.require_room(1)


@pytest.mark.parametrize("beside", ["refused", "accepted", "unreadable", "two images"])
def test_only_one_image_that_is_predicted_while_nothing_else_is_asked_for_shows_what_one_takes_alone(
    beside: str,
) -> None:
    clock = Clock()
    admission = Admission(2, 100, None, clock)
    admission.pace.warmed_up(0.1, delay=0)
    with admission.hold_images(2 if beside == "two images" else 1) as held:
        clock.now = 5.0
        if beside == "refused":
            with pytest.raises(RequestError):
                admission.require_room(2)
        elif beside == "accepted":
            admission.require_room(1)
        if beside != "unreadable":
            held.predicted()
    assert admission.pace.alone == 0.1
    with admission.hold_images(1) as held:
        clock.now = 10.0
        held.predicted()
    assert admission.pace.alone == pytest.approx(0.1 + 0.2 * 4.9)
