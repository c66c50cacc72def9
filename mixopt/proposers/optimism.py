"""By how much a law predicts too well what it chooses: its answer's value, less that.

The law is fitted to a half of the runs and chooses a batch among the other half, as it chooses the
answer; what was measured there is compared with what it had predicted. Rows held out at random say
nothing of this: their errors are right on average, those of the chosen are not.

Notation:
    W: (n, m) mixtures of the runs; F: (n,) their objective, lower is better
    e, s: measured minus predicted objective, and the sd that the law claims, mean over a batch
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.laws.folds import group_folds
from mixopt.proposers.surrogate import Surrogate
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array
from mixopt.threads import one_blas_thread

LEAST = 16
"""Mixtures at the scale of the answer below which halves say nothing."""
_SHARE = 0.25  # of a half that is chosen: the very best alone is one run's noise


@dataclass(frozen=True)
class Optimism:
    """What became of what the law chose.

    >>> Optimism(per_sd=0.5, halves=8, chosen=24, raw=0.03).corrected(2.1, 0.04)
    2.12

    Attributes:
        per_sd: measured minus predicted objective per sd that was claimed; above 0 the law is
            optimistic. Times 1 - error^2 / value^2, at least zero, as a `Gain` is.
        halves: how often the law chose.
        chosen: how many runs it chose, all halves together.
        raw: measured minus predicted, as it was: of half of the runs, which know less.
    """

    per_sd: float
    halves: int
    chosen: int
    raw: float

    def corrected(self, value: float, sd: float) -> float:
        """The expected objective of what was chosen at a predicted value and a claimed sd.

        Args:
            value: as predicted.
            sd: what the law says it does not know of it, before any widening.
        """
        return value + self.per_sd * sd


@one_blas_thread
def optimism(
    surrogate: Surrogate,
    runs: RunTable,
    space: MixtureSpace,
    *,
    rng: np.random.Generator,
    splits: int = 4,
) -> Optimism:
    """By how much the surrogate's law predicts too well what it chooses.

    Two fits for every split. Runs of one mixture are never in both halves.

    Args:
        surrogate: the fitted law, with the law that was fitted.
        runs: what it was fitted to.
        space: the domains.
        rng: source of randomness.
        splits: of the runs into halves.

    Raises:
        InputError: fewer than 16 mixtures at the scale of the answer, no split, a surrogate that
            does not know its law, or a half that the law cannot be fitted to.
    """
    if splits < 1:
        raise InputError(f"splits is {splits}; give at least 1")
    if surrogate.law is None:
        raise InputError(
            "the surrogate does not say which law was fitted, so that none can be fitted to a half "
            "of the runs; make it by fit_surrogate (a stored one has lost its law)"
        )
    table = runs.within(space.names)
    W, Y = table.W, table.values(surrogate.metrics)
    truth = surrogate.objective.value(Y, surrogate.metrics)
    judged = np.isfinite(truth) & _at_answer(surrogate, table)
    groups = np.unique(np.round(W, 9), axis=0, return_inverse=True)[1].reshape(-1)
    count = len(np.unique(groups[judged]))
    if count < LEAST:
        raise InputError(
            f"{count} mixtures ran at the scale of the answer, and halves of fewer than {LEAST} "
            "say nothing of optimism; train more"
        )
    errors: list[float] = []
    sds: list[float] = []
    chosen = 0
    for _ in range(splits):
        half = group_folds(groups, 2, rng)
        for number in (0, 1):
            other = np.flatnonzero((half != number) & judged)
            if not len(other):  # of several scales, all of the answer's are in one half
                continue
            seen = _fitted(surrogate, table, Y, half == number, rng)
            picked = other[_best(seen, W[other])]
            mean, sd = seen.moments(W[picked])
            errors.append(float((truth[picked] - mean).mean()))
            sds.append(float(sd.mean()))
            chosen += len(picked)
    raw, claimed, n = float(np.mean(errors)), float(np.mean(sds)), len(errors)
    # Halves share runs: they count as half as many.
    error2 = float(np.var(errors, ddof=1)) / (n / 2) if n > 1 else float("inf")
    trusted = max(0.0, 1.0 - error2 / max(raw**2, 1e-300))
    return Optimism(trusted * raw / claimed if claimed > 0 else 0.0, n, chosen, raw)


def _at_answer(surrogate: Surrogate, table: RunTable) -> NDArray[np.bool_]:
    if surrogate.scale is None:
        return np.ones(len(table), dtype=bool)
    return np.asarray((table.scales == np.asarray(surrogate.scale)).all(axis=1))


def _fitted(
    surrogate: Surrogate,
    table: RunTable,
    Y: Array,
    rows: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Surrogate:
    """The same view of a law that was fitted to some of the runs."""
    assert surrogate.law is not None
    scale = None if surrogate.scale is None else table.scales[rows]
    return replace(surrogate, fitted=surrogate.law.fit(table.W[rows], Y[rows], scale, rng=rng))


def _best(surrogate: Surrogate, W: Array) -> NDArray[np.intp]:
    """Positions of the batch that is predicted to be lowest, guards and all."""
    most = max(1, round(_SHARE * len(W)))
    return np.argsort(surrogate.value(W), kind="stable")[:most]
