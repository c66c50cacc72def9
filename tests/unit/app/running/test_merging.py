"""What a merge is asked of a trainer, and what is refused before anything is trained."""

from pathlib import Path
from typing import Any

import pytest

from mixopt.app.running import merging
from mixopt.app.spec.spec_file import parse_spec
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError
from mixopt.ports import TrainerInfo
from mixopt.space import Domain


class Merger:
    """Experts of two domains; keeps what it was asked."""

    def prepare(self, cache: Path) -> TrainerInfo:
        return TrainerInfo(
            (Domain("a", 100), Domain("b", 300)), data="d1", metrics=("x", "y"), unit=""
        )

    def train(self, specs: Any, cache: Path, report: Any = None) -> list[Any]:
        raise AssertionError

    def learned(self, cache: Path, run: Any, target: str, **settings: Any) -> Any:
        self.asked = (run, target, settings)
        return self


def spec(minimize: Any, tokens: int = 4096) -> Spec:
    values: dict[str, Any] = {
        "version": 1,
        "name": "merge",
        "trainer": {"use": "lab:Merger"},
        "scales": [{"params": 1000, "tokens": tokens}, {"params": 1000, "tokens": 8 * tokens}],
        "objective": {"minimize": minimize},
    }
    return parse_spec(values)


def learn(given: Spec, target: str = "", **settings: Any) -> Any:
    return merging.learn_merge(given, target, guard=0.5, sequences=7, seed=3, settings=settings)


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Merger:
    made = Merger()
    monkeypatch.setattr(merging, "make_trainer", lambda _spec: made)
    return made


def test_the_experts_are_those_of_the_first_scale_and_the_prepared_data(trainer: Merger) -> None:
    name, merge = learn(spec("x"), steps=9)
    run, target, settings = trainer.asked
    assert (name, target, merge) == ("x", "x", trainer)
    assert (run.scale.tokens, run.seed, run.data) == (4096, 3, "d1")
    assert run.mixture.to_dict() == {"a": 0.5, "b": 0.5}
    assert (settings["guard"], settings["sequences"], settings["settings"].steps) == (0.5, 7, 9)


def test_one_model_is_merged_for_one_set(trainer: Merger) -> None:
    with pytest.raises(InputError, match=r"several sets \(x, y\).*--target x"):
        learn(spec(["x", "y"]))
    assert learn(spec(["x", "y"]), "x")[0] == "x"  # as the remedy says
    with pytest.raises(InputError, match="rate"):
        learn(spec("x"), rate=0.0)


def test_a_trainer_without_experts_is_told_which_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "make_trainer", lambda _spec: object())
    with pytest.raises(InputError, match=r"no experts to merge; set trainer\.use to proxies"):
        learn(spec("x"))
