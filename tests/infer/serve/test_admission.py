"""What the server holds is bounded, and given back whatever happens; what would wait for too long is refused."""

from collections import deque

import pytest

from infer.serve.admission import Admission
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
    admission.pace.ran(0.1, images=1, at_once=1)
    with admission.hold_images(50):
        assert admission.wait == pytest.approx(5)
        with pytest.raises(RequestError, match="503"), admission.hold_images(1):
            pass
    with admission.hold_images(2):
        with pytest.raises(RequestError) as refused:
            admission.require_room(2)
        assert refused.value.reason == "the answer would take about 0.4 s, and it may take 0.35 s"
        admission.require_room(1)
        admission.pace.ran(0.9, images=1, at_once=1)  # the device has become slower
        with pytest.raises(RequestError):
            admission.require_room(1)


def longest_answer(admission: Admission, rate: float, seconds_per_image: float, count: int) -> tuple[float, int]:
    """The longest time to an answer, and the number of answers, of images that arrive at a rate at one device.

    Time is only counted here.
    """
    accepted: deque[tuple[float, object]] = deque()  # when each will be answered, and its place
    free, longest, answers = 0.0, 0.0, 0
    for number in range(count):
        now = number / rate
        while accepted and accepted[0][0] <= now:
            accepted.popleft()[1].__exit__(None, None, None)
            admission.pace.ran(seconds_per_image, images=1, at_once=1)
        place = admission.hold_images(1)
        try:
            place.__enter__()
        except RequestError:
            continue
        free = max(free, now) + seconds_per_image
        accepted.append((free, place))
        longest, answers = max(longest, free - now), answers + 1
    return longest, answers


@pytest.mark.parametrize("seconds_per_image", [0.001, 0.05])
@pytest.mark.parametrize("load", [0.5, 3.0, 20.0])
def test_under_any_load_what_is_accepted_is_answered_in_time_and_the_device_is_kept_busy(
    seconds_per_image: float, load: float
) -> None:
    admission = Admission(1000, 100, 4 * seconds_per_image)
    admission.pace.ran(seconds_per_image, images=1, at_once=1)
    rate, count = load / seconds_per_image, 2000
    longest, answers = longest_answer(admission, rate, seconds_per_image, count)
    assert longest < 4.001 * seconds_per_image
    assert answers >= 0.95 * min(count, count / load)
    without, _ = longest_answer(Admission(1000, 100, 1e9), rate, seconds_per_image, count)
    assert load < 1 or without > 100 * seconds_per_image
