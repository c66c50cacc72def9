"""Some of the runs of a store, as a store of their own: what a loop sees that is to do only these.

Whatever is written goes to the whole store. The list of runs that the loop has chosen is kept apart
from the sweep's own, so that neither goes on with what the other was about to train.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mixopt.execution.sweep import BATCH
from mixopt.ports import Store
from mixopt.runs import Observation, RunSpec


class Part:
    """A view of a store; its owner releases that.

    Args:
        store: all of it.
        run_ids: of the runs that are seen, also those that are still to come.
        name: of the part, for its own list of chosen runs.
    """

    def __init__(self, store: Store, run_ids: Collection[str], name: str) -> None:
        self._store, self._ids, self._batch = store, frozenset(run_ids), f"{name} {BATCH}"

    def open(self, spec: RunSpec) -> None:
        """See `Store`."""
        self._store.open(spec)

    def close(self, observation: Observation) -> None:
        """See `Store`."""
        self._store.close(observation)

    def observations(self) -> list[Observation]:
        """Closed runs of the part."""
        return [o for o in self._store.observations() if o.run_id in self._ids]

    def pending(self) -> list[RunSpec]:
        """Open runs of the part."""
        return [spec for spec in self._store.pending() if spec.run_id in self._ids]

    def annotate(self, values: Mapping[str, Any]) -> None:
        """See `Store`."""
        self._store.annotate({self._batch if k == BATCH else k: v for k, v in values.items()})

    def annotations(self) -> dict[str, Any]:
        """Those of the whole store, with the part's own list of chosen runs."""
        kept = self._store.annotations()
        return {**kept, BATCH: kept.get(self._batch) or []}

    def attach(self, path: Path) -> None:
        """See `Store`."""
        self._store.attach(path)

    def release(self) -> None:
        """Nothing: the whole store stays with its owner."""
