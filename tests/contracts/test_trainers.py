"""The trainer contract over the trainers that need no data; and the law of the fake one."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs import Scale
from mixopt.space import Mixture
from mixopt.testing.executor_contract import fake_spec
from mixopt.testing.trainer_contract import TrainerContract
from mixopt.testing.trainers import FakeTrainer


class TestFakeTrainer(TrainerContract):
    runtime: ClassVar = {"sleep": 0.01}

    def make(self, **more: Any) -> Any:
        return FakeTrainer(**more)


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
