"""Averaged experts, and how far they can be trusted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.space import Mixture
from mixopt.testing.trainer_contract import TrainerContract
from proxies import LanguageModelTrainer
from proxies.experts.learner import Learner
from proxies.experts.merging import MergeTrainer, agreement, average, calibrate
from proxies.experts.pool import Branching, ExpertPool

TINY = {"vocab": 300, "validation_fraction": 0.2, "context": 32, "width": 32, "bigrams": 512}
SCALE = Scale(20_000, 4_096)


def spec(data: str = "", seed: int = 0, **weights: float) -> RunSpec:
    return RunSpec(Mixture.of(weights), SCALE, seed=seed, data=data)


# -- averages --------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.1))
def test_averages_are_weighted_means_and_identical_experts_stay_what_they_are(weights):
    w = np.array(weights) / sum(weights)
    generator = torch.Generator().manual_seed(0)
    experts = [{"a": torch.randn(4, 3, generator=generator)} for _ in range(3)]
    found = average(experts, w)["a"]
    expected = sum(float(x) * e["a"].double() for x, e in zip(w, experts, strict=True))
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-6)
    same = average([experts[0]] * 3, w)["a"]
    assert torch.equal(same, experts[0]["a"])


def test_a_vertex_is_that_expert_to_the_bit():
    experts = [{"a": torch.full((2,), 0.1)}, {"a": torch.full((2,), float("nan"))}]
    assert torch.equal(average(experts, np.array([1.0, 0.0]))["a"], experts[0]["a"])


# -- trust -----------------------------------------------------------------------------------------


def seen(web: float, value: float, *, ok: bool = True) -> Observation:
    run = RunSpec(Mixture.of({"web": web, "code": 1 - web}), SCALE)
    return Observation.of(run, {"loss": value}) if ok else Observation.failure(run, "no")


def test_agreement_golden_numbers():
    x, y = np.arange(8.0), np.array([2, 1, 3, 4, 5, 6, 8, 7.0]) + 10
    found = agreement(x, y)
    rho = 1 - 6 * 4 / (8 * 63)
    z, reach = np.arctanh(rho), 1.959964 * np.sqrt((1 + rho**2 / 2) / 5)
    assert (found.rho, found.runs) == (pytest.approx(rho), 8)
    assert (found.low, found.high) == pytest.approx((np.tanh(z - reach), np.tanh(z + reach)))
    assert found.bias == pytest.approx((x - y).mean())


def test_few_runs_prove_nothing():
    assert (agreement([1, 2, 3], [1, 2, 3]).low, agreement([1, 2, 3], [1, 2, 3]).rho) == (-1, 1)
    four = agreement([1, 2, 3, 4], [1, 2, 3, 4])
    assert four.rho == pytest.approx(1)
    assert four.low < 0.3
    assert "not shown" in four.verdict
    many = agreement(np.arange(16), np.arange(16))
    assert many.low > 0.9
    assert "as training does" in many.verdict
    constant = agreement([1, 1, 1, 1], [1, 2, 3, 4])
    assert np.isnan(constant.rho)
    assert constant.to_dict()["rho"] is None


def test_intervals_cover_the_truth():
    rng, inside, trials = np.random.default_rng(0), 0, 400
    r = 0.8  # Pearson's; Spearman's of a normal pair is 6 / pi asin(r / 2)
    truth = 6 / np.pi * np.arcsin(r / 2)
    for _ in range(trials):
        x = rng.standard_normal(12)
        y = r * x + np.sqrt(1 - r**2) * rng.standard_normal(12)
        found = agreement(x, y)
        inside += found.low <= truth <= found.high
    assert 0.91 <= inside / trials <= 0.985


def test_calibrate_pairs_runs_by_mixture_and_averages_replicates():
    webs = [0.1, 0.4, 0.6, 0.9]
    cheap = [seen(w, 10 + w) for w in webs] + [seen(0.5, 0.0)]
    trained = [seen(w, w + d) for w in reversed(webs) for d in (-1, 1)]
    trained += [seen(0.1, 99.0, ok=False)]
    found = calibrate(cheap, trained)["loss"]
    assert (found.runs, found.rho) == (4, pytest.approx(1))
    assert found.bias == pytest.approx(10)
    with pytest.raises(InputError, match="2 mixtures were evaluated both ways"):
        calibrate(cheap[:2], trained)
    other = [replace(o, metrics={"other": 1.0}) for o in trained if o.ok]
    with pytest.raises(InputError, match="no metric in common"):
        calibrate(cheap, other)


# -- the trainer -----------------------------------------------------------------------------------


class TestContract(TrainerContract):
    scale = SCALE
    runtime: ClassVar = {"pack": 1, "checkpoint_seconds": 0.0, "device": "auto"}

    @pytest.fixture(autouse=True)
    def _data(self, text, cache):
        self._text, self._cache = text, cache

    def cache(self, tmp_path: Path) -> Path:
        return self._cache

    def make(self, **more: Any) -> Any:
        return MergeTrainer(domains=self._text, calibration_runs=0, **TINY, **more)


@pytest.fixture(scope="module")
def merger(text) -> MergeTrainer:
    return MergeTrainer(domains=text, start_share=0.5, calibration_runs=0, **TINY)


def test_a_merge_at_a_vertex_is_the_expert(merger, text, cache):
    plain = LanguageModelTrainer(domains=text, **TINY)
    learner = Learner(plain, cache, SCALE, seed=0)
    birds, rocks = ExpertPool(learner, cache, Branching(0.5, "natural")).experts()
    first, second = merger.train([spec(birds=1.0), spec(rocks=1.0)], cache)
    assert first.metrics == learner.score(birds)
    assert second.metrics == learner.score(rocks)


def test_merged_mixtures_lie_between_and_say_that_they_are_merges(merger, cache):
    birds, both, rocks = merger.train(
        [spec(birds=1.0), spec(birds=0.5, rocks=0.5), spec(rocks=1.0)], cache
    )
    assert birds.metrics["birds"] < both.metrics["birds"] < rocks.metrics["birds"]
    assert rocks.metrics["rocks"] < both.metrics["rocks"] < birds.metrics["rocks"]
    assert both.info["evaluator"] == "merge"
    assert 0 < both.info["displacement"] < 1
    assert "not calibrated" in both.info["trust"]


def test_a_longer_common_start_moves_the_experts_less(text, cache, merger):
    late = MergeTrainer(domains=text, start_share=0.75, calibration_runs=0, **TINY)
    run = [spec(birds=0.5, rocks=0.5)]
    far, near = merger.train(run, cache)[0], late.train(run, cache)[0]
    assert near.info["displacement"] < far.info["displacement"]


def test_calibration_trains_once_and_tells_how_far_merges_rank(text, tmp_path):
    def make() -> MergeTrainer:
        return MergeTrainer(domains=text, start_share=0.5, calibration_runs=4, **TINY)

    info = make().prepare(tmp_path)
    assert any("averaged experts" in w for w in info.warnings)
    run = spec(info.data, birds=0.5, rocks=0.5)
    (first,) = make().train([run], tmp_path)
    (again,) = make().train([run], tmp_path)
    trust = first.info["trust"]
    assert set(trust) == {"birds", "rocks"}
    assert trust["birds"]["runs"] == 4
    assert -1 <= trust["birds"]["low"] <= trust["birds"]["rho"] <= trust["birds"]["high"] <= 1
    assert trust["birds"]["rho"] > 0.5
    assert again.info == first.info
    assert again.metrics == first.metrics
    # four whole runs, half a run of the start, half a run of each of two experts
    model = LanguageModelTrainer(domains=text, **TINY).train([spec(birds=1.0)], tmp_path)[0]
    trained = first.flops - again.flops
    assert trained == pytest.approx((4 + 0.5 + 2 * 0.5) * model.flops)
    json.dumps(first.to_dict())


@pytest.mark.parametrize("runs", [-1, 3, 2000])
def test_a_calibration_that_says_nothing_is_refused(runs):
    with pytest.raises(InputError, match="calibration_runs"):
        MergeTrainer(calibration_runs=runs)
