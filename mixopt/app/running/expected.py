"""How well an answer will be known, said before anything is trained or fitted."""

import numpy as np

from mixopt import diagnostics
from mixopt.errors import InputError
from mixopt.runs.objective import Objective
from mixopt.runs.reliability import resolved
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace
from mixopt.strategies import Problem, Strategy

_LEAST = 8  # runs of a first batch that are a design


def of_sweep(problem: Problem, recipe: Strategy) -> list[str]:
    """One line for every noise that is thinkable; none where a strategy begins without a design.

    By the first runs that it asks for, before anything is known: what it proposes then is on top.
    """
    first = [s for s in recipe.next(problem, [], []) if s.scale == problem.scales[0]]
    W = np.array([s.mixture.array for s in first]).reshape(-1, problem.space.dim)
    if len(W) < _LEAST:
        return []
    return [f"Beforehand: {e.line}" for e in diagnostics.beforehand(W, problem.space)]


def of_table(runs: RunTable, objective: Objective, space: MixtureSpace) -> list[str]:
    """One line by the noise of repeated runs; without any, for every noise that is thinkable.

    By the runs of the scale that has most of them.
    """
    scales = np.nan_to_num(runs.scales)
    _, number = np.unique(scales, axis=0, return_inverse=True)
    number = number.reshape(-1)
    table = runs.take(number == np.bincount(number).argmax()).within(space.names)
    noises = _measured(table, objective)
    try:
        expected = (
            diagnostics.beforehand(table.W, space, noises=noises)
            if noises
            else diagnostics.beforehand(table.W, space)
        )
    except InputError:
        return []  # of one mixture: fitting says so
    return [f"Beforehand: {e.line}" for e in expected]


def _measured(table: RunTable, objective: Objective) -> tuple[float, ...]:
    """Noise of the objective against its spread, where every weighed metric was repeated."""
    seen = resolved(objective, table)
    used = table.only(seen.metrics)
    try:
        noise = diagnostics.noise(used)
    except InputError:
        return ()
    spread = float(np.nanstd(seen.value(used.Y, used.metrics)))
    if not (np.isfinite(noise.sd).all() and spread > 0):
        return ()
    level = np.nanmean(used.Y, axis=0)[None]
    return (float(seen.moments(level, noise.sd[None], used.metrics)[1][0]) / spread,)
