"""The trainer contract over the trainers that need no data; and the law of the fake one."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs import RunSpec, Scale, Schedule
from mixopt.runs.schedule import MixerSpec
from mixopt.space import Mixture
from mixopt.testing.executor_contract import fake_spec
from mixopt.testing.mixing_trainer import MixingTrainer
from mixopt.testing.trainer_contract import TrainerContract
from mixopt.testing.trainers import FakeTrainer
from mixopt.testing.worlds import make_world


class TestFakeTrainer(TrainerContract):
    runtime: ClassVar = {"sleep": 0.01}

    def make(self, **more: Any) -> Any:
        return FakeTrainer(**more)


class TestMixingTrainer(TrainerContract):
    rounding = 1e-2  # runs have their own noise

    def make(self, **more: Any) -> Any:
        return MixingTrainer(noise=1e-4, **more)


@given(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3))
def test_no_mixture_beats_the_known_optimum(weights: list[float]) -> None:
    trainer, scale = FakeTrainer(), Scale(1000, 10_000)
    mixture = Mixture.of(dict(zip(trainer.values, weights, strict=True)), renormalize=True)
    best = np.mean(list(trainer.truth(trainer.optimum(), scale).values()))
    assert np.mean(list(trainer.truth(mixture, scale).values())) >= best - 1e-12


def test_noise_has_the_stated_size(tmp_path: Path) -> None:
    trainer = FakeTrainer(noise=0.1)
    runs = trainer.train([fake_spec(seed) for seed in range(300)], tmp_path)
    exact = trainer.truth(runs[0].spec.mixture, runs[0].spec.scale)["loss/web"]
    residuals = [o.metrics["loss/web"] - exact for o in runs]
    assert np.std(residuals) == pytest.approx(0.1, rel=0.15)
    assert np.mean(residuals) == pytest.approx(0.0, abs=0.03)


def test_an_optimum_outside_the_simplex_is_refused() -> None:
    with pytest.raises(InputError, match="higher rate"):
        FakeTrainer(values={"a": 1.0, "b": 100.0}, rate=1.0).optimum()


def test_the_fake_one_answers_a_schedule_by_what_it_has_seen_so_far(tmp_path: Path) -> None:
    trainer, scale = FakeTrainer(noise=0.0), Scale(1000, 10_000)
    web, code = Mixture.of({"web": 1.0}), Mixture.of({"code": 0.5, "web": 0.5})
    spec = RunSpec.scheduled(Schedule(((5000, web), (10_000, code))), scale)
    (seen,) = trainer.train([spec], tmp_path)
    assert seen.metrics == trainer.truth(Mixture.of({"web": 0.75, "code": 0.25}), scale)
    assert seen.curve[0].metrics == trainer.truth(web, Scale(1000, seen.curve[0].tokens))
    assert seen.tokens == {"web": 7500, "code": 2500}


def test_a_world_where_the_order_is_no_matter_refuses_mixers() -> None:
    world = make_world(2, 1)
    first, last = (Mixture(world.space.names, w) for w in ((1.0, 0.0), (0.0, 1.0)))
    tokens = world.target.tokens
    spec = RunSpec.scheduled(Schedule(((tokens // 2, first), (tokens, last))), world.target)
    assert world.run(spec).ok
    with pytest.raises(InputError, match="has a mixer"):
        world.run(replace(spec, mixer=MixerSpec("odm")))
