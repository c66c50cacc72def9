"""Curves that are continued to the target's tokens."""

import numpy as np
import pytest

from mixopt import Mixture, Observation, RunSpec, Scale
from mixopt.runs import Point
from mixopt.strategies.oneshot import continued

SPEC = RunSpec(Mixture.of({"web": 1.0}), Scale(10, 8_000))
TOKENS = np.arange(1_000, 9_000, 1_000)


def run(**curves: np.ndarray) -> Observation:
    """A run with these values at `TOKENS`, the last of them as its result."""
    points = [
        Point(int(t), {k: float(y[i]) for k, y in curves.items()}) for i, t in enumerate(TOKENS)
    ]
    return Observation(SPEC, metrics=points[-1].metrics, curve=tuple(points))


def falling(tokens: np.ndarray | float) -> np.ndarray:
    return 2.0 + 1.5 * (np.asarray(tokens) / 1_000) ** -0.5


def test_every_metric_follows_its_own_curve() -> None:
    seen = continued(run(loss=falling(TOKENS), half=falling(TOKENS) / 2), 64_000)
    assert seen.metrics["loss"] == pytest.approx(float(falling(64_000)), abs=0.01)
    assert seen.metrics["half"] == pytest.approx(float(falling(64_000)) / 2, abs=0.005)


def test_what_rises_is_short_or_has_got_there_stays() -> None:
    rising = run(loss=5.0 - falling(TOKENS))
    assert continued(rising, 64_000).metrics == rising.metrics
    whole = run(loss=falling(TOKENS))
    short = Observation(SPEC, metrics=whole.metrics, curve=whole.curve[:2])
    assert continued(short, 64_000).metrics == whole.metrics
    assert continued(whole, 8_000) is whole
