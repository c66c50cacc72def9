"""One optimiser step of a pack: loss, gradients, update.

A step of small models is some hundred operations of a few microseconds each, which a GPU finishes
faster than a CPU can ask for them. So on a GPU the whole step is recorded once (a CUDA graph) and
replayed as one; nothing in it may depend on a number that the host knows.

Notation:
    K runs of a pack; B sequences of T tokens per run and step
"""

import gc
import logging
import time
from collections.abc import Callable
from functools import partial
from itertools import repeat

import torch
from torch import Tensor

from proxies.lm.compiling import MOST_OFF, compile_blocks, disagreement, pays
from proxies.lm.evaluate import logits_at_once
from proxies.lm.examples import bears_loss, mean_loss
from proxies.lm.functions import cross_entropy
from proxies.lm.model import HALVES, PackedModel
from proxies.lm.optimizer import Optimizers
from proxies.lm.packing import is_out_of_memory, sequences_at_once
from proxies.lm.ranks import Ranks

_log = logging.getLogger(__name__)

_TIMED_FROM, _TIMED_TO = 6, 16  # steps with a batch, once it is recorded
_WARM = 3  # steps before one is recorded: libraries set themselves up in the first


def pack_loss(
    model: PackedModel, ids: Tensor, each: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """Mean loss of each run on its batch, (K,) nats per token.

    Args:
        model: K runs.
        ids: (K, B, T + 1).
        each: (K, B, T) float32, filled with the loss of each token where it is given.
        weights: (K, B, T) float32, multipliers of the tokens' losses in the mean.
    """
    features = model.features(ids[..., :-1], training=True)
    limit = logits_at_once(model.device)
    of_tokens = None if each is None else each.view(len(ids), -1)
    by_token = None if weights is None else weights.flatten(1)
    targets = ids[..., 1:].flatten(1)
    return cross_entropy(features, model.head(), targets, limit, of_tokens, by_token)


def token_weights(
    ids: Tensor, boundary: int | None, of_sequences: Tensor | None = None
) -> Tensor | None:
    """What makes the mean over a batch one over the tokens that bear loss, (K, B, T) float32.

    Every one of them counts alike, whatever the domain: a sequence counts by how many it has.

    Args:
        ids: (K, B, T + 1), the whole batch.
        boundary: see `proxies.lm.examples`; None: all tokens bear loss.
        of_sequences: (K, B) float32, multipliers of the sequences' losses.

    Returns:
        None where all weights are 1.
    """
    shape = (*ids.shape[:2], ids.shape[2] - 1)
    if boundary is None:
        return None if of_sequences is None else of_sequences[..., None].expand(shape)
    bears = bears_loss(ids, boundary)
    weights = bears / bears.mean((1, 2), keepdim=True)
    return weights if of_sequences is None else weights * of_sequences[..., None]


def learn(
    model: PackedModel,
    optimizers: Optimizers,
    ranks: Ranks,
    at_once: int,
    ids: Tensor,
    *,
    each: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """One step at the rates that are set: mean loss of each run before it, (K,).

    Args:
        model: K runs.
        optimizers: of the model.
        ranks: this one learns from its share.
        at_once: sequences whose gradients are taken together.
        ids: (K, B, T + 1).
        each: (K, B, T) float32, filled with the loss of each token of this rank's share.
        weights: (K, B, T) float32, multipliers of the tokens' losses; see `token_weights`.
    """
    share = ranks.share(ids.shape[1])
    mine = ids[:, share]
    losses = torch.zeros(model.runs, device=model.device)
    kept = repeat(None) if each is None else torch.split(each[:, share], at_once, dim=1)
    weighed = repeat(None) if weights is None else torch.split(weights[:, share], at_once, dim=1)
    parts = torch.split(mine, at_once, dim=1) if mine.shape[1] else ()
    for part, of_tokens, multipliers in zip(parts, kept, weighed, strict=False):
        loss = pack_loss(model, part, of_tokens, multipliers) * (part.shape[1] / ids.shape[1])
        loss.sum().backward()  # type: ignore[no-untyped-call]
        losses = losses + loss.detach()
    ranks.sum_gradients(model.leaves.values())
    optimizers.step()
    return ranks.sum(losses)


def learn_by_run(
    model: PackedModel,
    optimizers: Optimizers,
    ranks: Ranks,
    at_once: int,
    ids: Tensor,
    *,
    boundary: int | None = None,
) -> Tensor:
    """`learn` from the tokens that bear loss (`token_weights`): mean loss of each run, (K,)."""
    return learn(model, optimizers, ranks, at_once, ids, weights=token_weights(ids, boundary))


def learn_by_sequence(
    model: PackedModel,
    optimizers: Optimizers,
    ranks: Ranks,
    at_once: int,
    ids: Tensor,
    *,
    boundary: int | None = None,
) -> Tensor:
    """The same step as `learn_by_run`: mean loss of each sequence, (K, B) nats per token."""
    runs, sequences, length = ids.shape
    each = torch.zeros(runs, sequences, length - 1, device=model.device)
    weights = token_weights(ids, boundary)
    learn(model, optimizers, ranks, at_once, ids, each=each, weights=weights)
    return ranks.sum(mean_loss(each, ids, boundary))


class TrainingStep:
    """Trains a packed model, one batch at a time.

    On a GPU a step is recorded and replayed, and the blocks are compiled where it pays; see
    `proxies.lm.compiling`.

    Args:
        model: K runs.
        optimizers: of the model.
        ranks: the processes that share every batch; steps in which they exchange gradients are
            neither recorded nor compiled.
        at_once: sequences of a run whose gradients are taken together; by what the memory holds.
        by_sequence: the loss of every sequence comes back, not of every run; nothing else differs.
        boundary: where a sequence has this token, loss is on its targets alone; see
            `proxies.lm.examples`. None: on all tokens.
    """

    def __init__(
        self,
        model: PackedModel,
        optimizers: Optimizers,
        ranks: Ranks | None = None,
        *,
        at_once: int | None = None,
        by_sequence: bool = False,
        boundary: int | None = None,
    ) -> None:
        self._model, self._optimizers, ranks = model, optimizers, ranks or Ranks()
        self._at_once = at_once or sequences_at_once(model.shape, model.runs, model.device)
        self._learn: Callable[[Tensor], Tensor] = partial(
            learn_by_sequence if by_sequence else learn_by_run,
            *(model, optimizers, ranks, self._at_once),
            boundary=boundary,
        )
        self._pace: Pace | None = None
        if model.device.type == "cuda" and ranks.world == 1:
            self._learn = Replayed(self._learn)
            self._pace = Pace(partial(torch.cuda.synchronize, model.device))

    def __call__(self, number: int, ids: Tensor) -> Tensor:
        """Mean loss of each run, (K,), or of each sequence, (K, B), before the update.

        Args:
            number: of the step, from 0.
            ids: (K, B, T + 1); a rank learns from its share.
        """
        self._optimizers.set_rates(number)
        ids = ids.to(self._model.device, non_blocking=True)
        if self._pace is not None:
            if self._pace.changed(ids.shape):
                self._model.halves = HALVES  # what was compiled was so for the smaller batch
            seconds = self._pace.seconds()
            if seconds and pays(seconds, self._optimizers.recipe.steps_of_batch(number)):
                self.compile(ids)
        return self._learn(ids)

    def compile(self, ids: Tensor) -> None:
        """Train with compiled blocks from now on, if they have the gradients of the others.

        Args:
            ids: (K, B, T + 1), a batch to compare them on, after the first steps (before them,
                output projections are zero and so are gradients).
        """
        if isinstance(self._learn, Replayed):
            self._learn.forget()
        start, part = time.perf_counter(), ids[:, : self._at_once]
        exact = gradients(self._model, part)
        compile_blocks(self._model)
        try:
            off = disagreement(gradients(self._model, part), exact)
        except RuntimeError as error:  # no compiler here, or one that gave up
            if is_out_of_memory(error):
                raise
            self._do_without(str(error).strip().split("\n", 1)[0])
            return
        if off > MOST_OFF:
            self._do_without(f"their gradients are off by {off:.2g}")
            return
        seconds = time.perf_counter() - start
        _log.info("blocks compiled in %.0f s; gradients agree to %.2g", seconds, off)

    def _do_without(self, why: str) -> None:
        _log.warning("training goes on without compiled blocks: %s", why)
        self._model.halves, self._pace = HALVES, None


def gradients(model: PackedModel, ids: Tensor) -> dict[str, Tensor]:
    """Those of the block matrices, by name, (K, out, in) each; the model stays as it is.

    Args:
        model: K runs.
        ids: (K, B, T + 1).
    """
    try:
        pack_loss(model, ids).sum().backward()  # type: ignore[no-untyped-call]
        named = ((name, leaf.grad) for name, leaf in model.leaves.items() if "." in name)
        return {name: gradient for name, gradient in named if gradient is not None}
    finally:  # also where a compiler gives up half way back
        for leaf in model.leaves.values():
            leaf.grad = None


class Pace:
    """How long a step takes, known once from the steps with a batch.

    Args:
        finish: returns once the device has finished.
    """

    def __init__(self, finish: Callable[[], None]) -> None:
        self._finish = finish
        self._shape: torch.Size | None = None
        self._seen = 0
        self._start = 0.0

    def changed(self, shape: torch.Size) -> bool:
        """Note a step that is to come; whether its batch is of another shape than the last."""
        other = shape != self._shape
        self._shape, self._seen = shape, 1 if other else self._seen + 1
        return other

    def seconds(self) -> float | None:
        """Of a step, on average, when enough have been made; None before and after."""
        if self._seen not in {_TIMED_FROM, _TIMED_TO}:
            return None
        self._finish()
        now = time.perf_counter()
        if self._seen == _TIMED_FROM:
            self._start = now
            return None
        return (now - self._start) / (_TIMED_TO - _TIMED_FROM)


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

    def forget(self) -> None:
        """Record anew; frees what the recording holds."""
        self._shape, self._graph = None, None
        self._argument = self._result = torch.empty(0)

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
