"""From a fitted law to the mixture to train: the posterior-mean optimum, and how sure it is.

Notation:
    w: (m,) the recommended mixture; F: objective, lower is better
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mixopt.proposers.reference import baselines
from mixopt.proposers.search import minimize
from mixopt.proposers.surrogate import Surrogate
from mixopt.simplex import Array
from mixopt.space import Mixture, MixtureSpace


@dataclass(frozen=True)
class Gain:
    """Predicted improvement over a baseline, in units of the objective; above zero is better."""

    raw: float
    sd: float
    shrunk: float

    @property
    def certain(self) -> bool:
        """Whether the shrunk gain is more than two sd of its prediction."""
        return self.shrunk > 2 * self.sd


@dataclass(frozen=True)
class Active:
    """A constraint that holds the recommendation back, and its price.

    Attributes:
        name: in words, e.g. `"web <= 0.7"`.
        price: fall of the objective per unit (1.0 = the whole mixture) by which it is loosened.
    """

    name: str
    price: float


@dataclass(frozen=True)
class Recommendation:
    """The mixture to train, with what is known of it.

    Attributes:
        mixture: the posterior-mean optimum within the constraints, on a grid of 2e-4.
        value: predicted objective; `sd`: what the law does not know of it.
        metrics: metric to predicted mean and sd.
        intervals: domain to the (least, most) share within the noise.
        gains: baseline to predicted gain over it.
        sparse: the same with domains below the threshold dropped.
        dense: the same pulled towards the natural mixture, as far as the noise allows.
        epochs: domain to passes over its unique tokens in the target run, where known.
        active: constraints that hold it back, dearest first.
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


def recommend(
    surrogate: Surrogate,
    space: MixtureSpace,
    *,
    W: Array,
    rng: np.random.Generator,
    mixture: Mixture | None = None,
) -> Recommendation:
    """The posterior-mean optimum within the constraints.

    Args:
        surrogate: what the runs tell.
        space: constraints.
        W: (k, m) mixtures observed so far; the search begins at the best of them as well.
        rng: source of randomness.
        mixture: judge this one instead of looking for the optimum.
    """
    if mixture is None:
        observed = np.atleast_2d(W)
        at_runs = surrogate.value(observed)
        starts = observed[np.argsort(at_runs, kind="stable")[:16]]
        w = space.round(minimize(surrogate.value, space, rng=rng, starts=starts)[0])
    else:
        w = mixture.array
    seen = surrogate.predict(w[None])
    value, sd = (float(v[0]) for v in surrogate.moments(w[None]))
    room = surrogate.noise(w[None]) or sd
    references = {name: Gain(*_gain(surrogate, w, b.array)) for name, b in baselines(space).items()}
    return Recommendation(
        mixture=space.mixture(w),
        value=value,
        sd=sd,
        metrics={
            k: (float(seen.mean[0, j]), float(seen.sd[0, j]))
            for j, k in enumerate(surrogate.metrics)
        },
        intervals=intervals(surrogate, space, w, room),
        gains=references,
        epochs=_epochs(space, w),
    )


def intervals(
    surrogate: Surrogate, space: MixtureSpace, w: Array, room: float
) -> dict[str, tuple[float, float]]:
    """Domain to the least and most share at which the objective is within `room` of its optimum.

    A local, cheap version of the profile: along the ray that moves a domain's share against all
    others in proportion, and (up to 40 domains) along every exchange with one other domain; the
    widest counts. It is narrower than the full profile where three domains trade together.
    """
    m = space.dim
    rays = [np.eye(m)[i] - w for i in range(m)]
    if m <= 40:
        rays += [np.eye(m)[i] - np.eye(m)[j] for i in range(m) for j in range(m) if i != j]
    directions = np.array([*rays, *[-r for r in rays[:m]]])
    # How far each ray stays non-negative, in fractions down to 1 % of it.
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(directions < -1e-12, -w / directions, np.inf).min(axis=1)
    steps = np.concatenate([[0.0], np.geomspace(0.01, 1.0, 12)])
    at = w + reach[:, None, None] * steps[:, None] * directions[:, None, :]
    flat = np.clip(at.reshape(-1, m), 0.0, None)
    flat = flat / flat.sum(axis=1, keepdims=True)
    limit = float(surrogate.value(w[None])[0]) + room
    fits = (surrogate.value(flat) <= limit) & space.contains(flat, 1e-6)
    unbroken = np.logical_and.accumulate(fits.reshape(len(directions), -1), axis=1).ravel()
    near = np.vstack([w, flat[unbroken]])
    return {
        name: (float(near[:, i].min()), float(near[:, i].max()))
        for i, name in enumerate(space.names)
    }


def _gain(surrogate: Surrogate, w: Array, reference: Array) -> tuple[float, float, float]:
    """Raw gain, its sd, and the gain shrunk towards zero by what is noise in it."""
    mean, sd = surrogate.moments(np.stack([w, reference]))
    raw = float(mean[1] - mean[0])
    spread = float(np.hypot(*sd))
    return raw, spread, raw * raw**2 / (raw**2 + spread**2) if raw > 0 else raw


def _epochs(space: MixtureSpace, w: Array) -> dict[str, float]:
    if space.budget is None:
        return {}
    passes = w * space.budget / np.where(space.tokens > 0, space.tokens, np.nan)
    return {n: float(e) for n, e in zip(space.names, passes, strict=True) if np.isfinite(e)}
