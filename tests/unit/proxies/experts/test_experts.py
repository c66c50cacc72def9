"""Mixed probabilities: their losses, the mixture that minimises them, and the pool behind them."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mixopt import lazy
from mixopt.errors import InputError, TrainerError
from mixopt.execution.file_locks import BusyError, locked
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from mixopt.testing.trainer_contract import TrainerContract
from proxies import LanguageModelTrainer
from proxies.experts import MDETrainer, MergeTrainer
from proxies.experts.mixture import ExpertProbabilities, mixmin
from proxies.experts.pool import Branching, ExpertPool

TINY = {"vocab": 300, "validation_fraction": 0.2, "context": 32, "width": 32, "bigrams": 512}
SCALE = Scale(20_000, 4_096)


def unigrams(tokens: int = 4000, vocab: int = 30, experts: int = 2, seed: int = 0):
    """Tokens drawn from a mixture of unigram models, and the models' log-probabilities."""
    rng = np.random.default_rng(seed)
    models = rng.dirichlet(np.full(vocab, 0.3), size=experts)
    planted = rng.dirichlet(np.ones(experts))
    drawn = rng.choice(vocab, size=tokens, p=planted @ models)
    return planted, np.log(models[:, drawn].T + 1e-12)


# -- losses ----------------------------------------------------------------------------------------


def test_losses_of_two_experts_by_hand():
    # two tokens of 4 bytes in all; one expert gives them 1/2 and 1/8, the other 1/4 and 1/4
    P = np.log([[1 / 2, 1 / 4], [1 / 8, 1 / 4]])
    found = ExpertProbabilities(("a", "b"), {"x": P}, {"x": 4})
    assert found.losses([1.0, 0.0])[0, 0] == pytest.approx((1 + 3) / 4)
    assert found.losses([0.0, 1.0])[0, 0] == pytest.approx((2 + 2) / 4)
    half = -(np.log2(3 / 8) + np.log2(3 / 16)) / 4
    assert found.losses([[0.5, 0.5], [1.0, 0.0]])[:, 0] == pytest.approx([half, 1.0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_mixture_of_experts_is_no_worse_than_the_mixture_of_their_losses(seed, share):
    _, P = unigrams(50, seed=seed)
    found = ExpertProbabilities(("a", "b"), {"x": P}, {"x": 100})
    mixed, first, second = found.losses([[share, 1 - share], [1, 0], [0, 1]])[:, 0]
    assert mixed <= share * first + (1 - share) * second + 1e-9


def test_tokens_that_an_expert_thinks_impossible_do_not_overflow():
    P = np.array([[-2000.0, -1.0], [-1.0, -3000.0]])
    found = ExpertProbabilities(("a", "b"), {"x": P}, {"x": 1})
    half = found.losses([0.5, 0.5])[0, 0]
    assert half * np.log(2) == pytest.approx(2 + 2 * np.log(2))
    assert np.isfinite(found.losses([1.0, 0.0])).all()


def test_what_is_no_log_probability_or_no_mixture_is_refused():
    P = np.log([[0.5, 0.5]])
    with pytest.raises(InputError, match="at most 0"):
        ExpertProbabilities(("a", "b"), {"x": -P}, {"x": 1})
    with pytest.raises(InputError, match="one column for each of 3"):
        ExpertProbabilities(("a", "b", "c"), {"x": P}, {"x": 1})
    found = ExpertProbabilities(("a", "b"), {"x": P}, {"x": 1})
    with pytest.raises(InputError, match="sum to"):
        found.losses([0.5, 0.1])
    with pytest.raises(InputError, match="there are 2 experts"):
        found.losses([0.5, 0.3, 0.2])
    with pytest.raises(InputError, match="did you mean 'x'"):
        found.best({"xx": 1.0})


# -- MixMin ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_mixmin_recovers_the_planted_mixture_of_two_unigram_experts(seed):
    planted, P = unigrams(40_000, seed=seed)
    found = mixmin(P)
    assert found.gap <= 1e-6
    np.testing.assert_allclose(found.weights, planted, atol=0.02)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_mixmin_finds_what_a_general_solver_finds(seed):
    _, P = unigrams(200, experts=3, seed=seed)
    found = mixmin(P)

    def loss(z):
        lam = np.exp(z - z.max())
        return -np.log(np.exp(P) @ (lam / lam.sum())).mean()

    reference = min(minimize(loss, start, method="Nelder-Mead").fun for start in np.eye(3) * 2)
    assert found.loss <= reference + 1e-5


def test_mixmin_keeps_bounds_and_is_optimal_within_them():
    _, P = unigrams(2000, experts=3, seed=1)
    free = mixmin(P)
    top = int(np.argmax(free.weights))
    upper = np.ones(3)
    upper[top] = free.weights[top] / 2
    capped = mixmin(P, lower=[0.05] * 3, upper=upper)
    assert capped.weights[top] == pytest.approx(upper[top], abs=1e-4)
    assert (capped.weights >= 0.05 - 1e-9).all()
    assert capped.gap <= 1e-6
    assert capped.loss > free.loss


def test_an_expert_that_is_best_everywhere_gets_everything():
    P = np.log(np.random.default_rng(0).uniform(0.1, 0.5, size=(100, 1)) * [[1.0, 0.5]])
    assert mixmin(P).weights[0] == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(InputError, match="token_weights"):
        mixmin(P, np.zeros(100))


def test_best_weighs_the_validation_sets():
    P = np.log([[0.9, 0.1]] * 10), np.log([[0.1, 0.9]] * 10)
    found = ExpertProbabilities(("a", "b"), dict(zip("xy", P, strict=True)), {"x": 10, "y": 10})
    even = found.best({"x": 1.0, "y": 1.0})
    np.testing.assert_allclose(even.weights, 0.5, atol=1e-3)
    assert even.loss == pytest.approx(found.losses([0.5, 0.5]).sum())
    tilted = found.best({"x": 3.0, "y": 1.0})
    # the share of a that is best for 3 to 1: .9 p + .1 (1 - p) = .75
    assert tilted.weights[0] == pytest.approx((0.75 - 0.1) / 0.8, abs=1e-3)


# -- the pool --------------------------------------------------------------------------------------


class Counting:
    """A learner whose parameters say what it was trained on."""

    domains = ("birds", "../rocks")
    steps, step_tokens, identity = 8, 10, "counting"

    def __init__(self) -> None:
        self.natural = {"birds": 3.0, "../rocks": 1.0}
        self.calls: list[tuple[dict[str, float], range]] = []
        self.broken = ""

    def untrained(self):
        return {"seen": torch.zeros(2)}

    def train(self, parameters, weights, steps):
        if self.broken in weights:
            raise TrainerError("the loss is nan")
        self.calls.append((dict(weights), steps))
        total = sum(weights.values())
        added = [len(steps) * weights.get(d, 0) / total for d in self.domains]
        return {"seen": parameters["seen"] + torch.tensor(added)}


def test_experts_go_on_from_a_common_start(tmp_path):
    learner = Counting()
    pool = ExpertPool(learner, tmp_path, Branching(0.5))
    assert pool.start()["seen"].tolist() == [3.0, 1.0]
    assert [e["seen"].tolist() for e in pool.experts()] == [[7.0, 1.0], [3.0, 5.0]]
    assert [steps for _, steps in learner.calls] == [range(4), range(4, 8), range(4, 8)]
    assert pool.trained == 12 * 10


def test_experts_are_trained_once_and_stay_inside_the_cache(tmp_path):
    first = ExpertPool(Counting(), tmp_path / "cache", Branching(0.25)).experts()
    learner = Counting()
    pool = ExpertPool(learner, tmp_path / "cache", Branching(0.25))
    assert [e["seen"].tolist() for e in pool.experts()] == [e["seen"].tolist() for e in first]
    assert learner.calls == []
    assert pool.trained == 0
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
    ExpertPool(learner, tmp_path / "cache", Branching(0.5)).start()
    assert len(learner.calls) == 1, "another branching is another pool"


def test_finished_experts_outlive_a_failure_and_a_damaged_one_is_trained_again(tmp_path):
    learner = Counting()
    learner.broken = "../rocks"
    pool = ExpertPool(learner, tmp_path, Branching(0.5, "uniform"))
    with pytest.raises(TrainerError, match="nan"):
        pool.experts()
    learner.broken = "nothing"
    ExpertPool(learner, tmp_path, Branching(0.5, "uniform")).experts()
    birds = next(pool.folder.glob("expert-birds.safetensors"))
    birds.write_bytes(birds.read_bytes()[:20])
    learner.calls.clear()
    ExpertPool(learner, tmp_path, Branching(0.5, "uniform")).experts()
    assert [list(weights) for weights, _ in learner.calls] == [["birds"]]


def test_an_expert_that_another_worker_trains_is_left_to_it(tmp_path):
    pool = ExpertPool(Counting(), tmp_path, Branching(0.0))
    pool.start()
    with locked(pool.folder / "expert-birds.lock", 0, "test"), pytest.raises(BusyError):
        pool._get("expert-birds", patience=0.0)
    with (
        locked(tmp_path / "a.lock", 0, "test"),
        pytest.raises(BusyError, match="is at this"),
        locked(tmp_path / "a.lock", 0, "this"),
    ):
        pass


@pytest.mark.parametrize("settings", [(1.0, "natural"), (-0.1, "natural"), (0.5, "best")])
def test_branchings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match="start_"):
        Branching(*settings)


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
        return MDETrainer(domains=self._text, **TINY, **more)


def runs(data: str, *mixtures: dict[str, float]) -> list[RunSpec]:
    return [RunSpec(Mixture.of(m), SCALE, data=data) for m in mixtures]


def test_at_a_vertex_it_answers_with_the_loss_of_that_expert_trained_alone(text, cache):
    trainer, plain = MDETrainer(domains=text, **TINY), LanguageModelTrainer(domains=text, **TINY)
    specs = runs(plain.prepare(cache).data, {"birds": 1.0}, {"rocks": 1.0})
    trained = plain.train(specs, cache)
    for ours, theirs in zip(trainer.train(specs, cache), trained, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, rel=2e-3)


def test_mixtures_are_free_once_the_experts_are_there(text, tmp_path):
    trainer = MDETrainer(domains=text, **TINY)
    data = trainer.prepare(tmp_path).data
    specs = runs(data, {"birds": 0.5, "rocks": 0.5}, {"rocks": 0.25, "birds": 0.75}, {"bird": 1.0})
    first, second, unknown = trainer.train(specs, tmp_path)
    experts = 2 * 6 * SCALE.tokens
    assert first.flops > experts * 10_000
    assert second.flops < first.flops / 1000
    assert "did you mean 'birds'" in unknown.error
    again = MDETrainer(domains=text, **TINY).train(specs[:1], tmp_path)[0]
    assert (again.metrics, again.flops) == (first.metrics, second.flops)


def test_probabilities_serve_as_features_and_for_mixmin(text, cache):
    trainer = MDETrainer(domains=text, **TINY)
    found = trainer.probabilities(SCALE, cache)
    assert found.domains == found.sets == ("birds", "rocks")
    best = found.best({"birds": 1.0})
    assert best.weights[0] > 0.8
    assert best.loss <= found.losses([[1, 0], [0, 1], [0.5, 0.5]])[:, 0].min() + 1e-6


def test_an_expert_that_diverges_fails_all_runs_of_its_seed_with_the_reason(text, tmp_path):
    trainer = MDETrainer(domains=text, learning_rate=1e30, **TINY)
    for seen in trainer.train(runs("", {"birds": 1.0}, {"rocks": 1.0}), tmp_path):
        assert seen.status == "failed"
        assert "diverged" in seen.error


def test_unknown_settings_are_refused(text):
    for wrong in ({"start_shares": 0.5}, {"vocabb": 3}):
        with pytest.raises(InputError, match="unknown trainer setting"):
            lazy.build(MDETrainer, wrong, "trainer")
    with pytest.raises(InputError, match="start_share"):
        MDETrainer(start_share=2.0)


@pytest.mark.parametrize("kind", [MergeTrainer, MDETrainer])
def test_what_is_put_into_a_run_is_refused_where_experts_answer(kind):
    text = {"documents": ["a b"], "probes": ["b a"], "controls": ["c d"]}
    with pytest.raises(InputError, match=r"leave them out, or use proxies:LanguageModelTrainer"):
        kind(injections={"one": text})
