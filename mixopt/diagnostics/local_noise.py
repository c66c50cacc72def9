"""Is a run at the recommended mixture as noisy as elsewhere? From mixtures that were run twice.

Two seeds near the answer are believed as far as two seeds go: see `mixopt.runs.group_noise`.

Notation:
    F: objective of one run, lower is better; s: sd of F over runs of one mixture at one scale
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from mixopt.diagnostics.covered import reach
from mixopt.diagnostics.gates import REPEAT, Gate
from mixopt.errors import InputError
from mixopt.runs.group_noise import noise_of
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array, hellinger_distance

LOUD = 2.0
"""Noise near the answer against noise elsewhere, where that is more than chance (5 %): two of its
sds are then four of those that its value was judged by."""
_NEAR = 4  # the nearest quarter of the repeated mixtures is near


@dataclass(frozen=True)
class LocalNoise:
    """Seed noise near the answer against seed noise elsewhere.

    Attributes:
        near, elsewhere: sd of the objective of one run, s pooled over the repeated mixtures nearest
            to the answer, and over the others.
        low, high: 5 % and 95 % points of near / elsewhere, were noise normal.
        mixtures: repeated ones that count as near. runs: of those, all seeds.
        there: sd to be reckoned with at the answer, partly pooled with what is known elsewhere.
        pooled: over all repeated mixtures; `there` is the same where noise is not shown to differ.
    """

    near: float
    elsewhere: float
    low: float
    high: float
    mixtures: int
    runs: int
    there: float
    pooled: float

    @property
    def ratio(self) -> float:
        """Noise near the answer, in units of that elsewhere."""
        return self.near / max(self.elsewhere, 1e-300)


def local_noise(tables: Sequence[RunTable], objective: Objective, w: Array) -> LocalNoise:
    """Compare repeats near a mixture with repeats elsewhere.

    Near are the nearest quarter of the mixtures that were run more than once, as far as the runs
    reach (see `covered.reach`).

    Args:
        tables: runs; those of one mixture and scale in one table are repeats.
        objective: as it was minimised.
        w: (m,) the answer.

    Raises:
        InputError: fewer than two mixtures were run twice, or none of them near the answer.
    """
    repeats = [r for table in tables for r in _repeats(table, objective)]
    if len(repeats) < 2:
        some = "one mixture" if repeats else "no mixture"
        raise InputError(f"{some} was run twice; to compare noise in two places takes two or more")
    W = np.array([mixture for mixture, _, _ in repeats])
    distance = hellinger_distance(np.atleast_2d(w), W)[0]
    runs: Array = np.unique(np.round(np.vstack([t.W for t in tables]), 9), axis=0)
    order = np.argsort(distance, kind="stable")[: max(1, len(repeats) // _NEAR)]
    near = {int(i) for i in order if distance[i] <= reach(runs)}
    if not near:
        raise InputError("no mixture near the answer was run twice")
    (a, n), (b, m) = (
        _pooled([r for i, r in enumerate(repeats) if (i in near) is side]) for side in (True, False)
    )
    ratio = a / max(b, 1e-300)
    low, high = (float(ratio / np.sqrt(scipy.stats.f.ppf(q, n, m))) for q in (0.95, 0.05))
    both = noise_of(np.array([n * a**2, m * b**2]), np.array([n, m], dtype=float))
    there = float(both.sds[0])
    return LocalNoise(a, b, low, high, len(near), n + len(near), there, both.pooled)


def noise_there(measured: LocalNoise | None, why: str) -> Gate:
    """Is a run at the answer as noisy as elsewhere?

    Where nothing was run twice the errors of held-out runs near the answer stand in for it (see
    `gates.local`), so that it costs no trust; it is said.

    Args:
        measured: from repeated runs.
        why: it was not measured.
    """
    if measured is None:
        return Gate.unmeasured("noise at the answer", why, REPEAT, "trust")
    good = measured.ratio <= LOUD or measured.low <= 1.0
    return Gate(
        "noise at the answer",
        "yes" if good else "no",
        f"{measured.runs} repeats near the answer are {measured.ratio:.1f} times as noisy as "
        "repeats elsewhere",
        measured.ratio, measured.low, measured.high, LOUD,
        "trust" if good else "ranking only", None if good else REPEAT,
    )  # fmt: skip


def _repeats(table: RunTable, objective: Objective) -> list[tuple[Array, float, int]]:
    """Mixture, sum of squares around its mean and degrees of freedom of what was run twice."""
    F = objective.value(table.Y, table.metrics)
    cells = np.hstack([np.round(table.W, 9), np.nan_to_num(table.scales)])
    _, first, number = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    number = number.reshape(-1)
    repeats = []
    for cell, row in enumerate(first):
        seen = F[(number == cell) & np.isfinite(F)]
        if len(seen) > 1:
            repeats.append((table.W[row], float(((seen - seen.mean()) ** 2).sum()), len(seen) - 1))
    return repeats


def _pooled(repeats: Sequence[tuple[Array, float, int]]) -> tuple[float, int]:
    """Sd of one run, and the degrees of freedom behind it."""
    freedom = sum(n for _, _, n in repeats)
    return float(np.sqrt(sum(total for _, total, _ in repeats) / freedom)), freedom
