"""Some of the runs of a store, as a store of their own: what a loop sees that is to do only these.

Whatever is written goes to the whole store. What a loop notes of itself (the runs that it has
chosen, its signs of life) is kept apart from the sweep's own, so that neither goes on with what the
other was about.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mixopt.ports import Store
from mixopt.runs import Attempt, Observation, RunSpec


def named(part: str, annotation: str) -> str:
    """What an annotation of a part is called in the whole store."""
    return f"{part} {annotation}"


class Part:
    """A view of a store; its owner releases that.

    Args:
        store: all of it.
        run_ids: of the runs that are seen, also those that are still to come.
        name: of the part.
        own: names of annotations that the part has for itself.
    """

    def __init__(
        self, store: Store, run_ids: Collection[str], name: str, own: Collection[str]
    ) -> None:
        self._store, self._ids = store, frozenset(run_ids)
        self._own = {key: named(name, key) for key in own}

    def open(self, spec: RunSpec) -> None:
        """See `Store`."""
        self._store.open(spec)

    def close(self, observation: Observation) -> None:
        """See `Store`."""
        self._store.close(observation)

    def retry(self, run_id: str) -> None:
        """See `Store`."""
        self._store.retry(run_id)

    def attempts(self) -> dict[str, tuple[Attempt, ...]]:
        """Failed attempts of open runs of the part."""
        return {run: tried for run, tried in self._store.attempts().items() if run in self._ids}

    def observations(self) -> list[Observation]:
        """Closed runs of the part."""
        return [o for o in self._store.observations() if o.run_id in self._ids]

    def pending(self) -> list[RunSpec]:
        """Open runs of the part."""
        return [spec for spec in self._store.pending() if spec.run_id in self._ids]

    def annotate(self, values: Mapping[str, Any]) -> None:
        """See `Store`."""
        self._store.annotate({self._own.get(key, key): value for key, value in values.items()})

    def annotations(self) -> dict[str, Any]:
        """Those of the whole store, with the part's own under their plain names."""
        kept = self._store.annotations()
        shared = {key: value for key, value in kept.items() if key not in self._own}
        return shared | {key: kept[own] for key, own in self._own.items() if own in kept}

    def attach(self, path: Path) -> None:
        """See `Store`."""
        self._store.attach(path)

    def release(self) -> None:
        """Nothing: the whole store stays with its owner."""
