"""Coefficients of a merge: the published settings on problems whose answer is known."""

import pytest
import torch
from torch import Tensor

from mixopt.errors import InputError
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.experts.adamerging import AdaMerging, adamerge, mixed_entropy
from proxies.experts.learner import Learner
from proxies.experts.measures import loss_on
from proxies.experts.merging import MergeTrainer

ZERO = {"a": torch.zeros(1, dtype=torch.float64)}
ONE = {"a": torch.ones(1, dtype=torch.float64)}


def entropies(*logits_of):
    """Sum over tasks of the entropy of (logit, 0), logits being functions of theta."""

    def measure(parameters):
        theta = {name: value.clone().requires_grad_() for name, value in parameters.items()}
        total = torch.zeros((), dtype=torch.float64)
        for logit in logits_of:
            logits = torch.stack([logit(theta), torch.zeros_like(logit(theta))], dim=-1)
            total = total + mixed_entropy(logits, logits.detach(), guard=0.0)
        total.backward()
        return total.item(), {name: value.grad for name, value in theta.items()}

    return measure


@pytest.mark.parametrize("x", [0.5, -4.0])
def test_a_single_task_is_taken_whole(x: float):
    measure = entropies(lambda theta: theta["a"] * x)
    merged = adamerge(ZERO, [ONE], measure, AdaMerging(steps=1000))
    assert merged.coefficients == {"a": [1.0]}
    assert merged.parameters["a"].item() == 1  # and not what Adam would go on to
    assert merged.values[-1] < merged.values[0]


def test_the_course_is_that_of_adam_at_the_published_rate():
    # METHODS, AdaMerging: logits (lambda x, 0) with x = 1 stand at .903 after 500 steps
    merged = adamerge(ZERO, [ONE], entropies(lambda theta: theta["a"]))
    assert merged.coefficients["a"][0] == pytest.approx(0.903, abs=5e-4)
    assert len(merged.values) == 501


def test_opposed_tasks_from_equal_coefficients_stay_there():
    opposed = [ONE, {"a": -ONE["a"]}]  # theta = lambda_1 - lambda_2
    measure = entropies(lambda theta: 2 * theta["a"], lambda theta: -2 * theta["a"])
    merged = adamerge(ZERO, opposed, measure)
    first, second = merged.coefficients["a"]
    assert first == second
    assert merged.parameters["a"].item() == 0


def test_each_tensor_has_its_own_coefficients_and_labels_find_the_known_one():
    start = {name: torch.zeros(3) for name in ("low", "high")}
    experts = [
        {"low": torch.eye(3)[0], "high": torch.eye(3)[1]},
        dict.fromkeys(start, torch.eye(3)[2]),
    ]
    wanted = {"low": torch.tensor([0.8, 0, 0.1]), "high": torch.tensor([0, 0.0, 0.5])}

    def loss(parameters: dict[str, Tensor]):
        off = {name: parameters[name] - wanted[name] for name in wanted}
        return sum(float((d * d).sum()) for d in off.values()), {n: 2 * d for n, d in off.items()}

    merged = adamerge(start, experts, loss, AdaMerging(steps=3000))
    assert merged.coefficients["low"] == pytest.approx([0.8, 0.1], abs=0.01)
    assert merged.coefficients["high"] == pytest.approx([0.0, 0.5], abs=0.01)
    assert merged.values[-1] < 1e-3


def test_the_guard_holds_what_entropy_alone_lets_go():
    before = torch.tensor([[1.0, 0.0, -1.0]])
    for guard, away in ((0.0, True), (2.0, False)):
        logits = before.clone().requires_grad_()
        for _ in range(200):
            (gradient,) = torch.autograd.grad(mixed_entropy(logits, before, guard), logits)
            logits = (logits - gradient).detach().requires_grad_()
        p = logits.softmax(-1).max().item()
        assert (p > 0.97) == away
    # of q itself: its entropy, whatever the guard
    q = before.softmax(-1)
    assert mixed_entropy(before, before, 5.0).item() == pytest.approx(-(q * q.log()).sum().item())


def test_experts_of_another_start_are_refused():
    with pytest.raises(InputError, match="no experts"):
        adamerge(ZERO, [], entropies())
    with pytest.raises(InputError, match=r"expert 1 has other tensors than the start \(a\)"):
        adamerge(ZERO, [ONE, {"a": torch.ones(2)}], entropies())
    with pytest.raises(InputError, match="rate"):
        AdaMerging(rate=0)
    with pytest.raises(InputError, match="steps is 0"):
        AdaMerging(steps=0)


TINY = {
    "vocab": 300,
    "validation_fraction": 0.2,
    "context": 32,
    "width": 32,
    "bigrams": 512,
    "precision": "float32",
}
RUN = RunSpec(Mixture.of({"birds": 0.5, "rocks": 0.5}), Scale(20_000, 4096))


def test_coefficients_of_real_experts_follow_the_target(text, cache):
    trainer = MergeTrainer(domains=text, calibration_runs=0, start_share=0.5, **TINY)
    few = AdaMerging(rate=0.02, steps=25)
    of = trainer.learned(cache, RUN, "birds", settings=few, sequences=8)
    assert of.domains == ("birds", "rocks")
    assert of.metrics["birds"] < of.uniform["birds"]
    assert of.merged.values[-1] < of.merged.values[0]
    birds, rocks = (torch.tensor(list(of.merged.coefficients.values())).mean(0)).tolist()
    assert birds > rocks
    assert "bigram" in of.merged.coefficients
    sure = trainer.learned(cache, RUN, "birds", guard=0.0, settings=few, sequences=8)
    held = trainer.learned(cache, RUN, "birds", guard=50.0, settings=few, sequences=8)
    assert sure.merged.values[-1] < sure.merged.values[0]
    away = [abs(x.metrics["birds"] - x.uniform["birds"]) for x in (sure, held)]
    assert away[1] < away[0]
    with pytest.raises(InputError, match="guard"):
        trainer.learned(cache, RUN, "birds", guard=-1.0)


def test_the_gradient_of_a_merge_is_that_of_its_loss(text, cache):
    trainer = LanguageModelTrainer(domains=text, **TINY)
    learner = Learner(trainer, cache, RUN.scale, seed=0)
    measure = loss_on(learner, learner.unscored("rocks", 4))
    generator = torch.Generator().manual_seed(0)
    start = learner.untrained()
    moved = {n: t + 0.05 * torch.randn(t.shape, generator=generator) for n, t in start.items()}
    value, gradient = measure(moved)
    for name in ("bigram", "head", "up.0"):
        direction = gradient[name] / gradient[name].norm()
        step = 0.02
        ends = (measure(moved | {name: moved[name] + s * direction})[0] for s in (step, -step))
        slope = (next(ends) - next(ends)) / (2 * step)
        assert slope == pytest.approx(gradient[name].norm().item(), rel=0.03)
    assert value > 0
