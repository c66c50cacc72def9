"""Which runs to make next, from the joint posterior of one Gaussian process per metric.

The composite view: every metric has its own process, and the acquisition looks at the objective
made of them. A weighted mean of processes is a Gaussian process itself, so its improvement has a
closed form given the values at the runs; the worst of several metrics, and guards, are sampled.

Notation:
    X: (c, m) candidates; R: (r, m) references: the best runs, those pending, those just chosen
    F: objective, lower is better; S: sample paths; mean: (a,), cov: (a, a) of F at [X; R]

References:
    noisy expected improvement: Letham et al. 1706.07094; in logs: Ament et al. 2310.20708;
    composite objectives: Astudillo & Frazier 1906.01537; knowledge gradient: Frazier et al. 2009;
    max-value entropy: Wang & Jegelka 1703.01968; Thompson: Kandasamy et al. 1705.09236
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.special import log_ndtr, logsumexp

from mixopt.designs.base import GRID, distinct
from mixopt.errors import InputError, did_you_mean
from mixopt.laws.base import Prediction
from mixopt.proposers.batch import log_expected_improvement
from mixopt.proposers.search import cloud
from mixopt.proposers.surrogate import Surrogate
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array

Acquisition = Literal["mixed", "nei", "ts", "kg", "mes"]
ACQUISITIONS: tuple[Acquisition, ...] = ("mixed", "nei", "ts", "kg", "mes")
"""Noisy expected improvement with Thompson sampling every fourth run; each alone; knowledge
gradient; max-value entropy."""

APART = 0.02  # Hellinger distance below which two mixtures are near-duplicates
_MOST = 1000  # candidates whose joint posterior is looked at
_REFERENCES = 24  # best runs that may hold the optimum
_PATHS = 128
_NODES = np.linspace(-3.5, 3.5, 21)  # outcomes of one run that the knowledge gradient looks at


def choose(
    surrogate: Surrogate,
    X: Array,
    n: int,
    *,
    runs: Array,
    rng: np.random.Generator,
    pending: Array | None = None,
    acquisition: Acquisition = "nei",
) -> list[int]:
    """Positions of up to n candidates, best first, each chosen with those before it as pending.

    Args:
        surrogate: a fitted law with a joint posterior, seen through the objective.
        X: (c, m) candidates; near-duplicates of each other and of pending runs are not chosen
            together, unless nothing else is left.
        n: how many.
        runs: (r, m) mixtures that have been run.
        rng: source of randomness.
        pending: (p, m) mixtures under way; what they may show is averaged over.
        acquisition: one of `ACQUISITIONS`.

    Raises:
        InputError: an unknown acquisition, or a law without a joint posterior.
    """
    if acquisition not in ACQUISITIONS:
        raise InputError(
            f"unknown acquisition {acquisition!r}; {did_you_mean(acquisition, ACQUISITIONS)}"
        )
    kept = _promising(surrogate, X, runs)
    view = _View.of(surrogate, X[kept], runs, pending, rng)
    chosen: list[int] = []
    while len(chosen) < min(n, len(kept)):
        score = view.score(acquisition, len(runs) + len(chosen))
        free = view.free
        i = int(np.where(free if free.any() else ~view.taken, score, -np.inf).argmax())
        view.take(i)
        chosen.append(int(kept[i]))
    return chosen


def propose(
    surrogate: Surrogate,
    space: MixtureSpace,
    n: int,
    *,
    runs: Array,
    rng: np.random.Generator,
    pending: Array | None = None,
    acquisition: Acquisition = "nei",
) -> Array:
    """(n, m) mixtures to train next: `candidates`, of which `choose` picks.

    Raises:
        InputError: n below 1, or the constraints leave fewer new mixtures.
    """
    if n < 1:
        raise InputError(f"{n} proposals were asked for; ask for at least 1")
    pool = candidates(surrogate, space, runs=runs, rng=rng, pending=pending)
    if len(pool) < n:
        raise InputError(
            f"only {len(pool)} new mixtures are left within the constraints where {n} were asked "
            "for; loosen them, or ask for fewer"
        )
    picked = choose(
        surrogate, pool, n, runs=runs, rng=rng, pending=pending, acquisition=acquisition
    )
    return np.asarray(pool[picked])


def candidates(
    surrogate: Surrogate,
    space: MixtureSpace,
    *,
    runs: Array,
    rng: np.random.Generator,
    pending: Array | None = None,
) -> Array:
    """(c, m) mixtures that may be worth a run, most promising first, on a grid of 2e-4.

    A cloud within the constraints is scored by expected improvement and refined around the best
    three times. Those of `runs` and `pending` are left out. See `choose` for the arguments.
    """
    at_runs = surrogate.value(runs)
    best = float(at_runs.min())
    starts = runs[np.argsort(at_runs, kind="stable")[:16]]
    size = 1000 if space.dim <= 40 else 600
    pool = cloud(space, size, rng, around=starts)
    pool = np.vstack([pool, cloud(space, size, rng, around=starts, local=True)])
    score = _improvement(surrogate, pool, best)
    for _ in range(3):
        top = np.argsort(-score, kind="stable")[:8]
        lowest = np.argsort(surrogate.value(pool[top]), kind="stable")[:2]
        around = np.vstack([pool[top], pool[top[lowest]]])
        near = cloud(space, size // 3, rng, around=around, local=True)
        pool, score = (
            np.vstack([pool, near]),
            np.concatenate([score, _improvement(surrogate, near, best)]),
        )
    pool = space.round(pool[np.argsort(-score, kind="stable")], GRID)
    known = runs if pending is None else np.vstack([runs, pending])
    pool = pool[space.contains(pool, 1e-7)]
    return np.asarray(pool[distinct(pool, known)][: _MOST // 2])


def gains(surrogate: Surrogate, X: Array, runs: Array) -> Array:
    """(c,) expected improvement of candidates over the best mean at any run, objective's units."""
    return np.exp(_improvement(surrogate, X, float(surrogate.value(runs).min())))


def _improvement(surrogate: Surrogate, X: Array, best: float) -> Array:
    """(c,) log expected improvement, candidates apart."""
    seen = surrogate.predict(X)
    mean, sd = surrogate.objective.moments(seen.mean, seen.sd, surrogate.metrics)
    return log_expected_improvement(mean + surrogate.penalty(seen), sd, best)


def _promising(surrogate: Surrogate, X: Array, runs: Array) -> NDArray[np.intp]:
    """Positions of at most `_MOST` candidates, in their order."""
    if len(X) <= _MOST:
        return np.arange(len(X))
    score = _improvement(surrogate, X, float(surrogate.value(runs).min()))
    return np.sort(np.argsort(-score, kind="stable")[:_MOST])


@dataclass
class _View:
    """What is believed of the objective at candidates and references; grows by what is chosen.

    The first c rows are candidates, the others references. `paths` (S, a) are joint samples of F;
    where F is Gaussian, `mean` and `cov` are exact and the paths serve Thompson sampling and the
    entropy alone.
    """

    mean: Array
    cov: Array
    paths: Array
    references: list[int]
    near: NDArray[np.bool_]  # (c, a): pairs that count as duplicates
    free: NDArray[np.bool_]
    taken: NDArray[np.bool_]
    noise: float
    gaussian: bool
    base: Array  # (S, a) standard normal

    @classmethod
    def of(
        cls,
        surrogate: Surrogate,
        X: Array,
        runs: Array,
        pending: Array | None,
        rng: np.random.Generator,
    ) -> "_View":
        best = np.argsort(surrogate.value(runs), kind="stable")[:_REFERENCES]
        under_way = np.empty((0, X.shape[1])) if pending is None else pending
        P = np.vstack([X, runs[best], under_way])
        c, a = len(X), len(P)
        seen, covs = surrogate.predict(P), surrogate.joint(P, P)
        linear = surrogate.objective.reduce == "mean" and not surrogate.limits
        weights = surrogate.objective.coefficients(surrogate.metrics)
        cov = np.einsum("k,kab->ab", weights**2, covs)
        mean, _ = surrogate.objective.moments(seen.mean, seen.sd, surrogate.metrics)
        base = rng.standard_normal((_PATHS, a))
        near = simplex.hellinger_distance(X, P) < APART
        free = np.asarray(~near[:, c + len(best) :].any(axis=1))
        paths = _paths(surrogate, seen.mean, covs, base, rng, linear=linear)
        return cls(
            mean=mean + surrogate.penalty(seen),
            cov=cov,
            paths=paths,
            references=list(range(c, a)),
            near=near,
            free=free,
            taken=np.zeros(c, dtype=bool),
            noise=surrogate.noise(P[:1]),
            gaussian=linear,
            base=base,
        )

    def score(self, acquisition: Acquisition, turn: int) -> Array:
        """(c,) what a run at each candidate is worth, given the references."""
        c = len(self.taken)
        if acquisition == "mixed":
            acquisition = "ts" if turn % 4 == 3 else "nei"
        if acquisition == "ts":
            return np.asarray(-self.paths[turn % len(self.paths), :c])
        if not self.gaussian:
            return _sampled_improvement(self.paths[:, :c], self.paths[:, self.references])
        if acquisition == "nei":
            return self._improvement()
        mean, cov = self._known(np.array(self.references, dtype=int))
        if acquisition == "kg":
            return knowledge_gradient(mean, cov[:c], cov.diagonal()[:c] + self.noise**2)
        variance = np.maximum(cov.diagonal()[:c], 1e-18)
        seen = np.sqrt(variance / (variance + self.noise**2))
        return information(mean[:c], np.sqrt(variance), self.paths.min(axis=1), seen)

    def take(self, i: int) -> None:
        """A run at candidate i is now under way."""
        self.references.append(i)
        self.taken[i] = True
        self.free &= ~self.near[:, i]
        self.free[i] = False

    def _improvement(self) -> Array:
        """(c,) log noisy expected improvement: the best reference is averaged over its samples."""
        c, r = len(self.taken), np.array(self.references, dtype=int)
        lower = _cholesky(self.cov[np.ix_(r, r)])
        explained = linalg.solve_triangular(lower, self.cov[r, :c], lower=True)  # (r, c)
        sd = np.sqrt(np.maximum(self.cov.diagonal()[:c] - (explained**2).sum(axis=0), 1e-18))
        eps = self.base[:, : len(r)] if len(r) <= self.base.shape[1] else self.base
        at_references = self.mean[r] + eps @ lower.T
        means = self.mean[:c] + eps @ explained
        best = at_references.min(axis=1, keepdims=True)
        scores = log_expected_improvement(means, np.broadcast_to(sd, means.shape), best)
        return np.asarray(logsumexp(scores, axis=0) - np.log(len(eps)))

    def _known(self, r: NDArray[np.intp]) -> tuple[Array, Array]:
        """Mean and covariance of F once the candidates among the references were run."""
        new = r[r < len(self.taken)]
        if not len(new):
            return self.mean, self.cov
        among = self.cov[np.ix_(new, new)] + self.noise**2 * np.eye(len(new))
        half = linalg.solve_triangular(_cholesky(among), self.cov[new], lower=True)
        return self.mean, self.cov - half.T @ half


def knowledge_gradient(mean: Array, cov: Array, total: Array) -> Array:
    """(c,) log of how far one run is expected to lower the least posterior mean.

    Args:
        mean: (a,) posterior means of F where the answer may lie.
        cov: (c, a) covariance of each candidate's F with those.
        total: (c,) variance of the outcome of a run at each candidate, noise included.
    """
    moves = cov / np.sqrt(np.maximum(total, 1e-18))[:, None]
    weights = np.exp(-0.5 * _NODES**2)
    weights = weights / weights.sum()
    value = np.zeros(len(cov))
    for node, weight in zip(_NODES, weights, strict=True):
        value += weight * (mean + node * moves).min(axis=1)
    return np.asarray(np.log(np.maximum(mean.min() - value, 1e-300)))


def information(mean: Array, sd: Array, lowest: Array, correlation: Array | float = 1.0) -> Array:
    """(c,) log of the information of a run about the lowest value of F (2102.03324).

    Args:
        mean: (c,) of F at the candidates.
        sd: (c,) of F at the candidates.
        lowest: (S,) samples of the lowest value.
        correlation: (c,) of a run's outcome with F there; below 1 for noise and cheaper scales.
    """
    z = (mean - lowest[:, None]) / np.maximum(sd, 1e-12)
    ratio = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(z))
    known = np.clip(correlation, 0.0, 1.0 - 1e-9) ** 2 * ratio * (z + ratio)
    bits = -0.5 * np.log1p(-np.clip(known, 0.0, 1.0 - 1e-12)).mean(axis=0)
    return np.asarray(np.log(np.maximum(bits, 1e-300)))


def lowest_values(mean: Array, sd: Array, samples: int = 16) -> Array:
    """(S,) quantiles of the lowest of independent normals, by a Gumbel fit (1703.01968)."""
    low = float((mean - 6.0 * sd).min())
    grid = np.linspace(low, float(mean.min()), 200)
    below = 1.0 - np.exp(log_ndtr((mean - grid[:, None]) / np.maximum(sd, 1e-12)).sum(axis=1))
    quarter, half, most = (float(np.interp(q, below, grid)) for q in (0.25, 0.5, 0.75))
    scale = max((most - quarter) / (np.log(np.log(4.0)) - np.log(np.log(4.0 / 3.0))), 1e-12)
    u = (np.arange(samples) + 0.5) / samples
    return np.asarray(half + scale * (np.log(-np.log(1.0 - u)) - np.log(np.log(2.0))))


def _sampled_improvement(at: Array, references: Array) -> Array:
    """(c,) log mean improvement over the best reference of each path, smooth near zero."""
    gain = references.min(axis=1, keepdims=True) - at
    smooth = 1e-2 * max(float(np.std(at)), 1e-12)
    # log softplus with a fat tail (2310.20708), so that hopeless candidates still have an order.
    t = gain / smooth
    soft = np.where(t > -20, np.log(np.logaddexp(0.0, np.maximum(t, -20))), t)
    return np.asarray(logsumexp(soft, axis=0))


def _paths(
    surrogate: Surrogate,
    mean: Array,
    covs: Array,
    base: Array,
    rng: np.random.Generator,
    *,
    linear: bool,
) -> Array:
    """(S, a) samples of the objective at all points at once, guards as penalties."""
    weights = surrogate.objective.coefficients(surrogate.metrics)
    if linear:
        cov = np.einsum("k,kab->ab", weights**2, covs)
        return np.asarray(mean @ weights + base @ _cholesky(cov).T)
    samples = metric_paths(mean, covs, len(base), rng)
    flat = samples.reshape(-1, samples.shape[-1])
    value = surrogate.objective.value(flat, surrogate.metrics)
    zero = np.zeros(flat.shape[1])
    broken = surrogate.penalty(Prediction(flat, np.zeros_like(flat), zero))
    return np.asarray((value + broken).reshape(base.shape))


def metric_paths(mean: Array, covs: Array, samples: int, rng: np.random.Generator) -> Array:
    """(S, a, k) joint samples of all metrics at a points, metrics independent of each other.

    Args:
        mean: (a, k) means.
        covs: (k, a, a) covariances between the points.
        samples: S.
        rng: source of randomness.
    """
    paths = [
        mean[:, k] + rng.standard_normal((samples, len(mean))) @ _cholesky(covs[k]).T
        for k in range(len(covs))
    ]
    return np.stack(paths, axis=-1)


def _cholesky(cov: Array) -> Array:
    """Lower factor of a covariance that may be singular to rounding."""
    scale = max(float(cov.diagonal().max()), 1e-300)
    for jitter in (1e-10, 1e-8, 1e-6, 1e-4):
        try:
            return np.asarray(np.linalg.cholesky(cov + jitter * scale * np.eye(len(cov))))
        except np.linalg.LinAlgError:
            continue
    return np.diag(np.sqrt(np.maximum(cov.diagonal(), 1e-300)))
