"""Which plans a promotion trains."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt import Scale
from mixopt.errors import InputError
from mixopt.evidence.candidates import APART, plans_of, rivals
from mixopt.evidence.outcome import Outcome, sweep_outcome
from mixopt.evidence.rules import Rules
from mixopt.proposers import Gain
from mixopt.runs import Observation, RunSpec, Schedule
from mixopt.runs.kinds import DESIGN
from mixopt.strategies import Answering, Problem, strategy
from mixopt.testing.worlds import make_world

WORLD = make_world(3, 2, seed=1, noise=0.01)
PROBLEM = Problem(WORLD.space, WORLD.objective, (WORLD.target,))
RULES = Rules(Scale(10**8, 10**10), candidates=3)


@pytest.fixture(scope="module")
def study() -> tuple[Outcome, list[Observation]]:
    W = WORLD.space.round(WORLD.space.sample(14, np.random.default_rng(0)))
    W = np.vstack([WORLD.space.prior, W])
    specs = [RunSpec(WORLD.space.mixture(w), WORLD.target, kind=DESIGN) for w in W]
    runs = [WORLD.run(s) for s in specs]
    recipe = strategy("auto", law="log-linear", confirm_seeds=0, design=15, proposals=0)
    assert isinstance(recipe, Answering)
    return sweep_outcome(PROBLEM, runs, recipe.answer(PROBLEM, runs)), runs


def test_candidates_are_apart_from_each_other_and_from_baselines(
    study: tuple[Outcome, list[Observation]],
) -> None:
    plans = plans_of(study[0], WORLD.space, study[1], RULES)
    names = [p.name for p in plans]
    assert names == [
        "recommended", "candidate-2", "between-2", "candidate-3", "between-3", "natural",
    ]  # fmt: skip
    assert [p.rival for p in plans] == [False] * 5 + [True]
    known = {p.name: p.mixture.array for p in plans}
    apart = [known[n] for n in ("recommended", "candidate-2", "candidate-3", "natural")]
    for i, one in enumerate(apart):
        for other in apart[i + 1 :]:
            assert np.abs(one - other).sum() / 2 >= APART
    half = (known["recommended"] + known["candidate-2"]) / 2
    assert np.abs(known["between-2"] - half).max() < 1e-3
    order = [p.predicted for p in plans if p.name.startswith(("rec", "cand"))]
    assert order == sorted(order)
    mean, sd = study[0].surrogate.moments(known["natural"][None])
    assert (plans[-1].predicted, plans[-1].sd) == pytest.approx((mean[0], sd[0]))


def test_fewer_can_be_asked_for(study: tuple[Outcome, list[Observation]]) -> None:
    alone = plans_of(study[0], WORLD.space, study[1], replace(RULES, candidates=1))
    assert [p.name for p in alone] == ["recommended", "natural"]
    bare = plans_of(study[0], WORLD.space, study[1], replace(RULES, candidates=2, between=False))
    assert [p.name for p in bare] == ["recommended", "candidate-2", "natural"]


def test_a_baseline_that_is_recommended_is_no_rival(
    study: tuple[Outcome, list[Observation]],
) -> None:
    outcome = study[0]
    natural = replace(outcome.recommendation, mixture=WORLD.space.natural)
    plans = plans_of(
        replace(outcome, recommendation=natural),
        WORLD.space,
        study[1],
        replace(RULES, candidates=1),
    )
    assert [p.name for p in plans] == ["recommended"]


def test_a_schedule_has_its_time_average_for_a_rival(
    study: tuple[Outcome, list[Observation]],
) -> None:
    outcome = study[0]
    other = WORLD.space.natural
    schedule = Schedule(((5, outcome.recommendation.mixture), (10, other)))
    gains = {"natural": Gain(0.3, 0.1, 0.2)}
    answer = replace(
        outcome.recommendation, mixture=schedule.mean, schedule=schedule, gains=gains, value=1.0
    )
    plans = plans_of(replace(outcome, recommendation=answer), WORLD.space, study[1], RULES)
    assert [p.name for p in plans] == ["recommended", "time-average", "natural"]
    assert plans[0].schedule == schedule
    assert plans[2].predicted == pytest.approx(1.3)
    assert np.isnan(plans[1].predicted)


def test_unknown_baselines_are_refused() -> None:
    assert set(rivals(WORLD.space, ["only-d0", "natural"])) == {"only-d0", "natural"}
    with pytest.raises(InputError, match="baseline 'unimax' is not there"):
        rivals(WORLD.space, ["unimax"])


def test_what_is_nearly_a_baseline_is_no_candidate(
    study: tuple[Outcome, list[Observation]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: p for p in plans_of(study[0], WORLD.space, study[1], RULES)}
    near = before["candidate-2"].mixture
    monkeypatch.setattr("mixopt.evidence.candidates.rivals", lambda *_: {"house": near})
    after = {p.name: p for p in plans_of(study[0], WORLD.space, study[1], RULES)}
    assert after["house"].mixture == near
    assert np.abs(after["candidate-2"].mixture.array - near.array).sum() / 2 >= APART
