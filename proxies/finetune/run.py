"""One fine-tuning run: batches by mixture, a schedule by tokens, losses on answers alone."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mixopt.ports import Report
from mixopt.runs import Point, RunSpec
from proxies.finetune.data import Drawing, Examples, draw
from proxies.finetune.mixing import Score, Steering

_IGNORE = -100
_WARMUP = 0.03
_CLIP = 1.0


@dataclass(frozen=True)
class Settings:
    """How runs are trained; see `FineTuneTrainer`."""

    batch: int
    learning_rate: float
    curve_points: int
    device: torch.device
    dtype: torch.dtype
    pad: int


@dataclass
class Result:
    """What came of a run.

    Attributes:
        metrics: nats per answer token, per validation set.
        curve: the same earlier on.
        tokens: per phase reached, trained tokens per domain, prompts included.
        steps: of the optimiser.
        diverged: why the run ended early; empty if it did not.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    tokens: list[dict[str, int]] = field(default_factory=list)
    steps: int = 0
    diverged: str = ""


def fine_tune(
    model: Any,
    settings: Settings,
    *,
    spec: RunSpec,
    train: Mapping[str, Examples],
    validation: Mapping[str, Examples],
    report: Report,
    steering: Steering | None = None,
) -> Result:
    """Train a model on mixtures of sets for the tokens of its scale, and score it."""
    budget = spec.scale.tokens
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)
    points = sorted({budget >> k for k in range(1, settings.curve_points + 1)} - {0})
    result = Result()
    done = 0
    look = partial(score, model, settings=settings)
    if steering is not None:
        steering.begin(look)
    for drawn, examples in _batches(train, spec, settings.batch, steering):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _factor(done / budget)
        model.train()
        nats, counts = _nll(model, examples, settings)
        loss = nats.sum() / counts.sum()
        if not math.isfinite(float(loss.detach())):
            result.diverged = f"the loss is {float(loss.detach())} after {done} of {budget} tokens"
            return result
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, _CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        result.steps += 1
        for (phase, name), (ids, _) in zip(drawn, examples, strict=True):
            while len(result.tokens) <= phase:
                result.tokens.append(dict.fromkeys(train, 0))
            result.tokens[phase][name] += len(ids)
            done += len(ids)
        if steering is not None:
            _tell(steering, drawn, examples, (nats, counts), look)
        if done >= budget:
            break
        if points and done >= points[0]:
            points = [p for p in points if p > done]
            result.curve.append(Point(done, score(model, validation, settings)))
            report(spec, result.curve[-1])
    result.metrics = score(model, validation, settings)
    return result


def score(model: Any, validation: Mapping[str, Examples], settings: Settings) -> dict[str, float]:
    """Nats per answer token, per validation set."""
    model.eval()
    scores = {}
    with torch.no_grad():
        for name, examples in validation.items():
            nats, count = 0.0, 0
            for start in range(0, len(examples), settings.batch):
                some = range(start, min(start + settings.batch, len(examples)))
                each, answered = _nll(model, [examples[i] for i in some], settings)
                nats, count = nats + float(each.sum()), count + int(answered.sum())
            scores[name] = nats / count
    return scores


@contextmanager
def own_random_state(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's random numbers from a seed inside; outside they go on as if nothing had happened."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _batches(
    train: Mapping[str, Examples], spec: RunSpec, size: int, steering: Steering | None
) -> Iterator[tuple[list[tuple[int, str]], list[tuple[Any, int]]]]:
    """Phase and set of each example of a batch, and the examples."""
    drawn = draw(train, spec.phases, spec.seed)
    if steering is not None:
        drawn = _steered(train, spec.seed, size, steering)
    while True:
        chosen = [next(drawn) for _ in range(size)]
        examples = [train[name][index] for _, name, index in chosen]
        yield [(phase, name) for phase, name, _ in chosen], examples


def _steered(
    train: Mapping[str, Examples], seed: int, size: int, steering: Steering
) -> Iterator[tuple[int, str, int]]:
    """The same by what a mixer says before each batch; it is one phase."""
    drawing = Drawing(train, seed)
    while True:
        drawing.turn(steering.shares, drawing.total)
        for _ in range(size):
            yield 0, *drawing.next()


def _tell(
    steering: Steering,
    drawn: Sequence[tuple[int, str]],
    examples: Sequence[tuple[Any, int]],
    losses: tuple[Tensor, NDArray[np.int64]],
    look: Score,
) -> None:
    """Tell a mixer of a step."""
    answers = np.column_stack([losses[0].detach().double().cpu().numpy(), losses[1]])
    names, lengths = [name for _, name in drawn], [len(ids) for ids, _ in examples]
    steering.trained(names, lengths, answers, look)


def _factor(share: float) -> float:
    """Learning-rate factor after a share of the tokens: a short rise, then linear to zero."""
    return min(1.0, (share + 0.005) / _WARMUP) * (1.0 - share)


def _nll(
    model: Any, examples: Sequence[tuple[Any, int]], settings: Settings
) -> tuple[Tensor, NDArray[np.int64]]:
    """(B,) summed nats of the answer tokens of each example, and their numbers."""
    longest = max(len(ids) for ids, _ in examples)
    shape = (len(examples), longest)
    ids, labels = np.full(shape, settings.pad), np.full(shape, _IGNORE)
    mask = np.zeros(shape, dtype=np.int64)
    for row, (tokens, answer) in enumerate(examples):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
        labels[row, answer : len(tokens)] = tokens[answer:]
    batch, targets, seen = (torch.from_numpy(a).to(settings.device) for a in (ids, labels, mask))
    low = settings.dtype is not torch.float32
    with torch.autocast(settings.device.type, settings.dtype, enabled=low):
        logits = model(input_ids=batch, attention_mask=seen).logits[:, :-1]
    each = F.cross_entropy(
        logits.float().transpose(1, 2), targets[:, 1:], ignore_index=_IGNORE, reduction="none"
    )
    return each.sum(dim=1), (labels != _IGNORE).sum(axis=1)
