"""`TableTrainer`: finished runs replayed from a table, behind mixopt's Trainer port.

For benchmarks and dry runs: a strategy meets the answers that real training gave, at no cost.

Notation:
    n recorded runs, m domains; W: (n, m) their mixtures; rows: indices of runs
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError, did_you_mean
from mixopt.ports import Report, TrainerInfo, ignore_report, refusal
from mixopt.runs import Observation, Point, RunSpec
from mixopt.runs.reading import read_table
from mixopt.runs.run_table import RunTable
from mixopt.space import Domain, Mixture, simplex
from mixopt.space.numbers import check_number
from mixopt.space.simplex import Array

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class TableTrainer:
    """Answers a run spec with the recorded run of its mixture, scale and seed.

    Named `"proxies:TableTrainer"` in a spec. What the table does not say (a missing `params`,
    `tokens` or `seed`) fits every run. Replicates without a seed are taken in turn: seed k gets the
    k-th of them, round and round. The cost of an observation is the table's. A run by a schedule
    is refused: rows are runs of one mixture.

    Attributes:
        table: path of a run table (see `mixopt.runs.reading.read_table`).
        metrics: second file of a two-file layout.
        where: condition on the table's columns, e.g. `"split == 'train'"`.
        tolerance: largest difference of any weight at which a recorded run still counts as the
            same mixture; published tables are rounded to about 1e-4.
        nearest: where no run has the mixture, answer with the nearest one within `radius`. Its
            metrics are those of another mixture; the observation's `info` says which.
        radius: largest Hellinger distance, 0 to 1, of an answer by `nearest`.
        any_seed: a run with another seed answers too.
        tokens: unique tokens per domain, for the natural mixture and epoch caps.
        unit: of the metrics; empty where the table does not say.
        renormalize: accept weights that sum further than 0.005 from 1.

    Raises:
        InputError: a distance is out of range; on `prepare`, the table cannot be used.
    """

    table: str
    metrics: str | None = None
    where: str | None = None
    tolerance: float = 1e-4
    nearest: bool = False
    radius: float = 0.1
    any_seed: bool = False
    tokens: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""
    renormalize: bool = False

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, least=0.0, most=1.0)
        check_number("radius", self.radius, least=0.0, most=1.0, open=True)

    @cached_property
    def runs(self) -> RunTable:
        """The recorded runs, read once."""
        return read_table(self.table, self.metrics, where=self.where, renormalize=self.renormalize)

    def prepare(self, cache: Path) -> TrainerInfo:  # noqa: ARG002 - the port's; nothing to cache
        """Read the table; see `mixopt.ports.Trainer`.

        Raises:
            InputError: the table breaks a rule, or `tokens` names a domain that it lacks.
        """
        runs = self.runs
        for name in self.tokens:
            if name not in runs.domains:
                raise InputError(
                    f"tokens: unknown domain {name!r}; {did_you_mean(name, runs.domains)}"
                )
        content = runs.frame.to_csv(index=False).encode()
        return TrainerInfo(
            domains=tuple(Domain(name, tokens=self.tokens.get(name)) for name in runs.domains),
            metrics=runs.metrics,
            unit=self.unit,
            data=hashlib.sha256(content).hexdigest(),
            warnings=runs.notes,
            notes={"runs": len(runs)},
        )

    def train(
        self,
        specs: Sequence[RunSpec],
        cache: Path,  # noqa: ARG002 - the port's
        report: Report = ignore_report,
    ) -> list[Observation]:
        """Look the runs up; one that the table does not hold is a failed observation."""
        observations = [self._replay(spec) for spec in specs]
        for seen in observations:
            for point in seen.curve:
                report(seen.spec, point)
        return observations

    def _replay(self, spec: RunSpec) -> Observation:
        if reason := refusal(self, spec):
            return Observation.failure(spec, reason)
        try:
            row, distance = self._find(spec)
        except InputError as error:
            return Observation.failure(spec, str(error))
        runs = self.runs
        values = self._values(row)
        name = self._name(row)
        missing = [k for k in runs.metrics if k not in values]
        if missing:
            return Observation.failure(spec, f"{name} of the table has no value of {missing[0]!r}")
        column = runs.facts.get("seconds")
        facts = {"row": row, "run": name, "hellinger": distance}
        return Observation.of(
            spec,
            values,
            curve=self._curve(row),
            flops=float(runs.costs[row]),
            seconds=0.0 if column is None else float(np.nan_to_num(column.iloc[row])),
            info=facts | ({"mixture": self._mixture(row).to_dict()} if distance else {}),
        )

    def _find(self, spec: RunSpec) -> tuple[int, float]:
        """The row that answers, and its Hellinger distance (0 for the same mixture).

        Raises:
            InputError: none does; the message names the nearest.
        """
        runs, shares = self.runs, spec.mixture.to_dict()
        unknown = next((d for d, w in shares.items() if w > 0 and d not in runs.domains), None)
        if unknown:
            known = did_you_mean(unknown, runs.domains)
            raise InputError(f"the table has no domain {unknown!r}; {known}")
        rows = self._at_scale(spec)
        w = np.array([shares.get(d, 0.0) for d in runs.domains])
        gaps: Array = np.abs(runs.W[rows] - w).max(axis=1)
        same = rows[gaps <= self.tolerance]
        if len(same):
            closest = same[gaps[gaps <= self.tolerance] <= gaps.min() + 1e-9]
            return self._with_seed(closest, spec), 0.0
        distances = simplex.hellinger_distance(w, runs.W[rows])[0]
        best = float(distances.min())
        near = rows[distances <= best + 1e-9]
        if self.nearest and best <= self.radius:
            return self._with_seed(near, spec), best
        row = int(near[0])
        raise InputError(
            f"no run of the table has this mixture; the nearest is {self._name(row)} "
            f"({_shown(self._mixture(row))}), which differs by {gaps.min():.3g} in a weight "
            f"(tolerance {self.tolerance:g}) and lies at Hellinger distance {best:.3g}"
            + (f", outside the radius {self.radius:g}" if self.nearest else "")
            + "; ask for its mixture, or let nearest runs answer (nearest: true, with a radius)"
        )

    def _at_scale(self, spec: RunSpec) -> Rows:
        scales = self.runs.scales
        fits = np.isnan(scales) | (scales == [spec.scale.params, spec.scale.tokens])
        rows = np.flatnonzero(fits.all(axis=1))
        if not len(rows):
            known = sorted({(p, d) for p, d in scales.tolist()})[:8]
            listing = ", ".join(f"({p:g}, {d:g})" for p, d in known)
            raise InputError(
                f"the table has no run of scale {spec.scale}; its (params, tokens): {listing}"
            )
        return rows

    def _with_seed(self, rows: Rows, spec: RunSpec) -> int:
        """Of equally near runs, the one with the spec's seed, or the seed-th of them."""
        column = self.runs.facts.get("seed")
        if column is None or self.any_seed:
            return int(rows[spec.seed % len(rows)])
        seeds = column.to_numpy(dtype=float)[rows]
        fits = rows[np.isnan(seeds) | (seeds == spec.seed)]
        if not len(fits):
            known = ", ".join(f"{s:g}" for s in sorted(set(seeds.tolist()))[:8])
            raise InputError(
                f"the table has this mixture with seed {known}, not {spec.seed}; ask for one of "
                "these, or set any_seed: true"
            )
        return int(fits[spec.seed % len(fits)])

    def _curve(self, row: int) -> tuple[Point, ...]:
        """Rows of the same run, size and seed at fewer tokens."""
        frame = self.runs.facts
        if "run" not in frame or not np.isfinite(self.runs.scales[row, 1]):
            return ()
        same = (frame["run"] == frame["run"].iloc[row]).to_numpy()
        for name in ("params", "seed"):
            if name in frame:
                same = (
                    same & (frame[name].isna() | (frame[name] == frame[name].iloc[row])).to_numpy()
                )
        tokens = self.runs.scales[:, 1]
        earlier = np.flatnonzero(same & (tokens < tokens[row]) & (tokens > 0))
        whole = [int(i) for i in earlier if np.isfinite(self.runs.Y[i]).all()]
        points = {int(tokens[i]): self._values(i) for i in whole}
        return tuple(Point(t, points[t]) for t in sorted(points))

    def _values(self, row: int) -> dict[str, float]:
        pairs = zip(self.runs.metrics, self.runs.Y[row].tolist(), strict=True)
        return {name: value for name, value in pairs if np.isfinite(value)}

    def _name(self, row: int) -> str:
        names: Any = self.runs.facts.get("run")
        return f"run {row if names is None else names.iloc[row]}"

    def _mixture(self, row: int) -> Mixture:
        return Mixture(self.runs.domains, tuple(self.runs.W[row].tolist()))


def _shown(mixture: Mixture) -> str:
    parts = [f"{d} {w:.3g}" for d, w in mixture.to_dict().items() if w > 0]
    return ", ".join(parts[:6]) + (", ..." if len(parts) > 6 else "")
