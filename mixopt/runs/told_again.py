"""Runs that a study is told a second time: a notebook's cell is run again, a table is read anew.

A run has one result. One that is told again with what is known of it counts once; one that is told
with something else is refused, since nobody can say which of the two is meant.
"""

import numpy as np

from mixopt.errors import InputError
from mixopt.runs.run_table import RunTable


def new_runs(table: RunTable, known: RunTable | None) -> RunTable:
    """The runs of a table that are not known yet; a note says how many were.

    Runs are the same by their `run` (and `tokens`, since a run may be told at several points of its
    curve); runs without one by everything that is said of them: mixture, scale, seed, metrics.

    Args:
        table: what is told, over the domains of `known`.
        known: what was told before.

    Raises:
        InputError: a run was told before with another mixture or metric.
    """
    if known is None:
        return table
    before = {name: row for row, name in enumerate(_names(known)) if name is not None}
    contents = set(_contents(known, table.metrics))
    again = np.zeros(len(table), dtype=bool)
    for row, (name, content) in enumerate(
        zip(_names(table), _contents(table, table.metrics), strict=True)
    ):
        if name is None:
            again[row] = content in contents
        elif name in before:
            _check_same(table, row, known, before[name])
            again[row] = True
    if not again.any():
        return table
    left = table.take(~again)
    n = int(again.sum())
    told = "1 run was told before and counts" if n == 1 else f"{n} runs were told before and count"
    return left.with_notes(f"{told} once")


def _names(table: RunTable) -> list[tuple[str, float] | None]:
    """What identifies each run: its name and tokens; None where it has no name."""
    if "run" not in table.facts:
        return [None] * len(table)
    tokens = np.nan_to_num(table.scales[:, 1], nan=-1.0)
    given = table.facts["run"]
    return [
        None if missing else (str(run), float(count))
        for run, missing, count in zip(given, given.isna(), tokens, strict=True)
    ]


def _contents(table: RunTable, metrics: tuple[str, ...]) -> list[bytes]:
    """All that is said of each run, to compare by."""
    seeds = table.facts["seed"] if "seed" in table.facts else np.zeros(len(table))
    told = [table.W, table.scales, np.asarray(seeds, dtype=float)[:, None], table.values(metrics)]
    return [row.tobytes() for row in np.nan_to_num(np.hstack(told), nan=-1.0)]


def _check_same(table: RunTable, row: int, known: RunTable, before: int) -> None:
    name = str(table.facts["run"].iloc[row])
    if not np.allclose(table.W[row], known.W[before], atol=1e-6):
        raise InputError(
            f"run {name!r} was told before with another mixture; give every run a name of its own"
        )
    now, then = table.Y[row], known.values(table.metrics)[before]
    differs = ~np.isclose(now, then, rtol=1e-9, equal_nan=True)
    if differs.any():
        k = int(np.argmax(differs))
        raise InputError(
            f"run {name!r} was told before with {table.metrics[k]} = {then[k]:.6g}, and now with "
            f"{now[k]:.6g}; a run has one result: give a repeat another seed (or another name), "
            "or begin a new study"
        )
