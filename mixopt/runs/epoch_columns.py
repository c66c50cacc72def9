"""Columns `epochs/<domain>` of a run table: how often each run passes over a domain.

Epochs and shares together say how large domains are: E = w T / N, with T the tokens that epochs are
counted for. T is that of the target at every run, where proxies repeat their data as the target
will, or the run's own tokens.

Notation:
    W: (n, m) mixtures; E: (n, m) epochs, NaN without a column; D: (n,) tokens of the runs
    per_share: (m,) epochs of a domain at share 1, E / w
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixopt.errors import InputError, did_you_mean
from mixopt.runs.cells import numbers, text_of, where_in
from mixopt.runs.columns import EPOCHS
from mixopt.space.simplex import Array

_OFF = 0.05  # by which epochs may miss what shares and sizes give, for rounding of both
_ROUNDED = 0.01  # and this much, in epochs


def check_epochs(
    frame: pd.DataFrame, facts: pd.DataFrame, domains: list[str], W: Array, *, commas: bool = False
) -> pd.DataFrame:
    """The columns `epochs/<domain>` of a frame as numbers, consistent with the weights.

    Args:
        frame: the table.
        facts: its facts, checked, of which `tokens` counts.
        domains: (m,) names.
        W: (n, m) weights of its rows.
        commas: decimal commas are allowed.

    Raises:
        InputError: a column of no domain, a cell that is no finite number of 0 or more, epochs of a
            domain without weight or weight without epochs, or epochs that no size of the domain
            explains.
    """
    columns = [c for c in frame.columns if c.startswith(EPOCHS)]
    unknown = [c for c in columns if c[len(EPOCHS) :] not in domains]
    if unknown:
        name = unknown[0][len(EPOCHS) :]
        raise InputError(
            f"column {unknown[0]!r} counts epochs of no domain; {did_you_mean(name, domains)}"
        )
    at = [domains.index(c[len(EPOCHS) :]) for c in columns]
    E = numbers(frame, columns, commas=commas)
    E = np.where(np.isnan(E) & (W[:, at] == 0), 0.0, E)  # what is not drawn need not be counted
    for column, epochs in zip(columns, E.T, strict=True):
        w = W[:, domains.index(column[len(EPOCHS) :])]
        bad = ~np.isfinite(epochs) | (epochs < 0)
        rule = "which is no number of passes; give a finite number, 0 for none"
        if not bad.any():
            bad = (epochs > _ROUNDED) & (w == 0)
            rule = "where its weight is 0; correct one of the two"
        if bad.any():
            row = int(bad.argmax())
            raise InputError(
                f"column {column!r} holds {text_of(frame[column].iloc[row])} in "
                f"{where_in(frame, row)}, {rule}"
            )
    D = np.asarray(facts["tokens"], dtype=float) if "tokens" in facts else None
    epochs_per_share(E, W[:, at], D, columns)
    return pd.DataFrame(E, columns=columns, index=frame.index)


def epochs_per_share(E: Array, W: Array, D: Array | None, columns: Sequence[str]) -> Array:
    """(m,) epochs of each domain at share 1, NaN where no run has weight on it.

    Where epochs are counted by each run's own tokens, it is that of the longest run.

    Args:
        E: (n, m) epochs, NaN where not stated.
        W: (n, m) weights.
        D: (n,) tokens of the runs; None (or NaN) where they do not say.
        columns: (m,) names, for the error.

    Raises:
        InputError: epochs that no size of a domain explains, neither at one budget nor at the
            runs' own tokens.
    """
    per_share, off = _fitted(E, W)
    if not off.any():
        return per_share
    if D is not None and np.isfinite(D).all() and np.ptp(D) > 0:
        by_own, missed = _fitted(E, W * (D / D.max())[:, None])
        if not missed.any():
            return by_own
    row, i = (int(v) for v in np.argwhere(off)[0])
    raise InputError(
        f"column {columns[i]!r} holds {E[row, i]:.4g} in row {row + 1} at weight {W[row, i]:.4g}, "
        f"and about {per_share[i]:.4g} times the weight over all runs: epochs are the weight times "
        "the tokens trained on, over the domain's unique tokens; correct them, or leave the column "
        "out"
    )


def _fitted(E: Array, drawn: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Epochs per share (m,) of the middle run, and where (n, m) others miss by more than rounding.

    Of the runs that have at least half as much of a domain as the run with most of it, for
    rounding; the middle, so that the odd run is the one that is named.
    """
    known = np.isfinite(E) & (drawn > 0)
    telling = known & (drawn >= 0.5 * np.where(known, drawn, 0.0).max(axis=0))
    ratio = np.where(telling, E / np.where(drawn > 0, drawn, 1.0), np.nan)
    seen = telling.any(axis=0)
    per_share = np.full(E.shape[1], np.nan)
    per_share[seen] = np.nanmedian(ratio[:, seen], axis=0)
    expected = drawn * per_share
    room = _OFF * expected + _ROUNDED + 5e-4 * per_share
    return per_share, known & (np.abs(E - expected) > room)
