"""How sure a share is: 95% intervals in closed form."""

import math

Z = 1.959963984540054
"""The 97.5% quantile of the normal distribution, so that intervals hold 95%."""


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's score interval of a share, hits of count > 0 (Wilson 1927, https://doi.org/10.2307/2276774)."""
    share, square = hits / count, Z * Z / count
    centre = (share + square / 2) / (1 + square)
    half = Z * math.sqrt((share * (1 - share) + square / 4) / count) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_difference(gained: int, lost: int, count: int) -> tuple[float, float]:
    """The interval of the difference of two shares of the same count > 0 cases, (gained - lost) / count.

    Bonett and Price's adjusted Wald interval (2012, https://doi.org/10.3102/1076998611411915): one case more of either
    kind, so that cases which all agree do not pass for certainty.

    Args:
        gained: cases that only the second is right about.
        lost: cases that only the first is right about.
        count: all cases.
    """
    up, down = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    half = Z * math.sqrt((up + down - (up - down) ** 2) / (count + 2))
    return max(-1.0, up - down - half), min(1.0, up - down + half)
