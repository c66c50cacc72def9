"""One optimiser step of a pack: loss, gradients, update.

A step of small models is some hundred operations of a few microseconds each, which a GPU finishes
faster than a CPU can ask for them. So on a GPU the whole step is recorded once (a CUDA graph) and
replayed as one; nothing in it may depend on a number that the host knows.

Notation:
    K runs of a pack; B sequences of T tokens per run and step
"""

import gc
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from proxies.lm.evaluate import logits_at_once
from proxies.lm.functions import cross_entropy
from proxies.lm.model import PackedModel
from proxies.lm.optimizer import Optimizers
from proxies.lm.packing import sequences_at_once
from proxies.lm.ranks import Ranks

_WARM = 3  # steps before one is recorded: libraries set themselves up in the first


def pack_loss(model: PackedModel, ids: Tensor) -> Tensor:
    """Mean loss of each run on its batch, (K,) nats per token.

    Args:
        model: K runs.
        ids: (K, B, T + 1).
    """
    features = model.features(ids[..., :-1], training=True)
    limit = logits_at_once(model.device)
    return cross_entropy(features, model.head(), ids[..., 1:].flatten(1), limit)


def learn(
    model: PackedModel, optimizers: Optimizers, ranks: Ranks, at_once: int, ids: Tensor
) -> Tensor:
    """One step at the rates that are set: mean loss of each run before it, (K,).

    Args:
        model: K runs.
        optimizers: of the model.
        ranks: this one learns from its share.
        at_once: sequences whose gradients are taken together.
        ids: (K, B, T + 1).
    """
    mine = ids[:, ranks.share(ids.shape[1])]
    losses = torch.zeros(model.runs, device=model.device)
    for part in torch.split(mine, at_once, dim=1) if mine.shape[1] else ():
        loss = pack_loss(model, part) * (part.shape[1] / ids.shape[1])
        loss.sum().backward()  # type: ignore[no-untyped-call]
        losses = losses + loss.detach()
    ranks.sum_gradients(model.leaves.values())
    optimizers.step()
    return ranks.sum(losses)


class TrainingStep:
    """Trains a packed model, one batch at a time; on a GPU a step is recorded and replayed.

    Args:
        model: K runs.
        optimizers: of the model.
        ranks: the processes that share every batch; steps in which they exchange gradients are not
            recorded.
        at_once: sequences of a run whose gradients are taken together; by what the memory holds.
    """

    def __init__(
        self,
        model: PackedModel,
        optimizers: Optimizers,
        ranks: Ranks | None = None,
        *,
        at_once: int | None = None,
    ) -> None:
        self._optimizers, self._device, ranks = optimizers, model.device, ranks or Ranks()
        at_once = at_once or sequences_at_once(model.shape, model.runs, model.device)
        self._learn: Callable[[Tensor], Tensor] = partial(learn, model, optimizers, ranks, at_once)
        if model.device.type == "cuda" and ranks.world == 1:
            self._learn = Replayed(self._learn)

    def __call__(self, number: int, ids: Tensor) -> Tensor:
        """Mean loss of each run before the update, (K,), on the device.

        Args:
            number: of the step, from 0.
            ids: (K, B, T + 1); a rank learns from its share.
        """
        self._optimizers.set_rates(number)
        return self._learn(ids.to(self._device, non_blocking=True))


class Replayed:
    """A function of one tensor on a GPU, recorded at its fourth call with a shape, then replayed.

    What it reads besides its argument it must read from tensors that stay where they are.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._shape: torch.Size | None = None
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._argument = self._result = torch.empty(0)

    def __call__(self, argument: Tensor) -> Tensor:
        """The function's value."""
        if argument.shape != self._shape:  # a batch that has grown
            self._shape, self._calls, self._graph = argument.shape, 0, None
        self._calls += 1
        if self._calls <= _WARM:
            return self._aside(argument)
        if self._graph is None:
            self._record(argument)
        assert self._graph is not None
        self._argument.copy_(argument)
        self._graph.replay()
        return self._result.clone()

    def _aside(self, argument: Tensor) -> Tensor:
        """On a stream of its own, as recording will be."""
        here = torch.cuda.current_stream()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            result = self._function(argument)
        here.wait_stream(aside)
        return result

    def _record(self, argument: Tensor) -> None:
        self._argument = argument.clone()
        gc.collect()  # an old recording that is collected during a new one would spoil it
        torch.cuda.empty_cache()  # what the first calls took is needed again by the recording
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._result = self._function(self._argument)
        self._graph = graph
