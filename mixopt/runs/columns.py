"""What the columns of somebody's table mean, by their names: one classifier for every layout.

A name says what a column is (`w/web`, `params`, `_timestamp`); which of the columns without a
prefix are shares is decided by what shares do, sum to 1 in every row.

Notation:
    V: (n, c) numeric columns; rows of shares sum to 1
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.space.simplex import SUM_TOLERANCE, Array

WEIGHT, METRIC, EPOCHS = "w/", "m/", "epochs/"


class Role(StrEnum):
    """What a column is."""

    IDENTIFIER = "identifier"
    FACT = "fact"
    BOOKKEEPING = "bookkeeping"
    WEIGHT = "weight"
    METRIC = "metric"
    OTHER = "other"


IDENTIFIERS = ("run", "run_id", "run_name", "id", "uuid", "name", "index")
"""What names a run, the surest first; a first column without a name is an `index`."""

FACTS = {
    "params": ("n_params", "num_params", "parameters", "num_parameters", "n_parameters"),
    "tokens": ("n_tokens", "num_tokens", "train_tokens", "training_tokens", "tokens_seen"),
    "seed": ("random_seed",),
    "cost": (),
    "seconds": (),
    "status": ("state", "run_status", "run_state"),
    "kind": (),
    "candidate": (),
    "error": (),
}
"""Facts that are used, and the other names under which they come."""

# fmt: off
_BOOKKEEPING = frozenset({
    "batch_size", "checkpoint", "commit", "context_length", "created", "created_at", "d_model",
    "date", "datetime", "duration", "elapsed", "end_time", "epoch", "epochs", "finished_at",
    "flops", "global_batch_size", "global_step", "gpu", "gpus", "grad_norm", "group", "hidden_size",
    "host", "hostname", "iter", "iteration", "iterations", "iters", "learning_rate", "level_0",
    "lr", "max_steps", "n_heads", "n_layers", "n_steps", "notes", "num_epochs", "num_gpus",
    "num_heads", "num_layers", "num_steps", "rank", "row", "row_id", "rownum", "runtime",
    "samples_per_second", "seq_len", "sequence_length", "start_time", "started", "started_at",
    "step", "steps", "steps_per_second", "sweep", "tags", "throughput", "time", "timestamp",
    "tokens_per_second", "total_flops", "train_step", "unnamed", "updated_at", "user", "version",
    "wall_time", "walltime", "warmup", "warmup_steps", "weight_decay", "world_size",
})
# fmt: on

_PREFIX = re.compile(r"^\s*(w|m|weights?|metrics?)\s*/\s*(.*?)\s*$", re.IGNORECASE | re.DOTALL)
_UNNAMED = re.compile(r"^(unnamed:? ?_?\d+.*|\.\.\.\d+|)$", re.IGNORECASE)


def clean_header(name: object) -> str:
    r"""A header without what editors leave around it: spaces, quotes, a byte-order mark.

    >>> clean_header(" W / Wikipedia (en) "), clean_header("\ufeffrun")
    ('w/Wikipedia (en)', 'run')
    """
    text = re.sub(r"\s+", " ", str(name).replace("\ufeff", "")).strip().strip("'\"").strip()
    short = re.match(r"^\s*([wWmM])\s*/\s*(.*?)\s*$", text)
    return f"{short.group(1).lower()}/{short.group(2)}" if short else text


def clean_headers(names: Sequence[object]) -> list[str]:
    """All headers of a table, cleaned; names that are missing are numbered as pandas does.

    Raises:
        InputError: a header twice, or a prefix without a name.
    """
    cleaned = [clean_header(name) or f"Unnamed: {i}" for i, name in enumerate(names)]
    bare = next((c for c in cleaned if c in {WEIGHT, METRIC}), None)
    if bare:
        noun = "domain" if bare == WEIGHT else "metric"
        raise InputError(f"a column is called {bare!r}; write the {noun}'s name after the slash")
    twice = next((c for c in cleaned if cleaned.count(c) > 1), None) if _repeats(cleaned) else None
    if twice:
        raise InputError(f"the table has the column {twice!r} twice; drop or rename one")
    return cleaned


def _repeats(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


def simple(name: str) -> str:
    """The last part of a name, in small letters and underscores: how names are compared."""
    last = name.rpartition("/")[2]
    return re.sub(r"[^0-9a-z]+", "_", last.lower()).strip("_")


def is_unnamed(name: str) -> bool:
    """Whether a column has no name of its own: a row number that a program wrote."""
    return bool(_UNNAMED.match(name))


def is_bookkeeping(name: str) -> bool:
    """Whether a name (without prefix) is what a tracker or a program keeps for itself."""
    last = name.rpartition("/")[2]
    return last.startswith("_") or is_unnamed(name) or simple(name) in _BOOKKEEPING


def fact_of(name: str) -> str | None:
    """The fact that a column states, whatever it is called; None for other columns.

    >>> fact_of("Params"), fact_of("n_tokens"), fact_of("m/params")
    ('params', 'tokens', None)
    """
    if "/" in name:
        return None
    plain = simple(name)
    return next((fact for fact, also in FACTS.items() if plain == fact or plain in also), None)


def is_identifier(name: str) -> bool:
    """Whether a column names runs."""
    return is_unnamed(name) or ("/" not in name and simple(name) in IDENTIFIERS)


def role_of(name: str) -> Role:
    """What a column is, by its (clean) name alone; `OTHER` for a bare name that says nothing.

    >>> [str(role_of(n)) for n in ("w/web", "m/loss", "m/_step", "params", "Unnamed: 0", "loss")]
    ['weight', 'metric', 'bookkeeping', 'fact', 'identifier', 'other']
    """
    if name.startswith(WEIGHT):
        return Role.WEIGHT
    if name.startswith(METRIC):
        return Role.BOOKKEEPING if is_bookkeeping(name[len(METRIC) :]) else Role.METRIC
    if fact_of(name):
        return Role.FACT
    if is_identifier(name):
        return Role.IDENTIFIER
    return Role.BOOKKEEPING if is_bookkeeping(name) else Role.OTHER


def resembles(name: str) -> str | None:
    """How a column without prefix should be called, where it looks like a weight or a metric.

    >>> resembles("weight/web"), resembles("w_web"), resembles("metric-loss"), resembles("split")
    ('w/web', 'w/web', 'm/loss', None)
    """
    long = _PREFIX.match(name) or re.match(
        r"^(w|m|weights?|metrics?)[_\-.:](.+)$", name, re.IGNORECASE
    )
    return f"{long.group(1)[0].lower()}/{long.group(2)}" if long else None


@dataclass(frozen=True)
class Shares:
    """Which columns are shares.

    Attributes:
        columns: their names.
        left_out: columns that were candidates and are none.
    """

    columns: tuple[str, ...]
    left_out: tuple[str, ...]


def shares_among(names: Sequence[str], V: Array) -> Shares | None:
    """The columns whose rows all sum to 1, among numeric ones; None where there are no such.

    Tried in turn: all that lie in [0, 1]; of those whose names mean nothing else, the longest run
    of neighbours; all but one of these. A column that is 0 throughout is a domain that no run used,
    unless its name means something else.

    Args:
        names: (c,) of the columns.
        V: (n, c) their values.
    """
    fits = np.isfinite(V) & (V >= -1e-9) & (V <= 1 + SUM_TOLERANCE)
    able: NDArray[np.bool_] = np.asarray(fits.all(axis=0), dtype=bool)
    meant = np.array([not (is_bookkeeping(n) or is_identifier(n)) for n in names], dtype=bool)
    plain = np.logical_and(able, meant)
    if _sums_to_one(V, able):
        return _shares(names, V, able)
    for tried in (_longest(V, plain), _all_but_one(V, plain)):
        if tried is not None:
            return _shares(names, V, tried)
    return None


def _sums_to_one(V: Array, chosen: NDArray[np.bool_]) -> bool:
    if not chosen.any():
        return False
    part = V[:, chosen]
    fits = np.abs(part.sum(axis=1) - 1.0) <= SUM_TOLERANCE
    return bool(fits.all() and (part >= -1e-9).all())


def _shares(names: Sequence[str], V: Array, chosen: NDArray[np.bool_]) -> Shares:
    never = (V == 0).all(axis=0)
    meant = np.array([not (is_bookkeeping(n) or is_identifier(n)) for n in names], dtype=bool)
    used = (chosen & ~never) | (never & meant)
    return Shares(
        tuple(n for n, u in zip(names, used, strict=True) if u),
        tuple(n for n, u in zip(names, used, strict=True) if not u),
    )


def _longest(V: Array, able: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """The longest run of neighbouring able columns (two at least) whose rows sum to 1."""
    places = np.flatnonzero(able)
    if len(places) < 2:
        return None
    sums = np.concatenate([np.zeros((len(V), 1)), np.cumsum(V[:, places], axis=1)], axis=1)
    for length in range(len(places), 1, -1):
        gaps = np.abs(sums[:, length:] - sums[:, : sums.shape[1] - length] - 1.0).max(axis=0)
        fits = np.flatnonzero(gaps <= SUM_TOLERANCE)
        if len(fits):
            chosen = np.zeros(V.shape[1], dtype=bool)
            chosen[places[fits[0] : fits[0] + length]] = True
            return chosen
    return None


def _all_but_one(V: Array, able: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """All able columns but the one that holds what the sums have above 1."""
    places = np.flatnonzero(able)
    if len(places) < 3:
        return None
    above = V[:, places].sum(axis=1) - 1.0
    fits = places[np.abs(V[:, places] - above[:, None]).max(axis=0) <= SUM_TOLERANCE]
    if len(fits) != 1:
        return None
    chosen = able.copy()
    chosen[fits[0]] = False
    return chosen


def listing(names: Sequence[object], most: int = 6) -> str:
    """Some names, and how many more there are."""
    shown = ", ".join(str(n) for n in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
