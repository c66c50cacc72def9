"""Somebody's results as a run table: one file in the tidy format, or mixtures and metrics in two.

The two-file layouts of RegMix (`train_mixture_1m.csv` with `train_pile_loss_1m.csv`) and Olmix
(`ratios.csv` with `metrics.csv`) are read as their authors publish them, and so is any other pair
whose rows name their run.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mixopt.errors import InputError
from mixopt.runs.cells import has_decimal_commas, is_text, numbers, text_of
from mixopt.runs.columns import (
    IDENTIFIERS,
    METRIC,
    WEIGHT,
    Role,
    fact_of,
    is_unnamed,
    listing,
    role_of,
    shares_among,
    simple,
)
from mixopt.runs.run_table import RunTable
from mixopt.runs.table_files import read_frame

_MIXTURES = re.compile(r"(mixtures?|ratios?|weights|proportions)", re.IGNORECASE)
_KEY = "\0key"
_SECOND = "\0second"  # behind the names of columns that both files have
_RESULTS = re.compile(r"(loss(es)?|metrics?|results?|scores?|evals?)", re.IGNORECASE)


def read_table(
    path: str | Path,
    metrics: str | Path | None = None,
    *,
    where: str | None = None,
    renormalize: bool = False,
) -> RunTable:
    r"""Read a run table from CSV or parquet.

    >>> rows = "run,w/web,w/code,m/loss\na,0.7,0.3,2.1\nb,0.2,0.8,2.4\n"
    >>> _ = Path("runs.csv").write_text(rows)
    >>> len(read_table("runs.csv")), len(read_table("runs.csv", where="run == 'a'"))
    (2, 1)

    Args:
        path: a tidy table; or the mixtures of a two-file layout, RegMix's
            (`*_mixture_*.csv` with `*_loss_*.csv`), Olmix's (`ratios.csv` with `metrics.csv`) or
            any other.
        metrics: the second file of such a layout; found beside the first by its name if left out.
        where: use only the rows for which this holds (see `mixopt.runs.conditions`); the others
            are not even checked.
        renormalize: accept weights that sum further than 0.005 from 1.

    Raises:
        InputError: a file is missing or unreadable, or the table breaks a rule.
    """
    first = Path(path)
    frame, notes = read_frame(first)
    names = [str(c) for c in frame.columns]
    tidy = any(n.startswith(WEIGHT) for n in names)
    second: Path | None = Path(metrics) if metrics is not None else None
    if second is None and not (tidy and any(n.startswith(METRIC) for n in names)):
        second = _partner(first)
        if second is None:
            raise InputError(_no_partner(first, frame, tidy=tidy))
    if second is not None:
        other, more = read_frame(second)
        frame, told = _join(frame, other, (first, second), renormalize=renormalize)
        notes = [*notes, *more, *told]
    try:
        table = RunTable.from_frame(frame, where=where, renormalize=renormalize)
    except InputError as error:
        raise InputError(f"{first}: {error}") from error
    return table.with_notes(*notes)


def _partner(path: Path) -> Path | None:
    """The file of metrics that belongs to a file of mixtures, by their names.

    Raises:
        InputError: several files could be it.
    """
    mark = _MIXTURES.search(path.name)
    if mark is None:
        return None
    before, after = path.name[: mark.start()], path.name[mark.end() :]
    exact: list[Path] = []
    loose: list[Path] = []
    for other in sorted(path.parent.iterdir()):
        name = other.name
        if other == path or not (name.startswith(before) and name.endswith(after)):
            continue
        middle = name[len(before) : len(name) - len(after) if after else None]
        if not other.is_file() or not _RESULTS.search(middle):
            continue
        (exact if _RESULTS.fullmatch(middle) else loose).append(other)
    able = exact or loose
    if len(able) > 1:
        raise InputError(
            f"{path}: {listing([p.name for p in able])} could hold its metrics; name the file "
            "(--metrics FILE)"
        )
    return able[0] if able else None


def _no_partner(path: Path, frame: pd.DataFrame, *, tidy: bool) -> str:
    missing = METRIC if tidy else WEIGHT
    noun = "metric" if tidy else "domain"
    lead = f"{path}: no column starts with {missing!r}, and no file of metrics is beside it"
    numeric = _candidates(frame)
    shares = shares_among(numeric, numbers(frame, numeric)) if numeric and not tidy else None
    if shares is not None and len(shares.columns) > 1:
        rest = [c for c in numeric if c not in shares.columns and role_of(c) is Role.OTHER]
        others = f", and metrics (such as {rest[0]!r}) m/{rest[0]}" if rest else ""
        return (
            f"{lead}; the rows of {listing(shares.columns)} sum to 1: call these columns "
            f"w/{shares.columns[0]}, ...{others}; or name the file of metrics (--metrics FILE)"
        )
    return (
        f"{lead}; name it (--metrics FILE), or write one row per run with a column "
        f"{missing}<{noun}> for every {noun}; the columns are: {listing(list(frame.columns), 12)}"
    )


def _candidates(frame: pd.DataFrame) -> list[str]:
    """Columns that hold numbers and state no fact."""
    return [str(c) for c in frame.columns if not is_text(frame[c]) and fact_of(str(c)) is None]


def _join(
    mixtures: pd.DataFrame,
    metrics: pd.DataFrame,
    files: tuple[Path, Path],
    *,
    renormalize: bool,
) -> tuple[pd.DataFrame, list[str]]:
    """Two files joined on what names their runs, columns renamed to the tidy format."""
    key, other = _keys(mixtures, metrics, files)
    left, notes = _as_mixtures(mixtures, key, files[0], renormalize=renormalize)
    right, told = _as_metrics(metrics, other, files[1])
    left = pd.concat(
        [mixtures[key].rename("run"), _normal(mixtures[key]).rename(_KEY), left], axis=1
    )
    right = pd.concat([_normal(metrics[other]).rename(_KEY), right], axis=1)
    left, right = left[left[_KEY] != ""], right[right[_KEY] != ""]
    lost = [
        f"{n} of {len(frame)} rows of {file.name} have no partner in {partner.name} and are left "
        f"out, e.g. {key} {text_of(frame[name].iloc[int(alone.argmax())])}"
        for frame, name, alone, file, partner in (
            (mixtures, key, _alone(mixtures[key], metrics[other]), files[0], files[1]),
            (metrics, other, _alone(metrics[other], mixtures[key]), files[1], files[0]),
        )
        if (n := int(alone.sum()))
    ]
    shared = [c for c in right.columns if c in left.columns and c != _KEY]
    both = left.merge(right, on=_KEY, suffixes=("", _SECOND))
    notes = [*notes, *told, *lost, *_disagreements(both, shared)]
    return both.drop(columns=[_KEY, *(c + _SECOND for c in shared)]), notes


def _disagreements(both: pd.DataFrame, shared: Sequence[str]) -> list[str]:
    """What the two files say differently of one run; sizes and seeds have to agree.

    Raises:
        InputError: a fact that decides which run a row is differs.
    """
    notes = []
    for name in shared:
        one, other = _normal(both[name]), _normal(both[name + _SECOND])
        differ = ((one != other) & (one != "") & (other != "")).to_numpy()
        if differ.any() and fact_of(name) in {"params", "tokens", "seed"}:
            row = int(differ.argmax())
            raise InputError(
                f"the two files differ in {name!r} of run {text_of(both['run'].iloc[row])}: "
                f"{text_of(both[name].iloc[row])} and {text_of(both[name + _SECOND].iloc[row])}; "
                "correct one"
            )
        if differ.any():
            notes.append(
                f"the two files differ in {name!r} in {differ.sum()} rows; the first file's is kept"
            )
        both[name] = both[name].where(one != "", both[name + _SECOND])
    return notes


def _normal(values: pd.Series) -> pd.Series:
    """Names of runs as text, so that 1, 1.0 and '1' are one name; empty where there is none."""
    if is_text(values):
        return values.fillna("").astype(str).str.strip()
    whole = values.notna() & (values == values.round())
    texts = values.astype(str).where(~whole, values.where(whole, 0).astype("int64").astype(str))
    return texts.where(values.notna(), "").astype(object)


def _alone(values: pd.Series, others: pd.Series) -> np.ndarray:
    return np.asarray(~_normal(values).isin(set(_normal(others)) - {""}))


def _keys(
    mixtures: pd.DataFrame, metrics: pd.DataFrame, files: tuple[Path, Path]
) -> tuple[str, str]:
    """The columns that name runs in both files: the surest name that identifies rows in both.

    Raises:
        InputError: there is none.
    """
    pairs = [(c, c) for c in _named(mixtures) if c in _named(metrics)]
    pairs += [
        (a, b) for a in _named(mixtures)[:1] for b in _named(metrics)[:1] if (a, b) not in pairs
    ]
    pairs += [
        (str(c), str(c))
        for c in mixtures.columns
        if c in metrics.columns and role_of(str(c)) is Role.OTHER
    ]
    tried = []
    for key, other in pairs:
        one, two = _normal(mixtures[key]), _normal(metrics[other])
        one, two = one[one != ""], two[two != ""]
        repeated = one[one.duplicated()]
        if len(repeated):
            tried.append(f"{key!r} names several rows of {files[0].name}")
        elif two.duplicated().any() and "tokens" not in {fact_of(str(c)) for c in metrics.columns}:
            tried.append(
                f"{other!r} has {two[two.duplicated()].iloc[0]!r} twice in {files[1].name}"
            )
        elif not two.isin(set(one)).any():
            tried.append(f"no value of {key!r} is in both")
        else:
            return key, other
    why = f" ({'; '.join(tried)})" if tried else ""
    raise InputError(
        f"{files[0]} and {files[1]} share no column that names each run once{why}; give both a "
        "column 'run' with one name per run"
    )


def _named(frame: pd.DataFrame) -> list[str]:
    """The identifiers of a frame, the surest first, row numbers last."""
    able = [str(c) for c in frame.columns if role_of(str(c)) is Role.IDENTIFIER]
    rank = {name: i for i, name in enumerate(IDENTIFIERS)}
    return sorted(able, key=lambda c: len(rank) if is_unnamed(c) else rank[simple(c)])


def _as_mixtures(
    frame: pd.DataFrame, key: str, file: Path, *, renormalize: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Shares as `w/<domain>` and everything else as it is called.

    Raises:
        InputError: no set of columns sums to 1.
    """
    rest = frame.drop(columns=[key])
    if any(str(c).startswith(WEIGHT) for c in rest.columns):
        return _without_names(rest), []
    rest = rest.rename(columns={c: str(c) for c in rest.columns})
    rest = _with_points(rest)
    able = [c for c in _candidates(rest) if rest[c].notna().all()]
    shares = shares_among(able, numbers(rest, able)) if able else None
    if shares is None:
        plain = [c for c in able if role_of(c) is Role.OTHER and (rest[c] >= 0).all()]
        if not (renormalize and plain):
            raise InputError(_no_shares(file, rest, able))
        columns: tuple[str, ...] = tuple(plain)
        notes = [f"weights are the columns {listing(plain, 12)}, each row scaled to sum to 1"]
    else:
        columns, notes = shares.columns, []
        odd = [c for c in shares.left_out if role_of(c) is Role.OTHER]
        if odd:
            notes = [f"rows sum to 1 without {listing(odd)}: no share, kept for --where"]
    names = _trim_common(list(columns))
    renamed = {c: WEIGHT + n for c, n in zip(columns, names, strict=True)}
    return _without_names(rest).rename(columns=renamed), notes


def _no_shares(file: Path, frame: pd.DataFrame, able: Sequence[str]) -> str:
    plain = [c for c in able if role_of(c) is Role.OTHER]
    if not plain:
        return f"{file}: it has no numeric columns that could be shares; call them w/<domain>"
    sums = frame[plain].sum(axis=1)
    row = int((sums - 1).abs().argmax())
    same = sums.min() > 0 and sums.max() - sums.min() <= 0.01 * sums.min()
    remedy = (
        "as they all sum to the same, --renormalize reads them"
        if same
        else "call the columns that are shares w/<domain>, or leave the others out of the file"
    )
    return (
        f"{file}: no columns have rows that sum to 1; row {row + 1} of {listing(plain)} sums to "
        f"{sums.iloc[row]:.4g}; {remedy}"
    )


def _as_metrics(frame: pd.DataFrame, key: str, file: Path) -> tuple[pd.DataFrame, list[str]]:
    """Metrics as `m/<name>`; facts as they are called; bookkeeping is named and left out."""
    rest = frame.drop(columns=[key]).rename(columns=str)
    notes: list[str] = []
    if not any(c.startswith(METRIC) for c in rest.columns):
        rest = _with_points(rest)
        named = [c for c in rest.columns if role_of(c) is Role.OTHER and _mostly_numbers(rest[c])]
        if not named:
            raise InputError(
                f"{file}: no column holds a metric; its columns are: {listing(list(frame.columns))}"
            )
        names = _trim_common(named)
        rest = rest.rename(columns={c: METRIC + n for c, n in zip(named, names, strict=True)})
    kept = _bookkeeping(rest)
    if kept:
        notes.append(f"bookkeeping in {file.name} is no metric: {listing(kept)}")
    return _without_names(rest), notes


def _bookkeeping(frame: pd.DataFrame) -> list[str]:
    return [
        c
        for c in frame.columns
        if role_of(c) is Role.BOOKKEEPING and not c.startswith(METRIC) and not is_unnamed(c)
    ]


def _mostly_numbers(values: pd.Series) -> bool:
    """A metric with a stray text is refused by its cell later; a column of text is no metric."""
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return False
    known = values.dropna()
    read = pd.to_numeric(known.astype(str).str.strip(), errors="coerce").notna()
    return bool(len(known)) and bool(read.mean() > 0.5)


def _without_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame without row numbers, and without the column that is called as the key will be."""
    drop = [c for c in frame.columns if is_unnamed(str(c)) or str(c) == "run"]
    return frame.drop(columns=drop)


def _with_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of decimal commas as numbers; other columns as they are."""
    out = frame.copy()
    for c in out.columns:
        if is_text(out[c]) and has_decimal_commas(out[c]):
            out[c] = numbers(out, [c], commas=True)[:, 0]
    return out


def _trim_common(names: list[str]) -> list[str]:
    """Names without the words that all of them share at either end, which say nothing.

    RegMix writes `train_the_pile_<domain>` and `metric/the_pile_<domain>_val_loss`.
    """
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
