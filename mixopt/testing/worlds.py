"""Synthetic worlds with a known optimum: sources that help several metrics, scales, noise.

Metric k at mixture w and scale (N, D) is

    Y_k = e_k + (s_k + u_k sum_j T_kj w_j)^-g_k  +  N^-.3 + D^-.3  +  interactions  +  noise

so that every metric falls, ever more slowly, with the share of what helps it (the shape of
2507.09404). Without interactions the objective is convex, and its optimum is found exactly; with
them it is the best of many descents. No law of the library has this form.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; T: (k, m) how much domain j helps metric k
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mixopt.errors import InputError
from mixopt.proposers.search import minimize
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.objective import Objective
from mixopt.space import Domain, MixtureSpace, simplex
from mixopt.space.simplex import Array

SMALL, LARGE = Scale(10**6, 10**8), Scale(10**7, 10**9)


@dataclass(frozen=True, eq=False)
class World:
    """A question whose answer is known.

    Attributes:
        space: domains and constraints. objective: what is minimised. scales: smallest first.
        transfer: (k, m) T at the target. floor, gain, power: (k,) s, u and g.
        interactions: (m, m) added to every metric as w' I w. noise: sd of one run per metric.
        below: scale to the T that holds there instead; proxies mislead where it differs.
        slopes: scale to the factor on everything that the mixture does to a metric there.
        costs: scale to the cost of a run.
    """

    space: MixtureSpace
    objective: Objective
    scales: tuple[Scale, ...]
    transfer: Array
    floor: Array
    gain: Array
    power: Array
    interactions: Array
    noise: float = 0.0
    below: Mapping[Scale, Array] = field(default_factory=dict)
    slopes: Mapping[Scale, float] = field(default_factory=dict)
    costs: Mapping[Scale, float] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(f"loss-{k}" for k in range(len(self.transfer)))

    @property
    def target(self) -> Scale:
        """The largest scale."""
        return self.scales[-1]

    def truth(self, W: Array, scale: Scale | None = None) -> Array:
        """(n, k) metrics without noise, at the target by default."""
        scale = scale or self.target
        W = np.atleast_2d(W)
        T: Array = self.below.get(scale, self.transfer)
        helped: Array = self.floor + self.gain * (W @ T.T)
        mixed: Array = helped**-self.power + ((W @ self.interactions) * W).sum(axis=1)[:, None]
        size = scale.params**-0.3 + scale.tokens**-0.3
        return np.asarray(1.0 + self.slopes.get(scale, 1.0) * mixed + size)

    def value(self, W: Array) -> Array:
        """(n,) the objective at the target without noise."""
        return np.asarray(self.objective.value(self.truth(W), self.metrics))

    def run(self, spec: RunSpec) -> Observation:
        """What comes of a run; the same run gives the same numbers.

        Of a run by a schedule counts what it draws in total: the order is no matter here.

        Raises:
            InputError: the run has a mixer, of which this world knows nothing.
        """
        if spec.mixer is not None:
            raise InputError(
                f"run {spec.run_id} has a mixer, and this world knows the metrics of schedules "
                "alone; ask for a run without one"
            )
        rng = np.random.default_rng(int(spec.run_id, 16))
        exact = self.truth(spec.mixture.array, spec.scale)[0]
        noisy = exact + self.noise * rng.standard_normal(exact.shape)
        metrics = dict(zip(self.metrics, noisy.tolist(), strict=True))
        return Observation.of(spec, metrics, flops=self.costs.get(spec.scale, spec.scale.flops))

    @cached_property
    def optimum(self) -> Array:
        """(m,) the best mixture within the constraints."""
        rng = np.random.default_rng(0)
        starts = np.vstack([self.space.prior, np.eye(self.space.dim)])
        starts = self.space.project(0.99 * starts + 0.01 / self.space.dim, metric="kl")
        minima = minimize(self.value, self.space, rng=rng, starts=starts, candidates=8000)
        return np.asarray(minima[0])

    @cached_property
    def best(self) -> float:
        """The objective at the optimum."""
        return float(self.value(self.optimum[None])[0])

    @cached_property
    def spread(self) -> float:
        """Sd of the objective over RegMix-like random mixtures: the unit that regret is read in."""
        rng = np.random.default_rng(1)
        strength = np.exp(rng.uniform(np.log(0.1), np.log(5.0), size=(512, 1)))
        W = simplex.dirichlet(strength * np.ones(self.space.dim), rng)
        return float(self.value(W).std())


def make_world(
    domains: int = 6,
    metrics: int = 4,
    *,
    seed: int = 0,
    kind: str = "plain",
    noise: float = 0.0,
) -> World:
    """A random world.

    Args:
        domains: m.
        metrics: k.
        seed: another seed is another world.
        kind: one of `KINDS`: `"plain"`; `"interactions"` (pairs of domains that help or hurt each
            other); `"sparse"` (three domains help, the others do not); `"two-scales"` (a proxy
            that follows with another slope per metric); `"misleading"` (a proxy at which other
            domains help).
        noise: sd of one run, in units of a metric's spread over random mixtures.

    Raises:
        InputError: an unknown kind.
    """
    if kind not in KINDS:
        raise InputError(f"unknown world {kind!r}; known: {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, domains, metrics])
    m, k = domains, metrics
    transfer = _transfer(m, k, rng, sparse=kind == "sparse")
    pairs = np.zeros((m, m))
    if kind == "interactions":
        chosen = rng.random((m, m)) < min(1.0, 6.0 / m)
        pairs = np.triu(np.where(chosen, rng.normal(0.0, 0.8, size=(m, m)), 0.0), 1)
    scales = (SMALL, LARGE) if kind in {"two-scales", "misleading"} else (LARGE,)
    below = {}
    if kind == "two-scales":
        below = {SMALL: np.clip(transfer * rng.lognormal(0.0, 0.15, size=(k, m)), 0.0, None)}
    if kind == "misleading":
        below = {SMALL: transfer[:, rng.permutation(m)]}
    world = World(
        space=MixtureSpace([Domain(f"d{j}", prior=1.0) for j in range(m)]),
        objective=Objective.of([f"loss-{j}" for j in range(k)]),
        scales=scales,
        transfer=transfer,
        floor=np.full(k, 0.02) + 0.05 * rng.random(k),
        gain=0.5 + rng.random(k),
        power=0.15 + 0.25 * rng.random(k),
        interactions=pairs,
        below=below,
        slopes={SMALL: 0.7} if below else {},
        costs={SMALL: 0.1, LARGE: 1.0},
    )
    sample = simplex.dirichlet(np.ones((256, m)) * 0.5, np.random.default_rng(0))
    unit = float(world.truth(sample).std(axis=0).mean())
    return _with_noise(world, noise * unit)


KINDS = ("plain", "interactions", "sparse", "two-scales", "misleading")


def _transfer(m: int, k: int, rng: np.random.Generator, *, sparse: bool) -> Array:
    """(k, m) every metric has a domain of its own, and a few others that help it a little."""
    others = rng.random((k, m)) < min(1.0, 4.0 / m)
    transfer = np.where(others, rng.uniform(0.0, 0.6, size=(k, m)), 0.0)
    own = rng.permutation(m)[: min(k, m)]
    if sparse:
        helpful = rng.permutation(m)[:3]
        mask = np.isin(np.arange(m), helpful)
        transfer = np.where(mask, transfer + 0.2 * rng.random((k, m)), 0.02 * transfer)
        own = helpful
    transfer[np.arange(k), own[np.arange(k) % len(own)]] = 1.0
    return transfer


def _with_noise(world: World, noise: float) -> World:
    fields = {name: getattr(world, name) for name in World.__dataclass_fields__}
    return World(**{**fields, "noise": noise})
