"""Domains that compete for the parameters of one model (Dai and Zheng, 2606.08167).

    L_i = c_i x_i^-b_i + A_i (D h_i)^-a_i + E_i
    x   = argmin sum_i h_i c_i x_i^-b_i  subject to  sum_i x_i = N + (m - 1) H,  x_i >= H

x_i is the capacity that the model spends on domain i, of which H is skill that all domains share.
One set of parameters holds for all domains together: 5 m + 1, of which a domain without a metric
has only c and b. Every metric must be the loss of one domain, and no domain has two: the domain is
found from the runs.

Notation:
    h: (n, m) mixtures, floored at 1e-4; N, D: (n,) parameters and tokens over the reference
    u: (n, m) log x; mu: (n,) log of the price of capacity; own: (k,) domain of each metric
    theta: (2 m + 3 k + 1,) = [log c (m), log b (m), log A (k), log a (k), E (k), log H]
    J: (n, k, q) derivatives of the predicted metrics by theta, in standard units
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import scipy
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.laws.base import (
    JSON,
    Ints,
    Prediction,
    Runs,
    as_mixtures,
    check_runs,
    check_scale,
    numbers,
)
from mixopt.laws.descent import PRIOR_SD, descend
from mixopt.laws.parametric import log_scales
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

_FLOOR = 1e-4
_CENTER = (-1.0, -0.7, -1.5, -1.2, -1.0, -4.0)  # of log c, log b, log A, log a, E, log H
_SHIFTS = (0.0, -0.6, 0.6)
_NEWTON = 50
_LARGE = 4_000_000  # numbers in J at once


@dataclass(frozen=True)
class CapacityCompetition:
    """Huber's loss on all metrics together, from a few starts, with analytic derivatives.

    Args:
        starts: how many, at most 3: the middle of a weak prior, and shifted from it.
        steps: evaluations per start at most.
    """

    starts: int = 3
    steps: int = 60

    takes_scales: ClassVar[bool] = True

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedCapacity":
        """Fit all metrics together; deterministic, `rng` is not drawn from.

        Raises:
            InputError: see `check_runs`; or more metrics than domains.
        """
        del rng
        runs = check_runs(W, Y, scale)
        (_, k), m = runs.Y.shape, runs.W.shape[1]
        if k > m:
            raise InputError(
                f"{k} metrics for {m} domains: 'capacity-competition' needs metrics that are the "
                "loss of one domain each; leave out the others, or use 'auto'"
            )
        logs, reference = log_scales(runs)
        own, signs = _own_domains(runs)
        standard = Standard.learn(runs.Y)
        # Capacity goes where a unit of loss is cheapest, so metrics keep a common unit.
        unit = float(standard.spread.mean()) or 1.0
        bare = FittedCapacity(
            standard, unit, reference, own, signs, _center(m, k), np.zeros((0, 0)), np.zeros(k), m
        )
        problem = _Problem(bare, runs, np.exp(logs))
        settle = partial(descend, problem.residuals, bare.theta, steps=self.steps, tolerance=1e-6)
        descents = [settle(bare.theta + shift) for shift in _SHIFTS[: self.starts]]
        theta = min(descents, key=lambda pair: pair[0])[1]
        covariance, noise = problem.uncertainty(theta)
        return FittedCapacity(standard, unit, reference, own, signs, theta, covariance, noise, m)


@dataclass(frozen=True, eq=False, repr=False)
class FittedCapacity(Shown):
    """What was learned, see Notation.

    Attributes:
        standard: of the metrics. unit: their common unit. reference: (2,) parameters and tokens.
        own: (k,) domain of each metric. signs: (k,) -1 where a higher metric is better.
        theta: (q,), covariance: (q, q), noise: (k,) residual sd in units of each metric's spread.
        domains: m.
    """

    standard: Standard
    unit: float
    reference: Array
    own: Ints
    signs: Array
    theta: Array
    covariance: Array
    noise: Array
    domains: int

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) and scales (n, 2) or (2,), sd by the delta method."""
        means, variances = [], []
        for f, J in self._evaluate(W, scale):
            means.append(self.signs * f)
            variances.append(((J @ self.covariance) * J).sum(axis=2))
        sd = np.sqrt(np.maximum(np.vstack(variances), 0.0))
        return self.standard.prediction(np.vstack(means), sd, self.noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        f = np.vstack([f for f, _ in self._evaluate(W, scale)])
        return self.standard.backward(self.signs * f)

    def _evaluate(self, W: Array, scale: Array | None) -> Iterator[tuple[Array, Array]]:
        """Metrics and J in blocks that bound the memory."""
        w = as_mixtures(W, self.domains)
        asked = check_scale(scale, len(w))
        ratio = np.ones((len(w), 2)) if asked is None else asked / self.reference
        block = max(1, _LARGE // (len(self.own) * self.theta.size))
        for i in range(0, max(len(w), 1), block):
            yield self.evaluate(self.theta, w[i : i + block], ratio[i : i + block])

    def evaluate(self, theta: Array, W: Array, ratio: Array) -> tuple[Array, Array]:
        """Metrics (n, k) and J, in units of each metric's spread, at ratio (n, 2) = [N, D]."""
        m, k = self.domains, len(self.own)
        log_c, log_b = np.clip(theta[:m], -12, 6), np.clip(theta[m : 2 * m], -5, 2)
        log_A, log_a, E = theta[2 * m : -1].reshape(3, k)
        a, b = np.exp(np.clip(log_a, -5, 2)), np.exp(log_b)
        h = np.maximum(W, _FLOOR)
        u, by = allocate(h, log_c, log_b, np.exp(theta[-1]), ratio[:, 0])
        skill = np.exp(log_c - b * u)[:, self.own]
        log_seen = np.log(h[:, self.own] * ratio[:, 1:])
        noise = np.exp(np.clip(log_A - a * log_seen, -30, 20))
        J = np.zeros((len(h), k, theta.size))
        J[:, :, [*range(2 * m), -1]] = (-skill * b[self.own])[:, :, None] * by[:, self.own]
        metric = np.arange(k)
        J[:, metric, self.own] += skill
        J[:, metric, m + self.own] -= skill * (b * u)[:, self.own]
        J[:, metric, 2 * m + metric] = noise
        J[:, metric, 2 * m + k + metric] = -noise * a * log_seen
        J[:, metric, 2 * m + 2 * k + metric] = 1.0
        factor = self.unit / np.where(self.standard.flat, np.inf, self.standard.spread)
        return (skill + noise + E) * factor, J * factor[:, None]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        arrays = ("reference", "own", "signs", "theta", "covariance", "noise")
        return {
            "law": "capacity-competition",
            "standard": self.standard.to_dict(),
            "unit": self.unit,
            "domains": self.domains,
            **{name: getattr(self, name).tolist() for name in arrays},
        }


def read(values: JSON) -> FittedCapacity:
    """The fitted law that `to_dict` wrote."""
    return FittedCapacity(
        Standard.read(values["standard"]),
        float(values["unit"]),
        numbers(values["reference"]),
        np.array(values["own"], dtype=int),
        numbers(values["signs"]),
        numbers(values["theta"]),
        numbers(values["covariance"]),
        numbers(values["noise"]),
        int(values["domains"]),
    )


def allocate(h: Array, log_c: Array, log_b: Array, shared: float, N: Array) -> tuple[Array, Array]:
    """The capacity that each domain gets: u = log x (n, m), and its derivatives.

    Without the bound, x_i = (h_i b_i c_i / lambda)^(1 / (b_i + 1)). What is spent is convex and
    falling in mu = log lambda, so Newton's steps from the left cannot overshoot.

    Args:
        h: (n, m) mixtures, above 0.
        log_c: (m,) scale of what capacity buys.
        log_b: (m,) its exponent.
        shared: H; at most half of what the model has is shared.
        N: (n,) parameters over the reference.

    Returns:
        u (n, m), and (n, m, 2 m + 1) derivatives by [log c, log b, log H].
    """
    m = h.shape[1]
    b = np.exp(log_b)
    H = np.minimum(shared, 0.5 * N)[:, None]
    total = N[:, None] + (m - 1) * H
    worth = np.log(h) + log_b + log_c
    mu = (worth - (b + 1) * np.log(total)).max(axis=1, keepdims=True)
    for _ in range(_NEWTON):
        x = np.exp((worth - mu) / (b + 1))
        free = x > H
        over = np.where(free, x, H).sum(axis=1, keepdims=True) - total
        mu += over / (np.where(free, x, 0.0) / (b + 1)).sum(axis=1, keepdims=True)
        if (np.abs(over) < 1e-13 * total).all():
            break
    free = (worth - mu) / (b + 1) > np.log(H)
    u = np.where(free, (worth - mu) / (b + 1), np.log(H))
    return u, _slopes(u, free, b, H, shared)


def _slopes(u: Array, free: NDArray[np.bool_], b: Array, H: Array, shared: float) -> Array:
    """The derivatives of u, by those of the price: what all domains spend must not change."""
    m = u.shape[1]
    share = np.where(free, 1.0 / (b + 1), 0.0)
    by_c, by_b = share, share * (1.0 - u * b)
    spent = np.where(free, np.exp(u), 0.0)
    bound = np.where(shared > H, 0.0, H)  # dH / dlog H
    # Domains at the bound hold H each, and (m - 1) H is in the total.
    by_H = (free.sum(axis=1, keepdims=True) - 1) * bound
    price = np.hstack([spent * by_c, spent * by_b, -by_H])
    price /= (spent * share).sum(axis=1, keepdims=True)
    J = -share[:, :, None] * price[:, None, :]
    domain = np.arange(m)
    J[:, domain, domain] += by_c
    J[:, domain, m + domain] += by_b
    J[:, :, -1] += np.where(free, 0.0, bound / H)
    return np.asarray(J)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Penalised robust least squares over all metrics; `ratio` (n, 2) is [N, D] of the runs."""

    law: FittedCapacity
    runs: Runs
    ratio: Array

    def residuals(self, theta: Array) -> tuple[Array, Array]:
        """Residuals (n, k), 0 where missing, and J."""
        f, J = self.law.evaluate(theta, self.runs.W, self.ratio)
        seen = self.runs.seen * ~self.law.standard.flat
        truth = self.law.signs * self.law.standard.forward(self.runs.Y)
        return (f - truth) * seen, J * seen[:, :, None]

    def uncertainty(self, theta: Array) -> tuple[Array, Array]:
        """Laplace covariance (q, q) and residual sds (k,)."""
        r, J = self.residuals(theta)
        count = self.runs.seen.sum(axis=0)
        used = theta.size / len(count)
        noise = np.sqrt((r**2).sum(axis=0) / np.maximum(count - used, 0.3 * count) + 1e-8)
        scaled = (J / noise[:, None]).reshape(-1, theta.size)
        covariance = np.linalg.inv(scaled.T @ scaled + np.eye(theta.size) / PRIOR_SD**2)
        return np.asarray(covariance), np.where(self.law.standard.flat, 0.0, noise)


def _center(m: int, k: int) -> Array:
    return np.repeat(_CENTER, [m, m, k, k, k, 1])


def _own_domains(runs: Runs) -> tuple[Ints, Array]:
    """Each metric's domain, no domain twice, by correlation with its share; and direction."""
    roots = np.sqrt(runs.W)
    together = np.zeros((runs.Y.shape[1], roots.shape[1]))
    for j, y in enumerate(runs.Y.T):
        seen = np.isfinite(y)
        x, off = roots[seen] - roots[seen].mean(axis=0), y[seen] - y[seen].mean()
        size = np.sqrt((x**2).sum(axis=0) * (off @ off))
        together[j] = np.where(size > 1e-12, off @ x / np.where(size > 1e-12, size, 1.0), 0.0)
    rows, own = scipy.optimize.linear_sum_assignment(-np.abs(together))
    return np.asarray(own), np.where(together[rows, own] > 0, -1.0, 1.0)
