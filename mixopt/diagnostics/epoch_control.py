"""Does knowing epochs help here? The law of epochs against controls that know as much or less.

A law with more features predicts better or worse for reasons that have nothing to do with what they
mean. So the same law is fitted to what has the same form and not the same meaning: sizes exchanged
between domains, mixtures exchanged between runs; and to plain shares, as if all domains were
of one size. Source of the controls: Marin's mixture work (2026).

Notation:
    tokens: (m,) unique tokens per domain; errors: rmse of held-out runs, in sd of a metric
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mixopt.diagnostics.validation import (
    as_table,
    checked_runs,
    cross_validate,
    scale_numbers,
)
from mixopt.errors import InputError
from mixopt.laws.base import Ints, sizes_known
from mixopt.laws.epoch_shape import epochs
from mixopt.laws.epochs import Epochs
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import OBJECTIVE, RunTable, as_objective
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array

_LEAST = 24  # runs; of fewer, held-out errors say little of what knowing sizes adds


@dataclass(frozen=True, eq=False)
class EpochControl:
    """Held-out errors of the law of epochs, mean over the objective's metrics.

    Attributes:
        error: with the domains' own sizes.
        shares: with all domains of one size.
        exchanged: (d,) with sizes exchanged between domains.
        scrambled: (d,) with mixtures exchanged between runs: what form alone achieves, about 1.
    """

    error: float
    shares: float
    exchanged: Array
    scrambled: Array

    @property
    def learns(self) -> bool:
        """Whether it predicts better than from any mixtures that belong to other runs."""
        return bool(self.error < self.scrambled.min())

    @property
    def helps(self) -> bool:
        """Whether the sizes do: better than shares alone, and than any exchange of sizes."""
        return self.learns and bool(self.error < min(self.shares, float(self.exchanged.min())))

    def lines(self) -> list[str]:
        """In plain words."""
        told = (
            f"{self.error:.2f} sd with the domains' sizes, {self.shares:.2f} by shares alone, "
            f"{_range(self.exchanged)} with sizes exchanged between domains, "
            f"{_range(self.scrambled)} with mixtures exchanged between runs "
            f"({self.exchanged.size} draws)"
        )
        if not self.learns:
            return [f"the law of epochs learns nothing from these runs: held-out error {told}"]
        answer = "knowing epochs is not seen to help"
        if self.helps:
            answer = "knowing epochs helps"
        elif self.error < self.shares:
            answer = "knowing epochs helps against shares alone, and no more than some other sizes"
        return [f"{answer}: held-out error {told}"]


def epoch_control(
    runs: "RunTable | tuple[Array, Array]",
    tokens: ArrayLike,
    budget: float,
    objective: Objective | None = None,
    *,
    draws: int = 9,
    folds: int = 5,
    rng: np.random.Generator,
) -> EpochControl:
    """Cross-validate the law of epochs, and its controls on the same folds.

    Where the sizes mean nothing, `helps` is wrong at most once in (different draws + 1): one time
    in ten with nine draws, more often with three domains (five other orders) or two (one).

    Args:
        runs: a table, or (W, Y).
        tokens: (m,) unique tokens per domain, all known.
        budget: training tokens of the target.
        objective: the mean of all metrics if left out.
        draws: how many exchanges of each kind.
        folds: at most the number of different mixtures.
        rng: draws folds and exchanges.

    Raises:
        InputError: no draws; domains all of one size, for which there is nothing to exchange; see
            `cross_validate` and `laws.epoch_shape.epochs`.
    """
    if draws < 1:
        raise InputError(f"draws is {draws}; give 1 or more")
    table = as_table(runs)
    objective = objective or Objective.of(table.metrics)
    objective.check(table.metrics)
    sizes = np.asarray(tokens, dtype=float)
    if np.ptp(sizes) == 0:
        raise InputError(
            f"all {sizes.size} domains have {sizes[0]:.4g} tokens, so epochs are shares and "
            "knowing them cannot help; give each domain's own tokens"
        )
    table = table.only(objective.metrics)
    strata = scale_numbers(checked_runs(table))
    seed = int(rng.integers(2**32))

    def error(at: Array, among: RunTable) -> float:
        """Of the law with these sizes; folds are drawn alike each time."""
        made = Epochs(tuple(at.tolist()), budget)
        told = cross_validate(made, among, objective, folds=folds, rng=np.random.default_rng(seed))
        return float(np.nanmean(told.error))

    return EpochControl(
        error(sizes, table),
        error(np.full(sizes.size, sizes.mean()), table),
        np.array([error(_exchanged(sizes, rng), table) for _ in range(draws)]),
        np.array([error(sizes, _scrambled(table, strata, rng)) for _ in range(draws)]),
    )


def objective_control(
    runs: RunTable, objective: Objective, space: MixtureSpace, *, rng: np.random.Generator
) -> EpochControl | None:
    """`epoch_control` of the objective itself, by nine exchanges and three folds.

    None where it does not arise: fewer than 24 runs or several scales; sizes or a budget that are
    not known, or all sizes alike; or no run that passes over a domain more than once.
    """
    sizes, budget = space.tokens, space.budget
    if budget is None or not sizes_known(sizes) or len(runs) < _LEAST or np.ptp(sizes) == 0:
        return None
    repeats = (epochs(runs.W, sizes, budget) > 1.0).any()
    if not repeats or scale_numbers(checked_runs(runs)).max() > 0:
        return None
    alone = as_objective(runs, objective)
    if not np.isfinite(alone.Y).all() or np.ptp(alone.Y) == 0:
        return None
    return epoch_control(alone, sizes, budget, Objective.of(OBJECTIVE), folds=3, rng=rng)


def _exchanged(sizes: Array, rng: np.random.Generator) -> Array:
    """Sizes in another order."""
    while True:
        other = rng.permutation(sizes)
        if (other != sizes).any():
            return other


def _scrambled(table: RunTable, strata: Ints, rng: np.random.Generator) -> RunTable:
    """Metrics of other runs of the same scale at every mixture."""
    Y = table.Y.copy()
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        Y[rows] = Y[rng.permutation(rows)]
    return replace(table, Y=Y)


def _range(errors: Sequence[float] | Array) -> str:
    return f"{np.min(errors):.2f}-{np.max(errors):.2f}"
