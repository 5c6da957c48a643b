"""The pace follows what the last images took, and counts that several are decoded and run at the same time."""

import pytest

from infer.serve.pace import Pace


def test_the_seconds_of_an_image_are_its_share_of_decoding_and_of_its_batch() -> None:
    pace = Pace()
    assert pace.seconds == 0
    pace.ran(0.4, images=4, at_once=2)
    assert pace.seconds == pytest.approx(0.05)
    pace.decoded(0.03, at_once=3)
    assert pace.seconds == pytest.approx(0.06)


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.4), (0.4, 0.1)])
def test_it_follows_a_change_within_twenty_images_and_no_single_one(before: float, after: float) -> None:
    pace = Pace()
    for _ in range(20):
        pace.ran(before, images=1, at_once=1)
    pace.ran(after, images=1, at_once=1)
    assert abs(pace.seconds - before) < abs(pace.seconds - after)
    for _ in range(20):
        pace.ran(after, images=1, at_once=1)
    assert pace.seconds == pytest.approx(after, rel=0.05)
