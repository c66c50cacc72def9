"""The tidy run table: studies, benchmarks and users' own results as arrays.

Notation:
    n runs, m domains, k metrics
    W: (n, m) mixtures; Y: (n, k) metrics, NaN where a run has none
    scales: (n, 2) parameters and tokens of every run, NaN where the table does not say
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixopt.errors import InputError, did_you_mean
from mixopt.runs.objective import Objective
from mixopt.runs.realised import Realised, mean_of
from mixopt.runs.run_spec import UNSTATED, Observation, RunSpec
from mixopt.space import Mixture, simplex
from mixopt.space.simplex import Array

WEIGHT, METRIC = "w/", "m/"
_FACTS = ("run", "params", "tokens", "seed", "cost")


@dataclass(frozen=True, eq=False)
class RunTable:
    """Runs as arrays: checked once, where they come in, and handed on as they are.

    Attributes:
        domains: (m,) names.
        metrics: (k,) names.
        W: (n, m) mixtures, rows on the simplex.
        Y: (n, k) metrics, NaN where missing.
        facts: (n rows) every other column that was given (`run`, `params`, `seed`, ...).
    """

    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    W: Array
    Y: Array
    facts: pd.DataFrame

    def __len__(self) -> int:
        return len(self.W)

    @property
    def frame(self) -> pd.DataFrame:
        """The table in the tidy format, facts first."""
        weights = pd.DataFrame(self.W, columns=[WEIGHT + d for d in self.domains])
        metrics = pd.DataFrame(self.Y, columns=[METRIC + k for k in self.metrics])
        return pd.concat([self.facts, weights, metrics], axis=1)

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
        return RunTable(self.domains, tuple(metrics), self.W, Y, self.facts)

    def take(self, rows: Sequence[int] | NDArray[np.integer[Any] | np.bool_]) -> "RunTable":
        """The runs at integer positions, or where a boolean mask holds."""
        picked = np.asarray(rows)
        facts = self.facts.iloc[picked].reset_index(drop=True)
        return RunTable(self.domains, self.metrics, self.W[picked], self.Y[picked], facts)

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
                    f"run {row} gives {self.W[row, j]:.3g} of its tokens to {name!r}, which the "
                    "space does not hold; add the domain, or leave the run out"
                )
        return RunTable(names, self.metrics, W, self.Y, self.facts)

    def values(self, metrics: Sequence[str]) -> Array:
        """(n, k) metrics by name, NaN where the table lacks one."""
        missing = np.full(len(self), np.nan)
        columns = [self.metric(k) if k in self.metrics else missing for k in metrics]
        return np.column_stack(columns) if columns else np.empty((len(self), 0))

    def query(self, condition: str) -> "RunTable":
        """The runs for which a pandas query holds, e.g. `"params == 1e6 and split == 'train'"`.

        Raises:
            InputError: the condition cannot be read, or no run satisfies it.
        """
        try:
            mask = np.asarray(self.frame.eval(condition), dtype=bool)
        except (ValueError, TypeError, SyntaxError, KeyError, NameError) as error:
            raise InputError(
                f"cannot apply the condition {condition!r}: {error}; columns besides weights and "
                f"metrics: {', '.join(str(c) for c in self.facts)}"
            ) from error
        if mask.shape != (len(self),) or not mask.any():
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
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, renormalize: bool = False) -> "RunTable":
        """Read a frame in the tidy format (`w/<domain>`, `m/<metric>`, facts).

        Raises:
            InputError: no weight or metric columns, duplicated columns, values that are no
                numbers, weights off the simplex (the first bad run is named).
        """
        columns = [str(c) for c in frame.columns]
        if len(set(columns)) < len(columns):
            twice = next(c for c in columns if columns.count(c) > 1)
            raise InputError(f"the table has the column {twice!r} twice; drop or rename one")
        weights = [c for c in columns if c.startswith(WEIGHT)]
        metrics = [c for c in columns if c.startswith(METRIC)]
        for prefix, named, noun in ((WEIGHT, weights, "domain"), (METRIC, metrics, "metric")):
            if not named:
                raise InputError(
                    f"the table has no column that starts with {prefix!r} (one per {noun}); its "
                    f"columns are: {', '.join(columns[:12])}"
                )
        if frame.empty:
            raise InputError("the table has no rows; give at least one run")
        tidy = frame.reset_index(drop=True)
        tidy.columns = pd.Index(columns)
        W = simplex.as_simplex(_numbers(tidy, weights), renormalize=renormalize)
        Y = _numbers(tidy, metrics)
        return cls(
            tuple(c[len(WEIGHT) :] for c in weights),
            tuple(c[len(METRIC) :] for c in metrics),
            W,
            np.where(np.isfinite(Y), Y, np.nan),
            tidy[[c for c in columns if c not in {*weights, *metrics}]],
        )

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
            raise InputError(f"none of {len(seen)} runs succeeded; there is nothing to fit")
        mixtures = seen_mixtures(done)
        named = tuple(dict.fromkeys(d for mixture in mixtures for d in mixture.domains))
        metrics = tuple(dict.fromkeys(k for o in done for k in o.metrics))
        shares = [mixture.to_dict() for mixture in mixtures]
        W = np.array([[of_run.get(d, 0.0) for d in named] for of_run in shares])
        Y = np.array([[o.metrics.get(k, np.nan) for k in metrics] for o in done])
        table = cls(named, metrics, simplex.as_simplex(W), Y, pd.DataFrame(map(_facts, done)))
        return table if domains is None else table.within(domains)


def standardized(objective: Objective, runs: RunTable) -> Objective:
    """The objective with its metrics in units of their sd over runs, where it asks for that.

    The runs of one scale decide, the scale with the most of them (the smallest of several): a
    difference of level between two scales is no spread between mixtures.
    """
    if not objective.standardize:
        return objective
    scales, number = np.unique(np.nan_to_num(runs.scales), axis=0, return_inverse=True)
    largest = np.bincount(number.reshape(-1), minlength=len(scales)).argmax()
    return objective.standardized(runs.Y[number.reshape(-1) == largest], runs.metrics)


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


def read_table(
    path: str | Path, metrics: str | Path | None = None, *, renormalize: bool = False
) -> RunTable:
    """Read a run table from CSV or parquet.

    Args:
        path: a tidy table; or the mixtures of a two-file layout, RegMix's
            (`*_mixture_*.csv` with `*_loss_*.csv`) or Olmix's (`ratios.csv` with `metrics.csv`).
        metrics: the second file of such a layout; found beside the first by its name if left out.
        renormalize: accept weights that sum further than 0.005 from 1.

    Raises:
        InputError: the file is missing or unreadable, or the table breaks a rule.
    """
    first = Path(path)
    frame = _read(first)
    if not any(str(c).startswith(WEIGHT) for c in frame.columns):
        second = Path(metrics) if metrics is not None else _partner(first)
        if second is None:
            raise InputError(
                f"{first}: no column starts with {WEIGHT!r}, and no file of metrics is beside it; "
                "write one row per run with columns w/<domain> and m/<metric>"
            )
        frame = _join(frame, _read(second), first, second)
    try:
        return RunTable.from_frame(frame, renormalize=renormalize)
    except InputError as error:
        raise InputError(f"{first}: {error}") from error


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a run table in CSV or parquet")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: cannot be read as {path.suffix or 'a table'}: {error}"
        ) from error


def _partner(path: Path) -> Path | None:
    for mark, other in (("_mixture_", "_loss_"), ("ratios", "metrics")):
        if mark in path.name:
            candidate = path.with_name(path.name.replace(mark, other))
            return candidate if candidate.is_file() else None
    return None


def _join(ratios: pd.DataFrame, metrics: pd.DataFrame, first: Path, second: Path) -> pd.DataFrame:
    """Two files joined on the key that they share, columns renamed to the tidy format."""
    shared = [c for c in ratios.columns if c in set(metrics.columns)]
    known = [c for c in ("index", "run", "run_id", "id", "name", "Unnamed: 0") if c in shared]
    key = next(iter([*known, *shared]), None)
    if key is None:
        raise InputError(f"{first} and {second} share no column to join on; name one 'run'")
    if ratios[key].duplicated().any() or metrics[key].duplicated().any():
        raise InputError(f"{first} or {second} has a value of {key!r} twice; it must name a run")
    both = _prefixed(ratios, key, WEIGHT).merge(_prefixed(metrics, key, METRIC), on=key)
    if both.empty:
        raise InputError(f"{first} and {second} have no value of {key!r} in common")
    return both.rename(columns={key: "run"})


def _prefixed(frame: pd.DataFrame, key: str, prefix: str) -> pd.DataFrame:
    """The key and the numeric columns, under the tidy names.

    RegMix writes `train_<domain>` and `metric/<validation set>/loss`-like headers; the words that
    all columns share at either end say nothing and are cut.
    """
    numeric = [
        c
        for c in frame.columns
        if c != key and str(c) not in _FACTS and pd.api.types.is_numeric_dtype(frame[c])
    ]
    names = _trim_common([str(c) for c in numeric])
    renamed = {c: prefix + n for c, n in zip(numeric, names, strict=True)}
    return frame[[key, *numeric]].rename(columns=renamed)


def _trim_common(names: list[str]) -> list[str]:
    if len(names) < 2:
        return names
    for separator in ("/", "_"):
        parts = [n.split(separator) for n in names]
        while min(map(len, parts)) > 1 and len({p[0] for p in parts}) == 1:
            parts = [p[1:] for p in parts]
        while min(map(len, parts)) > 1 and len({p[-1] for p in parts}) == 1:
            parts = [p[:-1] for p in parts]
        names = [separator.join(p) for p in parts]
    return names


def _numbers(frame: pd.DataFrame, columns: list[str]) -> Array:
    for column in columns:
        values = frame[column]
        if not pd.api.types.is_numeric_dtype(values):
            bad = pd.to_numeric(values, errors="coerce").isna() & values.notna()
            example = values[bad].iloc[0] if bad.any() else "empty"
            raise InputError(f"column {column!r} holds {example!r}, which is no number")
    return frame[columns].to_numpy(dtype=float)
