"""Trainers are made with what is trained and how, each setting in its place."""

from pathlib import Path
from typing import Any

import pytest

from mixopt.errors import InputError
from mixopt.execution.local import make_trainer, run_pack
from mixopt.ports import Capabilities, capabilities_of
from mixopt.runs import MixerSpec, RunSpec, Scale, Schedule
from mixopt.space import Mixture
from mixopt.testing.trainers import NAME, FakeTrainer

PLAIN = f"{__name__}:Plain"


class Plain:
    """A user's trainer that declares nothing."""

    def __init__(self, *, rate: float = 1.0) -> None:
        self.rate = rate


def test_a_trainer_gets_both_kinds_of_settings() -> None:
    made: Any = make_trainer(NAME, {"noise": 0.5}, {"sleep": 0.1})
    assert (made.noise, made.sleep) == (0.5, 0.1)


@pytest.mark.parametrize(
    ("use", "config", "runtime", "message"),
    [
        (NAME, {"sleep": 1.0}, {}, "'sleep' says how .* move it to runtime"),
        (NAME, {}, {"noise": 1.0}, "'noise' decides what .* settings: sleep.* move it to config"),
        (NAME, {"sleep": 1.0}, {"sleep": 2.0}, "'sleep' is in config and in runtime"),
        (NAME, {}, {"slep": 1.0}, "did you mean 'sleep'"),
        (PLAIN, {}, {"rate": 1.0}, "settings: none.* move it to config"),
    ],
)
def test_a_setting_in_the_wrong_place_is_refused_with_the_right_one(
    use: str, config: dict[str, Any], runtime: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_trainer(use, config, runtime)


class Rash:
    """It declares what it cannot do."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities

    def prepare(self, cache: Any) -> None: ...
    def train(self, specs: Any, cache: Any) -> None: ...


class Forgetful(Rash):
    def forget(self, specs: Any, cache: Any) -> None: ...


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Rash(Capabilities(packs=True)), "no 'preferred_pack'"),
        (Rash(Capabilities(continues=True)), "no 'forget'"),
        (Forgetful(Capabilities(continues=True)), "no runtime setting 'continue_to'"),
        (Rash(Capabilities(branches=True)), "declares branches and has no 'forget'"),
        (Forgetful(Capabilities(branches=True)), "no runtime setting 'branch_at'"),
    ],
)
def test_what_is_declared_and_not_there_is_named(made: Rash, message: str) -> None:
    with pytest.raises(InputError, match=message):
        capabilities_of(made)


def test_who_declares_nothing_has_the_defaults() -> None:
    assert capabilities_of(Plain()) == Capabilities()
    assert capabilities_of(FakeTrainer()).runtime == {"sleep"}


class Mean(FakeTrainer):
    """A user's trainer that looks at the mixture alone and says so by declaring nothing."""

    capabilities = Capabilities()


def test_a_run_that_its_trainer_cannot_draw_never_gets_to_it(tmp_path: Path) -> None:
    first, last = Mixture.of({"web": 1.0}), Mixture.of({"code": 1.0})
    scale = Scale(1000, 10_000)
    switched = RunSpec.scheduled(Schedule(((5000, first), (10_000, last))), scale)
    mixed = RunSpec(first, scale, mixer=MixerSpec("odm"))
    plain = [RunSpec(first, scale), RunSpec(last, scale)]
    pack = [plain[0], switched, mixed, plain[1]]
    seen = run_pack(pack, tmp_path, trainer=Mean())
    assert [o.spec for o in seen] == pack
    assert [o.ok for o in seen] == [True, False, False, True]
    assert "Mean draws by one mixture" in seen[1].error
    assert "schedule of 2 phases" in seen[1].error
    assert "'odm'" in seen[2].error
    able = run_pack(pack, tmp_path, trainer=FakeTrainer())
    assert [o.ok for o in able] == [True, True, False, True]
    assert not run_pack([switched], tmp_path, trainer=Mean())[0].ok
