"""The best of some runs by what was measured, among those that keep the objective's guards.

Notation:
    g: (n, c) by how much each run breaks each guard, relative to its limit; 0 where it is kept
"""

from collections.abc import Sequence

import numpy as np

from mixopt.designs.baselines import baselines
from mixopt.errors import InputError
from mixopt.laws.processes.gp import GaussianProcess
from mixopt.proposers.surrogate import Surrogate, fit_surrogate
from mixopt.runs import Observation
from mixopt.runs.objective import Guard, Objective, objective_of
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array

_SAME = 1e-6  # summed difference of shares below which a run is one of a baseline
_KEPT = 1e-6  # relative violation that counts as kept


def best_kept(
    runs: Sequence[Observation],
    known: Sequence[Observation],
    objective: Objective,
    space: MixtureSpace,
) -> Observation:
    """The run of the lowest objective that keeps every guard; where none does, of those nearest.

    A run is judged by its own metrics, and against its guards' baselines at its own scale: by what
    they were measured to be where they ran there, else as a Gaussian process predicts them. Where
    nothing tells that, since one mixture alone ran there, every other run comes before it.

    Args:
        runs: to choose from, each successful.
        known: runs that may be of a baseline, these among them; failed ones are ignored.
        objective: in the units to compare by.
        space: gives the baselines that guards name.

    Raises:
        InputError: `runs` is empty, or a guard names a baseline that the space does not have.
    """
    if not runs:
        raise InputError("no run was given, so none is the best; give at least one")
    worst = np.zeros(len(runs))
    if len({o.spec.mixture for o in runs}) > 1:  # else there is nothing to choose by guards
        worst = _broken(runs, known, objective, space).max(axis=1, initial=0.0)
    kept = worst <= max(_KEPT, float(worst.min()))
    values = [objective_of(o.metrics, objective) for o in runs]
    return runs[int(np.where(kept, values, np.inf).argmin())]


def _broken(
    runs: Sequence[Observation],
    known: Sequence[Observation],
    objective: Objective,
    space: MixtureSpace,
) -> Array:
    """(n, c) by how much each run breaks each guard."""
    broken = np.zeros((len(runs), len(objective.guards)))
    if not objective.guards:
        return broken
    for scale in {o.spec.scale for o in runs}:
        beside = [o for o in known if o.ok and o.spec.scale == scale]
        limits = _limits(beside, objective, space)
        for i in (i for i, o in enumerate(runs) if o.spec.scale == scale):
            for j, (guard, limit) in enumerate(zip(objective.guards, limits, strict=True)):
                over = _sign(guard, objective) * runs[i].metrics[guard.metric] - limit
                share = max(over / max(abs(limit), 1e-12), 0.0)
                broken[i, j] = np.inf if np.isnan(limit) else share
    return broken


def _limits(known: Sequence[Observation], objective: Objective, space: MixtureSpace) -> list[float]:
    """The largest signed value of each guard's metric, by runs of one scale; NaN if unknown."""
    named, limits = baselines(space), []
    predicted: Surrogate | None = None
    for guard in objective.guards:
        at = named.get(guard.baseline)
        measured = [
            o.metrics[guard.metric]
            for o in known
            if at is not None and np.abs(o.spec.mixture.array - at.array).sum() <= _SAME
        ]
        if measured:
            value = _sign(guard, objective) * float(np.mean(measured))
            limits.append(value + guard.tolerance * abs(value))
            continue
        if at is not None and len({o.spec.mixture for o in known}) < 2:
            limits.append(np.nan)
            continue
        if predicted is None:
            predicted = _predicted(known, objective, space)
        limits.append(predicted.limits[guard.metric])
    return limits


def _predicted(
    known: Sequence[Observation], objective: Objective, space: MixtureSpace
) -> Surrogate:
    """Every limit as a process fitted to the runs has it."""
    table = RunTable.from_observations(known, space.names)
    rng = np.random.default_rng(0)
    return fit_surrogate(table, objective, space, GaussianProcess(), rng=rng)


def _sign(guard: Guard, objective: Objective) -> float:
    return -1.0 if guard.metric in objective.maximize else 1.0
