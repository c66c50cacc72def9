"""A Gaussian process per metric: ARD Matern-5/2 on sqrt w.

On sqrt w Euclidean distance is Hellinger distance, zeros are harmless, and a domain's first percent
counts more than its last; on raw weights or with one shared lengthscale the fit is clearly worse.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; Z: (n, p) standardised features
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from mixopt.laws import progress
from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Prediction,
    Runs,
    as_mixtures,
    check_runs,
    numbers,
    one_scale,
)
from mixopt.laws.features import EPSILON, FeatureMap
from mixopt.laws.processes import averaging, kernel
from mixopt.laws.processes.moments import MANY, many_means, many_moments
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

Answer = TypeVar("Answer")
SHARED = 16
"""Metrics from which on hyperparameters are first learned for all metrics together: each metric's
own are then a few steps away. Below, every metric is fitted as if it were alone."""
FEW = 128
"""Runs up to which hyperparameters are averaged over; beyond, they are known well."""
_OWN_STEPS, _REFIT_STEPS, _DRAWS = 10, 3, 16


@dataclass(frozen=True)
class GaussianProcess:
    """Hyperparameters by maximum a posteriori, one process per metric.

    Args:
        features: `"sqrt"`, `"weights"` or `"log"`.
        epsilon: offset of the log feature.
        subset: hyperparameters are learned on at most this many runs, drawn at random, and the
            process is then conditioned on all runs.
        iterations: of L-BFGS at most.
        priors: of the hyperparameters.
        draws: hyperparameters around the optimum over which variances are averaged, an even number;
            0 takes the optimum for certain. Beyond `FEW` runs it is.
    """

    features: str = "sqrt"
    epsilon: float = EPSILON
    subset: int = 256
    iterations: int = 60
    priors: kernel.Priors = field(default_factory=kernel.Priors)
    draws: int = 0

    takes_scales: ClassVar[bool] = False

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedGaussianProcess":
        """Fit one process per metric.

        Raises:
            InputError: see `check_runs`; or runs of several scales.
        """
        runs = one_scale(check_runs(W, Y, scale), self.name)
        return self._fit(runs, None, rng)

    def refit(
        self,
        fitted: FittedLaw,
        W: Array,
        Y: Array,
        scale: Array | None = None,
        *,
        rng: np.random.Generator,
    ) -> "FittedGaussianProcess":
        """Fit to runs, a few steps from the hyperparameters of `fitted`; see `Refits`.

        Raises:
            InputError: see `check_runs`; or runs of several scales.
        """
        assert isinstance(fitted, FittedGaussianProcess)
        runs = one_scale(check_runs(W, Y, scale), self.name)
        return self._fit(runs, fitted.learned, rng)

    def _fit(
        self, runs: Runs, starts: Sequence[kernel.Learned] | None, rng: np.random.Generator
    ) -> "FittedGaussianProcess":
        """Learn every metric's hyperparameters from `starts` (k), or from scratch."""
        standard = Standard.learn(runs.Y)
        features = FeatureMap.learn(runs.W, self.features, self.epsilon)
        Z, T = features(runs.W), standard.forward(runs.Y)
        order = rng.permutation(len(Z))
        steps = min(_REFIT_STEPS, self.iterations)
        if starts is None and T.shape[1] >= SHARED:
            z, t = Z[order[: self.subset]], T[order[: self.subset]]
            shared = kernel.learn(z, t, self.priors, self.iterations)
            starts = [kernel.Learned.at(shared, z, self.priors)] * T.shape[1]
            steps = min(_OWN_STEPS, self.iterations)
        log_theta, covariances = [], []
        for column in range(T.shape[1]):
            progress.say(f"process of metric {column + 1} of {T.shape[1]}")
            rows = order[np.isfinite(runs.Y[order, column])][: self.subset]
            z, t = Z[rows], T[rows, column] - T[rows, column].mean()
            if starts is None:
                log_theta.append(kernel.learn(z, t, self.priors, self.iterations))
            else:
                learned = kernel.relearn(z, t, self.priors, steps, starts[column])
                log_theta.append(learned.log_theta)
                covariances.append(learned.covariance)
        best = np.stack(log_theta)
        return FittedGaussianProcess(
            self.name,
            features,
            standard,
            best,
            runs.W,
            runs.Y,
            self._draws(Z, T, np.isfinite(runs.Y), best) if self.draws else None,
            self.priors,
            tuple(covariances),
        )

    def _draws(self, Z: Array, T: Array, seen: NDArray[np.bool_], best: Array) -> Array | None:
        """(k, draws, p + 2) around the optima; None where runs are many."""
        if len(Z) > FEW:
            return None
        columns = [
            averaging.draw(Z[rows], t[rows] - t[rows].mean(), theta, self.priors, self.draws)
            for rows, t, theta in zip(seen.T, T.T, best, strict=True)
        ]
        return np.stack(columns)

    def plain(self) -> "GaussianProcess":
        """The same, the optimum taken for certain."""
        return replace(self, draws=0)

    @property
    def name(self) -> str:
        """Its name in `mixopt.laws.LAWS`."""
        return "gp" if self.features == "sqrt" else f"gp-{self.features}"


def gp(**settings: Any) -> GaussianProcess:
    """The Gaussian process as a law by itself, its intervals those of few runs."""
    return GaussianProcess(**{"draws": _DRAWS, **settings})


def gp_log(**settings: Any) -> GaussianProcess:
    """The same on log(w + epsilon)."""
    return gp(features="log", **settings)


@dataclass(frozen=True, eq=False, repr=False)
class FittedGaussianProcess(Shown):
    """Hyperparameters and the runs to condition on; predicts with numpy and scipy alone.

    Attributes:
        name: in `mixopt.laws.LAWS`. features, standard: of inputs and outputs.
        log_theta: (k, p + 2), see `kernel`.
        W: (n, m) mixtures and Y: (n, k) metrics of the runs.
        draws: (k, s, p + 2) hyperparameters that variances are averaged over; None takes log_theta
            for certain. `held_out` does.
        priors: of the hyperparameters. covariances: (k) of log_theta, where metrics were learned
            from one another. Neither is in JSON.
    """

    name: str
    features: FeatureMap
    standard: Standard
    log_theta: Array
    W: Array
    Y: Array
    draws: Array | None = None
    priors: kernel.Priors = field(default_factory=kernel.Priors)
    covariances: tuple[Array, ...] = ()

    @cached_property
    def learned(self) -> list[kernel.Learned]:
        """(k) hyperparameters and how well they are known, from where refits start."""
        if self.covariances:
            return [
                kernel.Learned(*known)
                for known in zip(self.log_theta, self.covariances, strict=True)
            ]
        Z = self.features(self.W)
        seen = np.isfinite(self.Y).T
        return [
            kernel.Learned.at(theta, Z[rows], self.priors)
            for theta, rows in zip(self.log_theta, seen, strict=True)
        ]

    @cached_property
    def drawn(self) -> tuple[averaging.Drawn, ...]:
        """(k) draws of every metric, conditioned on its runs."""
        if self.draws is None:
            return ()
        Z, T = self.features(self.W), self.standard.forward(self.Y)
        return tuple(
            averaging.Drawn.condition(Z[seen], T[seen, i], self.draws[i])
            for i, seen in enumerate(np.isfinite(self.Y).T)
        )

    @cached_property
    def posteriors(self) -> tuple[kernel.Posterior, ...]:
        """One per metric, conditioned on the runs that have the metric."""
        Z, T = self.features(self.W), self.standard.forward(self.Y)
        return tuple(
            kernel.Posterior.condition(Z[seen], T[seen, i], self.log_theta[i])
            for i, seen in enumerate(np.isfinite(self.Y).T)
        )

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Posterior mean and sd of the expected metrics at mixtures W (n, m).

        More than 4,096 mixtures at once are scored in single precision, their sd to about 20 %.
        """
        del scale
        moments = self._per_metric(many_moments, W)
        mean, variance = (np.column_stack(columns) for columns in zip(*moments, strict=True))
        if self.draws is not None:
            Z = self.features(as_mixtures(W, self.W.shape[1]))
            columns = [
                averaging.averaged(m, v, drawn, Z)
                for m, v, drawn in zip(mean.T, variance.T, self.drawn, strict=True)
            ]
            variance = np.column_stack(columns)
        return self.standard.prediction(mean, np.sqrt(variance), np.exp(self.log_theta[:, -1] / 2))

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        del scale
        mean = np.column_stack(self._per_metric(many_means, W))
        return self.standard.backward(mean)

    def joint(
        self, A: Array, B: Array, scale_A: Array | None = None, scale_B: Array | None = None
    ) -> Array:
        """(k, a, b) posterior covariance of the expected metrics at mixtures A with those at B."""
        del scale_A, scale_B
        left, right = (self.features(as_mixtures(W, self.W.shape[1])) for W in (A, B))
        if self.draws is None:
            parts = [posterior.covariance(left, right) for posterior in self.posteriors]
        else:
            pairs = zip(self.posteriors, self.drawn, strict=True)
            parts = [averaging.between(first, drawn, left, right) for first, drawn in pairs]
        covariances = np.stack(parts)
        return np.asarray(covariances * (self.standard.spread**2)[:, None, None])

    def _per_metric(
        self, ask: Callable[[kernel.Posterior, Array], Answer], W: Array
    ) -> list[Answer]:
        """What every metric's posterior answers about mixtures W."""
        Z = self.features(as_mixtures(W, self.W.shape[1]))
        if len(Z) <= MANY:
            return [ask(posterior, Z) for posterior in self.posteriors]
        # numpy works outside the interpreter's lock: very many points use the second core.
        with ThreadPoolExecutor(min(len(self.posteriors), 2)) as pool:
            return list(pool.map(lambda posterior: ask(posterior, Z), self.posteriors))

    @cached_property
    def held_out(self) -> Prediction:
        """(n, k) what each run's mixture is predicted without its runs, in closed form."""
        residual, variance = np.full((2, *self.Y.shape), np.nan)
        groups = check_runs(self.W, self.Y).groups
        for i, posterior in enumerate(self.posteriors):
            seen = np.isfinite(self.Y[:, i])
            residual[seen, i], variance[seen, i] = posterior.leave_out(groups[seen])
        noise = np.exp(self.log_theta[:, -1])
        sd = np.sqrt(np.maximum(variance - noise, 0.0))
        mean = self.standard.forward(self.Y) - residual
        return self.standard.prediction(mean, sd, np.sqrt(noise))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": self.name,
            "features": self.features.to_dict(),
            "standard": self.standard.to_dict(),
            "log_theta": self.log_theta.tolist(),
            "draws": None if self.draws is None else self.draws.tolist(),
            "W": self.W.tolist(),
            "Y": [[None if np.isnan(v) else v for v in row] for row in self.Y.tolist()],
        }


def read(values: JSON) -> FittedGaussianProcess:
    """The fitted law that `to_dict` wrote."""
    return FittedGaussianProcess(
        values["law"],
        FeatureMap.read(values["features"]),
        Standard.read(values["standard"]),
        numbers(values["log_theta"]),
        numbers(values["W"]),
        numbers(values["Y"]),
        None if values["draws"] is None else numbers(values["draws"]),
    )
