"""One pair of lifetime and steadiness that learns a table's birth rate from its counts: a Kalman filter of two states.

The trap: a flood is no noise. A filter that was made for steady traffic takes minutes to believe a rate that is fifty
times as high, and until then every one of its intervals is wrong. So a step that the filter holds for impossible makes
it forget what it knew of the rate (not of the count), and what it knew about how well it does, in part.

The noise is known up to its scale, which is learned too; everything in here is in units of it. The law of a new count
is then Student's t. (West and Harrison, Bayesian Forecasting and Dynamic Models, chapters 4, 10 and 11.)
"""

from math import exp, inf, lgamma, log, pi, sqrt

LIFETIMES_S = (
    10.0, 18.0, 30.0, 50.0, 80.0, 130.0, 210.0, 340.0, 550.0, 900.0, 1500.0, 2700.0, 5000.0, 12000.0, 40000.0, 1e9
)  # fmt: skip
BETWEEN = 0.27  # half the distance of two lifetimes, as a logarithm
# After how long a change of the birth rate weighs as much in the count as the noise of single births and deaths.
STEADY_S = (30.0, 150.0, 900.0, 86400.0)
REMEMBERED = 0.97  # what a step leaves of the evidence about the noise
EVIDENCE_KEPT = 0.97  # and of that about the pair
IMPOSSIBLE = 36.0  # squared, in standard deviations
LARGEST = 16.0  # squared; what one step can say of the noise
MOST_SURPRISING = 400.0  # squared; a pair is out after that, and may come back
AFTER_BREAK = 0.3  # the evidence about the pair that a break leaves
POISSON_LEAST = 0.3  # births come no more regularly than this share of a Poisson process's variance
_SAME_BURST_S = 90.0


class Filter:
    """``rate`` births a second and ``count``, with their covariance; ``evidence`` is the log of the weight."""

    __slots__ = (
        "burst_s", "count", "error", "evidence", "far", "lifetime_s", "made", "observed", "p_cc", "p_cr", "p_rr",
        "rate", "rate_before", "scale", "seen", "square", "surprise", "time_s", "wander", "weight",
    )  # fmt: skip

    def __init__(self, lifetime_s: float, steady_s: float, count: float, time_s: float, step_s: float, rough: float):
        self.lifetime_s = lifetime_s
        self.wander = 3.0 / steady_s**2
        self.count, self.rate = float(count), count / lifetime_s
        self.observed = 0.25 * step_s
        noise = max(rough, 0.05)
        self.p_cc, self.p_cr = self.observed, 0.0
        # What may have happened within the first step is the same for every pair, or the evidence would be of that.
        _, made, _, _ = self.over(step_s)
        self.p_rr = (1.0 + (0.3 * count + 10.0) ** 2 / noise) / (made * made)
        self.seen, self.square = 3.0, 3.0 * noise
        self.evidence = 0.0
        self.time_s = time_s
        self.burst_s: float | None = None
        self.rate_before = inf
        self.weight = 1.0
        self.error = self.far = self.scale = self.surprise = self.made = 0.0

    def over(self, step_s: float, lifetime_s: float | None = None) -> tuple[float, float, float, float]:
        """Share of the count that stays, what a rate of one adds, and the noises of count and rate, over a time."""
        life = self.lifetime_s if lifetime_s is None else lifetime_s
        if step_s < 1e-6 * life:
            kept, made, single = 1.0, step_s, step_s
        else:
            kept = exp(-step_s / life)
            made = life * (1.0 - kept)
            single = 0.5 * life * (1.0 - kept * kept)
        return kept, made, sqrt(single + self.wander * step_s * made * made / 3.0), sqrt(self.wander * step_s)

    def expect(self, step_s: float, count: float) -> float:
        """Move on by ``step_s`` seconds; how far the count then is from what was expected, squared, in standard
        deviations.
        """
        self.time_s += step_s
        kept, made, noise, drift = self.over(step_s)
        self.made = made
        p_cr = kept * self.p_cr + made * self.p_rr + drift * drift * made / 2.0
        self.p_cc = kept * kept * self.p_cc + 2.0 * kept * made * self.p_cr + made * made * self.p_rr + noise * noise
        self.p_cr = p_cr
        self.p_rr += drift * drift
        self.count = kept * self.count + made * self.rate
        self.error = count - self.count
        self.scale = max(self.square / self.seen, POISSON_LEAST * abs(self.rate), 1e-3)
        variance = (self.p_cc + self.observed) * self.scale
        self.far = self.error * self.error / variance
        self.surprise = -_student(min(self.far, MOST_SURPRISING), variance, self.seen)
        return self.far

    def correct(self, births_per_s: float | None, step_s: float, broken: bool) -> None:
        """Learn the count that was looked at, and the births a second meanwhile where they were told.

        ``broken``: the rate of before holds no longer.
        """
        error = self.error
        if broken:
            begun = self.time_s - step_s
            if error < 0:
                self.burst_s, self.rate_before = None, inf
            elif self.burst_s is None or begun - self.burst_s > _SAME_BURST_S:
                self.burst_s, self.rate_before = begun, self.rate
            jump = error * error / self.scale
            # A rate that is another since the sample before, or (a quarter of that) entries that came all at once.
            self.p_cc += 1.25 * jump
            self.p_cr += jump / self.made
            self.p_rr += jump / (self.made * self.made)
        spread = self.p_cc + self.observed
        gain_c, gain_r = self.p_cc / spread, self.p_cr / spread
        self.count += gain_c * error
        self.rate += gain_r * error
        self.p_rr = max(self.p_rr - gain_r * self.p_cr, 1e-12)
        self.p_cr -= gain_c * self.p_cr
        self.p_cc -= gain_c * self.p_cc
        self.seen = REMEMBERED * self.seen + 1.0
        self.square = REMEMBERED * self.square + self.scale * (1.0 if broken else min(self.far, LARGEST))
        if births_per_s is not None:
            self._births(births_per_s, step_s)

    def _births(self, births_per_s: float, step_s: float) -> None:
        """The births of the step are told: the rate is known but for its own noise."""
        scale = max(self.square / self.seen, POISSON_LEAST * abs(self.rate), 1e-3)
        error = births_per_s - self.rate
        spread = self.p_rr + 1.0 / step_s
        self.evidence += _student(min(error * error / (spread * scale), MOST_SURPRISING), spread * scale, self.seen)
        gain_c, gain_r = self.p_cr / spread, self.p_rr / spread
        self.count += gain_c * error
        self.rate += gain_r * error
        self.p_cc -= gain_c * self.p_cr
        self.p_cr -= gain_c * self.p_rr
        self.p_rr -= gain_r * self.p_rr

    def draw(self, normals: tuple[float, float, float], between: float) -> tuple[float, float, float, float]:
        """A count, a rate, a lifetime and the noise's standard deviation that may be true.

        ``between``: from -1 to 1, where the lifetime lies between its neighbours; the slope of the count stays.
        """
        first, second, third = normals
        # Wilson and Hilferty: chi square over its degrees of freedom is near the cube of a normal.
        chi = max((1.0 - 2.0 / (9.0 * self.seen) + third * sqrt(2.0 / (9.0 * self.seen))) ** 3, 0.05)
        spread = sqrt(max(self.square / self.seen, POISSON_LEAST * abs(self.rate), 1e-3) / chi)
        root = sqrt(max(self.p_cc, 1e-12))
        count = self.count + spread * root * first
        along = self.p_cr / root
        rate = self.rate + spread * (along * first + sqrt(max(self.p_rr - along * along, 0.0)) * second)
        lifetime = self.lifetime_s * exp(BETWEEN * between)
        return count, rate + count * (1.0 / lifetime - 1.0 / self.lifetime_s), lifetime, spread


def _student(far: float, variance: float, degrees: float) -> float:
    """The log of Student's density, ``far`` squared standard deviations from its middle."""
    return (
        lgamma((degrees + 1.0) / 2.0) - lgamma(degrees / 2.0)
        - 0.5 * log(degrees * pi * variance) - 0.5 * (degrees + 1.0) * log(1.0 + far / degrees)
    )  # fmt: skip


class Ensemble:
    """Every pair, all equally likely after the first sample; their weights add up to one."""

    def __init__(self, count: float, time_s: float, step_s: float, rough: float) -> None:
        self.filters = [
            Filter(lifetime, steady, count, time_s, step_s, rough) for lifetime in LIFETIMES_S for steady in STEADY_S
        ]
        self._weigh()

    def step(self, step_s: float, count: float, births_per_s: float | None = None) -> None:
        """A new count, and the births a second since the one before where they were told."""
        unforeseen = sum(one.weight for one in self.filters if one.expect(step_s, count) > IMPOSSIBLE)
        broken = unforeseen > 0.5
        for one in self.filters:
            one.evidence = one.evidence * (AFTER_BREAK if broken else EVIDENCE_KEPT)
            if not broken:
                one.evidence -= one.surprise
            one.correct(births_per_s, step_s, broken)
        self._weigh()

    def _weigh(self) -> None:
        top = max(one.evidence for one in self.filters)
        for one in self.filters:
            one.evidence -= top
            one.weight = exp(one.evidence)
        total = sum(one.weight for one in self.filters)
        for one in self.filters:
            one.weight /= total
