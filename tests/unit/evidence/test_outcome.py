"""What a sweep has found: the answer, what was confirmed, what it cost, what is doubtful."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mixopt import (
    Guard,
    InputError,
    MixtureSpace,
    Objective,
    Observation,
    RunSpec,
    Scale,
    Study,
)
from mixopt.errors import StoreError
from mixopt.evidence.outcome import FORMAT, Outcome, evidence_of, sweep_outcome, table_outcome
from mixopt.runs.kinds import DESIGN
from mixopt.strategies import Problem, strategy
from mixopt.strategies.ledger import Ledger
from mixopt.strategies.oneshot import OneShot
from mixopt.testing.worlds import World, make_world

SPACE = MixtureSpace({"web": 1e9, "code": 1e9})
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
        Outcome.from_dict({"format": FORMAT, "surrogate": {}})


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


# -- a sweep with a known answer ------------------------------------------------------------------

WORLD = make_world(3, 2, seed=1, noise=0.01)
QUESTION = Problem(WORLD.space, WORLD.objective, WORLD.scales)
SEARCH = strategy("auto", law="log-linear")
BEST = WORLD.space.mixture(WORLD.space.round(WORLD.optimum))


def search(kinds: Any, world: World = WORLD, n: int = 16) -> list[Observation]:
    W = world.space.round(world.space.sample(n, np.random.default_rng(0)))
    return [world.run(RunSpec(world.space.mixture(w), world.target, **kinds.design())) for w in W]


def confirmation(kinds: Any, seeds: int = 2) -> list[Observation]:
    return [
        WORLD.run(RunSpec(mixture, WORLD.target, seed=seed, **kinds.confirms(name)))
        for name, mixture in (("recommended", BEST), ("natural", WORLD.space.natural))
        for seed in range(1, seeds + 1)
    ]


def outcome(seen: list[Observation], **how: Any) -> Outcome:
    return sweep_outcome(QUESTION, seen, SEARCH.answer(QUESTION, seen), **how)


def test_before_confirmation_the_optimum_of_the_law_is_recommended(kinds: Any) -> None:
    found = outcome(search(kinds))
    assert found.confirmation is None
    regret = WORLD.value(found.recommendation.mixture.array[None])[0] - WORLD.best
    assert regret < 0.1 * WORLD.spread
    assert found.summary()["beats_all_baselines"] is None


def test_what_was_confirmed_is_the_answer(kinds: Any) -> None:
    runs = [*search(kinds), *confirmation(kinds)]
    found = outcome(runs)
    assert found.recommendation.mixture == BEST
    assert found.confirmation is not None
    assert found.confirmation.passed
    assert found.summary()["beats_all_baselines"] is True
    assert found.summary()["seed_sd"] == pytest.approx(found.confirmation.seed_sd)


def test_confirmatory_runs_are_not_learned_from(kinds: Any) -> None:
    runs = search(kinds)
    both = outcome([*runs, *confirmation(kinds)])
    assert len(both.names) == 16
    np.testing.assert_allclose(
        both.surrogate.predict(BEST.array[None]).mean,
        outcome(runs).surrogate.predict(BEST.array[None]).mean,
    )


def test_all_runs_are_counted_and_paid_for(kinds: Any) -> None:
    runs = [*search(kinds), *confirmation(kinds)]
    failed = Observation.failure(
        RunSpec(WORLD.space.natural, WORLD.target, seed=9, **kinds.design()), "out of memory"
    )
    found = outcome([*runs, failed], warnings=("odd data",), unit="nats")
    assert found.runs == 21
    assert found.flops == pytest.approx(sum(o.flops for o in runs))
    assert found.warnings[0] == "odd data"
    assert "1 of 21 runs failed: out of memory" in found.warnings
    assert found.unit == found.summary()["unit"] == "nats"


def test_a_confirmation_that_failed_leaves_the_answer_unproven(kinds: Any) -> None:
    spec = RunSpec(BEST, WORLD.target, seed=1, **kinds.confirms("recommended"))
    found = outcome([*search(kinds), Observation.failure(spec, "died")])
    assert found.recommendation.mixture == BEST
    assert found.confirmation is None
    assert any("not validated" in w for w in found.warnings)


def test_shares_are_natural_and_proposed_in_the_order_of_the_space(kinds: Any) -> None:
    rows = outcome(search(kinds)).shares(WORLD.space)
    assert [r.domain for r in rows] == list(WORLD.space.names)
    assert [r.natural for r in rows] == pytest.approx(WORLD.space.prior.tolist())
    assert sum(r.proposed for r in rows) == pytest.approx(1.0)
    assert all(r.low <= r.proposed + 1e-9 and r.proposed <= r.high + 1e-9 for r in rows)


def test_the_outcome_is_plain_json(kinds: Any) -> None:
    found = outcome([*search(kinds), *confirmation(kinds, seeds=1)])
    values = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert values["recommended"] == pytest.approx(BEST.to_dict())
    assert set(values["validated"]) == {"recommended", "natural"}
    assert values["validated"]["natural"]["sd"] is None
    assert values["seed_sd"] is None
    assert values["beats_all_baselines"] is False
    predicted = values["predicted"]
    assert predicted["objective"]["mean"] == pytest.approx(found.recommendation.value)
    assert set(predicted["metrics"]) == set(WORLD.metrics)
    assert predicted["gains"]["natural"]["raw"] > 0
    assert values["trust"]["level"] == found.checkup.trust.level


def test_no_run_of_the_search_is_an_error(kinds: Any) -> None:
    with pytest.raises(InputError, match="none of 0 runs"):
        outcome(confirmation(kinds))


def test_two_scales_are_answered_at_the_larger(kinds: Any) -> None:
    world = make_world(3, 2, seed=1, kind="two-scales")
    question = Problem(world.space, world.objective, world.scales)
    large = search(kinds, world, n=14)
    small = [world.run(replace(o.spec, scale=world.scales[0])) for o in large]
    seen = [*small, *large]
    found = sweep_outcome(question, seen, SEARCH.answer(question, seen))
    truth = world.value(found.recommendation.mixture.array[None])[0]
    assert found.recommendation.value == pytest.approx(truth, abs=0.3 * world.spread)


def test_a_table_is_answered_like_a_sweep(kinds: Any) -> None:
    study = Study(WORLD.space, WORLD.objective, law="log-linear")
    study.tell(search(kinds, n=24))
    found = table_outcome(study.surrogate, study.table, WORLD.space, rng=np.random.default_rng(0))
    assert found.runs == 24
    assert found.flops == pytest.approx(float(study.table.costs.sum()))
    assert found.confirmation is None
    assert found.checkup.curve is not None  # a table has the time for it
    regret = WORLD.value(found.recommendation.mixture.array[None])[0] - WORLD.best
    assert regret < 0.1 * WORLD.spread


def test_values_of_small_runs_are_not_given_out_as_those_of_the_target(kinds: Any) -> None:
    world = make_world(3, 2, seed=1, kind="two-scales")
    question = Problem(world.space, world.objective, world.scales)
    recipe = strategy("olmix")
    small = [world.run(replace(o.spec, scale=world.scales[0])) for o in search(kinds, world, n=14)]
    found = sweep_outcome(question, small, recipe.answer(question, small))
    predicted = found.summary()["predicted"]
    assert predicted["scale"]["params"] == world.scales[0].params
    assert predicted["reach"]["asked"]["params"] == world.scales[1].params
    assert predicted["reach"]["says"] == "ranking only"
    assert f"at {world.scales[0]}, where the runs are" in found.headline
    assert any("they tell the ranking only" in w for w in found.warnings)
    assert found.checkup.trust.level != "trust"
    assert any(g.name == "scale of the answer" for g in found.checkup.trust.gates)
    assert Outcome.from_dict(json.loads(json.dumps(found.to_dict()))).headline == found.headline
