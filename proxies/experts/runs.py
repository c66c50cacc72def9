"""Answering run specs with a pool of experts: what merging and MDE share."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from mixopt.errors import InputError, MixoptError, did_you_mean
from mixopt.ports import Capabilities, Trainer, refusal
from mixopt.runs import Observation, RunSpec
from mixopt.space.simplex import Array


def of_experts(language_model: Capabilities) -> Capabilities:
    """What is left of a trainer's capabilities where its experts answer for mixtures.

    They repeat domains as often as they are told to. But no mixture is trained: nothing is gained
    by a pack, continued, or changed on the way.
    """
    return replace(
        language_model,
        packs=False,
        continues=False,
        branches=False,
        schedules=False,
        mixing=None,
        nodes=False,
        injects=False,
    )


@dataclass(frozen=True)
class Answer:
    """What an evaluator makes of one mixture: metrics, FLOPs of that, and what is to be known."""

    metrics: dict[str, float]
    flops: float
    info: dict[str, Any] = field(default_factory=dict)


def check_settings_of_experts(language_model: Mapping[str, Any]) -> None:
    """Refuse settings of a language model that say nothing of experts.

    Raises:
        InputError: there are injections, which have their places in one run.
    """
    if language_model.get("injections") is not None:
        raise InputError(
            "injections have their places in the run of a mixture, and experts answer for mixtures "
            "without a run of their own; leave them out, or use proxies:LanguageModelTrainer"
        )


class Evaluator(Protocol):
    """Evaluates mixtures with the experts of one seed."""

    domains: tuple[str, ...]

    def spent(self) -> float:
        """FLOPs spent on training so far."""
        ...

    def evaluate(self, weights: Array) -> Answer:
        """Metrics of a mixture, (m,) weights in the order of `domains`."""
        ...


def answer_runs(
    trainer: Trainer, specs: Sequence[RunSpec], open_seed: Callable[[int], Evaluator]
) -> list[Observation]:
    """One observation per spec, in order; experts are opened once per seed.

    The FLOPs of training experts are charged to the run that had them trained. Where an expert
    fails, all runs of its seed fail with that reason. A run by a schedule fails alone: experts know
    no order. Nothing is drawn, so that no observation has tokens.
    """
    opened: dict[int, Evaluator | MixoptError] = {}
    observations = []
    for spec in specs:
        reason = refusal(trainer, spec)
        refused = Observation.failure(spec, reason) if reason else None
        observations.append(refused or _answer(spec, opened, open_seed))
    return observations


def _answer(
    spec: RunSpec,
    opened: dict[int, Evaluator | MixoptError],
    open_seed: Callable[[int], Evaluator],
) -> Observation:
    started = time.perf_counter()
    fresh = spec.seed not in opened
    if fresh:
        try:
            opened[spec.seed] = open_seed(spec.seed)
        except MixoptError as error:
            opened[spec.seed] = error
    evaluator = opened[spec.seed]
    if isinstance(evaluator, MixoptError):
        return Observation.failure(
            spec, f"its experts are not there: {evaluator}", seconds=time.perf_counter() - started
        )
    shares = spec.mixture.to_dict()
    unknown = [d for d, w in shares.items() if w > 0 and d not in evaluator.domains]
    if unknown:
        known = did_you_mean(unknown[0], evaluator.domains)
        return Observation.failure(spec, f"there is no expert of {unknown[0]!r}; {known}")
    answer = evaluator.evaluate(np.array([shares.get(d, 0.0) for d in evaluator.domains]))
    return Observation.of(
        spec,
        answer.metrics,
        flops=answer.flops + (evaluator.spent() if fresh else 0.0),
        seconds=time.perf_counter() - started,
        info=answer.info,
    )
