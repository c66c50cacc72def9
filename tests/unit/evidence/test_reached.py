"""What a study's model says at the scale of a promotion."""

from dataclasses import replace

import numpy as np

from mixopt.evidence.reached import asked_at, unlevelled
from mixopt.proposers import Recommendation
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import RunSpec, Scale, Schedule
from mixopt.runs.reach import Reach
from mixopt.runs.run_table import RunTable
from mixopt.testing.worlds import make_world

WORLD = make_world(3, 1, seed=1)
SEEN = ((1e6, 1e8), (1e7, 1e9))
FARTHER, BESIDE = Scale(10**8, 10**10), Scale(10**8, 10**9 // 5)


def test_plans_are_predicted_at_scales_to_which_the_runs_lead_and_ranked_elsewhere() -> None:
    W = WORLD.space.round(WORLD.space.sample(8, np.random.default_rng(0)))
    runs = [WORLD.run(RunSpec(WORLD.space.mixture(w), WORLD.target)) for w in W]
    table = RunTable.from_observations(runs, WORLD.space.names)
    rng = np.random.default_rng(0)
    one = fit_surrogate(table, WORLD.objective, WORLD.space, "log-linear", rng=rng)
    surrogate = replace(one, scale=SEEN[1], seen=SEEN)
    mixture = WORLD.space.mixture(W[0])
    answer = Recommendation(mixture, 1.0, 0.1, {}, {}, scale=SEEN[1], reach=Reach(SEEN[1], SEEN))
    assert unlevelled(answer, FARTHER) == unlevelled(answer, Scale(10**7, 10**9)) == ""
    assert asked_at(surrogate, answer, FARTHER).scale == (1e8, 1e10)
    assert asked_at(surrogate, answer, BESIDE) is surrogate
    assert unlevelled(answer, BESIDE).startswith("ranking only: no run was trained at 100M params")
    assert asked_at(one, answer, FARTHER) is one  # runs of one scale
    planned = replace(answer, schedule=Schedule.constant(mixture, 100))
    assert unlevelled(planned, FARTHER).startswith("ranking only: schedules are predicted for 10M")
    assert unlevelled(planned, Scale(10**7, 10**9)) == ""
    assert unlevelled(replace(answer, reach=None), BESIDE) == ""  # the runs state no scale
