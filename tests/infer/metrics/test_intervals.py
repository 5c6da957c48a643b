"""Intervals against values of their papers, and against what they are for: holding the truth 95 times in 100."""

import numpy as np
import pytest

from infer.metrics.intervals import paired_difference, wilson


def test_wilson_is_what_newcombe_prints_for_it() -> None:
    """Newcombe 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I."""
    for hits, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_wilson_holds_the_true_share_about_95_times_in_100(share: float) -> None:
    hits = np.random.default_rng(0).binomial(300, share, 2000)
    held = np.mean([low <= share <= high for low, high in (wilson(int(k), 300) for k in hits)])
    assert 0.93 < held < 0.97


@pytest.mark.parametrize("discordant", [(0.03, 0.03), (0.06, 0.02), (0.1, 0.2)])
def test_the_paired_interval_holds_the_true_difference_about_95_times_in_100(discordant: tuple[float, float]) -> None:
    gained, lost = discordant
    draws = np.random.default_rng(0).multinomial(300, [gained, lost, 1 - gained - lost], 2000)
    intervals = (paired_difference(int(up), int(down), 300) for up, down, _ in draws)
    held = np.mean([low <= gained - lost <= high for low, high in intervals])
    assert 0.93 < held < 0.98


def test_agreement_on_every_image_is_not_certainty() -> None:
    low, high = paired_difference(0, 0, 12)
    assert low == -high < -0.1
    assert wilson(12, 12)[0] < 1 == wilson(12, 12)[1]


def test_intervals_stay_within_the_possible_range() -> None:
    assert paired_difference(1, 0, 1)[1] <= 1
    assert paired_difference(0, 2, 2)[0] >= -1
    assert wilson(0, 1)[0] == 0
