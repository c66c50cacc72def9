"""Worlds that a replay plays in: real runs, an oracle fitted to them, synthetic functions.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; F: (n,) objective, lower is better
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from mixopt.errors import InputError
from mixopt.lazy import require
from mixopt.proposers.search import minimize
from mixopt.runs import UNSTATED, Observation, RunSpec, Scale
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import Domain, Mixture, MixtureSpace, simplex
from mixopt.space.simplex import Array
from mixopt.strategies import Problem
from mixopt.testing.worlds import LARGE, make_world
from mixopt.testing.worlds import World as Synthetic


class World(Protocol):
    """What a strategy is let loose on."""

    @property
    def note(self) -> str:
        """What it is, for the output."""
        ...

    def problem(self, seed: int) -> Problem:
        """The question, with a seed of its own."""
        ...

    def run(self, spec: RunSpec) -> Observation:
        """What comes of a run; its cost is in `flops`."""
        ...

    def regret(self, mixture: Mixture) -> float:
        """True objective at the target minus the best there is."""
        ...


@dataclass(frozen=True, eq=False)
class Pool:
    """Real runs: only they can be chosen, each at its real cost.

    Attributes:
        scales: smallest first. costs: of one run, the mean over the runs of the scale.
        rows: (scale, weights) to the rows of the table that hold such a run.
        first: only so many mixtures of the target count (ADMIRE's protocol); None for all.
    """

    table: RunTable
    objective: Objective
    scales: tuple[Scale, ...]
    costs: Mapping[Scale, float]
    rows: Mapping[tuple[Scale, tuple[float, ...]], tuple[int, ...]]
    first: int | None = None
    note: str = "pool: only real runs can be chosen, each at its real cost"

    @classmethod
    def of(
        cls,
        table: RunTable,
        objective: Objective,
        wanted: Sequence[str] = (),
        *,
        first: int | None = None,
        cost_by_params: bool = False,
    ) -> "Pool":
        """The runs of a table at the wanted scales (all, if none is named).

        Raises:
            InputError: an unknown metric or scale; no run of the target has the objective.
        """
        objective.check(table.metrics)
        every = _scales(table)
        scales = _wanted(every, wanted)
        space = MixtureSpace(table.domains)
        value = objective.value(table.Y, table.metrics)
        rows: dict[tuple[Scale, tuple[float, ...]], tuple[int, ...]] = {}
        for i, scale in enumerate(every):
            if scale in scales and np.isfinite(table.Y[i]).any():
                if scale == scales[-1] and not np.isfinite(value[i]):
                    continue  # no answer can be judged by a run without the objective
                key = (scale, space.mixture(table.W[i]).weights)
                rows[key] = (*rows.get(key, ()), i)
        if not any(scale == scales[-1] for scale, _ in rows):
            raise InputError(f"no run at {scales[-1]} has every metric of the objective")
        at = {s: [i for i, e in enumerate(every) if e == s] for s in scales}
        costs = {s: float(np.nanmean(table.costs[i])) for s, i in at.items()}
        if cost_by_params:
            costs = {s: s.params / scales[-1].params for s in scales}
        return cls(table, objective, scales, costs, rows, first)

    @cached_property
    def pool(self) -> dict[Scale, tuple[Mixture, ...]]:
        """The mixtures of every scale, in the order of the table."""
        mixtures: dict[Scale, list[Mixture]] = {s: [] for s in self.scales}
        for scale, weights in self.rows:
            mixtures[scale].append(Mixture(self.table.domains, weights))
        target = self.scales[-1]
        mixtures[target] = mixtures[target][: self.first]
        return {s: tuple(m) for s, m in mixtures.items()}

    @cached_property
    def values(self) -> dict[tuple[float, ...], float]:
        """Mixture to its true objective at the target, the mean over its runs."""
        target = self.scales[-1]
        value = self.objective.value(self.table.Y, self.table.metrics)
        return {
            m.weights: float(value[list(self.rows[target, m.weights])].mean())
            for m in self.pool[target]
        }

    def problem(self, seed: int) -> Problem:
        """A finite pool at every scale."""
        return Problem(
            MixtureSpace(self.table.domains),
            self.objective,
            self.scales,
            seed=seed,
            pool=self.pool,
            costs=self.costs,
        )

    def run(self, spec: RunSpec) -> Observation:
        """The recorded metrics; of several records of a mixture, one by the seed."""
        rows = self.rows[spec.scale, spec.mixture.weights]
        row = rows[spec.seed % len(rows)]
        metrics = dict(zip(self.table.metrics, self.table.Y[row].tolist(), strict=True))
        known = {k: v for k, v in metrics.items() if np.isfinite(v)}
        return Observation(spec, metrics=known, flops=self.costs[spec.scale])

    def regret(self, mixture: Mixture) -> float:
        """Against the best of the pool."""
        return self.values[mixture.weights] - min(self.values.values())


@dataclass(frozen=True, eq=False)
class Oracle:
    """A function fitted to all runs: every mixture can be chosen at every scale.

    Small neural networks per scale and metric, a family that no strategy uses. What is measured is
    how fast a strategy finds the optimum of a smooth function that looks like the data.
    """

    pool: Pool
    models: Mapping[Scale, Callable[[Array], Array]]
    noise: Array
    note: str = (
        "surrogate: the world is an oracle fitted to all runs (an ensemble of neural networks, "
        "a family that no strategy uses), not the real runs"
    )

    @classmethod
    def of(cls, pool: Pool, *, noise: float = 0.0) -> "Oracle":
        """Fit the oracle; `noise` is the sd of a run over the sd of a metric.

        Raises:
            MissingDependencyError: scikit-learn is not installed.
            InputError: a scale has too few runs to fit anything to.
        """
        table, every = pool.table, _scales(pool.table)
        models = {}
        for scale in pool.scales:
            rows = [i for i, s in enumerate(every) if s == scale and np.isfinite(table.Y[i]).all()]
            if len(rows) < 30:
                raise InputError(
                    f"{len(rows)} complete runs at {scale}: an oracle needs 30; leave that scale "
                    "out, or replay the pool"
                )
            models[scale] = _network(table.W[rows], table.Y[rows])
        return cls(pool, models, noise * np.nanstd(table.Y, axis=0))

    def problem(self, seed: int) -> Problem:
        """The whole simplex at every scale."""
        space = MixtureSpace(self.pool.table.domains)
        pool = self.pool
        return Problem(space, pool.objective, pool.scales, seed=seed, costs=pool.costs)

    def run(self, spec: RunSpec) -> Observation:
        """The oracle's metrics, with noise on request."""
        rng = np.random.default_rng(int(spec.run_id, 16))
        exact = self.models[spec.scale](spec.mixture.array[None])[0]
        noisy = exact + self.noise * rng.standard_normal(exact.shape)
        metrics = dict(zip(self.pool.table.metrics, noisy.tolist(), strict=True))
        return Observation.of(spec, metrics, flops=self.pool.costs[spec.scale])

    def regret(self, mixture: Mixture) -> float:
        """Against the best of a long search."""
        return float(self._value(mixture.array[None])[0]) - self._best

    def _value(self, W: Array) -> Array:
        Y = self.models[self.pool.scales[-1]](W)
        return self.pool.objective.value(Y, self.pool.table.metrics)

    @cached_property
    def _best(self) -> float:
        space, rng = MixtureSpace(self.pool.table.domains), np.random.default_rng(0)
        starts = self.pool.table.W
        starts = starts[np.argsort(self._value(starts))[:64]]
        minima = minimize(self._value, space, rng=rng, starts=starts, candidates=20_000)
        return float(self._value(minima).min())


@dataclass(frozen=True, eq=False)
class Known:
    """A synthetic world with a known optimum."""

    world: Synthetic
    note: str = "synthetic: the optimum is known"
    ignore: tuple[Scale, ...] = field(default=())

    def problem(self, seed: int) -> Problem:
        """Its space at its scales, less those to be ignored."""
        scales = tuple(s for s in self.world.scales if s not in self.ignore)
        costs = {s: self.world.costs.get(s, s.flops) for s in scales}
        return Problem(self.world.space, self.world.objective, scales, seed=seed, costs=costs)

    def run(self, spec: RunSpec) -> Observation:
        """A run of the world."""
        return self.world.run(spec)

    def regret(self, mixture: Mixture) -> float:
        """Against the optimum."""
        return float(self.world.value(mixture.array[None])[0]) - self.world.best


@dataclass(frozen=True, eq=False)
class Narrow:
    """Pools of mixtures whose accuracies lie a few times the noise apart; the truth is known.

    Every seed has a pool of its own, of mixtures as RegMix draws them. The accuracies of a pool
    have a sd of one point; a part of them belongs to each mixture alone, so that no law learns it.

    Attributes:
        kind: of the synthetic world that the mixtures' part comes from, see `make_world`.
        domains: m. size: mixtures of a pool.
        alone: share of the variance that is each mixture's own.
        noise: sd of one run, in points.
    """

    kind: str = "plain"
    domains: int = 8
    size: int = 200
    alone: float = 0.0
    noise: float = 1.0
    note: str = "narrow: accuracies a few times their noise apart, regret in points"
    pools: dict[int, tuple[Mixture, ...]] = field(default_factory=dict, repr=False)
    truth: dict[Mixture, float] = field(default_factory=dict, repr=False)
    lost: dict[Mixture, float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.alone <= 1.0:
            raise InputError(f"alone is {self.alone:g}; give a share of the variance, 0 to 1")
        if not self.noise >= 0.0:
            raise InputError(f"noise is {self.noise:g}; give a number of points, at least 0")

    def problem(self, seed: int) -> Problem:
        """The pool of a seed, with 100 points as an accuracy of 1."""
        space = MixtureSpace([Domain(f"d{j}", prior=1.0) for j in range(self.domains)])
        if seed not in self.pools:
            self.pools[seed] = self._pool(space, seed)
        asked = Objective.of((), ("accuracy",))
        return Problem(space, asked, (LARGE,), seed=seed, pool={LARGE: self.pools[seed]})

    def run(self, spec: RunSpec) -> Observation:
        """The accuracy, with noise; the same run gives the same."""
        rng = np.random.default_rng(int(spec.run_id, 16))
        points = self.truth[spec.mixture] + self.noise * float(rng.standard_normal())
        return Observation.of(spec, {"accuracy": points / 100})

    def regret(self, mixture: Mixture) -> float:
        """In points, against the best of its pool."""
        return self.lost[mixture]

    def _pool(self, space: MixtureSpace, seed: int) -> tuple[Mixture, ...]:
        rng = np.random.default_rng([seed, self.domains, self.size])
        strength = np.exp(rng.uniform(np.log(0.1), np.log(5.0), size=(self.size, 1)))
        W = simplex.dirichlet(strength * np.ones(self.domains), rng)
        world = make_world(self.domains, 1, kind=self.kind, seed=seed)
        learned = _standard(-world.value(W))
        own = _standard(rng.standard_normal(self.size))
        points = 40.0 + np.sqrt(1.0 - self.alone) * learned + np.sqrt(self.alone) * own
        mixtures = tuple(space.mixture(w) for w in W)
        for mixture, point in zip(mixtures, points, strict=True):
            self.truth[mixture] = float(point)
            self.lost[mixture] = float(points.max() - point)
        return mixtures


def _standard(values: Array) -> Array:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12))


def _scales(table: RunTable) -> list[Scale]:
    """The scale of every run; one for all where the table does not say."""
    scales = table.scales
    gaps = np.isnan(scales)
    if gaps.all():
        return [UNSTATED] * len(table)
    scales = np.where(gaps.all(axis=0), 1.0, scales)
    if np.isnan(scales).any():
        row = int(np.argmax(np.isnan(scales).any(axis=1)))
        raise InputError(f"run {row} has no params or tokens and others have; give all or none")
    return [Scale(int(p), int(t)) for p, t in scales]


def _wanted(every: Sequence[Scale], names: Sequence[str]) -> tuple[Scale, ...]:
    """Scales by `params` or `params:tokens`, smallest first."""
    present = sorted(set(every))
    if not names:
        return tuple(present)
    kept: set[Scale] = set()
    for name in names:
        params, _, tokens = name.partition(":")
        try:
            numbers = float(params), float(tokens) if tokens else None
        except ValueError:
            raise InputError(f"scale {name!r} is no number; give params or params:tokens") from None
        hits = [s for s in present if s.params == numbers[0] and numbers[1] in (None, s.tokens)]
        if not hits:
            known = ", ".join(f"{s.params:.6g}:{s.tokens:.6g}" for s in present)
            raise InputError(f"no run at scale {name!r}; the table has {known}")
        kept.update(hits)
    return tuple(sorted(kept))


def _network(W: Array, Y: Array) -> Callable[[Array], Array]:
    """Metrics at mixtures, by the mean of four small networks on sqrt w."""
    networks = require("sklearn.neural_network")
    mean, sd = Y.mean(axis=0), np.maximum(Y.std(axis=0), 1e-12)
    settings = {"hidden_layer_sizes": (64, 64), "activation": "tanh", "alpha": 1e-3}
    with warnings.catch_warnings():
        # That it could be fitted better still makes an oracle no worse: it is the world.
        warnings.simplefilter("ignore", require("sklearn.exceptions").ConvergenceWarning)
        models: list[Any] = [
            networks.MLPRegressor(solver="lbfgs", max_iter=600, random_state=i, **settings).fit(
                np.sqrt(W), (Y - mean) / sd
            )
            for i in range(4)
        ]

    def predict(X: Array) -> Array:
        standardised = np.mean([m.predict(np.sqrt(X)).reshape(len(X), -1) for m in models], axis=0)
        return np.asarray(mean + sd * standardised)

    return predict
