"""Small problems whose optimum is known by construction, for tests and benchmarks of proposers.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; w*: (m,) the optimum; h: (k,) weights of the objective
The optimum is planted: the last metric is chosen so that w* fulfils the optimality conditions
(gradient equal on its support, larger elsewhere) of a convex objective. No solver is involved.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.laws.base import Prediction
from mixopt.runs.objective import Objective
from mixopt.space import Domain, MixtureSpace
from mixopt.space.simplex import Array
from mixopt.testing.convex import LogLinearObjective


@dataclass(frozen=True, eq=False)
class KnownOptimum:
    """A question with its answer.

    Attributes:
        space: domains and constraints, none of which holds the optimum back.
        metrics: names. objective: their mean.
        truth: what every metric is at a mixture.
        optimum: (m,) the best mixture. best: the objective there.
    """

    space: MixtureSpace
    metrics: tuple[str, ...]
    objective: Objective
    truth: "TrueLaw"
    optimum: Array
    best: float

    def value(self, W: Array) -> Array:
        """(n,) true objective of mixtures W (n, m)."""
        return self.objective.value(self.truth.predict(np.atleast_2d(W)).mean, self.metrics)

    def regret(self, w: Array) -> float:
        """How much worse than the best a mixture (m,) is."""
        return float(self.value(w)[0]) - self.best

    def run(self, W: Array, noise: float, rng: np.random.Generator) -> Array:
        """(n, k) metrics of one run per mixture."""
        Y = self.truth.predict(W).mean
        return np.asarray(Y + noise * rng.standard_normal(Y.shape))


@dataclass(frozen=True, eq=False)
class TrueLaw:
    """A fitted law that knows the truth: exponentials, or a quadratic, per metric.

    Attributes:
        b: (k,) offsets. a: (k, m) slopes, of exp(b + a.w).
        Q: (m, m) of an extra metric (w - centre)' Q (w - centre), or None. centre: (m,).
        sd, noise: that it claims.
    """

    b: Array
    a: Array
    Q: Array | None = None
    centre: Array | None = None
    sd: float = 0.0
    noise: float = 0.0

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """The true metrics."""
        del scale
        mean = np.exp(self.b + W @ self.a.T)
        if self.Q is not None and self.centre is not None:
            away = W - self.centre
            mean = np.column_stack([mean, np.einsum("ni,ij,nj->n", away, self.Q, away)])
        return Prediction(mean, np.full(mean.shape, self.sd), np.full(mean.shape[1], self.noise))

    def to_dict(self) -> dict[str, Any]:
        """A description; it is no law of `mixopt.laws` and is not read back."""
        return {"law": "truth", "b": self.b.tolist(), "a": self.a.tolist()}


def log_linear(
    m: int,
    *,
    k: int | None = None,
    support: int | None = None,
    seed: int = 0,
    noise: float = 0.0,
) -> KnownOptimum:
    """Log-linear metrics, each helped most by one domain; the optimum uses `support` domains.

    With k (m + 1 if left out) above m the optimum is the only one; with fewer it may lie on a flat.
    """
    rng = np.random.default_rng(seed)
    k = m + 1 if k is None else k
    used = rng.permutation(m)[: support or m]
    best = np.zeros(m)
    best[used] = rng.dirichlet(np.full(len(used), 4.0))
    a = 0.4 * rng.standard_normal((k - 1, m))
    a[np.arange(k - 1), np.arange(k - 1) % m] -= 1.5
    b = 0.2 * rng.standard_normal(k - 1)
    gradient = np.exp(b + a @ best) @ a
    # exp(b' + a'.w) with value 1 at w* adds the gradient a' there: it levels the others'.
    away = np.where(best > 0, 0.0, rng.uniform(0.2, 0.6, size=m))
    last = away - gradient
    a, b = np.vstack([a, last]), np.append(b, -last @ best)
    return _problem(TrueLaw(b, a, noise=noise), best)


def sparse(m: int, *, seed: int = 0, noise: float = 0.0) -> KnownOptimum:
    """The same with an optimum that uses two domains only."""
    return log_linear(m, support=2, seed=seed, noise=noise)


def interacting(m: int, *, seed: int = 0, noise: float = 0.0) -> KnownOptimum:
    """A log-linear problem plus a convex quadratic: domains that help or replace each other."""
    base = log_linear(m, support=max(2, m // 2), seed=seed)
    rng = np.random.default_rng(seed + 1)
    root = rng.standard_normal((m, m)) / np.sqrt(m)
    law = TrueLaw(base.truth.b, base.truth.a, root @ root.T, base.optimum, noise=noise)
    return _problem(law, base.optimum)


def convex_objective(problem: KnownOptimum) -> LogLinearObjective:
    """The objective of a log-linear problem for `mixopt.testing.convex.solve`."""
    k = len(problem.metrics)
    return LogLinearObjective(np.full(k, 1 / k), problem.truth.b, problem.truth.a)


def _problem(law: TrueLaw, best: Array) -> KnownOptimum:
    space = MixtureSpace([Domain(f"d{i}", prior=1.0) for i in range(len(best))])
    k = len(law.b) + (law.Q is not None)
    metrics = tuple(f"metric{i}" for i in range(k))
    objective = Objective.of(metrics)
    value = objective.value(law.predict(best[None]).mean, metrics)
    return KnownOptimum(space, metrics, objective, law, best, float(value[0]))
