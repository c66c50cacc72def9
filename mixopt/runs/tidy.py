"""The tidy format, checked: a frame with columns `w/<domain>`, `m/<metric>` and facts as arrays.

Everything that is not used is counted and named in the notes; everything that would be guessed is
refused, by column and row, with what to do.

Notation:
    n runs, m domains, k metrics; W: (n, m) mixtures; Y: (n, k) metrics, NaN where missing
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixopt.errors import InputError
from mixopt.runs.cells import (
    LARGEST,
    checked_facts,
    decimal_commas,
    finished,
    numbers,
    text_of,
    where_in,
)
from mixopt.runs.columns import (
    EPOCHS,
    FACTS,
    METRIC,
    WEIGHT,
    Role,
    clean_headers,
    fact_of,
    is_bookkeeping,
    is_identifier,
    is_unnamed,
    listing,
    resembles,
    role_of,
    shares_among,
    simple,
)
from mixopt.runs.conditions import rows_where
from mixopt.runs.epoch_columns import check_epochs
from mixopt.space import simplex
from mixopt.space.simplex import SUM_TOLERANCE, Array

_STEPS = frozenset({"step", "steps", "global_step", "epoch", "iter", "iteration", "checkpoint"})
_OUTLIER = 1e4  # distances from the median, in median distances, at which a value is named


@dataclass(frozen=True)
class Tidy:
    """The checked parts of a run table; see `mixopt.runs.run_table.RunTable`."""

    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    W: Array
    Y: Array
    facts: pd.DataFrame
    notes: tuple[str, ...]


def checked(frame: pd.DataFrame, *, where: str | None = None, renormalize: bool = False) -> Tidy:
    """Check a frame in the tidy format.

    Args:
        frame: one row per run.
        where: use only the rows for which this holds; see `mixopt.runs.conditions`.
        renormalize: accept weights that sum further than 0.005 from 1.

    Raises:
        InputError: the first rule that is broken, by column and row.
    """
    named, notes = _named(frame)
    weights = [c for c in named.columns if c.startswith(WEIGHT)]
    metrics = [c for c in named.columns if role_of(c) is Role.METRIC]
    for prefix, given, noun in ((WEIGHT, weights, "domain"), (METRIC, metrics, "metric")):
        if not given:
            raise InputError(
                f"the table has no column that starts with {prefix!r} (one per {noun}); its "
                f"columns are: {', '.join(named.columns[:12])}"
            )
    if named.empty:
        raise InputError("the table has no rows; give at least one run")
    if where is not None:
        named = _picked(named, where)
    named, more = finished(named)
    named, copies = _without_copies(named)
    notes = [*notes, *more, *copies]
    commas = decimal_commas(named, [*weights, *metrics])
    weights, odd, W = _mixtures(named, weights, commas=commas, renormalize=renormalize)
    Y, gaps = _metrics(named, metrics, commas=commas)
    rest = named.drop(columns=[*weights, *metrics])
    facts = checked_facts(rest, commas=commas)
    passes = check_epochs(rest, facts, [c[len(WEIGHT) :] for c in weights], W, commas=commas)
    facts = facts.assign(**passes)
    check_scales(facts)
    check_identity(facts)
    return Tidy(
        tuple(c[len(WEIGHT) :] for c in weights),
        tuple(c[len(METRIC) :] for c in metrics),
        W,
        Y,
        facts,
        (*notes, *odd, *_unused(rest), *_unseen(weights, W), *gaps),
    )


def _named(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The frame with clean headers, facts and the run's name under the names that are used."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    names = clean_headers([str(c) for c in frame.columns])
    notes = []
    renamed: dict[str, str] = {}
    for fact in FACTS:
        also = [c for c in names if fact_of(c) == fact and c != fact]
        if not also:
            continue
        if len(also) > 1 or fact in names:
            both = [c for c in names if fact_of(c) == fact]
            raise InputError(f"the columns {listing(both)} all state {fact!r}; keep one of them")
        renamed[also[0]] = fact
    out = frame.reset_index(drop=True)
    out.columns = pd.Index(names)
    if "run" not in names:
        able = [c for c in names if is_identifier(c) and not is_unnamed(c)]
        sure = [c for c in able if simple(c) in {"run", "run_id", "run_name"}]
        weak = [c for c in able if simple(c) != "index" and out[c].notna().all()]
        weak = [c for c in weak if out[c].is_unique]
        if picked := (sure or weak)[:1]:
            renamed[picked[0]] = "run"
    if renamed:
        told = ", ".join(f"{a!r} as {b!r}" for a, b in renamed.items())
        notes.append(f"columns are read under the names that mixopt uses: {told}")
    return out.rename(columns=renamed), notes


def _picked(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    mask = rows_where(frame, where)
    if not mask.any():
        used = [c for c in frame.columns if c in where and c[:2] not in {WEIGHT, METRIC}]
        held = "; ".join(
            f"{c} holds {listing([text_of(v) for v in frame[c].dropna().unique()])}" for c in used
        )
        raise InputError(f"no run of the table satisfies {where!r}" + (f"; {held}" if held else ""))
    return frame[mask].reset_index(drop=True)


def _without_copies(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rows that repeat another in every cell, name of the run included, are one run."""
    if "run" not in frame or frame["run"].isna().any():
        return frame, []
    copies = frame.duplicated().to_numpy()
    if not copies.any():
        return frame, []
    note = f"{copies.sum()} of {len(frame)} rows repeat another in every cell and are left out"
    return frame[~copies].reset_index(drop=True), [note]


def _mixtures(
    frame: pd.DataFrame, columns: list[str], *, commas: bool, renormalize: bool
) -> tuple[list[str], list[str], Array]:
    """Columns that are shares, notes on those that are none, and (n, m) the mixtures.

    Raises:
        InputError: a cell that is no share, or a row that does not sum to 1.
    """
    V = numbers(frame, columns, commas=commas)
    doubtful = [c for c in columns if is_bookkeeping(c[2:]) or is_identifier(c[2:])]
    notes: list[str] = []
    if doubtful and np.isfinite(V).all() and (np.abs(V.sum(axis=1) - 1) > SUM_TOLERANCE).any():
        keep = [i for i, c in enumerate(columns) if c not in doubtful]
        columns, V = [columns[i] for i in keep], V[:, keep]
        notes.append(f"no domain, but a name or bookkeeping: {listing(doubtful)}")
        if not columns:
            raise InputError(f"no column is a share; {notes[0]}")
    for broken, rule in (
        (~np.isfinite(V), "is no share; every run needs a number for every domain, 0 for none"),
        (V < -1e-9, "is a negative share; correct it, or leave the run out"),
    ):
        if broken.any():
            row, column = (int(i) for i in np.argwhere(broken)[0])
            raise InputError(
                f"column {columns[column]!r} holds {text_of(frame[columns[column]].iloc[row])} in "
                f"{where_in(frame, row)}, which {rule}"
            )
    sums = V.sum(axis=1)
    off = (sums <= 0) if renormalize else (np.abs(sums - 1.0) > SUM_TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        raise InputError(
            f"weights of {where_in(frame, row)} sum to {sums[row]:.4g} (expected 1 +- "
            f"{SUM_TOLERANCE}){_remedy(columns, V)}"
        )
    return columns, notes, simplex.as_simplex(V, renormalize=renormalize)


def _remedy(columns: list[str], V: Array) -> str:
    """What makes the rows sum to 1 without changing what they say."""
    sums = V.sum(axis=1)
    if (sums <= 0).any():
        return "; a run has to train on something: correct the row, or leave it out"
    fewer = shares_among(columns, V)
    if fewer is not None and len(fewer.columns) > 1 and fewer.left_out:
        return f"; without {listing(fewer.left_out)} every row does: drop or rename that"
    if np.ptp(sums) <= 0.01 * sums.mean():
        return "; all rows sum to about that: renormalize=True (--renormalize) scales them to 1"
    return (
        "; add the columns of domains that are missing; if none is, renormalize=True "
        "(--renormalize) scales every row to sum to 1"
    )


def _metrics(frame: pd.DataFrame, columns: list[str], *, commas: bool) -> tuple[Array, list[str]]:
    """(n, k) metrics, NaN where missing or infinite, and notes that count those.

    Raises:
        InputError: a cell that is no number, or no value at all.
    """
    raw = numbers(frame, columns, commas=commas)
    with np.errstate(invalid="ignore"):
        infinite = np.isinf(raw) | (np.abs(raw) > LARGEST)
    Y = np.where(infinite, np.nan, raw)
    gone = np.isnan(Y)
    if gone.all():
        raise InputError("no run has a finite value of any metric; there is nothing to fit")
    lacking = [
        f"{g} of {len(Y)} runs lack {c}" + (f" ({i} of them infinite)" if i else "")
        for c, g, i in zip(columns, gone.sum(axis=0), infinite.sum(axis=0), strict=True)
        if g
    ]
    notes = lacking[:6]
    if len(lacking) > 6:
        notes.append(f"{len(lacking) - 6} more metrics are missing in some runs")
    return Y, [*notes, *_outliers(frame, columns, Y)]


def _outliers(frame: pd.DataFrame, columns: list[str], Y: Array) -> list[str]:
    """Values so far from all others that they alone would decide what a law learns."""
    notes = []
    for column, y in zip(columns, Y.T, strict=True):
        known = y[np.isfinite(y)]
        if len(known) < 5:
            continue
        away = np.abs(y - np.median(known))
        typical = max(float(np.median(away[np.isfinite(away)])), 1e-12)
        far = np.flatnonzero(np.nan_to_num(away) > _OUTLIER * typical)
        if 0 < len(far) <= len(known) // 4 and (away[far] > np.abs(np.median(known))).any():
            row = int(far[np.argmax(away[far])])
            notes.append(
                f"{column} of {where_in(frame, row)} is {y[row]:.4g}, far from all others (median "
                f"{np.median(known):.4g}): it bends the law; leave the run out if it diverged"
            )
    return notes


def _unused(rest: pd.DataFrame) -> list[str]:
    """Columns that neither weights, metrics nor facts come from."""
    notes = []
    kept = [c for c in rest.columns if c.startswith(METRIC)]
    if kept:
        notes.append(f"bookkeeping, no metric: {listing(kept)}; rename what is one")
    others = [
        c
        for c in rest.columns
        if not c.startswith((WEIGHT, METRIC, EPOCHS))
        and c not in {"run", *FACTS}
        and not is_unnamed(c)
    ]
    if others:
        notes.append(f"used by --where alone: {_plural(len(others))}, {listing(others)}")
    alike = {c: name for c in others if (name := resembles(c))}
    if alike:
        told = ", ".join(f"{c!r} ({name!r}?)" for c, name in list(alike.items())[:6])
        notes.append(f"columns that look like a weight or metric and are not used: {told}")
    return notes


def _plural(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _unseen(columns: list[str], W: Array) -> list[str]:
    never = [c for c, used in zip(columns, W.max(axis=0) > 0, strict=True) if not used]
    if not never:
        return []
    return [f"no run gives weight to {listing(never)}: what that would do is not known"]


def check_scales(facts: pd.DataFrame) -> None:
    """Refuse a scale that is stated by half: sizes must not be pooled as noise.

    Raises:
        InputError: `params` or `tokens` is missing in some rows, or varies without the other.
    """
    for column, other in (("params", "tokens"), ("tokens", "params")):
        if column not in facts:
            continue
        missing = facts[column].isna()
        if missing.any():
            row = int(missing.to_numpy().argmax())
            raise InputError(
                f"column {column!r} is empty in {where_in(facts, row)} ({missing.sum()} of "
                f"{len(facts)} rows) and stated in others; state it in every row, or leave those "
                f'rows out (--where "{column} > 0")'
            )
        sizes = facts[column].unique()
        if len(sizes) > 1 and other not in facts:
            raise InputError(
                f"column {column!r} varies ({listing([f'{s:.4g}' for s in sizes])}) and there is "
                f"no column {other!r}, so these would not be told apart as scales; add {other!r}, "
                f'or fit one size (--where "{column} == {sizes[0]:g}")'
            )


def check_identity(facts: pd.DataFrame) -> None:
    """Refuse a run that stands in several rows of one scale and seed.

    Raises:
        InputError: such a run; the message says how to tell its rows apart.
    """
    if "run" not in facts:
        return
    parts = ["run", *(c for c in ("params", "tokens", "seed") if c in facts)]
    twice = (facts.duplicated(parts) & facts["run"].notna()).to_numpy()
    if not twice.any():
        return
    row = int(twice.argmax())
    steps = [
        c
        for c in facts.columns
        if c not in parts and simple(c) in _STEPS and facts[c].nunique() > 1
    ]
    last = ""
    if steps:
        value = facts[steps[0]].iloc[-1]
        shown = f"'{value}'" if isinstance(value, str) else f"{value:g}"
        name = steps[0] if steps[0].isidentifier() else f"`{steps[0]}`"
        last = f', or keep one row of each (--where "{name} == {shown}")'
    raise InputError(
        f"run {text_of(facts['run'].iloc[row])} stands in several rows of one scale "
        f"({int(twice.sum())} rows repeat a run); say what tells them apart in a column 'tokens' "
        f"(checkpoints of one run) or 'seed' (repeats){last}"
    )
