"""What recipes share: what is known so far, which runs are left to choose from, one fit at a time.

A recipe is written once. Where the problem has a finite pool at a scale, designs draw from what is
left of it and optima are looked for among it; else both use the space.

Notation:
    W: (n, m) mixtures that were run; X: (c, m) mixtures to choose from
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from typing import Annotated, Any

import numpy as np

from mixopt import designs, laws
from mixopt.errors import InputError
from mixopt.laws.base import Law
from mixopt.proposers import Surrogate
from mixopt.proposers.search import Score, minimize
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Kind, Observation, RunSpec, Scale
from mixopt.runs.objective import Objective, judged
from mixopt.runs.reliability import resolved
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture, MixtureSpace
from mixopt.space.numbers import MANY, Within, check_settings
from mixopt.space.simplex import Array
from mixopt.strategies.base import Problem
from mixopt.strategies.kept import best_kept
from mixopt.strategies.known import Index, Observations


@dataclass(frozen=True)
class Ledger:
    """What a recipe looks at: search runs by identity, so that the order of arrival is no matter.

    Attributes:
        problem: what is asked.
        runs: finished search runs, failed ones included, by run id.
        pending: search runs under way.
        index: of these runs, where somebody keeps it (see `Known`); else it is made when asked for.
    """

    problem: Problem
    runs: tuple[Observation, ...]
    pending: tuple[RunSpec, ...] = ()
    index: Index | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        problem: Problem,
        observations: Sequence[Observation],
        pending: Sequence[RunSpec] = (),
    ) -> "Ledger":
        """The search runs among what is known; those that judge the search are none.

        A run without a metric that the objective needs counts as failed.
        """
        if isinstance(observations, Observations):
            known = observations.known
            if known.problem is problem and known.pending is pending:
                return cls(problem, known.search(), known.waiting(), known.index)
        search = [judged(o, problem.objective) for o in observations if o.spec.kind.in_search]
        under_way = [s for s in pending if s.kind.in_search]
        return cls(
            problem,
            tuple(sorted(search, key=lambda o: o.run_id)),
            tuple(sorted(under_way, key=lambda s: s.run_id)),
        )

    @property
    def asked(self) -> int:
        """Runs finished, failed or under way."""
        return len(self.runs) + len(self.pending)

    def at(self, scale: Scale) -> list[Observation]:
        """Successful runs of a scale."""
        return [o for o in self.runs if o.ok and o.spec.scale == scale]

    def partial(self, scale: Scale) -> list[Observation]:
        """Longer runs of the same size as they stood at a scale's tokens, failed ones included.

        Only those whose curve has a point at exactly these tokens, and that have no run of their
        own there: nothing counts twice. A point on the way was measured at another learning rate
        than the end of a run, so that the two may only be mixed where the rate is constant.
        """
        own = {(o.spec.plan, o.spec.seed) for o in self.at(scale)}
        beginnings = []
        for seen in self.runs:
            spec = seen.spec
            longer = spec.scale.params == scale.params and spec.scale.tokens > scale.tokens
            point = next((p for p in seen.curve if p.tokens == scale.tokens), None)
            if not longer or point is None or spec.mixer is not None:
                continue  # a mixer's shorter run is no beginning of its longer one
            beginning = spec.until(scale.tokens)
            if (beginning.plan, spec.seed) not in own:
                own.add((beginning.plan, spec.seed))
                beginnings.append(Observation(beginning, metrics=point.metrics))
        return beginnings

    def count(self, scale: Scale) -> int:
        """Runs of a scale, finished, failed or under way."""
        return self._index.counts[scale]

    def table(self, scale: Scale) -> RunTable:
        """Successful runs of a scale.

        Raises:
            InputError: there is none.
        """
        return RunTable.from_observations(self.at(scale), self.problem.space.names)

    def every(self) -> RunTable:
        """Successful runs of all scales.

        Raises:
            InputError: there is none.
        """
        return RunTable.from_observations(self.runs, self.problem.space.names)

    def weights(self, scale: Scale) -> Array:
        """(n, m) mixtures of the successful runs of a scale."""
        return self.table(scale).W

    def avoid(self, scale: Scale) -> Array | None:
        """(p, m) mixtures of a scale that are under way or have failed: not to be asked again."""
        failed = [o.spec for o in self.runs if not o.ok]
        avoided = [s.mixture.array for s in (*failed, *self.pending) if s.scale == scale]
        return np.array(avoided) if avoided else None

    def candidates(self, scale: Scale, make: Callable[[], Array]) -> Array:
        """(c, m) mixtures to choose the next run of a scale from.

        What is left of the pool, where one is given; else what `make` gives.
        """
        if not self._pooled(scale):
            return make()
        W = [m.weights for m in self._left(scale)]
        return np.array(W).reshape(-1, self.problem.space.dim)

    def answers(self, make: Callable[[], Array]) -> Array:
        """(a, m) mixtures among which the answer is: the target's pool, else what `make` gives."""
        target = self.problem.target
        if not self._pooled(target):
            return make()
        return np.array([m.weights for m in self.problem.pool[target]])

    def _left(self, scale: Scale) -> list[Mixture]:
        """Mixtures of the pool that nobody has asked for; empty without a pool."""
        used = self._index
        return [m for m in self.problem.pool.get(scale, ()) if not used.has(scale, m.weights)]

    def _pooled(self, scale: Scale) -> bool:
        return scale in self.problem.pool

    @cached_property
    def objective(self) -> Objective:
        """The problem's objective, its metrics in units of their spread where it asks for that."""
        return resolved(self.problem.objective, self.every())

    def rng(self, step: int | None = None) -> np.random.Generator:
        """The same random numbers for the same problem and the same number of runs."""
        return np.random.default_rng([self.problem.seed, self.asked if step is None else step])

    def design(
        self,
        whole: int,
        kind: Kind,
        *,
        name: str = "regmix",
        scale: Scale | None = None,
        beside: Sequence[Mixture] = (),
        most: int = MANY,
    ) -> list[RunSpec]:
        """What nobody has asked for yet of `whole` runs that ignore what is known.

        From the pool at random, else by the design `name`, drawn as a whole and so the same
        whichever of its runs are known: a resume goes on with it, whenever the sweep was killed.

        Args:
            whole: runs of the design, `beside` left out.
            kind: of the runs.
            name: see `mixopt.designs.DESIGNS`; no matter in a pool.
            scale: of the runs; the smallest by default.
            beside: mixtures that are run in any case, from which the design keeps apart.
            most: runs to give at most.
        """
        problem = self.problem
        scale = scale or problem.scales[0]
        if min(whole, most) < 1:
            return []
        seed, index = (problem.seed, len(beside)), self._index
        if self._pooled(scale):
            pool = problem.pool[scale]
            order = np.random.default_rng(seed).permutation(len(pool))[: self.count(scale) + whole]
            begun, drawn = 0, tuple(pool[i] for i in order)
        else:
            key = (name, problem.space, whole, seed, tuple(m.weights for m in beside))
            drawn = drawn_mixtures(*key)
            begun = index.begun.get((key, scale), 0)
            while begun < len(drawn) and index.has(scale, drawn[begun].weights):
                begun += 1
            index.begun[key, scale] = begun
        left = (m for m in islice(drawn, begun, None) if not index.has(scale, m.weights))
        return [problem.run(mixture, kind, scale=scale) for mixture in islice(left, most)]

    def lowest(
        self, score: Score, n: int, kind: Kind, *, scale: Scale | None = None
    ) -> list[RunSpec]:
        """The n runs not asked for yet that score lowest, in the pool or in the space."""
        scale = scale or self.problem.scales[0]
        X = self.candidates(scale, lambda: self._optima(score, scale))
        mixtures = dict.fromkeys(self.problem.space.mixture(w) for w in X)
        new = [m for m in mixtures if not self._index.has(scale, m.weights)]
        if not new:
            return []
        order = np.argsort(score(np.array([m.weights for m in new])), kind="stable")[:n]
        return [self.problem.run(new[i], kind, scale=scale) for i in order]

    def answer(self, score: Score, *, scale: Scale | None = None) -> Mixture:
        """The mixture that scores lowest at the target: of its pool, or of the space."""
        scale = scale or self.problem.scales[0]
        X = self.answers(lambda: self._optima(score, scale)[:1])
        return self.problem.space.mixture(X[int(score(X).argmin())])

    def _optima(self, score: Score, scale: Scale) -> Array:
        """(c, m) where a score is lowest in the space, from the runs of a scale as starts."""
        starts = self.weights(scale) if self.at(scale) else None
        lowest = minimize(score, self.problem.space, rng=self.rng(), starts=starts)
        return self.problem.space.round(lowest)

    def best_run(self, scale: Scale | None = None) -> Mixture:
        """The mixture of the best run of a scale; of the largest with any, if none is named.

        The best of those that keep the guards, see `best_kept`.

        Raises:
            InputError: no run has succeeded, or a guard names an unknown baseline.
        """
        scales = [scale] if scale else self.problem.scales[::-1]
        for here in scales:
            runs = self.at(here)
            if runs:
                return best_kept(runs, runs, self.objective, self.problem.space).mixture
        raise InputError(f"none of {len(self.runs)} runs succeeded, so no mixture is the best")

    @cached_property
    def _index(self) -> Index:
        # Runs are never forgotten: one that was kept while as many came in is of the same runs.
        if self.index is not None and len(self.index) == self.asked:
            return self.index
        return Index([*(o.spec for o in self.runs), *self.pending])


@lru_cache(maxsize=8)
def drawn_mixtures(
    name: str,
    space: MixtureSpace,
    n: int,
    seed: tuple[int, ...],
    beside: tuple[tuple[float, ...], ...],
) -> tuple[Mixture, ...]:
    """(n) mixtures of a design; it is asked for again with every run that comes in.

    Args:
        name: see `mixopt.designs.DESIGNS`.
        space: of the mixtures.
        n: how many.
        seed: of the random numbers.
        beside: weights of mixtures from which the design keeps apart.
    """
    existing = np.array(beside) if beside else None
    W = designs.design(name, space, n, rng=np.random.default_rng(seed), existing=existing)
    return tuple(space.mixture(w) for w in W)


@dataclass
class Memo:
    """The last thing of a sort that was computed: strategies are asked about the same runs in turn.

    Attributes:
        kept: sort to its key and its value.
    """

    kept: dict[str, tuple[object, Any]] = field(default_factory=dict, repr=False)

    def get(self, key: object, make: Callable[[], Any], sort: str = "fit") -> Any:
        """What `make` gave for this key."""
        if sort not in self.kept or self.kept[sort][0] != key:
            self.kept[sort] = key, make()
        return self.kept[sort][1]


Runs = Annotated[int, Within(1, MANY)]
"""A setting that counts runs."""


def check_recipe(recipe: Any) -> None:
    """Refuse settings of a strategy that break their rule, or name no law or design.

    Laws stand under `law`, designs under `swarm`; `runs` of all may not be fewer than those of the
    `design` before anything is fitted, where that is a number.

    Raises:
        InputError: names the setting, the value and the rule.
    """
    check_settings(recipe)
    settings = vars(recipe)
    if "law" in settings:
        laws.as_law(settings["law"])
    if "swarm" in settings:
        designs.named(settings["swarm"])
    if isinstance(settings.get("design"), str):
        designs.named(settings["design"])
    elif "design" in settings and settings.get("runs", settings["design"]) < settings["design"]:
        raise InputError(
            f"runs is {settings['runs']}, fewer than the {settings['design']} of the design; raise "
            "'runs', or lower 'design'"
        )


def check_law(recipe: Any, problem: Problem) -> None:
    """Refuse a law that a strategy is to fit and that the domains' tags do not serve.

    Raises:
        InputError: see `laws.law_for`.
    """
    named = vars(recipe).get("law")
    if isinstance(named, str | Mapping):
        laws.law_for(named, None, problem.space)


def check_shares(name: str, given: Iterable[float]) -> tuple[float, ...]:
    """A setting that is a list of shares of a run, each once, in increasing order.

    Raises:
        InputError: none, or one that is no number between 0 and 1; names the setting.
    """
    shares = [given] if isinstance(given, int | float | str) else list(given)
    good = [not isinstance(s, bool | str) and 0.0 < s < 1.0 for s in shares]
    if not shares or not all(good):
        raise InputError(
            f"{name} is {given!r}; give a list of shares of the run, each above 0 and below 1"
        )
    return tuple(sorted({float(share) for share in shares}))


def fit(ledger: Ledger, law: Law, *, every_metric: bool = False) -> Surrogate:
    """A law fitted to the runs of the smallest scale, seen through the objective.

    Raises:
        InputError: no run succeeded, or too few for the law.
    """
    problem = ledger.problem
    return fit_surrogate(
        ledger.table(problem.scales[0]),
        problem.objective,
        problem.space,
        law,
        rng=ledger.rng(),
        every_metric=every_metric,
    )


def fitted_to(ledger: Ledger, every_metric: bool = False) -> tuple[bool, tuple[str, ...]]:
    """A key for a fit: the identities of the runs that it rests on, and how many metrics."""
    return every_metric, tuple(o.run_id for o in ledger.runs if o.ok)


def free_slots(ledger: Ledger, batch: int, wait: bool) -> int:
    """How many runs to choose now: a round once the last one is in, or what is missing of one.

    A negative number where more than a batch is under way (a design is asked for at once).
    """
    if wait:
        return sys.maxsize if not ledger.pending else 0
    return batch - len(ledger.pending)
