"""The objective as the runs tell it: a fitted law seen through an objective.

`fit_surrogate` is the one way from runs to what proposers minimise, for sweeps, studies, reports
and Optuna alike.

Notation:
    W: (n, m) mixtures; F: (n,) objective, lower is better; sd: (n,) what the law does not know of F
"""

from dataclasses import dataclass, field, replace

import numpy as np

from mixopt.designs.baselines import baselines
from mixopt.errors import InputError
from mixopt.laws import Named, law_for
from mixopt.laws.base import FittedLaw, Law, Prediction, Weighted, joint_of, mean_of
from mixopt.runs import UNSTATED, Scale
from mixopt.runs.objective import Objective
from mixopt.runs.reach import Reach, seen_scales
from mixopt.runs.reliability import resolved
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace, html, simplex
from mixopt.space.simplex import Array
from mixopt.threads import one_blas_thread

_CHUNK = 20_000
_PENALTY = 1e3  # per unit of relative violation of a guard, in units of the objective's spread


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
        law: what was fitted, for those who fit it again to a part of the runs; not stored.
        seen: parameters and tokens of the runs, each scale once; empty where they state none.
    """

    fitted: FittedLaw
    objective: Objective
    metrics: tuple[str, ...]
    scale: tuple[float, float] | None = None
    limits: dict[str, float] = field(default_factory=dict, hash=False)
    kl: float = 0.0
    prior: Array | None = field(default=None, hash=False, compare=False)
    law: Law | None = field(default=None, compare=False, repr=False, metadata={"stored": False})
    seen: tuple[tuple[float, float], ...] = ()

    def __repr__(self) -> str:
        at = "" if self.scale is None else " at {:g} params x {:g} tokens".format(*self.scale)
        return (
            f"<Surrogate of {self.objective.describe()}: {type(self.fitted).__name__}, "
            f"{len(self.metrics)} metrics{at}>"
        )

    def _repr_html_(self) -> str:
        laws = self.law_weights()
        members = list(dict.fromkeys(name for weights in laws.values() for name in weights))
        most = html.MOST_ROWS
        rows: list[list[html.Cell]] = [
            [
                name,
                self.objective.weights.get(name),
                self.limits.get(name),
                *(html.percent(laws[name].get(member, 0.0)) for member in members if laws),
            ]
            for name in sorted(self.metrics, key=lambda k: k not in self.objective.needed)[:most]
        ]
        more = f"; the first {most}" if len(self.metrics) > most else ""
        head = ["metric", "weight", "limit", *(f"law {member}" for member in members)]
        return html.table(head, rows, repr(self).strip("<>") + more)

    @classmethod
    def of(
        cls,
        fitted: FittedLaw,
        objective: Objective,
        metrics: tuple[str, ...],
        space: MixtureSpace,
        scale: tuple[float, float] | None = None,
        law: Law | None = None,
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
                why = ""
                if guard.baseline == "natural" and not space.knows_prior:
                    why = "; what is natural is not known: give the domains priors or tokens"
                raise InputError(
                    f"guard on {guard.metric!r} names the baseline {guard.baseline!r}; "
                    f"known: {', '.join(known)}{why}"
                )
            at = bare.predict(known[guard.baseline].array[None])
            value = bare._signed(guard.metric, at.mean)[0]
            limits[guard.metric] = float(value + guard.tolerance * abs(value))
        kl = objective.kl
        if kl and objective.kl_unit == "sd":
            kl *= float(np.std(bare.moments(_spread_out(space))[0]))
        return cls(fitted, objective, tuple(metrics), scale, limits, kl, space.prior, law)

    def seen_through(self, objective: Objective, space: MixtureSpace) -> "Surrogate":
        """The same fitted law with another objective, guards and all.

        Raises:
            InputError: the law does not predict a metric of it.
        """
        other = Surrogate.of(self.fitted, objective, self.metrics, space, self.scale, self.law)
        return replace(other, seen=self.seen)

    @property
    def reach(self) -> Reach | None:
        """What predictions may say at the scale; None where it is the only one that ran."""
        return None if self.scale is None else Reach(self.scale, self.seen)

    def at(self, scale: Scale) -> "Surrogate":
        """The same fitted law asked at another scale, whether or not a run was trained there.

        Guards keep the limits that they have at the scale of this one.

        Raises:
            InputError: the runs state no scale, so that none can be told from another.
        """
        asked = scale.sizes
        if not self.seen:
            raise InputError(
                f"predictions are asked for {scale}, and the runs do not say at which scale they "
                "were trained; give them columns params and tokens"
            )
        if self.scale is None and self.seen == (asked,):
            return self
        return replace(self, scale=asked)

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

    def joint(self, A: Array, B: Array) -> Array:
        """(k, a, b) posterior covariance of every metric at mixtures A (a, m) with that at B.

        Raises:
            InputError: the law gives variances only.
        """
        return joint_of(self.fitted, A, B, self._scales(len(A)), self._scales(len(B)))

    def moments(self, W: Array) -> tuple[Array, Array]:
        """(n,) mean and (n,) sd of the objective."""
        seen = self.predict(W)
        return self.objective.moments(seen.mean, seen.sd, self.metrics)

    def risk(self, W: Array, caution: float) -> Array:
        """(n,) mean + caution sd of the objective, penalty where a guard is broken."""
        seen = self.predict(W)
        mean, sd = self.objective.moments(seen.mean, seen.sd, self.metrics)
        return np.asarray(mean + caution * sd + self.penalty(seen))

    def law_weights(self) -> dict[str, dict[str, float]]:
        """Metric to law to its weight, where the fitted law averages others."""
        if not isinstance(self.fitted, Weighted):
            return {}
        members = self.fitted.members
        return {
            metric: {name: float(weights[j]) for name, weights in members.items()}
            for j, metric in enumerate(self.metrics)
        }

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


@one_blas_thread
def fit_surrogate(
    runs: RunTable,
    objective: Objective,
    space: MixtureSpace,
    law: Named | Law,
    *,
    rng: np.random.Generator,
    every_metric: bool = False,
    target: Scale | None = None,
) -> Surrogate:
    """Fit a law, one set of parameters per metric, and look at it through the objective.

    Runs of several scales are fitted together, by the law itself or inside a correction (see
    `laws.law_for`); predictions are then for the target.

    Args:
        runs: the evidence, embedded into the space.
        objective: its metrics (and guards) are fitted; standardised here, where it asks for it.
        space: the domains.
        law: how to fit, or its name.
        rng: source of randomness.
        every_metric: fit all metrics of the table, for reports and diagnostics.
        target: the scale to predict at, which may have no runs yet where the law can do that; the
            largest that has some by default.

    Raises:
        InputError: an unknown metric, runs that the space cannot express, too few runs, or a
            target where the runs state no scale.
    """
    names = fitted_metrics(runs, objective, every_metric=every_metric)
    scales = runs.scales
    stated = seen_scales(scales)
    wanted = stated[-1] if stated else None
    if target is not None and target != UNSTATED:
        wanted = target.sizes
        if not stated:
            raise InputError(
                f"answers are asked for {target}, and the runs do not say at which scale they were "
                "trained; give them columns params and tokens"
            )
    several = len({*stated, wanted}) > 1
    at = scales if several else None
    law = law_for(law, at, space)
    fitted = law.fit(runs.within(space.names).W, runs.values(names), at, rng=rng)
    scale = wanted if several else None
    made = Surrogate.of(fitted, resolved(objective, runs), names, space, scale, law)
    return replace(made, seen=stated)


def fitted_metrics(
    runs: RunTable, objective: Objective, *, every_metric: bool = False
) -> tuple[str, ...]:
    """Names of the metrics that are fitted: those that the objective needs, or all with values.

    Raises:
        InputError: an unknown metric, or one that the objective needs and no run has.
    """
    objective.check(runs.metrics)
    needed = {*objective.metrics, *(g.metric for g in objective.guards)}
    measured = np.isfinite(runs.Y).any(axis=0)
    names = tuple(
        k
        for k, some in zip(runs.metrics, np.atleast_1d(measured), strict=True)
        if some and (every_metric or k in needed)
    )
    missing = sorted(needed - set(names))
    if missing:
        raise InputError(f"no run has the metric {missing[0]!r}; the objective needs it")
    return names
