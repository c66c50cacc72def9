"""What an outcome warns of."""

import numpy as np

from mixopt import MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.evidence.outcome import sweep_outcome
from mixopt.strategies import Problem
from mixopt.strategies.oneshot import OneShot

SPACE = MixtureSpace(["web", "code"])
RECIPE = OneShot(swarm="regmix", law="log-linear")
PROBLEM = Problem(SPACE, Objective.of("loss"), (Scale(1000, 10_000),))


def runs(*precisions: str) -> list[Observation]:
    found = []
    for i, precision in enumerate(precisions):
        w = (i + 1) / (len(precisions) + 1)
        spec = RunSpec(SPACE.mixture(np.array([w, 1 - w])), Scale(1000, 10_000))
        metrics = {"loss": 2 + (w - 0.4) ** 2}
        found.append(Observation.of(spec, metrics, info={"precision": precision}))
    return found


def test_runs_of_several_precisions_are_counted_and_named() -> None:
    mixed = runs(*["float32"] * 5, *["bfloat16"] * 3)
    outcome = sweep_outcome(PROBLEM, mixed, RECIPE.answer(PROBLEM, mixed))
    (line,) = outcome.warnings
    assert "5 in float32, 3 in bfloat16" in line
    alike = runs(*["float32"] * 8)
    assert sweep_outcome(PROBLEM, alike, RECIPE.answer(PROBLEM, alike)).warnings == ()
