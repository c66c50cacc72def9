"""Published periods that a short run has no room for are named before anything is trained."""

from pathlib import Path

import pytest

from mixopt.app.running.periods import long_periods
from mixopt.runs import Scale
from mixopt.runs.objective import Objective
from mixopt.space import MixtureSpace
from mixopt.strategies import Problem
from mixopt.strategies.online import Online
from mixopt.testing.mixing_trainer import MixingTrainer

SPACE = MixtureSpace({"web": 6e8, "code": 3e8, "math": 1e8})
PROBLEM = Problem(SPACE, Objective.of("loss/mean"), (Scale(1000, 64_000), Scale(1000, 10_000)))


def said(steps: int, **methods: dict) -> tuple[str, ...]:
    trainer = MixingTrainer(steps=steps)
    return long_periods(Online(methods=methods), trainer, PROBLEM, Path())


def test_a_default_period_of_which_a_run_holds_fewer_than_eight_is_named_with_the_remedy() -> None:
    (of_grape,) = said(799, grape={"scaled": True}, odm={})
    assert "mixer 'grape' has every: 100 by default" in of_grape
    assert "has 799 steps" in of_grape
    assert "name every: 99" in of_grape
    assert said(799, grape={"every": 99}) == ()
    assert said(800, grape={}, odm={}) == ()


def test_a_period_that_somebody_chose_is_a_choice() -> None:
    assert said(64, grape={"every": 60}, **{"softmax-loss": {"every": 40}}) == ()


def test_a_remedy_that_needs_another_one_says_which() -> None:
    (of_aioli,) = said(512, aioli={})
    assert "name every: 64" in of_aioli
    assert "With that, 4 x 3 probes of 4 steps take 48" not in of_aioli
    (of_more,) = said(256, aioli={})
    assert "With that, 4 x 3 probes of 4 steps take 48 of the 32 steps of a round" in of_more


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "warmup: 1000 and refit: 1000 by default"),
        ({"warmup": 64}, "has refit: 1000 by default"),
        ({"warmup": 64, "refit": 64}, None),
    ],
)
def test_ado_stands_until_its_first_fit(settings: dict, named: str | None) -> None:
    texts = said(512, ado=settings)
    assert [named in text for text in texts] == ([] if named is None else [True])
    if named is not None:
        assert "refit: 64 (an eighth of the run)" in texts[0]


def test_methods_that_count_no_steps_and_trainers_that_do_not_know_theirs_are_left_alone() -> None:
    assert said(4, fixed={}, cyclical={}) == ()

    class Elsewhere:
        def prepare(self, cache: Path) -> None: ...

        def train(self, specs: object, cache: Path, report: object = None) -> None: ...

    assert long_periods(Online(methods=["grape"]), Elsewhere(), PROBLEM, Path()) == ()
