"""From what a table held to the limit it needs: Little's law, how bursty beginnings are, headroom for a burst.

The trap: a peak that was seen is one draw of a chance. The next busy hour is not the same, so what is added to it is
worked out from how much beginnings vary, and not by a rule of thumb. And a table that is still filling has no peak:
what it comes to is rate x lifetime, of lives that were not all seen to their end.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, sqrt
from statistics import NormalDist

from msgspec import Struct

LEAST_WINDOWS = 8  # below, the spread of beginnings is not told from so few
STEP = 1024  # a limit is a multiple of this
MOST_LIMIT = 0x7FFFFFFF  # nf_conntrack_max is an int [nf_conntrack_standalone.c: nf_conntrack_max]
STEADY = 0.1  # rate x lifetime and the mean that was seen differ by no more than this where a table is level
RISING = 0.1  # of the peak: what the second half must have added for a table to be called rising
NEAR_TOP = 0.9


class Little(Struct, frozen=True, kw_only=True):
    """Rate x lifetime beside the mean that was seen, in a window of the evidence.

    ``rate_per_s``: entries begun a second in the window. ``lifetime_s``: what the entries begun before the window
    lived, over how many of them ended (``lives`` less ``open_lives``). ``mean``: entries there in the window, weighted
    by time.
    """

    begun: int
    window_s: float
    rate_per_s: float
    lifetime_s: float
    mean: float
    lives: int
    open_lives: int

    @property
    def product(self) -> float:
        """The mean that a steady table would have at this rate and lifetime."""
        return self.rate_per_s * self.lifetime_s

    @property
    def apart(self) -> float | None:
        """By which share of the mean the product differs from it."""
        return (self.product - self.mean) / self.mean if self.mean > 0 else None


class Headroom(Struct, frozen=True, kw_only=True):
    """How a limit is made of a need: ``need * growth + z * sqrt(dispersion * need * growth)``, rounded up."""

    need: int
    growth: float
    quantile: float
    dispersion: float
    burst: int
    limit: int


def dispersion(births: Sequence[float]) -> float | None:
    """Variance over mean of beginnings in windows of equal length, from neighbours, so that a trend is no spread.

    1.0 for arrivals by chance (Poisson), about n for bursts of n at once. None for fewer than ``LEAST_WINDOWS``.
    """
    if len(births) < LEAST_WINDOWS:
        return None
    mean = sum(births) / len(births)
    if mean <= 0:
        return None
    steps = [(after - before) ** 2 for before, after in pairwise(births)]
    return sum(steps) / len(steps) / 2 / mean


def headroom(need: int, growth: float, quantile: float, spread: float | None) -> Headroom:
    """The limit for a need. ``growth`` 2: twice the traffic. ``quantile``: with this chance a moment like the peak
    stays below it. A spread below 1, or an unknown one, is taken as 1.
    """
    known = max(1.0, spread if spread is not None else 1.0)
    grown = need * growth
    burst = ceil(max(0.0, NormalDist().inv_cdf(quantile)) * sqrt(known * grown)) if grown else 0
    limit = min(MOST_LIMIT, max(STEP, ceil((grown + burst) / STEP) * STEP))
    return Headroom(need=need, growth=growth, quantile=quantile, dispersion=known, burst=burst, limit=limit)


def is_rising(middle: int, end: int, peak: int) -> bool:
    """Whether a table with this count in the middle and at the end of the evidence had not levelled off."""
    return peak > 0 and end >= NEAR_TOP * peak and end - middle > RISING * peak
