"""Laws that are a formula: least squares with analytic derivatives from a few starts.

A formula gives values and derivatives at parameters theta; this module fits it per metric, for both
directions (losses fall, accuracies rise), and predicts with the delta method. A weak prior around
the formula's center keeps parameters that no run tells where they are harmless.

Notation:
    W: (n, m) mixtures; N, D: (n,) log of parameters and tokens over those of a reference scale
    T: (k, n) standardised metrics; theta: (k, q) parameters; J: (k, n, q) derivatives of f by theta
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Ints,
    Prediction,
    Runs,
    as_mixtures,
    check_runs,
    check_scale,
    numbers,
)
from mixopt.laws.curved import leave_out
from mixopt.laws.descent import PRIOR_SD, descend_many
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

_SHIFTS = (0.0, -0.6, 0.6, -1.2)
_TRIAL_STEPS = 12  # after which the best of several starts is the one that goes on
_REFIT_STEPS = 25
_CACHED = 300_000  # numbers in J at once: metrics are fitted together while that is in the cache


@dataclass(frozen=True, eq=False)
class Inputs:
    """Where a formula is evaluated.

    Attributes:
        W: (n, m) mixtures. N, D: (n,) logs of parameters and tokens relative to the reference.
        varies: whether N and D differed between the training runs.
        own: (k,) domain whose own loss each metric is taken to be.
    """

    W: Array
    N: Array
    D: Array
    varies: tuple[bool, bool]
    own: Ints


@dataclass(frozen=True)
class Formula:
    """A parametric family.

    Attributes:
        evaluate: values (k, n) and derivatives (k, n, q) at theta (k, q).
        center: (q,) the middle of the prior and the first start.
    """

    evaluate: Callable[[Array, Inputs], tuple[Array, Array]]
    center: Callable[[Inputs], Array]


@dataclass(frozen=True)
class Parametric:
    """Fits a formula to every metric.

    Args:
        name: of the formula, in `mixopt.laws.LAWS`.
        formula: what is fitted.
        starts: how many: the prior's center, and all parameters shifted from it alike (so that the
            order of the domains does not matter).
        steps: evaluations per start at most.
        takes_scales: whether its terms in N and D are meant for runs of several scales.
    """

    name: str
    formula: Formula
    starts: int = 4
    steps: int = 60
    takes_scales: bool = False

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedParametric":
        """Fit every metric; deterministic, `rng` is not drawn from.

        Without runs of several scales the terms in N and D are left out.

        Raises:
            InputError: see `check_runs`.
        """
        del rng
        runs = check_runs(W, Y, scale)
        fitted = self._fit(runs, None)
        return replace(fitted, held_out=_held_out(fitted, runs, log_scales(runs)[0]))

    def refit(
        self,
        fitted: FittedLaw,
        W: Array,
        Y: Array,
        scale: Array | None = None,
        *,
        rng: np.random.Generator,
    ) -> "FittedParametric":
        """Fit to runs, with one start for every metric: what `fitted` knows; see `Refits`.

        Raises:
            InputError: see `check_runs`.
        """
        del rng
        assert isinstance(fitted, FittedParametric)
        return self._fit(check_runs(W, Y, scale), fitted)

    def _fit(self, runs: Runs, known: "FittedParametric | None") -> "FittedParametric":
        logs, reference = log_scales(runs)
        varies = (bool(np.ptp(logs[:, 0]) > 1e-9), bool(np.ptp(logs[:, 1]) > 1e-9))
        standard = Standard.learn(runs.Y)
        T, seen = standard.forward(runs.Y).T, np.isfinite(runs.Y).T
        own = _own_domains(runs.W, T, seen)
        at = Inputs(runs.W, logs[:, 0], logs[:, 1], varies, own)
        problem = _Problem(self.formula, at, T, seen, self.formula.center(at))
        # Parameters of another own domain are no start.
        fresh = np.ones(len(T), dtype=bool) if known is None else known.own != own
        signs, theta = np.ones(len(T)), np.tile(problem.center, (len(T), 1))
        new = np.flatnonzero(fresh)
        signs[new], theta[new] = self._first(problem, new)
        for rows, steps, tolerance in (
            (new, self.steps, 1e-5),
            (np.flatnonzero(~fresh), _REFIT_STEPS, 1e-3),
        ):
            if known is not None and steps == _REFIT_STEPS:
                signs[rows], theta[rows] = known.signs[rows], known.theta[rows]
            _, theta[rows] = problem.descend(rows, signs[rows], theta[rows], steps, tolerance)
        covariance, noise = problem.uncertainty(signs, theta)
        noise = np.where(standard.flat, 0.0, noise)
        return FittedParametric(
            self.name,
            self.formula,
            standard,
            reference,
            varies,
            own,
            signs,
            theta,
            covariance,
            noise,
            runs.W.shape[1],
        )

    def _first(self, problem: "_Problem", rows: Ints) -> tuple[Array, Array]:
        """Signs (a,) and parameters (a, q) of the metrics `rows` after the best of all starts."""
        shifts = [(1.0, _SHIFTS[i % len(_SHIFTS)]) for i in range(self.starts)]
        best = np.full(len(rows), np.inf)
        signs, theta = np.ones(len(rows)), np.tile(problem.center, (len(rows), 1))
        for sign, shift in [*shifts, (-1.0, 0.0)]:
            first = np.tile(problem.center + shift, (len(rows), 1))
            steps = min(_TRIAL_STEPS, self.steps)
            loss, reached = problem.descend(rows, np.full(len(rows), sign), first, steps, 1e-5)
            # Losses are what these formulas are about: the other direction must earn it.
            loss = loss * (1.0 if sign > 0 else 1.1)
            better = loss < best
            best[better], signs[better], theta[better] = loss[better], sign, reached[better]
        return signs, theta


@dataclass(frozen=True, eq=False)
class _Problem:
    """What a formula is fitted to: metrics T (k, n), 0 where not `seen` (k, n), at shared runs."""

    formula: Formula
    at: Inputs
    T: Array
    seen: NDArray[np.bool_]
    center: Array

    def descend(
        self, rows: Ints, signs: Array, start: Array, steps: int, tolerance: float
    ) -> tuple[Array, Array]:
        """Losses (a,) and parameters (a, q) of the metrics `rows` from a start (a, q)."""
        loss, theta = np.empty(len(rows)), np.empty_like(start)
        size = max(1, _CACHED // (self.T.shape[1] * self.center.size))
        for i in range(0, len(rows), size):
            part = slice(i, i + size)
            residuals = partial(self._residuals, rows[part], signs[part])
            loss[part], theta[part] = descend_many(
                residuals, self.center, start[part], steps=steps, tolerance=tolerance
            )
        return loss, theta

    def uncertainty(self, signs: Array, theta: Array) -> tuple[Array, Array]:
        """Covariances (k, q, q) of the parameters, and residual sds (k,)."""
        k, q = theta.shape
        covariance, noise = np.empty((k, q, q)), np.empty(k)
        prior = np.eye(q) / PRIOR_SD**2
        for j in range(k):
            residual, J = self._residuals(np.array([j]), signs[[j]], theta[[j]], np.array([0]))
            n = int(self.seen[j].sum())
            noise2 = float((residual**2).sum()) / max(n - q, 0.3 * n) + 1e-8
            covariance[j] = np.linalg.inv(J[0].T @ J[0] / noise2 + prior)
            noise[j] = np.sqrt(noise2)
        return covariance, noise

    def _residuals(
        self, metrics: Ints, signs: Array, theta: Array, rows: Ints
    ) -> tuple[Array, Array]:
        """Residuals (a, n) and derivatives (a, n, q) of some of these metrics, 0 where not seen."""
        metrics = metrics[rows]
        f, J = self.formula.evaluate(theta, replace(self.at, own=self.at.own[metrics]))
        seen = self.seen[metrics]
        f -= signs[rows, None] * self.T[metrics]
        if not seen.all():
            f *= seen
            J *= seen[..., None]
        return f, J


def _held_out(fitted: "FittedParametric", runs: Runs, logs: Array) -> Prediction:
    """Each run as predicted without its mixture, in the model linearised at the solution."""
    mean = np.full(runs.Y.shape, np.nan)
    T = fitted.standard.forward(runs.Y)
    for j, theta in enumerate(fitted.theta):
        seen = np.isfinite(runs.Y[:, j])
        own = fitted.own[[j]]
        at = Inputs(runs.W[seen], logs[seen, 0], logs[seen, 1], fitted.varies, own)
        f, J = fitted.formula.evaluate(theta[None], at)
        A = np.linalg.inv(fitted.covariance[j]) * max(float(fitted.noise[j]), 1e-4) ** 2
        residual = fitted.signs[j] * T[seen, j] - f[0]
        out, _ = leave_out(J, A[None], residual[None], runs.groups[seen])
        mean[seen, j] = T[seen, j] - fitted.signs[j] * out[0]
    told = fitted.predict(runs.W, runs.scale)
    return Prediction(
        fitted.standard.prediction(mean, mean, fitted.noise).mean, told.sd, told.noise
    )


def log_scales(runs: Runs) -> tuple[Array, Array]:
    """(n, 2) logs relative to the reference, and the reference (2,): geometric means."""
    if runs.scale is None:
        return np.zeros((len(runs.W), 2)), np.ones(2)
    reference = np.exp(np.log(runs.scale).mean(axis=0))
    return np.log(runs.scale / reference), reference


def _own_domains(W: Array, T: Array, seen: NDArray[np.bool_]) -> Ints:
    """(k,) the domain whose share goes with a metric of T (k, n) most clearly, either way."""
    roots = np.sqrt(W)
    count = seen.sum(axis=1, keepdims=True)
    mean = seen @ roots / count
    variance = seen @ (roots - roots.mean(axis=0)) ** 2 / count - (mean - roots.mean(axis=0)) ** 2
    off = np.where(seen, T - T.sum(axis=1, keepdims=True) / count, 0.0)
    with_T = off @ roots / count
    spread = np.sqrt(np.maximum(variance, 0.0)) * np.sqrt((off**2).sum(axis=1)[:, None] / count)
    return np.asarray(np.argmax(np.abs(with_T) / np.where(spread > 1e-12, spread, np.inf), axis=1))


@dataclass(frozen=True, eq=False, repr=False)
class FittedParametric(Shown):
    """What was learned per metric; see `Parametric` and `Inputs`. `held_out` is not in JSON."""

    name: str
    formula: Formula
    standard: Standard
    reference: Array
    varies: tuple[bool, bool]
    own: Ints
    signs: Array
    theta: Array
    covariance: Array
    noise: Array
    domains: int
    held_out: Prediction | None = None

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) and scales (n, 2) or (2,); the reference without one."""
        mean, variance = np.empty((2, len(np.atleast_2d(W)), len(self.theta)))
        for part, f, J in self._evaluate(W, scale):
            mean[:, part] = (self.signs[part, None] * f).T
            variance[:, part] = np.maximum(((J @ self.covariance[part]) * J).sum(axis=2), 0.0).T
        return self.standard.prediction(mean, np.sqrt(variance), self.noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        columns = [self.signs[part, None] * f for part, f, _ in self._evaluate(W, scale)]
        return self.standard.backward(np.concatenate(columns).T)

    def _evaluate(self, W: Array, scale: Array | None) -> Iterator[tuple[slice, Array, Array]]:
        """Which metrics, their values (a, n) and derivatives (a, n, q), a few at a time."""
        w = as_mixtures(W, self.domains)
        asked = check_scale(scale, len(w))
        logs = np.zeros((len(w), 2)) if asked is None else np.log(asked / self.reference)
        logs = np.where(self.varies, logs, 0.0)  # what never varied cannot be told
        k, q = self.theta.shape
        size = max(1, _CACHED // max(len(w) * q, 1))
        for i in range(0, k, size):
            part = slice(i, i + size)
            at = Inputs(w, logs[:, 0], logs[:, 1], self.varies, self.own[part])
            yield part, *self.formula.evaluate(self.theta[part], at)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        arrays = ("reference", "own", "signs", "theta", "covariance", "noise")
        return {
            "law": self.name,
            "standard": self.standard.to_dict(),
            "varies": list(self.varies),
            "domains": self.domains,
            **{name: getattr(self, name).tolist() for name in arrays},
        }


def read_parametric(values: JSON, formulas: Mapping[str, Formula]) -> FittedParametric:
    """The fitted law that `to_dict` wrote, its formula found by the law's name."""
    return FittedParametric(
        values["law"],
        formulas[values["law"]],
        Standard.read(values["standard"]),
        numbers(values["reference"]),
        (bool(values["varies"][0]), bool(values["varies"][1])),
        np.array(values["own"], dtype=int),
        numbers(values["signs"]),
        numbers(values["theta"]),
        numbers(values["covariance"]),
        numbers(values["noise"]),
        int(values["domains"]),
    )
