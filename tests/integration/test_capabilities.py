"""What trainers and strategies declare decides what a sweep does, before anything is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mixopt.app.running.launch import new_sweep
from mixopt.app.spec.spec_file import parse_spec
from mixopt.errors import SpecError
from mixopt.strategies import STRATEGIES, Traits
from mixopt.strategies.random import Random

TRAINERS = [
    "proxies:LanguageModelTrainer",
    "proxies.experts:MergeTrainer",
    "proxies.experts:MDETrainer",
]


@dataclass(frozen=True)
class Changing(Random):
    """A strategy whose runs change their mixture on the way."""

    traits: ClassVar[Traits] = Traits(schedules=True)


def spec(folder: Path, use: str, **changes: Any) -> Any:
    domains = {}
    for name, words in {"birds": "robin heron finch ", "rocks": "basalt gneiss schist "}.items():
        (folder / name).mkdir(exist_ok=True)
        for i in range(20):
            (folder / name / f"{i}.txt").write_text(f"{i} " + words * 60, encoding="utf-8")
        domains[name] = str(folder / name)
    config = {"domains": domains, "vocab": 280, "context": 32, "validation_fraction": 0.2}
    values = {
        "version": 1,
        "name": "able",
        "trainer": {"use": use, "config": config},
        "scales": [{"params": 20_000, "tokens": 4096}, {"params": 20_000, "tokens": 8192}],
        "objective": {"minimize": ["birds", "rocks"]},
        "strategy": {"use": "random"},
        "execution": {"use": "local"},
    }
    return parse_spec({**values, **changes})


@pytest.mark.mlflow
@pytest.mark.parametrize("use", [*TRAINERS[:2], pytest.param(TRAINERS[2], marks=pytest.mark.slow)])
def test_a_target_budget_turns_matching_on_also_through_experts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.chdir(tmp_path)
    space = {"budget": 50_000, "epochs": 100, "domains": {"birds": {"tokens": 2000}}}
    with new_sweep(spec(tmp_path, use, space=space)) as (sweep, _):
        told = sweep.problem.config["match_repetition"]
        assert told["budget"] == 50_000
        assert told["tokens"]["birds"] == 2000
    free = spec(tmp_path, use, name="free")
    with new_sweep(free) as (sweep, _):
        assert "match_repetition" not in sweep.problem.config


@pytest.mark.mlflow
@pytest.mark.parametrize("use", TRAINERS)
def test_only_who_can_continue_is_told_to_keep_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_sweep(spec(tmp_path, use, strategy={"use": "rungs"})) as (sweep, _):
        able = use == TRAINERS[0]
        assert sweep.runtime == ({"continue_to": 8192} if able else {})
        said = [w for w in sweep.info.warnings if "trained from its start" in w]
        assert len(said) == (0 if able else 1)
        assert "continue_to" not in sweep.problem.config


def test_runs_that_no_trainer_can_train_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(STRATEGIES, "changing", f"{__name__}:Changing")
    asked = spec(tmp_path, "proxies.experts:MergeTrainer", strategy={"use": "changing"})
    message = "does not declare schedules; take another strategy"
    with pytest.raises(SpecError, match=message), new_sweep(asked):
        pass
    assert not Path("runs").exists()
