"""QuaDMix (2504.16511): which documents of each domain, and so how much of it, by one regression.

Runs at the smallest scale, each with random parameters of the sampler of every domain's documents
(`mixopt.runs.document_sampling`); trees on these parameters; the mean of the best of many more
random ones. A domain's share follows from its size and its sampler, as in the paper, where shares
can hardly leave those of the sizes; with `explicit_share` it is drawn and searched by itself.

Notation:
    m domains, N scores; K parameters in all
    U: (n, K) parameters as shares of their ranges; W: (n, m) mixtures
    P = [W, U, K - sum U] / (1 + K): (n, m + K + 1) points of one simplex, which laws are fitted to
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np

from mixopt import laws
from mixopt.designs.base import honour
from mixopt.errors import InputError
from mixopt.laws.slice import FittedSlice
from mixopt.proposers import Surrogate
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.document_sampling import means, samplers_of, shares
from mixopt.runs.kinds import DESIGN
from mixopt.runs.knobs import Value, quoted
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable, last_words
from mixopt.space import Domain, MixtureSpace, simplex
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem, Traits
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe, fitted_to

KEY = "sampling"
RANGES = {"sharpness": 1000.0, "cut": 0.1, "exponent": 1.0, "floor": 0.001}
"""Parameters of a domain to the ends of the ranges, from 0, that the paper draws them from."""

_STRENGTHS, _TEMPER = (0.5, 50.0), 0.5  # of mixtures, where shares are explicit
_CHUNK, _ROUNDS = 20_000, 50


@dataclass(frozen=True)
class Parameters:
    """The parameters of all domains' samplers, in the order of U's columns.

    Attributes:
        domains: (m) names.
        scores: (N) names; a single one has no weight.
        ranges: parameter to the end of its range.
    """

    domains: tuple[str, ...]
    scores: tuple[str, ...]
    ranges: tuple[tuple[str, float], ...] = tuple(RANGES.items())

    @cached_property
    def weighed(self) -> tuple[str, ...]:
        """Scores that have weights."""
        return self.scores if len(self.scores) > 1 else ()

    @property
    def each(self) -> int:
        """Parameters of a domain."""
        return len(self.ranges) + len(self.weighed)

    @property
    def names(self) -> list[str]:
        """(K) keys of the trainer's configuration."""
        own = [name for name, _ in self.ranges]
        own += [f"scores.{quoted(score)}" for score in self.weighed]
        return [f"{KEY}.{quoted(domain)}.{name}" for domain in self.domains for name in own]

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """(n, K) random parameters, rounded to three digits.

        Weights of scores are a * b_m, a once for all domains and b_m for each.
        """
        m, plain = len(self.domains), len(self.ranges)
        U = rng.random((n, m, self.each))
        if self.weighed:
            a = rng.random((n, 1, len(self.weighed)))
            weights = a * U[:, :, plain:]
            U[:, :, plain:] = weights / weights.sum(axis=2, keepdims=True)
        return np.asarray(np.round(U, 3).reshape(n, -1))

    def means(self, U: Array) -> Array:
        """(n, m) tokens that are read of each domain, over those there are."""
        of = U.reshape(len(U), len(self.domains), self.each)
        scaled = {name: high * of[:, :, i] for i, (name, high) in enumerate(self.ranges)}
        return means(**scaled)

    def values(self, u: Array) -> dict[str, Value]:
        """One row of U as values by key."""
        highs = [high for _, high in self.ranges] + [1.0] * len(self.weighed)
        scaled = u * np.tile(highs, len(self.domains))
        return {k: float(f"{v:.6g}") for k, v in zip(self.names, scaled, strict=True)}

    def read(self, config: Mapping[str, Any]) -> Array | None:
        """(K,) what a run was trained with; None where it does not say so of every domain."""
        made = samplers_of(config.get(KEY))
        if not set(self.domains) <= set(made):
            return None
        rows = []
        for sampler in map(made.get, self.domains):
            assert sampler is not None
            rows += [vars(sampler)[name] / high for name, high in self.ranges]
            rows += sampler.weights(self.scores).tolist() if self.weighed else []
        return np.asarray(np.clip(np.array(rows), 0.0, 1.0))


@dataclass(frozen=True)
class QuaDMix(Answers):
    """Settings.

    Attributes:
        runs: random ones; the paper has 3,000 of 10^9 tokens.
        explicit_share: whether shares are searched by themselves; else each follows from the
            domain's size and sampler. In a pool, which holds shares, they are explicit.
        scores: of documents; those of the trainer's configuration where it is empty.
        largest_cut: end of the range of omega. The paper's suits data that are hundreds of times
            what a proxy reads; where they are not, the best tenth is soon read many times.
        batch: how many runs at once; all by default.
        law: of each metric, over parameters and shares.
        candidates: random parameters that are predicted.
        top: of them, averaged.
    """

    traits: ClassVar[Traits] = Traits()

    runs: Runs = 3000
    explicit_share: bool = False
    scores: tuple[str, ...] = ()
    largest_cut: Annotated[float, Within(0, 1, open=True)] = RANGES["cut"]
    batch: Runs | None = None
    law: laws.Named = "lightgbm"
    candidates: Annotated[int, Within(100, 10_000_000)] = 100_000
    top: Runs = 10
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", tuple(self.scores))
        check_recipe(self)

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Refuse a configuration without scores or with samplers of its own, and guards.

        Raises:
            InputError: see above.
        """
        self._scores(config)
        if config.get(KEY) is not None:
            raise InputError(
                f"'quadmix' sets {KEY!r} of every domain itself; leave it out of trainer.config"
            )
        if objective.kl or objective.guards:
            raise InputError(
                "the strategy 'quadmix' takes no guards and no 'kl': no baseline has parameters "
                "of a sampler; leave them out, or use 'joint' with knobs"
            )

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """What is left of the random runs; it waits for nothing."""
        ledger = Ledger.of(problem, observations, pending)
        left = self.runs - ledger.asked
        if left < 1:
            return []
        known = {o.run_id for o in ledger.runs} | {s.run_id for s in ledger.pending}
        design: list[RunSpec] = self.memo.get(problem, lambda: self._design(problem), "design")
        new = [spec for spec in design if spec.run_id not in known]
        return new[: min(self.batch or left, left)]

    def planned(self, problem: Problem) -> list[Scale]:
        """All runs, at the smallest scale."""
        return [problem.scales[0]] * self.runs

    def together(self, problem: Problem, observations: Sequence[Observation]) -> list[int]:
        """Every run alone, since each has parameters of its own; see `Configuring`."""
        return [1] * max(self.runs - Ledger.of(problem, observations).asked, 0)

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The mean of the best predicted parameters, and the mixture that goes with them.

        The model is that of parameters and shares at these parameters; runs are shown as it says
        they had come out there.

        Raises:
            InputError: no run has succeeded yet.
        """
        ledger, parameters = Ledger.of(problem, observations), self._parameters(problem)
        runs = _with_parameters(ledger, parameters)
        table = RunTable.from_observations([o for o, _ in runs], problem.space.names)
        R = np.array([u for _, u in runs])
        surrogate: Surrogate = self.memo.get(
            fitted_to(ledger, every_metric),
            lambda: self._fit(ledger, table, R, every_metric),
        )
        W, U = self._best(ledger, surrogate, parameters)
        values = parameters.values(U[0])
        mixture = problem.space.mixture(W[0])
        rest = points(W, U)[0, problem.space.dim :]
        sliced = replace(surrogate, fitted=FittedSlice(surrogate.fitted, rest), prior=None)
        before, after = (surrogate.expected(points(table.W, u)) for u in (R, U.repeat(len(R), 0)))
        moved = table.values(surrogate.metrics) + after.mean - before.mean
        shown = replace(table, metrics=surrogate.metrics, Y=moved)
        return Answer(mixture, sliced, shown, settings=values, notes=_notes(parameters, U))

    def _parameters(self, problem: Problem) -> Parameters:
        ranges = {**RANGES, "cut": self.largest_cut}
        return Parameters(problem.space.names, self._scores(problem.config), tuple(ranges.items()))

    def _scores(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        named = config.get("scores")
        names = self.scores or (tuple(named) if isinstance(named, Mapping) else ())
        if not names:
            raise InputError(
                "'quadmix' samples documents by their quality, and trainer.config names no "
                "scores; give it scores, like {edu: high}"
            )
        return names

    def _explicit(self, problem: Problem) -> bool:
        return self.explicit_share or problem.scales[0] in problem.pool

    def _design(self, problem: Problem) -> list[RunSpec]:
        parameters, rng = self._parameters(problem), np.random.default_rng([problem.seed, 0])
        if problem.scales[0] in problem.pool:
            drawn = Ledger.of(problem, []).design(self.runs, DESIGN)
            W, U = np.array([s.mixture.array for s in drawn]), parameters.draw(len(drawn), rng)
        else:
            W, U = self._draw(problem, parameters, self.runs, rng)
        return [
            problem.run(problem.space.mixture(w), DESIGN, values=parameters.values(u))
            for w, u in zip(W, U, strict=True)
        ]

    def _draw(
        self, problem: Problem, parameters: Parameters, n: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """(n, m) mixtures and (n, K) parameters, within the constraints."""
        space = problem.space
        if self._explicit(problem):
            centre = simplex.temperature(space.prior, _TEMPER)
            low, high = np.log(_STRENGTHS)
            s = np.exp(rng.uniform(low, high, size=(n, 1)))
            W = honour(space, simplex.dirichlet(s * centre, rng), constrained=True)
            return W, parameters.draw(n, rng)
        parts, missing = [], n
        for _ in range(_ROUNDS):
            U = parameters.draw(max(n, 100), rng)
            read = parameters.means(U)
            some = (space.prior * read).any(axis=1)  # of no document there are no shares
            U, W = U[some], shares(space.prior, read[some])
            allowed = np.flatnonzero(space.contains(W, 1e-6))[:missing]
            parts.append((space.round(W[allowed]), U[allowed]))
            missing -= len(allowed)
            if not missing:
                return np.vstack([w for w, _ in parts]), np.vstack([u for _, u in parts])
        raise InputError(
            f"shares follow from sizes and samplers, and only {n - missing} of "
            f"{_ROUNDS * max(n, 100)} random samplers keep the constraints of the space where {n} "
            "are wanted; set explicit_share: true, or loosen bounds and groups"
        )

    def _fit(self, ledger: Ledger, table: RunTable, R: Array, every_metric: bool) -> Surrogate:
        made = points(table.W, R)
        space = joint_space(ledger.problem.space, R.shape[1])
        return fit_surrogate(
            replace(table, domains=space.names, W=made),
            ledger.problem.objective,
            space,
            laws.as_law(self.law),
            rng=ledger.rng(),
            every_metric=every_metric,
        )

    def _best(
        self, ledger: Ledger, surrogate: Surrogate, parameters: Parameters
    ) -> tuple[Array, Array]:
        """(1, m) mixture and (1, K) parameters of the answer."""
        problem, rng = ledger.problem, ledger.rng()
        pool = problem.pool.get(problem.target, ())
        W, U, values = np.empty((0, problem.space.dim)), np.empty((0, 0)), np.empty(0)
        for start in range(0, self.candidates, _CHUNK):
            n = min(_CHUNK, self.candidates - start)
            if pool:
                among = np.array([mixture.weights for mixture in pool])
                w, u = among[rng.integers(len(pool), size=n)], parameters.draw(n, rng)
            else:
                w, u = self._draw(problem, parameters, n, rng)
            W, U = np.vstack([W, w]), np.vstack([U.reshape(-1, u.shape[1]), u])
            values = np.concatenate([values, surrogate.value(points(w, u))])
            best = np.argsort(values, kind="stable")[: self.top]
            W, U, values = W[best], U[best], values[best]
        mean = U.mean(axis=0, keepdims=True)
        if pool:
            at = points(among, mean.repeat(len(among), 0))
            return among[[int(surrogate.value(at).argmin())]], mean
        space = problem.space
        explicit = self._explicit(problem)
        best_shares = W.mean(axis=0) if explicit else shares(space.prior, parameters.means(mean)[0])
        return space.round(space.project(best_shares, metric="kl"))[None], mean


def points(W: Array, U: Array) -> Array:
    """(n, m + K + 1) mixtures and parameters as points of one simplex."""
    k = U.shape[1]
    return np.asarray(np.hstack([W, U, k - U.sum(axis=1, keepdims=True)]) / (1 + k))


def joint_space(space: MixtureSpace, k: int) -> MixtureSpace:
    """The simplex of mixtures and K parameters, for what looks at names and a centre."""
    own = [Domain(name, prior=float(w)) for name, w in zip(space.names, space.prior, strict=True)]
    more = [Domain(f"parameter[{i}]", prior=0.5) for i in range(k)]
    return MixtureSpace([*own, *more, Domain("parameter[rest]", prior=0.5 * k)])


def _with_parameters(ledger: Ledger, parameters: Parameters) -> list[tuple[Observation, Array]]:
    """Successful runs that say the parameters of every domain.

    Raises:
        InputError: there is none.
    """
    runs = [
        (seen, u)
        for seen in ledger.at(ledger.problem.scales[0])
        if (u := parameters.read(seen.spec.config)) is not None
    ]
    if not runs:
        raise InputError(
            f"none of {len(ledger.runs)} runs succeeded with a sampler for every domain; nothing "
            f"can be fitted{last_words(ledger.runs)}"
        )
    return runs


def _notes(parameters: Parameters, U: Array) -> tuple[str, ...]:
    read = parameters.means(U)[0]
    shown = [f"{d} {r:.3g}" for d, r in zip(parameters.domains, read, strict=True)]
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return (f"Tokens read over those there are, by domain: {', '.join(shown[:8])}{more}",)
