"""The exponential law c + exp(b + a.phi(w)), per metric.

phi(w) = w is the log-linear law of Data Mixing Laws (2403.16952) and Olmix (2602.12237); the same
on sqrt w or log(w + epsilon) bends faster near zero, as a domain's own loss does (METHODS 11.2).

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; Z: (n, p) standardised features; theta: see `curved`
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mixopt.laws import curved
from mixopt.laws.base import (
    JSON,
    Prediction,
    Runs,
    as_mixtures,
    check_runs,
    numbers,
    one_scale,
)
from mixopt.laws.features import EPSILON, FeatureMap
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
_STARTS = (0.4, -0.4, 1.5)
_MARGIN = 0.5  # kappa u beyond that of all runs: from there on the law is its tangent
_LARGE = 4_000_000  # numbers in J beyond which metrics are fitted one after another


@dataclass(frozen=True)
class LogLinear:
    """Least squares with analytic gradients, the ridge chosen per metric by leave-one-out error.

    Args:
        features: `"weights"`, `"sqrt"` or `"log"`.
        epsilon: offset of the log feature.
        ridges: penalties that are compared, in units of the variance of a metric; increasing.
    """

    features: str = "weights"
    epsilon: float = EPSILON
    ridges: tuple[float, ...] = RIDGES

    takes_scales: ClassVar[bool] = False

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedLogLinear":
        """Fit one law per metric; deterministic, `rng` is not drawn from.

        Raises:
            InputError: see `check_runs`; or runs of several scales.
        """
        del rng
        runs = one_scale(check_runs(W, Y, scale), self.name)
        features = FeatureMap.learn(runs.W, self.features, self.epsilon)
        Z, standard = features(runs.W), Standard.learn(runs.Y)
        whole = curved.Problem(Z, standard.forward(runs.Y).T, runs.seen.T)
        size = Z.shape[0] * (Z.shape[1] + 2)
        chunk = max(1, _LARGE // size)
        parts = [
            _fit_path(
                curved.Problem(Z, whole.y[i : i + chunk], whole.seen[i : i + chunk]),
                runs,
                self.ridges,
            )
            for i in range(0, len(whole.y), chunk)
        ]
        theta, covariance, noise, loo = (np.concatenate(p) for p in zip(*parts, strict=True))
        flat = standard.flat
        theta[flat], covariance[flat], noise[flat] = 0.0, 0.0, 0.0
        limit = (theta[:, -1:] * (theta[:, 1:-1] @ Z.T)).max(axis=1) + _MARGIN
        fitted = FittedLogLinear(self.name, features, standard, theta, covariance, noise, limit)
        at_runs = fitted.predict(runs.W)
        held_out = Prediction(runs.Y - standard.residual(loo.T), at_runs.sd, at_runs.noise)
        return replace(fitted, held_out=held_out)

    @property
    def name(self) -> str:
        """Its name in `mixopt.laws.LAWS`."""
        return "log-linear" if self.features == "weights" else f"log-linear-{self.features}"


def log_linear_sqrt(**settings: Any) -> LogLinear:
    """The exponential law on sqrt w."""
    return LogLinear(features="sqrt", **settings)


def log_linear_log(**settings: Any) -> LogLinear:
    """The exponential law on log(w + epsilon)."""
    return LogLinear(features="log", **settings)


@dataclass(frozen=True, eq=False, repr=False)
class FittedLogLinear(Shown):
    """The learned law.

    Attributes:
        name: in `mixopt.laws.LAWS`. features, standard: of inputs and outputs.
        theta: (k, p + 2) parameters [c, beta, kappa] in standardised units.
        covariance: (k, p + 2, p + 2) Laplace covariance of theta.
        noise: (k,) residual sd, standardised.
        limit: (k,) kappa u from which on the law is its tangent, beyond all runs.
        held_out: of the training runs, see `HeldOut`; kept in memory, not in JSON.
    """

    name: str
    features: FeatureMap
    standard: Standard
    theta: Array
    covariance: Array
    noise: Array
    limit: Array
    held_out: Prediction | None = None

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m), sd by the delta method; `scale` is not used."""
        del scale
        Z = self.features(as_mixtures(W, self.domains))
        mean = curved.curve(Z, self.theta, self.limit)
        variance = np.stack(
            [
                _spread(Z, *parts)
                for parts in zip(self.theta, self.covariance, self.limit, strict=True)
            ]
        )
        return self.standard.prediction(mean.T, np.sqrt(variance).T, self.noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        del scale
        Z = self.features(as_mixtures(W, self.domains))
        mean = curved.curve(Z, self.theta, self.limit).T
        return self.standard.backward(mean)

    @property
    def domains(self) -> int:
        """Number of domains m."""
        return self.features.center.size

    def coefficients(self) -> tuple[Array, Array, Array, Array]:
        """The law as c + sign exp(b + a.phi(w)): c (k,), sign (k,), b (k,), a (k, m).

        A metric with curvature 0 is linear; it is given a curvature of 1e-6, which changes nothing
        within the simplex.
        """
        kappa = np.where(np.abs(self.theta[:, -1]) < 1e-6, 1e-6, self.theta[:, -1])
        slope = kappa[:, None] * self.theta[:, 1:-1] / self.features.spread
        shift, unit = self.standard.center, self.standard.spread
        b = np.log(unit / np.abs(kappa)) - slope @ self.features.center
        c = shift + unit * (self.theta[:, 0] - 1.0 / kappa)
        return c, np.sign(kappa), b, slope

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": self.name,
            "features": self.features.to_dict(),
            "standard": self.standard.to_dict(),
            "theta": self.theta.tolist(),
            "covariance": self.covariance.tolist(),
            "noise": self.noise.tolist(),
            "limit": self.limit.tolist(),
        }


def read(values: JSON) -> FittedLogLinear:
    """The fitted law that `to_dict` wrote."""
    return FittedLogLinear(
        values["law"],
        FeatureMap.read(values["features"]),
        Standard.read(values["standard"]),
        numbers(values["theta"]),
        numbers(values["covariance"]),
        numbers(values["noise"]),
        numbers(values["limit"]),
    )


def _spread(Z: Array, theta: Array, covariance: Array, limit: float) -> Array:
    """(n,) variance of the expected metric, in blocks that bound the memory."""
    block = max(1, _LARGE // theta.size)
    variances = []
    for i in range(0, len(Z), block):
        J = curved.slopes(Z[i : i + block], theta[None], np.array([limit]))[0]
        variances.append(np.maximum(((J @ covariance) * J).sum(axis=1), 0.0))
    return np.concatenate(variances) if variances else np.zeros(0)


def _fit_path(
    problem: curved.Problem, runs: Runs, ridges: tuple[float, ...]
) -> tuple[Array, Array, Array, Array]:
    """theta, covariance, noise and held-out residuals (b, n), with the best ridge per metric."""
    b = len(problem.y)
    large = problem.Z.shape[1] > 200
    if large:  # every step costs n p^2: look at fewer penalties, around the middle
        ridges = ridges[len(ridges) // 3 :][:3]
    middle = min(len(ridges) // 2, len(ridges) - 1)
    ridge = np.full(b, ridges[middle])
    starts = [
        problem.solve(problem.start(kappa, ridge), ridge, 4 if large else 8)
        for kappa in (_STARTS[:1] if large else _STARTS)
    ]
    losses = np.stack([problem.loss(t, ridge) for t in starts])
    best = np.stack(starts)[losses.argmin(axis=0), np.arange(b)]
    summaries: list[tuple[Array, ...]] = []
    for path in (ridges[middle:], ridges[:middle][::-1]):
        theta = best
        for value in path:
            ridge = np.full(b, value)
            theta = problem.solve(theta, ridge, 8 if large else 20)
            summaries.append(_summary(problem, theta, ridge, runs))
    score = np.stack([f[3] for f in summaries])
    pick = score.argmin(axis=0)
    rows = np.arange(b)
    theta, noise, loo = (np.stack([f[i] for f in summaries])[pick, rows] for i in (0, 1, 2))
    ridge = np.array([*ridges[middle:], *ridges[:middle][::-1]])[pick]
    _, A, _ = problem.normal(theta, ridge)
    covariance = np.linalg.inv(A) * (noise**2)[:, None, None]
    return theta, covariance, noise, loo


def _summary(
    problem: curved.Problem, theta: Array, ridge: Array, runs: Runs
) -> tuple[Array, Array, Array, Array]:
    """theta, noise (b,), held-out residuals (b, n) and their mean square (b,)."""
    J, A, residual = problem.normal(theta, ridge)
    loo, used = curved.leave_out(J, A, residual, runs.groups)
    count = problem.seen.sum(axis=1)
    # Few runs leave no degrees of freedom: the residual alone would promise certainty, so the
    # held-out error bounds the noise from below by half.
    score = (loo**2).sum(axis=1) / count
    noise = np.sqrt((residual**2).sum(axis=1) / np.maximum(count - used, 0.3 * count))
    return theta, np.maximum(noise, 0.5 * np.sqrt(score)), loo, score
