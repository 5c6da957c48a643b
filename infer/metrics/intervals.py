"""95% intervals of shares in closed form."""

import math

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""The 97.5% quantile of the normal distribution, for intervals that hold 95%."""


def wilson(hits: float, count: float) -> tuple[float, float]:
    """Wilson's score interval of a share, hits out of count > 0 (Wilson 1927, https://doi.org/10.2307/2276774)."""
    share, square = hits / count, Z * Z / count
    centre = (share + square / 2) / (1 + square)
    half = Z * math.sqrt((share * (1 - share) + square / 4) / count) / (1 + square)
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))  # despite rounding, holds the share


def clustered_wilson(hits: NDArray[np.bool_], units: NDArray[np.int64]) -> tuple[float, float]:
    """Wilson's interval of a share of cases that come in units, such as the images of a patient.

    The number of cases is replaced by the effective sample size: the number of independent cases that would vary as
    much. It is estimated from the variance between units, with Student's quantile as that variance is an estimate
    (Korn and Graubard 1998, Survey Methodology 24:193; Dean and Pagano 2015, https://doi.org/10.1093/jssam/smv024,
    compare such intervals), and is at most the number of cases. Where all cases agree, their variance shows nothing of
    how alike the cases of a unit are, and each unit counts as one case. Where each case is a unit, this is `wilson`.

    Args:
        hits: [m] whether each case is a hit, m > 0.
        units: [m] the unit of each case.
    """
    _, unit = np.unique(units, return_inverse=True)
    cases, count, share = len(hits), int(unit.max()) + 1, float(hits.mean())
    if count == cases:
        return wilson(float(hits.sum()), cases)
    effective = float(count)
    if 0 < share < 1 and count > 1:
        from scipy.special import stdtrit

        residuals = np.bincount(unit, hits - share)
        variance = count / (count - 1) * float((residuals**2).sum()) / cases**2
        student = float(stdtrit(count - 1, 0.975))
        effective = min(float(cases), share * (1 - share) / max(variance, 1e-12)) * (Z / student) ** 2
    low, high = wilson(share * effective, effective)
    return min(low, share), max(high, share)


def unvarying(value: float, cases: int, lowest: float, highest: float) -> tuple[float, float]:
    """The interval of a metric in [lowest, highest] that is the same in every resample, such as a perfect score.

    Resampling has then not seen how it may vary. The interval reaches as far, in proportion to the metric's range, as
    Wilson's for `cases` hits in `cases`: Z^2 / (cases + Z^2). For an average of shares that is wide.
    """
    half = (highest - lowest) * Z * Z / (cases + Z * Z)
    return max(lowest, value - half), min(highest, value + half)


def paired_difference(gained: int, lost: int, count: int) -> tuple[float, float]:
    """The interval of the difference between two shares of the same count > 0 cases, (gained - lost) / count.

    Bonett and Price's adjusted Wald interval (2012, https://doi.org/10.3102/1076998611411915): one case is added to
    either kind, so that agreement on all cases does not pass for certainty.

    Args:
        gained: cases that only the second gets right.
        lost: cases that only the first gets right.
        count: all cases.
    """
    up, down = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    half = Z * math.sqrt((up + down - (up - down) ** 2) / (count + 2))
    return max(-1.0, up - down - half), min(1.0, up - down + half)
