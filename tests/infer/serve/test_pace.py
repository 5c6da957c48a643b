"""The pace follows what the last images took, and counts that several are decoded and run at the same time."""

import pytest

from infer.serve.pace import Pace


def test_the_seconds_of_an_image_are_its_share_of_the_time_between_the_ends_of_two_batches_that_waited() -> None:
    pace = Pace()
    assert pace.seconds == 0
    pace.ran(images=4, accepted=10.0, now=10.4)  # from acceptance: nothing was run before
    assert pace.seconds == pytest.approx(0.1)
    for end in range(1, 40):  # all were accepted long before; each batch ends 0.2 s after the last
        pace.ran(images=4, accepted=0.0, now=10.4 + end * 0.2)
    assert pace.seconds == pytest.approx(0.05, rel=0.01)


def test_time_in_which_nothing_was_asked_for_is_not_counted() -> None:
    pace = Pace()
    for hour in range(40):
        pace.ran(images=1, accepted=3600.0 * hour, now=3600.0 * hour + 0.03)
    assert pace.seconds == pytest.approx(0.03)


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.4), (0.4, 0.1)])
def test_it_follows_a_change_within_twenty_images_and_no_single_one(before: float, after: float) -> None:
    pace, now = Pace(), 0.0

    def run(seconds: float) -> None:
        nonlocal now
        now += seconds
        pace.ran(images=1, accepted=0.0, now=now)

    for _ in range(20):
        run(before)
    run(after)
    assert abs(pace.seconds - before) < abs(pace.seconds - after)
    for _ in range(20):
        run(after)
    assert pace.seconds == pytest.approx(after, rel=0.05)


def test_an_image_alone_takes_what_was_measured_of_such_and_never_less_than_one_that_waits() -> None:
    pace = Pace()
    pace.warmed_up(0.02, delay=0.005)
    assert (pace.seconds, pace.alone) == (0.02, pytest.approx(0.025))
    for _ in range(40):
        pace.answered_alone(0.03)
    assert pace.alone == pytest.approx(0.03, rel=0.01)
    for end in range(40):  # the device has become slower, and the server has not been idle since
        pace.ran(images=1, accepted=0.0, now=0.1 * end)
    assert pace.alone == pace.seconds == pytest.approx(0.1, rel=0.01)
    pace.warmed_up(0.02, delay=0.0)  # another model
    assert (pace.seconds, pace.alone) == (0.02, 0.02)
