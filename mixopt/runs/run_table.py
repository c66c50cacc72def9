"""The tidy run table: studies, benchmarks and users' own results as arrays.

Notation:
    n runs, m domains, k metrics
    W: (n, m) mixtures; Y: (n, k) metrics, NaN where a run has none
    scales: (n, 2) parameters and tokens of every run, NaN where the table does not say
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixopt.errors import InputError, did_you_mean
from mixopt.runs import tidy
from mixopt.runs.columns import METRIC, WEIGHT
from mixopt.runs.conditions import rows_where
from mixopt.runs.objective import Objective
from mixopt.runs.realised import Realised, mean_of
from mixopt.runs.run_spec import UNSTATED, Observation, RunSpec
from mixopt.space import Mixture, html, simplex
from mixopt.space.simplex import Array

_SHOWN = 8  # rows in a notebook


@dataclass(frozen=True, eq=False)
class RunTable:
    """Runs as arrays: checked once, where they come in, and handed on as they are.

    >>> frame = pd.DataFrame({"w/web": [0.7, 0.2], "w/code": [0.3, 0.8], "m/loss": [2.1, 2.4]})
    >>> table = RunTable.from_frame(frame)
    >>> len(table), table.domains, table.metric("loss").tolist()
    (2, ('web', 'code'), [2.1, 2.4])

    Attributes:
        domains: (m,) names.
        metrics: (k,) names.
        W: (n, m) mixtures, rows on the simplex.
        Y: (n, k) metrics, NaN where missing.
        facts: (n rows) every other column that was given (`run`, `params`, `seed`, ...).
        notes: what was not used or looks odd where the runs come from, in plain words.
    """

    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    W: Array
    Y: Array
    facts: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.W)

    @property
    def frame(self) -> pd.DataFrame:
        """The table in the tidy format, facts first."""
        weights = pd.DataFrame(self.W, columns=[WEIGHT + d for d in self.domains])
        metrics = pd.DataFrame(self.Y, columns=[METRIC + k for k in self.metrics])
        return pd.concat([self.facts, weights, metrics], axis=1)

    def _repr_html_(self) -> str:
        frame = self.frame
        if len(self.domains) > html.MOST_ROWS:  # a run a line, its largest shares in words
            shares = [dict(zip(self.domains, w.tolist(), strict=True)) for w in self.W[:_SHOWN]]
            metrics = pd.DataFrame(self.Y[:_SHOWN], columns=[METRIC + k for k in self.metrics])
            named = pd.DataFrame({"mixture": [html.in_words(of_run) for of_run in shares]})
            frame = pd.concat([self.facts.head(_SHOWN), named, metrics], axis=1)
        told = [c for c in frame if frame[c].notna().any() and set(frame[c]) - {"", 0}]
        rows = [
            [None if pd.isna(v) else v if isinstance(v, str | float) else str(v) for v in row]
            for row in frame[told].head(_SHOWN).to_numpy(dtype=object)
        ]
        count = f"{len(self)} runs, {len(self.domains)} domains, {len(self.metrics)} metrics"
        first = f"; the first {_SHOWN}" if len(self) > _SHOWN else ""
        notes = "".join(html.paragraph(note) for note in self.notes)
        return html.table([str(c) for c in told], rows, count + first) + notes

    @cached_property
    def scales(self) -> Array:
        """(n, 2) parameters and tokens per run, NaN where the table does not say."""
        missing = pd.Series(np.nan, index=self.facts.index)
        columns = [self.facts.get(c, missing) for c in ("params", "tokens")]
        return np.column_stack([np.asarray(c, dtype=float) for c in columns])

    @property
    def costs(self) -> Array:
        """(n,) cost per run: the `cost` column, else 6 * params * tokens, else 1."""
        if "cost" in self.facts:
            return self.facts["cost"].to_numpy(dtype=float)
        flops = 6.0 * self.scales.prod(axis=1)
        return np.where(np.isfinite(flops), flops, 1.0)

    def metric(self, name: str) -> Array:
        """(n,) one metric.

        Raises:
            InputError: the table has no such metric.
        """
        if name not in self.metrics:
            raise InputError(f"unknown metric {name!r}; {did_you_mean(name, self.metrics)}")
        return self.Y[:, self.metrics.index(name)]

    def only(self, metrics: Sequence[str]) -> "RunTable":
        """The same runs with some of the metrics.

        Raises:
            InputError: the table has no such metric.
        """
        Y = np.column_stack([self.metric(name) for name in metrics])
        return replace(self, metrics=tuple(metrics), Y=Y)

    def take(self, rows: Sequence[int] | NDArray[np.integer[Any] | np.bool_]) -> "RunTable":
        """The runs at integer positions, or where a boolean mask holds."""
        picked = np.asarray(rows)
        facts = self.facts.iloc[picked].reset_index(drop=True)
        return replace(self, W=self.W[picked], Y=self.Y[picked], facts=facts)

    def named(self, row: int) -> str:
        """A run by its name, else by its row (counted from 1), with its largest shares."""
        name = self.facts["run"].iloc[row] if "run" in self.facts else None
        known = f"row {row + 1}" if name is None or pd.isna(name) else f"run {name}"
        shares = dict(zip(self.domains, self.W[row].tolist(), strict=True))
        return f"{known} ({html.in_words(shares, most=2)})"

    def within(self, domains: Sequence[str]) -> "RunTable":
        """The same runs over other domains: in their order, 0 where the table has none.

        Raises:
            InputError: a run gives weight to a domain that is not among them.
        """
        names = tuple(domains)
        if names == self.domains:
            return self
        positions = {name: i for i, name in enumerate(names)}
        W = np.zeros((len(self), len(names)))
        for j, name in enumerate(self.domains):
            if name in positions:
                W[:, positions[name]] = self.W[:, j]
            elif (self.W[:, j] > 0).any():
                row = int(np.argmax(self.W[:, j] > 0))
                raise InputError(
                    f"{self.named(row)} gives {self.W[row, j]:.3g} of its tokens to {name!r}, "
                    "which the space does not hold; add the domain, or leave the run out"
                )
        return replace(self, domains=names, W=W)

    def with_notes(self, *notes: str) -> "RunTable":
        """The same runs with more notes, before those that are there."""
        return replace(self, notes=tuple(dict.fromkeys([*notes, *self.notes])))

    def values(self, metrics: Sequence[str]) -> Array:
        """(n, k) metrics by name, NaN where the table lacks one."""
        missing = np.full(len(self), np.nan)
        columns = [self.metric(k) if k in self.metrics else missing for k in metrics]
        return np.column_stack(columns) if columns else np.empty((len(self), 0))

    def query(self, condition: str) -> "RunTable":
        """The runs for which a condition on the columns holds: `"params == 1e6 and seed == 0"`.

        Raises:
            InputError: the condition cannot be read (see `mixopt.runs.conditions`), or no run
                satisfies it.
        """
        mask = rows_where(self.frame, condition)
        if not mask.any():
            raise InputError(f"no run of the table satisfies {condition!r}")
        return self.take(np.flatnonzero(mask))

    @classmethod
    def joined(cls, tables: Sequence["RunTable"]) -> "RunTable":
        """Tables of the same domains, one after another; a metric that one lacks is missing there.

        Raises:
            InputError: no table, or domains that differ (see `within`).
        """
        if not tables:
            raise InputError("no table was given; give at least one")
        if len(tables) == 1:
            return tables[0]
        domains = tables[0].domains
        if any(table.domains != domains for table in tables):
            raise InputError("the tables have different domains; express them in one set first")
        metrics = tuple(dict.fromkeys(k for table in tables for k in table.metrics))
        return cls(
            domains,
            metrics,
            np.vstack([table.W for table in tables]),
            np.vstack([table.values(metrics) for table in tables]),
            pd.concat([table.facts for table in tables], ignore_index=True),
            tuple(dict.fromkeys(note for table in tables for note in table.notes)),
        )

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, *, where: str | None = None, renormalize: bool = False
    ) -> "RunTable":
        """Read a frame in the tidy format (`w/<domain>`, `m/<metric>`, facts).

        Args:
            frame: one row per run.
            where: use only the rows for which this holds (see `mixopt.runs.conditions`); the
                others are not even checked.
            renormalize: accept weights that sum further than 0.005 from 1.

        Raises:
            InputError: no weight or metric columns, columns or runs that stand there twice, cells
                that are no numbers, weights off the simplex, a scale that is stated by half; the
                first bad cell is named by column and row.
        """
        read = tidy.checked(frame, where=where, renormalize=renormalize)
        return cls(read.domains, read.metrics, read.W, read.Y, read.facts, read.notes)

    @classmethod
    def from_observations(
        cls, observations: Iterable[Observation], domains: Sequence[str] | None = None
    ) -> "RunTable":
        """The runs that succeeded, one row each, with their `seen_mixtures`.

        Args:
            observations: runs; failed ones are left out.
            domains: of the table, in this order; by default all that a run names.

        Raises:
            InputError: no run succeeded, or one gives weight to a domain that is not among these.
        """
        seen = list(observations)
        done = [o for o in seen if o.ok]
        if not done:
            raise InputError(
                f"none of {len(seen)} runs succeeded; there is nothing to fit{last_words(seen)}"
            )
        mixtures = seen_mixtures(done)
        named = tuple(dict.fromkeys(d for mixture in mixtures for d in mixture.domains))
        metrics = tuple(dict.fromkeys(k for o in done for k in o.metrics))
        shares = [mixture.to_dict() for mixture in mixtures]
        W = np.array([[of_run.get(d, 0.0) for d in named] for of_run in shares])
        Y = np.array([[o.metrics.get(k, np.nan) for k in metrics] for o in done])
        table = cls(named, metrics, simplex.as_simplex(W), Y, pd.DataFrame(map(_facts, done)))
        return table if domains is None else table.within(domains)


OBJECTIVE = "objective"
"""The one metric of runs that are told by the objective alone."""


def as_objective(runs: RunTable, objective: Objective) -> RunTable:
    """The runs with the objective as their only metric, `OBJECTIVE`."""
    Y = objective.value(runs.values(objective.needed), objective.needed)[:, None]
    return replace(runs, metrics=(OBJECTIVE,), Y=Y)


def _facts(seen: Observation) -> dict[str, Any]:
    """What a run table says of a run beside its mixture and metrics."""
    spec = seen.spec
    return {
        "run": spec.run_id,
        "kind": str(spec.kind.what),
        "candidate": spec.kind.candidate,
        "status": seen.status,
        "params": np.nan if spec.scale == UNSTATED else spec.scale.params,
        "tokens": np.nan if spec.scale == UNSTATED else spec.scale.tokens,
        "seed": spec.seed,
        "cost": seen.flops,
        "seconds": seen.seconds,
        "error": seen.error,
    }


def seen_mixtures(observations: Sequence[Observation]) -> list[Mixture]:
    """The mixture of each run for all that learns from runs or shows them: what it really drew.

    Draws are whole sequences or batches, so that repeats of a run with other seeds, or at other
    scales, realise shares that differ in the fourth digit; noise and held-out folds need them to be
    one mixture. So runs that were asked for the same have the same mixture here: the one that was
    asked for, where all of them drew it to the grain of their trainer, else the mean of what they
    drew. Runs with a mixer are the same at one scale only. A run whose trainer does not know
    what it drew counts as drawn as asked.

    Returns:
        (n) mixtures, in the order of the runs.
    """
    drawn: dict[str, list[Realised]] = defaultdict(list)
    asked: dict[str, RunSpec] = {}
    for seen in observations:
        if seen.ok and seen.realised is not None and any(seen.tokens.values()):
            drawn[seen.spec.plan].append(seen.realised)
            asked.setdefault(seen.spec.plan, seen.spec)
    others = {
        plan: mean_of(runs, asked[plan].mixture)
        for plan, runs in drawn.items()
        if asked[plan].mixer is not None or not all(r.follows(asked[plan].mixture) for r in runs)
    }
    return [others.get(seen.spec.plan, seen.spec.mixture) for seen in observations]


def last_words(observations: Iterable[Observation]) -> str:
    """What the last failed run says, to end a message with; empty where none says anything."""
    errors = [o.error for o in observations if o.error]
    return f"; the last one says: {errors[-1]}" if errors else ""
