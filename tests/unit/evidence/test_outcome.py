"""What an outcome warns of."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mixopt import Guard, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.errors import StoreError
from mixopt.evidence.outcome import Outcome, evidence_of, sweep_outcome
from mixopt.runs.kinds import DESIGN
from mixopt.strategies import Problem, strategy
from mixopt.strategies.ledger import Ledger
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


SCALES = (Scale(1000, 10_000), Scale(1000, 40_000))


def two_scales() -> tuple[Problem, list[Observation]]:
    """Levels that differ far more between the scales than metrics do between mixtures."""
    objective = Objective({"loss": 1.0, "other": 1.0}, standardize=True)
    problem = Problem(SPACE, objective, SCALES)
    seen = []
    for i, w in enumerate(np.linspace(0.05, 0.95, 16)):
        scales = SCALES if i % 4 == 0 else SCALES[:1]
        for scale in scales:
            level = 5.0 if scale == SCALES[0] else 1.0
            metrics = {"loss": level + (w - 0.4) ** 2, "other": 3 * level + 0.1 * (w - 0.7) ** 2}
            spec = problem.run(SPACE.mixture(np.array([w, 1 - w])), DESIGN, scale=scale)
            seen.append(Observation.of(spec, metrics))
    return problem, seen


@pytest.mark.parametrize("name", ["auto", "ladder", "olmix"])
def test_strategy_report_and_confirmation_count_metrics_in_the_same_units(name: str) -> None:
    problem, seen = two_scales()
    small = np.array([list(o.metrics.values()) for o in seen if o.spec.scale == SCALES[0]])
    outcome = sweep_outcome(problem, seen, strategy(name).answer(problem, seen))
    units = outcome.objective.scales
    assert units["loss"] == pytest.approx(small[:, 0].std())
    assert units["other"] == pytest.approx(small[:, 1].std())
    assert Ledger.of(problem, seen).objective.scales == pytest.approx(units)


def test_a_stored_outcome_is_read_back_and_answers_alike() -> None:
    problem, seen = two_scales()
    outcome = sweep_outcome(problem, seen, strategy("auto").answer(problem, seen))
    again = Outcome.from_dict(json.loads(json.dumps(outcome.to_dict(), allow_nan=False)))
    assert again.summary() == outcome.summary()
    assert again.checkup.lines() == outcome.checkup.lines()
    W = SPACE.sample(20, np.random.default_rng(0))
    np.testing.assert_allclose(
        again.surrogate.predict(W).mean, outcome.surrogate.predict(W).mean, rtol=1e-9
    )
    np.testing.assert_allclose(again.surrogate.value(W), outcome.surrogate.value(W), rtol=1e-9)
    with pytest.raises(StoreError, match="format 99"):
        Outcome.from_dict({**outcome.to_dict(), "format": 99})
    with pytest.raises(StoreError, match="cannot be read"):
        Outcome.from_dict({"format": 1, "surrogate": {}})


def test_what_an_outcome_rests_on_changes_with_runs_and_question() -> None:
    problem, seen = two_scales()
    here = evidence_of(problem, seen)
    assert here == evidence_of(problem, seen[::-1])
    assert here != evidence_of(problem, seen[1:])
    assert here != evidence_of(replace(problem, objective=Objective.of("loss")), seen)


def test_guards_that_no_mixture_keeps_reach_the_user() -> None:
    guarded = Objective.of("loss")
    guarded = replace(guarded, guards=(Guard("loss", -0.5),))
    question, alike = replace(PROBLEM, objective=guarded), runs(*["float32"] * 10)
    outcome = sweep_outcome(question, alike, RECIPE.answer(question, alike))
    assert any("no mixture within the constraints" in line for line in outcome.warnings)
    assert outcome.summary()["broken_guards"]
