"""The objective as the runs tell it: a fitted law seen through an objective.

Notation:
    W: (n, m) mixtures; F: (n,) objective, lower is better; sd: (n,) what the law does not know of F
"""

from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from mixopt.designs.baselines import baselines
from mixopt.errors import InputError
from mixopt.laws.base import FittedLaw, Prediction, mean_of
from mixopt.runs.objective import Objective
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array

_CHUNK = 20_000
_PENALTY = 1e3  # per unit of relative violation of a guard, in units of the objective's spread


@runtime_checkable
class Levels(Protocol):
    """A fitted law of all scales, that predicts the largest; `below` counts down from it."""

    def joint(self, A: Array, B: Array, below: int = 0) -> Array:
        """(k, a, b) posterior covariance of A at the largest scale with B below it."""
        ...

    def outcome_variance(self, W: Array, below: int) -> Array:
        """(k, n) variance of one new run at mixtures W."""
        ...

    def expected(self, W: Array, below: int) -> Array:
        """(n, k) expected metrics at mixtures W."""
        ...


@dataclass(frozen=True)
class Surrogate:
    """What the proposers minimise: predicted objective, guards and regularisation included.

    Attributes:
        fitted: the fitted law.
        objective: what is minimised.
        metrics: (k,) names of the metrics that the law predicts, in its order.
        scale: parameters and tokens at which to predict; None where all runs share one scale.
        limits: guarded metric to the largest signed value (lower is better) that it may have.
        kl: strength of the pull towards `prior`, in units of the objective.
        prior: (m,) the natural mixture; None without a pull.
    """

    fitted: FittedLaw
    objective: Objective
    metrics: tuple[str, ...]
    scale: tuple[float, float] | None = None
    limits: dict[str, float] = field(default_factory=dict, hash=False)
    kl: float = 0.0
    prior: Array | None = field(default=None, hash=False, compare=False)

    @classmethod
    def of(
        cls,
        fitted: FittedLaw,
        objective: Objective,
        metrics: tuple[str, ...],
        space: MixtureSpace,
        scale: tuple[float, float] | None = None,
    ) -> "Surrogate":
        """A surrogate whose guards are set by the law's predictions at their baselines.

        Raises:
            InputError: an unknown metric, or a guard names an unknown baseline.
        """
        objective.check(metrics)
        bare = cls(fitted, objective, tuple(metrics), scale)
        known = baselines(space) if objective.guards else {}
        limits = {}
        for guard in objective.guards:
            if guard.baseline not in known:
                raise InputError(
                    f"guard on {guard.metric!r} names the baseline {guard.baseline!r}; "
                    f"known: {', '.join(known)}"
                )
            at = bare.predict(known[guard.baseline].array[None])
            value = bare._signed(guard.metric, at.mean)[0]
            limits[guard.metric] = float(value + guard.tolerance * abs(value))
        kl = objective.kl
        if kl and objective.kl_unit == "sd":
            kl *= float(np.std(bare.moments(_spread_out(space))[0]))
        return cls(fitted, objective, tuple(metrics), scale, limits, kl, space.prior)

    def predict(self, W: Array) -> Prediction:
        """Every metric at mixtures W (n, m), in chunks that keep memory small."""
        parts = [self._predict(W[i : i + _CHUNK]) for i in range(0, max(len(W), 1), _CHUNK)]
        if len(parts) == 1:
            return parts[0]
        return Prediction(
            np.vstack([p.mean for p in parts]), np.vstack([p.sd for p in parts]), parts[0].noise
        )

    def expected(self, W: Array) -> Prediction:
        """`predict` without uncertainty (zeros): what a search asks for, several times faster."""
        parts = []
        for i in range(0, max(len(W), 1), _CHUNK):
            rows = simplex.as_simplex(W[i : i + _CHUNK], renormalize=True)
            parts.append(mean_of(self.fitted, rows, self._scales(len(rows))))
        mean = np.vstack(parts)
        return Prediction(mean, np.zeros_like(mean), np.zeros(mean.shape[1]))

    def moments(self, W: Array) -> tuple[Array, Array]:
        """(n,) mean and (n,) sd of the objective."""
        seen = self.predict(W)
        return self.objective.moments(seen.mean, seen.sd, self.metrics)

    def noise(self, W: Array) -> float:
        """Sd of the objective of one new run around its expectation, at mixture W (1, m)."""
        seen = self.predict(np.atleast_2d(W)[:1])
        _, sd = self.objective.moments(
            seen.mean, np.broadcast_to(seen.noise, seen.mean.shape), self.metrics
        )
        return float(sd[0])

    def value(self, W: Array) -> Array:
        """(n,) what is minimised: mean, pull to the prior, penalty where a guard is broken."""
        seen = self.expected(W)
        return np.asarray(self.bare(seen, W) + self.penalty(seen))

    def bare(self, seen: Prediction, W: Array) -> Array:
        """(n,) what is minimised but for the guards, from predictions at W."""
        mean, _ = self.objective.moments(seen.mean, seen.sd, self.metrics)
        if self.kl and self.prior is not None:
            mean = mean + self.kl * simplex.kl(W, self.prior)
        return mean

    def over(self, seen: Prediction) -> Array:
        """(n, guards) by how much each guard is broken, relative to its limit; < 0 with room."""
        parts = [
            (self._signed(metric, seen.mean) - limit) / max(abs(limit), 1e-12)
            for metric, limit in self.limits.items()
        ]
        return np.array(parts).T.reshape(len(seen.mean), len(parts))

    def loosened(self, w: Array) -> "Surrogate":
        """The same with guards loosened to what mixture w (m,) is predicted to have, if beyond.

        So a mixture that rounding has moved over a guard by a hair can still be compared.
        """
        seen = self.predict(w[None])
        limits = {
            metric: max(limit, float(self._signed(metric, seen.mean)[0]))
            for metric, limit in self.limits.items()
        }
        return replace(self, limits=limits)

    def penalty(self, seen: Prediction) -> Array:
        """(n,) zero where every guard holds."""
        return self.violation(seen.mean)

    def violation(self, Y: Array) -> Array:
        """(n,) penalty of metrics Y (n, k) that break a guard; zero where every guard holds."""
        total = np.zeros(len(Y))
        for metric, limit in self.limits.items():
            over = np.maximum(self._signed(metric, Y) - limit, 0.0) / max(abs(limit), 1e-12)
            total += _PENALTY * over
        return total

    def _signed(self, metric: str, Y: Array) -> Array:
        sign = -1.0 if metric in self.objective.maximize else 1.0
        return np.asarray(sign * Y[:, self.metrics.index(metric)])

    def _predict(self, W: Array) -> Prediction:
        return self.fitted.predict(simplex.as_simplex(W, renormalize=True), self._scales(len(W)))

    def _scales(self, rows: int) -> Array | None:
        return None if self.scale is None else np.tile(np.asarray(self.scale, float), (rows, 1))


def _spread_out(space: MixtureSpace) -> Array:
    """(256, m) mixtures of all strengths, always the same: for the objective's spread."""
    rng = np.random.default_rng(0)
    strength = np.exp(rng.uniform(np.log(0.5), np.log(20.0), size=(256, 1)))
    return space.project(simplex.dirichlet(strength * space.prior, rng), metric="kl")
