"""What is known of a sweep, kept as it grows: a loop hands it over in place of plain lists.

A strategy is a pure function of the runs that came in and of those under way. Were they plain
lists, whoever looks at them would sort, filter and count all of them for every run that comes in.
So the loop keeps them here. `Known.observations` and `Known.pending` are sequences like any other;
`Ledger.of` recognises them and takes what was counted, which then costs what is new.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.objective import judged
from mixopt.strategies.base import Problem

T = TypeVar("T")


class Index:
    """What can be looked up of search runs, finished or under way. It only grows.

    Attributes:
        counts: runs per scale.
        used: scale to the weights that were asked for there, by runs of one mixture.
        begun: key of a design to how many of its first mixtures were all asked for.
    """

    def __init__(self, specs: Iterable[RunSpec] = ()) -> None:
        self.counts: Counter[Scale] = Counter()
        self.used: dict[Scale, set[tuple[float, ...]]] = defaultdict(set)
        self.begun: dict[object, int] = {}
        for spec in specs:
            self.add(spec)

    def __len__(self) -> int:
        """Runs."""
        return self.counts.total()

    def add(self, spec: RunSpec) -> None:
        """One more run."""
        self.counts[spec.scale] += 1
        # A run by a schedule is none of its mean: that one can still be asked for.
        if spec.is_static:
            self.used[spec.scale].add(spec.mixture.weights)

    def has(self, scale: Scale, weights: tuple[float, ...]) -> bool:
        """Whether a mixture was asked for at a scale."""
        return scale in self.used and weights in self.used[scale]


class Observations(Sequence[Observation]):
    """Finished runs in the order in which they came in, as `Known` has them."""

    def __init__(self, known: "Known") -> None:
        self.known = known
        self._runs: list[Observation] = []

    def __len__(self) -> int:
        """Finished runs."""
        return len(self._runs)

    def __iter__(self) -> Iterator[Observation]:
        return iter(self._runs)

    @overload
    def __getitem__(self, i: int) -> Observation: ...
    @overload
    def __getitem__(self, i: slice) -> list[Observation]: ...
    def __getitem__(self, i: Any) -> Any:
        return self._runs[i]

    def add(self, seen: Observation) -> None:
        """One more, by `Known.see` alone."""
        self._runs.append(seen)


class Pending(Sequence[RunSpec]):
    """Runs under way in the order in which they were asked for, as `Known` has them."""

    def __init__(self) -> None:
        self._specs: dict[str, RunSpec] = {}

    def __len__(self) -> int:
        """Runs under way."""
        return len(self._specs)

    def __iter__(self) -> Iterator[RunSpec]:
        return iter(self._specs.values())

    @overload
    def __getitem__(self, i: int) -> RunSpec: ...
    @overload
    def __getitem__(self, i: slice) -> list[RunSpec]: ...
    def __getitem__(self, i: Any) -> Any:
        return next(reversed(self._specs.values())) if i == -1 else list(self._specs.values())[i]

    def add(self, spec: RunSpec) -> None:
        """One more, by `Known.ask` alone."""
        self._specs[spec.run_id] = spec

    def remove(self, run_id: str) -> bool:
        """One less, by `Known.see` alone; whether it was there."""
        return self._specs.pop(run_id, None) is not None


class Known:
    """The runs of a sweep: those that came in, judged by its objective, and those under way.

    Args:
        problem: of the sweep.
        observations: of runs that came in before, in that order.
    """

    def __init__(self, problem: Problem, observations: Iterable[Observation] = ()) -> None:
        self.problem = problem
        self.observations, self.pending = Observations(self), Pending()
        self.index = Index()
        self._ids: set[str] = set()
        self._search: _Sorted[Observation] = _Sorted()
        self._waiting: _Sorted[RunSpec] = _Sorted()
        for seen in observations:
            self.see(seen)

    def __contains__(self, run_id: str) -> bool:
        """Whether a run was asked for."""
        return run_id in self._ids

    def ask(self, spec: RunSpec) -> None:
        """A run is under way from now on; one that is known already changes nothing."""
        if spec.run_id not in self:
            self.pending.add(spec)
            if self._enter(spec):
                self._waiting.add(spec.run_id, spec)

    def see(self, seen: Observation) -> Observation:
        """A run has come in; as the objective sees it."""
        seen = judged(seen, self.problem.objective)
        in_search = self._enter(seen.spec)
        if self.pending.remove(seen.run_id) and in_search:
            self._waiting.remove(seen.run_id)
        if in_search:
            self._search.add(seen.run_id, seen)
        self.observations.add(seen)
        return seen

    def search(self) -> tuple[Observation, ...]:
        """Finished search runs by run id."""
        return tuple(self._search.values)

    def waiting(self) -> tuple[RunSpec, ...]:
        """Search runs under way by run id."""
        return tuple(self._waiting.values)

    def _enter(self, spec: RunSpec) -> bool:
        """Note the run, once; whether it is one of the search."""
        in_search = spec.kind.in_search
        if spec.run_id not in self:
            self._ids.add(spec.run_id)
            if in_search:
                self.index.add(spec)
        return in_search


class _Sorted(Generic[T]):
    """Values in the order of their keys, each key once."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self.values: list[T] = []

    def add(self, key: str, value: T) -> None:
        at = bisect_left(self._keys, key)
        self._keys.insert(at, key)
        self.values.insert(at, value)

    def remove(self, key: str) -> None:
        at = bisect_left(self._keys, key)
        del self._keys[at], self.values[at]


def known_ids(
    observations: Sequence[Observation], pending: Sequence[RunSpec]
) -> "Known | set[str]":
    """The ids of all runs, finished or under way; what can be asked whether it contains one."""
    if isinstance(observations, Observations) and pending is observations.known.pending:
        return observations.known
    return {o.run_id for o in observations} | {spec.run_id for spec in pending}
