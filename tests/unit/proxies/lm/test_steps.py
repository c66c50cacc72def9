"""A step whose losses come back by sequence is the step whose losses come back by run."""

import numpy as np
import pytest
import torch

from mixopt.runs import Scale
from proxies.lm.data import losses_by_domain
from proxies.lm.model import PackedModel
from proxies.lm.optimizer import Optimizers
from proxies.lm.recipe import LanguageModelConfig, derive
from proxies.lm.steps import TrainingStep, pack_loss

CPU = torch.device("cpu")
RECIPE = derive(Scale(50_000, 65_536), 100, LanguageModelConfig(width=64, context=16, bigrams=256))


def batch(seed: int) -> torch.Tensor:
    return torch.randint(0, 100, (2, 8, 17), generator=torch.Generator().manual_seed(seed))


def trained(**how: object) -> tuple[PackedModel, torch.Tensor]:
    """Two runs four steps old, and their losses, (4, 2) or (4, 2, 8)."""
    model = PackedModel(RECIPE.shape, [0, 1], CPU, torch.float32)
    step = TrainingStep(model, Optimizers(model, RECIPE), **how)  # type: ignore[arg-type]
    return model, torch.stack([step(number, batch(number)) for number in range(4)])


@pytest.mark.parametrize("at_once", [None, 3])
def test_asking_for_losses_by_sequence_changes_nothing_else(at_once):
    plain, of_runs = trained(at_once=at_once)
    asked, of_sequences = trained(at_once=at_once, by_sequence=True)
    for k in (0, 1):
        for name, tensor in plain.tensors(k).items():
            assert torch.equal(tensor, asked.tensors(k)[name]), name
    assert of_sequences.shape == (4, 2, 8)
    torch.testing.assert_close(of_sequences.mean(-1), of_runs)


def test_the_loss_of_a_sequence_is_that_of_the_sequence_alone():
    model, losses = trained(by_sequence=True)
    ids = batch(9)
    step = TrainingStep(model, Optimizers(model, RECIPE), by_sequence=True)
    alone = torch.stack([pack_loss(model, ids[:, [i]]).detach() for i in range(8)], dim=1)
    torch.testing.assert_close(step(4, ids), alone)
    assert losses.std() > 0


def test_losses_by_domain_are_means_of_its_sequences():
    _, losses = trained(by_sequence=True)
    of_run = losses[0, 0].numpy()
    found = losses_by_domain(of_run, ["a", "b", "b", "b", "a", "b", "b", "b"])
    assert found["a"] == pytest.approx(of_run[[0, 4]].mean())
    assert (found["a"] * 2 + found["b"] * 6) / 8 == pytest.approx(np.mean(of_run))
