"""The trainer of the benchmark, which answers at once, and the question that it answers."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.ports import Capabilities, Report, TrainerInfo, ignore_report
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.objective import Objective
from mixopt.space import Domain, MixtureSpace
from mixopt.strategies import Problem

DOMAINS = tuple(f"domain-{i:02d}" for i in range(17))
METRICS = tuple(f"metric-{i:02d}" for i in range(22))
SCALE = Scale(1_000_000, 20_000_000)


class Instant:
    """A trainer that answers at once: every metric is a fixed linear function of the weights."""

    capabilities = Capabilities(runtime=frozenset({"seconds"}))

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def prepare(self, cache: Path) -> TrainerInfo:  # noqa: ARG002 - the port's signature
        """Nothing has to be prepared."""
        return TrainerInfo(tuple(Domain(d, tokens=1e9) for d in DOMAINS), METRICS, "nats", "bench")

    def train(
        self,
        specs: Sequence[RunSpec],
        cache: Path,  # noqa: ARG002 - the port's signature
        report: Report = ignore_report,  # noqa: ARG002
    ) -> list[Observation]:
        """One observation per run."""
        time.sleep(self.seconds * len(specs))
        return [observed(spec) for spec in specs]


def metrics_of(w: Any) -> dict[str, float]:
    """The metrics of a run at weights w (17,)."""
    slopes = np.cos(np.arange(len(METRICS))[:, None] + np.arange(len(DOMAINS)))
    return dict(zip(METRICS, (3.0 + slopes @ np.asarray(w)).tolist(), strict=True))


def observed(spec: RunSpec) -> Observation:
    """What the trainer would give for a run."""
    return Observation.of(spec, metrics_of(spec.mixture.array), flops=spec.scale.flops)


def question() -> Problem:
    """17 domains, 22 metrics, one scale."""
    space = MixtureSpace([Domain(d, tokens=1e9) for d in DOMAINS])
    trainer = f"{Instant.__module__}:{Instant.__name__}"
    return Problem(space, Objective.of(METRICS), (SCALE,), trainer=trainer, data="bench")


def settings_of(seconds: float) -> dict[str, float]:
    """The trainer's runtime settings."""
    return {"seconds": seconds}
