"""From a fitted law to the mixture to train: the posterior-mean optimum, and how sure it is.

Notation:
    w: (m,) the recommended mixture; F: objective, lower is better
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from mixopt.designs.baselines import baselines
from mixopt.proposers.optimum import optimum
from mixopt.proposers.search import finite_differences
from mixopt.proposers.sensitivity import Active, active_constraints, intervals
from mixopt.proposers.surrogate import Surrogate
from mixopt.runs import Schedule
from mixopt.runs.reach import Reach
from mixopt.space import Mixture, MixtureSpace, html
from mixopt.space.short import largest, others
from mixopt.space.simplex import Array
from mixopt.threads import one_blas_thread

_Z90 = 1.645  # half a 90 % interval, in sd
SPARSE = 0.005
"""Share below which the sparse variant drops a domain."""


@dataclass(frozen=True)
class Gain:
    """Predicted improvement over a baseline, in units of the objective; above zero is better.

    Attributes:
        raw: predicted objective of the baseline minus that of the recommendation.
        sd: of that difference; the two errors are taken as independent (which is cautious) where
            the law gives no joint posterior, or was not asked for one.
        shrunk: the raw gain times 1 - sd^2 / raw^2, at least zero: the optimum is where predictions
            are too good, and so much of the gain is expected to be luck (positive-part
            James-Stein against the winner's curse). A loss is not shrunk.
    """

    raw: float
    sd: float
    shrunk: float

    @property
    def certain(self) -> bool:
        """Whether the shrunk gain is more than two sd of its prediction."""
        return self.shrunk > 2 * self.sd

    @property
    def interval(self) -> tuple[float, float]:
        """The raw gain, 90 % of the time."""
        return self.raw - _Z90 * self.sd, self.raw + _Z90 * self.sd


@dataclass(frozen=True)
class Recommendation:
    """The mixture to train, with what is known of it.

    Attributes:
        mixture: the posterior-mean optimum within the constraints, on a grid of 2e-4.
        value: predicted objective; `sd`: what the law does not know of it (in an outcome: by how
            the law misses held-out runs, where that is more than it claims).
        metrics: metric to predicted mean and sd; empty where they have no level.
        intervals: domain to the (least, most) share within the noise.
        gains: baseline to predicted gain over it; likewise.
        sparse: the same without domains below .005 (or the space's `min_weight`).
        dense: the same pulled towards the natural mixture, as far as the noise allows.
        epochs: domain to passes over its unique tokens in the target run, where known.
        active: constraints that hold it back, dearest first.
        broken: guards that no mixture within the constraints is predicted to keep, in words.
        schedule: mixtures over the run, of which `mixture` is the mean; None where it stays the
            same. Intervals are then of the share in total, each domain's tokens split over the
            phases as in the schedule.
        scale: parameters and tokens that value, metrics and gains are predicted for; None where the
            runs state none.
        reach: what may be said at the scale that the answer is for; None where that is not known.
    """

    mixture: Mixture
    value: float
    sd: float
    metrics: Mapping[str, tuple[float, float]] = field(hash=False)
    intervals: Mapping[str, tuple[float, float]] = field(hash=False)
    gains: Mapping[str, Gain] = field(default_factory=dict, hash=False)
    sparse: Mixture | None = None
    dense: Mixture | None = None
    epochs: Mapping[str, float] = field(default_factory=dict, hash=False)
    active: tuple[Active, ...] = ()
    broken: tuple[str, ...] = ()
    schedule: Schedule | None = None
    scale: tuple[float, float] | None = None
    reach: Reach | None = None

    @property
    def levels(self) -> bool:
        """Whether value, metrics and gains are of a scale that ran, or that several lead to."""
        if self.reach is None or self.reach.levels:
            return True
        return self.scale is not None and self.scale != self.reach.asked

    def __repr__(self) -> str:
        return f"<Recommendation: {html.in_words(self.mixture.to_dict())}; {self._told[0]}>"

    def __str__(self) -> str:
        value, reach = self._told
        named, rest = largest(self.mixture.to_dict(), html.MOST_ROWS)
        wide = max(map(len, named))
        lines = [value[:1].upper() + value[1:]]
        for name in named:
            low, high = map(html.percent, self.intervals.get(name, (np.nan, np.nan)))
            within = f"  ({low} to {high})" if name in self.intervals else ""
            lines.append(f"  {name:{wide}} {html.percent(self.mixture[name]):>8}{within}")
        if rest:
            share = html.percent(sum(self.mixture[name] for name in rest))
            lines.append(f"  {others(rest):{wide}} {share:>8}")
        for name, gain in self.gains.items() if self.levels else ():
            side = "beyond" if gain.certain else "within"
            told = f"better than {name} by {gain.shrunk:.3g} (sd {gain.sd:.2g}), {side} its error"
            lines.append(told if gain.shrunk > 0 else f"no better than {name}, luck allowed for")
        return "\n".join([*lines, *self.broken, *filter(None, [reach])])

    @property
    def _told(self) -> tuple[str, str]:
        """What is predicted, and what may be said of it at the scale of the answer."""
        reach = "" if self.reach is None else self.reach.line
        if not self.levels:
            return reach, ""
        return f"predicted objective {self.value:.4g} (sd {self.sd:.2g})", reach

    def _repr_html_(self) -> str:
        value, reach = self._told
        gains = [
            [f"against {name}", gain.shrunk, gain.sd, "beyond" if gain.certain else "within"]
            for name, gain in self.gains.items()
        ]
        parts = [
            html.paragraph(f"{value[:1].upper()}{value[1:]}", strong=True),
            html.shares(self.mixture.to_dict(), intervals=self.intervals),
            html.table(["gain", "less luck", "sd", "its error"], gains) if gains else "",
            *(html.paragraph(line) for line in (*self.broken, *filter(None, [reach]))),
        ]
        return "".join(parts)

    def widened(self, factor: float) -> "Recommendation":
        """The same with the sd of its value and of its gains times a factor.

        For a law that misses held-out runs by more than it claims; the luck in a gain is then
        larger too.
        """
        gains = {name: _shrunk(g.raw, g.sd * factor) for name, g in self.gains.items()}
        return replace(self, sd=self.sd * factor, gains=gains)


@one_blas_thread
def best_mixture(
    surrogate: Surrogate, space: MixtureSpace, *, W: Array, rng: np.random.Generator
) -> Mixture:
    """The posterior-mean optimum within the constraints, on a grid of 2e-4; see `recommend`."""
    w = optimum(surrogate, space, W=W, rng=rng)
    return space.mixture(space.round(space.sparsify(w) if space.min_weight > 0 else w))


@one_blas_thread
def recommend(
    surrogate: Surrogate,
    space: MixtureSpace,
    *,
    W: Array,
    rng: np.random.Generator,
    mixture: Mixture | None = None,
    schedule: Schedule | None = None,
    gains: Mapping[str, Gain] | None = None,
) -> Recommendation:
    """The posterior-mean optimum within the constraints.

    Args:
        surrogate: what the runs tell.
        space: constraints.
        W: (k, m) mixtures observed so far; the search begins at the best of them as well.
        rng: source of randomness.
        mixture: judge this one instead of looking for the optimum.
        schedule: of which it is the mean; sparse and dense variants are then left out, since
            nobody has looked at schedules of theirs.
        gains: predicted gains by name, where the surrogate is not the one to be asked.
    """
    chosen = mixture or best_mixture(surrogate, space, W=W, rng=rng)
    w = chosen.array
    seen = surrogate.predict(w[None])
    value, sd = (float(v[0]) for v in surrogate.moments(w[None]))
    room = surrogate.noise(w[None]) or sd
    near = surrogate.loosened(w)
    levels = surrogate.reach is None or surrogate.reach.levels
    if not levels:
        gains = {}
    elif not gains:
        gains = {
            name: independent_gain(surrogate, w, b.array) for name, b in baselines(space).items()
        }
    return Recommendation(
        mixture=space.mixture(w),
        value=value,
        sd=sd,
        metrics={
            k: (float(seen.mean[0, j]), float(seen.sd[0, j]))
            for j, k in enumerate(surrogate.metrics)
            if levels
        },
        intervals=intervals(near.value, space, w, room),
        gains=gains,
        sparse=None if schedule else space.mixture(_sparse(space, w)),
        dense=None if schedule else space.mixture(_dense(near, space, w, room)),
        epochs=_epochs(space, w),
        active=_active(surrogate, space, w),
        broken=_broken(surrogate, w),
        schedule=schedule,
        scale=_predicted_at(surrogate),
        reach=surrogate.reach,
    )


def _predicted_at(surrogate: Surrogate) -> tuple[float, float] | None:
    if surrogate.scale is not None:
        return surrogate.scale
    return surrogate.seen[0] if len(surrogate.seen) == 1 else None


def gain(surrogate: Surrogate, w: Array, reference: Array) -> Gain:
    """Predicted gain of one mixture (m,) over another, errors that they share left out.

    The worst of several metrics is not linear in them: there the errors count as independent.

    Raises:
        InputError: the law gives variances only.
    """
    if surrogate.objective.reduce != "mean":
        return independent_gain(surrogate, w, reference)
    both = np.stack([w, reference])
    mean, _ = surrogate.moments(both)
    weights = surrogate.objective.coefficients(surrogate.metrics)
    cov = np.einsum("k,kab->ab", weights**2, surrogate.joint(both, both))
    variance = float(cov[0, 0] + cov[1, 1] - 2.0 * cov[0, 1])
    return _shrunk(float(mean[1] - mean[0]), float(np.sqrt(max(variance, 0.0))))


def independent_gain(surrogate: Surrogate, w: Array, reference: Array) -> Gain:
    """Predicted gain of one mixture (m,) over another, their errors taken as independent."""
    mean, sd = surrogate.moments(np.stack([w, reference]))
    return _shrunk(float(mean[1] - mean[0]), float(np.hypot(*sd)))


def _shrunk(raw: float, spread: float) -> Gain:
    if raw <= 0:
        return Gain(raw, spread, raw)
    return Gain(raw, spread, max(0.0, raw - spread**2 / raw))


def _allowed(space: MixtureSpace, w: Array) -> Array:
    """A mixture to be judged may lie outside the constraints; its variants do not."""
    return w if space.contains(w[None])[0] else space.project(w, metric="kl")


def _sparse(space: MixtureSpace, w: Array) -> Array:
    return space.round(space.sparsify(_allowed(space, w), max(SPARSE, space.min_weight)))


def _dense(surrogate: Surrogate, space: MixtureSpace, w: Array, room: float) -> Array:
    """The point furthest towards the natural mixture that costs no more than the noise."""
    t = np.linspace(0.0, 1.0, 51)[:, None]
    path = (1 - t) * _allowed(space, w) + t * space.natural.array
    value = surrogate.value(path)
    fits = np.logical_and.accumulate(value <= value[0] + room)
    return space.round(path[int(fits.sum()) - 1])


def _active(surrogate: Surrogate, space: MixtureSpace, w: Array) -> tuple[Active, ...]:
    """Constraints and guards at their limit; a guard's price is per unit of its metric."""

    def bare(W: Array) -> Array:
        return surrogate.bare(surrogate.predict(W), W)

    guards = []
    for k, (metric, limit) in enumerate(surrogate.limits.items()):
        unit = max(abs(limit), 1e-12)

        def over(W: Array, k: int = k, unit: float = unit) -> Array:
            return np.asarray(surrogate.over(surrogate.predict(W))[:, k] * unit)

        if over(w[None])[0] > -1e-3 * unit:
            name = f"guard on {metric} ({abs(limit):.4g})"
            guards.append((name, finite_differences(over)(w[None])[0]))
    return active_constraints(bare, space, w, others=guards)


def _epochs(space: MixtureSpace, w: Array) -> dict[str, float]:
    if space.budget is None:
        return {}
    passes = w * space.budget / np.where(space.tokens > 0, space.tokens, np.nan)
    return {n: float(e) for n, e in zip(space.names, passes, strict=True) if np.isfinite(e)}


def _broken(surrogate: Surrogate, w: Array) -> tuple[str, ...]:
    over = surrogate.over(surrogate.predict(w[None]))[0] if surrogate.limits else np.empty(0)
    names = surrogate.limits.items()
    return tuple(
        f"{metric} is predicted {100 * by:.2g} % beyond its guard ({abs(limit):.4g})"
        for (metric, limit), by in zip(names, over, strict=True)
        if by > 1e-3
    )
