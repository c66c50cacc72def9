"""Laws that are a formula: least squares with analytic derivatives from a few starts.

A formula gives values and derivatives at parameters theta; this module fits it per metric, for both
directions (losses fall, accuracies rise), and predicts with the delta method. A weak prior around
the formula's center keeps parameters that no run tells where they are harmless.

Notation:
    W: (n, m) mixtures; N, D: (n,) log of parameters and tokens over those of a reference scale
    y: (n,) one standardised metric; theta: (q,) parameters; J: (n, q) derivatives of f by theta
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Prediction,
    Runs,
    as_mixtures,
    check_runs,
    check_scale,
    numbers,
)
from mixopt.laws.curved import leave_out
from mixopt.laws.descent import PRIOR_SD, descend
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

_SHIFTS = (0.0, -0.6, 0.6, -1.2)
_TRIAL_STEPS = 12  # after which the best of several starts is the one that goes on
_REFIT_STEPS = 25


@dataclass(frozen=True, eq=False)
class Inputs:
    """Where a formula is evaluated.

    Attributes:
        W: (n, m) mixtures. N, D: (n,) logs of parameters and tokens relative to the reference.
        varies: whether N and D differed between the training runs.
        own: domain whose own loss the metric is taken to be.
    """

    W: Array
    N: Array
    D: Array
    varies: tuple[bool, bool]
    own: int


@dataclass(frozen=True)
class Formula:
    """A parametric family.

    Attributes:
        evaluate: values (n,) and derivatives (n, q) at theta.
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
        T = standard.forward(runs.Y)
        fits, owns = [], []
        for j in range(T.shape[1]):
            seen = np.isfinite(runs.Y[:, j])
            owns.append(_own_domain(runs.W[seen], T[seen, j]))
            start = None
            # Parameters of another own domain are no start.
            if known is not None and known.own[j] == owns[-1]:
                start = (float(known.signs[j]), known.theta[j])
            inputs = Inputs(runs.W[seen], logs[seen, 0], logs[seen, 1], varies, owns[-1])
            fits.append(self._fit_metric(inputs, T[seen, j], start))
        signs, thetas, covariances, noises = zip(*fits, strict=True)
        return FittedParametric(
            self.name,
            self.formula,
            standard,
            reference,
            varies,
            np.array(owns),
            np.array(signs),
            np.stack(thetas),
            np.stack(covariances),
            np.where(standard.flat, 0.0, noises),
            runs.W.shape[1],
        )

    def _fit_metric(
        self, inputs: Inputs, y: Array, start: tuple[float, Array] | None
    ) -> tuple[float, Array, Array, float]:
        """Sign, theta, its covariance and the residual sd, best of all starts."""
        center = self.formula.center(inputs)
        best: tuple[float, float, Array] = (np.inf, 1.0, center)
        if start is not None:
            sign, first = start
            steps, tolerance = _REFIT_STEPS, 1e-3
        else:
            shifts = [_SHIFTS[i % len(_SHIFTS)] for i in range(self.starts)]
            steps, tolerance = self.steps, 1e-5
            for sign, first in [*((1.0, center + shift) for shift in shifts), (-1.0, center)]:
                residuals = partial(self._residuals, inputs, sign * y)
                loss, theta = descend(
                    residuals, center, first, steps=min(_TRIAL_STEPS, steps), tolerance=tolerance
                )
                # Losses are what these formulas are about: the other direction must earn it.
                if loss * (1.0 if sign > 0 else 1.1) < best[0]:
                    best = (loss, sign, theta)
            _, sign, first = best
        residuals = partial(self._residuals, inputs, sign * y)
        _, theta = descend(residuals, center, first, steps=steps, tolerance=tolerance)
        f, J = self.formula.evaluate(theta, inputs)
        residual = sign * y - f
        prior = np.eye(theta.size) / PRIOR_SD**2
        noise2 = float(residual @ residual) / max(len(y) - theta.size, 0.3 * len(y)) + 1e-8
        covariance = np.linalg.inv(J.T @ J / noise2 + prior)
        return sign, theta, np.asarray(covariance, dtype=float), float(np.sqrt(noise2))

    def _residuals(self, inputs: Inputs, y: Array, theta: Array) -> tuple[Array, Array]:
        f, J = self.formula.evaluate(theta, inputs)
        return f - y, J


def _held_out(fitted: "FittedParametric", runs: Runs, logs: Array) -> Prediction:
    """Each run as predicted without its mixture, in the model linearised at the solution."""
    mean = np.full(runs.Y.shape, np.nan)
    T = fitted.standard.forward(runs.Y)
    for j, theta in enumerate(fitted.theta):
        seen = np.isfinite(runs.Y[:, j])
        at = Inputs(runs.W[seen], logs[seen, 0], logs[seen, 1], fitted.varies, int(fitted.own[j]))
        f, J = fitted.formula.evaluate(theta, at)
        A = np.linalg.inv(fitted.covariance[j]) * max(float(fitted.noise[j]), 1e-4) ** 2
        residual = fitted.signs[j] * T[seen, j] - f
        out, _ = leave_out(J[None], A[None], residual[None], runs.groups[seen])
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


def _own_domain(W: Array, y: Array) -> int:
    """The domain whose share goes with the metric most clearly, in either direction."""
    roots = np.sqrt(W)
    spread = roots.std(axis=0) * y.std()
    with_y = ((roots - roots.mean(axis=0)) * (y - y.mean())[:, None]).mean(axis=0)
    return int(np.argmax(np.abs(with_y) / np.where(spread > 1e-12, spread, np.inf)))


@dataclass(frozen=True, eq=False, repr=False)
class FittedParametric(Shown):
    """What was learned per metric; see `Parametric` and `Inputs`. `held_out` is not in JSON."""

    name: str
    formula: Formula
    standard: Standard
    reference: Array
    varies: tuple[bool, bool]
    own: Array
    signs: Array
    theta: Array
    covariance: Array
    noise: Array
    domains: int
    held_out: Prediction | None = None

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) and scales (n, 2) or (2,); the reference without one."""
        mean, variance = np.empty((2, len(np.atleast_2d(W)), len(self.theta)))
        for j, (f, J) in enumerate(self._evaluate(W, scale)):
            mean[:, j] = self.signs[j] * f
            variance[:, j] = np.maximum(((J @ self.covariance[j]) * J).sum(axis=1), 0.0)
        return self.standard.prediction(mean, np.sqrt(variance), self.noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        columns = [
            sign * f for sign, (f, _) in zip(self.signs, self._evaluate(W, scale), strict=True)
        ]
        return self.standard.backward(np.column_stack(columns))

    def _evaluate(self, W: Array, scale: Array | None) -> Iterator[tuple[Array, Array]]:
        """Values (n,) and derivatives (n, q) of one metric after another."""
        w = as_mixtures(W, self.domains)
        asked = check_scale(scale, len(w))
        logs = np.zeros((len(w), 2)) if asked is None else np.log(asked / self.reference)
        logs = np.where(self.varies, logs, 0.0)  # what never varied cannot be told
        for j, theta in enumerate(self.theta):
            inputs = Inputs(w, logs[:, 0], logs[:, 1], self.varies, int(self.own[j]))
            yield self.formula.evaluate(theta, inputs)

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
