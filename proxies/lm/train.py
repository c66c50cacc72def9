"""Training one proxy: a function from (corpus, recipe, run spec) to an observation."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mixopt.ports import Report
from mixopt.runs import Observation, Point, RunSpec
from proxies.corpus import Corpus
from proxies.lm.data import Batches
from proxies.lm.evaluate import ValidationSet, bits_per_byte
from proxies.lm.model import LanguageModel
from proxies.lm.recipe import Recipe

NEWTON_SCHULZ_STEPS = 3  # 5, the default, costs more and gains nothing at these widths


@dataclass(frozen=True)
class Setting:
    """What all runs of a pack share.

    Attributes:
        corpus: the data.
        recipe: model shape, batch, steps, rates.
        validation: what is scored.
        device: where it runs.
        low_precision: bfloat16 matrix products.
        curve: steps after which the model is scored before the end.
    """

    corpus: Corpus
    recipe: Recipe
    validation: list[ValidationSet]
    device: torch.device
    low_precision: bool
    curve: frozenset[int]


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside: tiny models train faster as many processes than on many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Optimizers:
    """Muon for the block matrices, AdamW for tables and head, one schedule for both."""

    def __init__(self, model: LanguageModel, recipe: Recipe) -> None:
        tables = [model.embedding] + ([model.bigram] if model.bigram is not None else [])
        self._adam = torch.optim.AdamW(
            [
                {"params": tables, "lr": recipe.rate_embedding},
                {"params": [model.head], "lr": recipe.rate_head},
            ],
            betas=(0.9, 0.98),
            eps=1e-10,
            weight_decay=0.0,
            fused=True,
        )
        self._muon = torch.optim.Muon(
            model.matrices(),
            lr=recipe.rate_matrix,
            momentum=recipe.momentum,
            weight_decay=0.0,
            ns_steps=NEWTON_SCHULZ_STEPS,
        )
        self._recipe = recipe
        groups = self._adam.param_groups + self._muon.param_groups
        self._groups = [(group, float(group["lr"])) for group in groups]

    def step(self, number: int) -> None:
        """Update the model with the gradients at hand, and drop them."""
        factor = self._recipe.rate_factor(number)
        for group, rate in self._groups:
            group["lr"] = rate * factor
        for optimizer in (self._adam, self._muon):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def train_run(setting: Setting, spec: RunSpec, report: Report) -> Observation:
    """Train one proxy from its seed and score it.

    Returns:
        The observation; failed, with the step, if the loss stops being a number.
    """
    recipe, corpus = setting.recipe, setting.corpus
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(spec.seed)
    model = LanguageModel(recipe.shape, generator).to(setting.device)
    optimizers = Optimizers(model, recipe)
    batches = Batches(
        corpus,
        spec.mixture.to_dict(),
        context=recipe.shape.context,
        batch=recipe.batch,
        steps=recipe.steps,
        seed=spec.seed,
    )
    curve: list[Point] = []
    losses: list[float] = []
    for step, ids in enumerate(batches):
        loss = _loss(setting, model, ids)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            done = step * recipe.batch * recipe.shape.context
            return Observation.failure(
                spec,
                f"the loss is {losses[-1]} at step {step + 1} of {recipe.steps}: the run diverged",
                curve=tuple(curve),
                flops=recipe.flops * step / recipe.steps,
                seconds=time.perf_counter() - started,
                info={"tokens_done": done},
            )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers.step(step)
        if step + 1 in setting.curve:
            tokens = (step + 1) * recipe.batch * recipe.shape.context
            curve.append(Point(tokens, _score(setting, model)))
            report(spec, curve[-1])
    metrics = _score(setting, model)
    tokens_seen = {name: n * recipe.shape.context for name, n in batches.counts.items()}
    unique = corpus.unique_tokens()
    return Observation.of(
        spec,
        metrics,
        curve=tuple(curve),
        flops=recipe.flops,
        seconds=time.perf_counter() - started,
        tokens=tokens_seen,
        info={
            "params": recipe.shape.params,
            "width": recipe.shape.width,
            "depth": recipe.shape.depth,
            "context": recipe.shape.context,
            "batch": recipe.batch,
            "steps": recipe.steps,
            "precision": "bfloat16" if setting.low_precision else "float32",
            "train_loss_nats": float(np.mean(losses[-max(1, len(losses) // 16) :])),
            "epochs": {name: round(n / unique[name], 4) for name, n in tokens_seen.items()},
        },
    )


def _loss(setting: Setting, model: LanguageModel, ids: np.ndarray) -> Tensor:
    batch = torch.from_numpy(ids).to(setting.device)
    with torch.autocast(setting.device.type, torch.bfloat16, enabled=setting.low_precision):
        logits = model(batch[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())


def _score(setting: Setting, model: LanguageModel) -> dict[str, float]:
    return {
        data.name: bits_per_byte(model, data, low_precision=setting.low_precision)
        for data in setting.validation
    }
