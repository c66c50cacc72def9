"""What AdaMerging minimises of a merged language model, with its gradient.

Notation:
    b sequences of T + 1 tokens; R, d: rows and width of the bigram table
"""

import torch
from torch import Tensor

from proxies.experts.adamerging import Measure, mixed_entropy
from proxies.experts.learner import Learner
from proxies.experts.pool import Parameters
from proxies.lm.model import PackedModel
from proxies.lm.steps import pack_loss, token_weights


def loss_on(learner: Learner, ids: Tensor) -> Measure:
    """Mean loss in nats over the tokens of some text that bear loss.

    Args:
        learner: of the models that are merged.
        ids: (b, T + 1) tokens.
    """

    def measure(parameters: Parameters) -> tuple[float, Parameters]:
        model, every = learner.model(parameters), ids[None]
        weights = token_weights(every, learner.boundary)
        loss = pack_loss(model, every, weights=weights).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item(), _gradients(model)

    return measure


def entropy_on(learner: Learner, ids: Tensor, uniform: Parameters, guard: float) -> Measure:
    """Entropy of what is predicted, held to what the uniform merge predicts; no target is read.

    Args:
        learner: of the models that are merged.
        ids: (b, T + 1) tokens; the last of each is not used.
        uniform: parameters of the uniform merge.
        guard: see `proxies.experts.adamerging.mixed_entropy`.
    """
    with torch.no_grad():
        before = _logits(learner.model(uniform), ids)

    def measure(parameters: Parameters) -> tuple[float, Parameters]:
        model = learner.model(parameters)
        value = mixed_entropy(_logits(model, ids), before, guard)
        value.backward()  # type: ignore[no-untyped-call]
        return value.item(), _gradients(model)

    return measure


def _logits(model: PackedModel, ids: Tensor) -> Tensor:
    """(b T, V) float32."""
    features = model.features(ids[None, :, :-1], training=True)
    return torch.bmm(features, model.head().transpose(1, 2))[0].float()


def _gradients(model: PackedModel) -> Parameters:
    gradients = {n: leaf.grad[0] for n, leaf in model.leaves.items() if leaf.grad is not None}
    if model.bigram is not None:
        rows, of_rows = model.bigram.gradient()
        table = of_rows.new_zeros(model.shape.bigrams, model.shape.width)
        table[rows] = of_rows
        gradients["bigram"] = table
    return {name: gradient.float().cpu() for name, gradient in gradients.items()}
