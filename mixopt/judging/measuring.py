"""What can be measured about runs, law and answer before the verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mixopt import diagnostics, laws
from mixopt.diagnostics import (
    CrossValidation,
    EpochMismatch,
    ExpectedTransfer,
    Extrapolation,
    Noise,
    Transfer,
)
from mixopt.diagnostics.held_out_errors import LEAST, Without
from mixopt.errors import InputError
from mixopt.judging.odd import without_odd
from mixopt.judging.searched import Searched
from mixopt.proposers import Recommendation, Surrogate
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Beside:
    """What bears on an answer and needs no law.

    Attributes:
        space: which mixtures are allowed.
        epochs: how often proxies and target pass over each domain, where that is known.
        doubts: what else speaks against trusting the answer, in plain words.
        repeats: runs with fresh seeds that the law did not see, at the scale of the answer.
        alone: why no run can be held out, nor pairs of domains be told of, where that is so.
    """

    space: MixtureSpace
    epochs: EpochMismatch | None = None
    doubts: Sequence[str] = ()
    repeats: RunTable | None = None
    alone: str = ""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured before the verdict; None where the runs do not allow it.

    Attributes:
        validation: how the law predicts runs that it was not shown.
        extrapolation: how far the answer is from all runs.
        noise: of the metrics.
        transfer: how small runs rank against larger ones.
        expected: how they are to be expected to rank against the scale that the answer is for,
            where no or few runs were made there.
        without: the answer without odd runs.
    """

    validation: CrossValidation | None = None
    extrapolation: Extrapolation | None = None
    noise: Noise | None = None
    transfer: Transfer | None = None
    expected: ExpectedTransfer | None = None
    without: Without | None = None


def measure(
    surrogate: Surrogate,
    runs: RunTable,
    recommendation: Recommendation,
    beside: Beside,
    *,
    rng: np.random.Generator,
    searched: Searched | None = None,
) -> tuple[Measured, Mapping[str, str]]:
    """Measure what the runs allow; also what they do not, with the reason.

    Args:
        surrogate: the model that the answer comes from.
        runs: what it was fitted to, over the domains of the space.
        recommendation: the answer.
        beside: what is known without a law.
        rng: draws the folds.
        searched: what is looked at instead, where more than the mixture was searched.
    """
    where = searched or Searched(surrogate, runs, recommendation.mixture)
    table, w = where.runs.only(surrogate.metrics), where.point.array
    law, objective = surrogate.law or laws.law("auto"), surrogate.objective
    missing: dict[str, str] = {}

    def tried(name: str, measured: Callable[[], T]) -> T | None:
        """One that has too few runs leaves the others alone, and its reason is kept."""
        try:
            return measured()
        except InputError as error:
            missing[name] = str(error)
            return None

    def held_out() -> CrossValidation:
        if beside.alone:
            raise InputError(beside.alone)
        return diagnostics.cross_validate(law, table, objective, rng=rng)

    validation = tried("held-out runs", held_out)
    without: Without | None = None
    if validation is not None and searched is None:
        without = without_odd(surrogate, runs, recommendation, beside.space, validation, rng=rng)
    noise = tried("seed noise", lambda: diagnostics.noise(table, where.surrogate.fitted))
    transfer: Transfer | None = None
    if surrogate.scale is not None:
        transfer = tried("transfer", lambda: diagnostics.transfer(table, objective))
    measured = Measured(
        validation,
        tried("distance", lambda: diagnostics.extrapolation(w, table.W)),
        noise,
        transfer,
        _expected(table, surrogate, recommendation, noise, transfer),
        without,
    )
    return measured, missing


def _expected(
    table: RunTable,
    surrogate: Surrogate,
    recommendation: Recommendation,
    noise: Noise | None,
    transfer: Transfer | None,
) -> ExpectedTransfer | None:
    """What to expect at the scale of the answer; None where it is the only one, or pairs tell."""
    reach = recommendation.reach
    asked = surrogate.scale if reach is None else reach.asked
    if asked is None:
        return None
    there = None if transfer is None or transfer.large != asked else transfer
    if there is not None and there.paired and there.pairs >= LEAST:
        return None
    try:
        return diagnostics.expected_transfer(
            table, asked, surrogate.objective, noise=noise, measured=there
        )
    except InputError:
        return None  # the runs are of that scale, or of larger ones: nothing has to carry over
