"""Cells of somebody's table as numbers: counts with units, costs, seeds; the rest is refused.

Every message names column, row (as counted below the header) and what the cell holds.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mixopt import lazy
from mixopt.errors import InputError
from mixopt.runs.columns import FACTS, listing
from mixopt.space.simplex import Array

LARGEST = 1e100
"""Metrics beyond this count as infinite: a run whose loss overflowed."""

_THOUSANDS = re.compile(r"^\s*\d{1,3}([,_' \u00a0\u202f.])\d{3}(\1\d{3})*\s*$")
_DECIMAL_COMMA = re.compile(r"^\s*[-+]?(0?|\d+),\d+([eE][-+]?\d+)?\s*$")
_SURE_COMMA = re.compile(r"^\s*[-+]?(0?,\d+|\d+,(\d{1,2}|\d{4,}))([eE][-+]?\d+)?\s*$")

FINISHED = frozenset(
    {"ok", "done", "finished", "complete", "completed", "success", "succeeded", "true", "passed"}
)
_FLAGS = ("failed", "diverged", "crashed")


def text_of(value: object) -> str:
    """A cell for a message, short."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 40 else text[:37] + "..."


def where_in(frame: pd.DataFrame, row: int) -> str:
    """`row 3`, or `row 3 (run 'x')`: rows count from 1 below the header."""
    name = frame["run"].iloc[row] if "run" in frame else None
    return f"row {row + 1}" + ("" if name is None or pd.isna(name) else f" (run {text_of(name)})")


def is_text(values: pd.Series) -> bool:
    """Whether a column has to be read cell by cell: text, dates, or truth values."""
    return not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)


def decimal_commas(frame: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Whether numbers of a table are written with decimal commas, and none with a point."""
    sure = False
    for column in columns:
        values = frame[column]
        if not is_text(values):
            known = values.dropna()
            if pd.api.types.is_float_dtype(known) and (known % 1 != 0).any():
                return False
            continue
        cells = values.dropna().astype(str)
        if cells.str.contains(".", regex=False).any():
            return False
        sure = sure or bool(cells.str.match(_SURE_COMMA).any())
    return sure


def has_decimal_commas(values: pd.Series) -> bool:
    """Whether every cell of a column is a number, and some have a decimal comma."""
    cells = values.dropna().astype(str).str.strip()
    plain = pd.to_numeric(cells, errors="coerce").notna()
    commas = cells.str.match(_DECIMAL_COMMA)
    points = cells.str.contains(".", regex=False)
    return bool((plain | commas).all()) and bool(commas.any()) and not points.any()


def numbers(frame: pd.DataFrame, columns: Sequence[str], *, commas: bool = False) -> Array:
    """(n, c) columns as numbers, NaN where empty.

    Args:
        frame: the table.
        columns: which.
        commas: decimal commas are allowed.

    Raises:
        InputError: a cell that is no number.
    """
    return np.column_stack(
        [_column(frame, c, commas=commas) for c in columns] or [np.empty((len(frame), 0))]
    ).reshape(len(frame), len(columns))


def _column(frame: pd.DataFrame, column: str, *, commas: bool) -> Array:
    values = frame[column]
    if pd.api.types.is_complex_dtype(values):
        raise InputError(f"column {column!r} holds complex numbers; give real ones")
    if not is_text(values):
        return values.to_numpy(dtype=float, na_value=np.nan)
    known = values.dropna()
    if pd.api.types.is_bool_dtype(known) or pd.api.types.is_datetime64_any_dtype(known):
        row = int(np.argmax(values.notna()))
        _refuse(frame, column, row, "is no number; leave the cell empty where there is none")
    cells = known.astype(str).str.strip()
    cells = cells[cells != ""]
    if commas:
        decimal = cells.str.match(_DECIMAL_COMMA)
        cells = cells.where(~decimal, cells.str.replace(",", ".", regex=False))
    read = pd.to_numeric(cells, errors="coerce")
    bad = read.isna() & ~cells.str.lower().isin({"nan", "-nan", "+nan"})
    if bad.any():
        row = int(cells.index.to_numpy()[bad.to_numpy().argmax()])
        rule = "is no number; write one such as 0.25"
        if "," in str(values.iloc[row]):
            rule = "is no number; write a point in place of the comma"
        _refuse(frame, column, row, f"{rule}, or leave the cell empty where there is none")
    out = np.full(len(values), np.nan)
    out[values.index.get_indexer(cells.index)] = read.to_numpy(dtype=float)
    return out


def _refuse(frame: pd.DataFrame, column: str, row: int, rule: str) -> None:
    raise InputError(
        f"column {column!r} holds {text_of(frame[column].iloc[row])} in {where_in(frame, row)}, "
        f"which {rule}"
    )


def checked_facts(frame: pd.DataFrame, *, commas: bool = False) -> pd.DataFrame:
    """The facts with `params`, `tokens`, `seed`, `cost` and `seconds` as numbers.

    Args:
        frame: the facts.
        commas: the table is written with decimal commas.

    Raises:
        InputError: a cell that breaks the rule of its column.
    """
    out = frame.copy()
    for column, read in _READERS.items():
        if column not in out:
            continue
        if out[column].isna().all():
            out = out.drop(columns=column)
            continue
        if commas and is_text(out[column]) and has_decimal_commas(out[column]):
            out[column] = _column(out, column, commas=True)
        out[column] = read(out, column)
    return out


def _counts(frame: pd.DataFrame, column: str) -> Array:
    """Whole numbers above zero; `1M` and `1,000,000` are read as in a spec."""
    values = frame[column]
    cells = values.to_numpy(dtype=object)
    out = np.full(len(cells), np.nan)
    missing = values.isna().to_numpy()
    cache: dict[object, float | None] = {}
    for row in np.flatnonzero(~missing):
        cell = cells[row]
        key = (type(cell), cell)
        if key not in cache:
            cache[key] = _count(cell)
        number = cache[key]
        if number is None:
            _refuse(frame, column, int(row), "is no count; give one above 0, e.g. 1000000 or 1M")
        out[row] = np.nan if number is None else number
    return out


def _count(cell: object) -> float | None:
    if isinstance(cell, bool | np.bool_):
        return None
    if isinstance(cell, str):
        text = cell.strip()
        if _THOUSANDS.match(text) and not re.match(r"^\d{1,3}\.\d{3}$", text):
            text = re.sub(r"[^0-9]", "", text)
        try:
            cell = lazy.load("mixopt.space.counts:read_count")(text)
        except ValueError:
            return None
    try:
        number = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    whole = np.isfinite(number) and number >= 0.5 and abs(number - round(number)) < 1e-6 * number
    return float(round(number)) if whole and number < 1e30 else None


def _seeds(frame: pd.DataFrame, column: str) -> Array:
    values = _column(frame, column, commas=False)
    bad = ~np.isnan(values) & (~np.isfinite(values) | (values != np.round(values)))
    if bad.any():
        _refuse(frame, column, int(np.argmax(bad)), "is no seed; give a whole number")
    return values


def _costs(frame: pd.DataFrame, column: str) -> Array:
    values = _column(frame, column, commas=False)
    bad = np.isinf(values) | (values < 0)
    if bad.any():
        _refuse(frame, column, int(np.argmax(bad)), "is no cost; give a number of at least 0")
    return values


_READERS: dict[str, Callable[[pd.DataFrame, str], Array]] = {
    "params": _counts,
    "tokens": _counts,
    "seed": _seeds,
    "cost": _costs,
    "seconds": _costs,
}
assert set(_READERS) <= set(FACTS)


def finished(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The runs that a table calls finished, and a note on those that are left out.

    Raises:
        InputError: the column `status` says nothing that is understood, or no run finished.
    """
    for flag in _FLAGS:
        if flag in frame and "status" not in frame and frame[flag].isin([True, False, 0, 1]).all():
            frame = frame.assign(status=np.where(frame[flag].astype(bool), flag, "ok"))
    if "status" not in frame:
        return frame, []
    told = frame["status"]
    words = told.astype(str).str.strip().str.lower()
    good = (told.isna() | words.isin(FINISHED)).to_numpy()
    if good.all():
        return frame, []
    counts = told[~good].astype(str).value_counts()
    said = listing([f"{word!r} {n}" for word, n in counts.items()])
    if pd.api.types.is_numeric_dtype(told) or not good.any():
        raise InputError(
            f"column 'status' calls no run finished ({said}); write 'ok' for runs that finished, "
            "or rename the column"
        )
    note = f"{(~good).sum()} of {len(frame)} runs did not finish and are left out (status: {said})"
    return frame[good].reset_index(drop=True), [note]
