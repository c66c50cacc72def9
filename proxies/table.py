"""`TableTrainer`: finished runs replayed from a table, behind mixopt's Trainer port.

For benchmarks and dry runs: a strategy meets the answers that real training gave, at no cost.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mixopt.errors import InputError
from mixopt.ports import Report, TrainerInfo, ignore_report
from mixopt.runs import Observation, RunSpec
from mixopt.simplex import Array
from mixopt.space import Domain
from mixopt.table import RunTable, read_table


class TableTrainer:
    """Answers a run spec with the recorded run of the nearest mixture.

    Named `"proxies:TableTrainer"` in a spec.

    Args:
        table: path of a run table (see `mixopt.table.read_table`).
        metrics: second file of a two-file layout.
        tolerance: largest difference of any weight at which a recorded run still answers; the
            default takes the same mixture only, 1 takes the nearest whatever it is.
        renormalize: accept weights that sum further than 0.005 from 1.

    Raises:
        InputError: the tolerance is not a share; on `prepare`, the table cannot be used.
    """

    def __init__(
        self,
        *,
        table: str,
        metrics: str | None = None,
        tolerance: float = 1e-6,
        renormalize: bool = False,
    ) -> None:
        if not 0 <= tolerance <= 1:
            raise InputError(f"tolerance is {tolerance!r}; give a difference of weights, 0 to 1")
        self._paths = (table, metrics)
        self._tolerance = tolerance
        self._renormalize = renormalize
        self._table: RunTable | None = None

    def table(self) -> RunTable:
        """The table, read once."""
        if self._table is None:
            self._table = read_table(*self._paths, renormalize=self._renormalize)
        return self._table

    def prepare(self, cache: Path) -> TrainerInfo:  # noqa: ARG002 - the port's; nothing to cache
        """Read the table; see `mixopt.ports.Trainer`. Its metrics keep the table's own unit."""
        table = self.table()
        content = table.frame.to_csv(index=False).encode()
        return TrainerInfo(
            domains=tuple(Domain(name) for name in table.domains),
            metrics=table.metrics,
            unit="as in the table",
            data=hashlib.sha256(content).hexdigest(),
            notes={"runs": len(table)},
        )

    def train(
        self,
        specs: Sequence[RunSpec],
        cache: Path,  # noqa: ARG002 - the port's
        report: Report = ignore_report,  # noqa: ARG002 - the port's; a table has no curves
    ) -> list[Observation]:
        """Look the runs up; one that the table does not hold is a failed observation."""
        return [self._replay(spec) for spec in specs]

    def _replay(self, spec: RunSpec) -> Observation:
        table = self.table()
        shares = spec.mixture.to_dict()
        unknown = [name for name, w in shares.items() if w > 0 and name not in table.domains]
        if unknown:
            return Observation.failure(spec, f"the table has no domain {unknown[0]!r}")
        weights = np.array([shares.get(name, 0.0) for name in table.domains])
        rows = self._rows(spec)
        if not len(rows):
            return Observation.failure(spec, f"the table has no run of scale {spec.scale}")
        distances: Array = np.abs(table.W[rows] - weights).max(axis=1)
        nearest = float(distances.min())
        if nearest > self._tolerance:
            return Observation.failure(
                spec,
                f"the nearest run of the table differs by {nearest:.3g} in a weight, more than the "
                f"tolerance {self._tolerance:g}",
            )
        # equally near runs are replicates: seed k takes the k-th of them, round and round
        ties = rows[np.flatnonzero(distances <= nearest + 1e-12)]
        row = int(ties[spec.seed % len(ties)])
        values = {n: float(v) for n, v in zip(table.metrics, table.Y[row], strict=True)}
        return Observation.of(
            spec,
            {name: value for name, value in values.items() if not np.isnan(value)},
            flops=spec.scale.flops,
            info={"row": row, "distance": nearest},
        )

    def _rows(self, spec: RunSpec) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Rows of the spec's scale; all of them where the table names no scales."""
        scales = self.table().scales
        wanted = np.array([spec.scale.params, spec.scale.tokens])
        fits = np.isnan(scales) | (scales == wanted)
        return np.flatnonzero(fits.all(axis=1)).astype(np.int64)
