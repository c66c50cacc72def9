"""What is said of the weights of metrics."""

from dataclasses import replace

import numpy as np

from mixopt import Objective
from mixopt.diagnostics.noise import Noise
from mixopt.evidence.weights import weighing

NOISE = Noise(("a", "b", "c"), np.ones(3), np.array([0.9, 0.3, 0.1]), np.array([4, 4, 4]))


def test_weighed_metrics_below_their_noise_are_named_with_the_remedy() -> None:
    (told,) = weighing(Objective.of(["a", "b"]), NOISE)
    assert "on repeated runs): b (0.30); 'reliability: down-weight'" in told
    (alone,) = weighing(Objective.of("c"), NOISE)
    assert "down-weight" not in alone  # one metric has no other to weigh less than
    assert weighing(Objective.of("a"), NOISE) == ()
    assert weighing(Objective.of("b"), replace(NOISE, replicates=np.zeros(3))) == ()
    assert weighing(Objective.of("b"), None) == ()


def test_weights_by_reliability_are_said_beside_what_was_asked() -> None:
    objective = Objective.of(["a", "b"]).down_weighted({"a": 0.9, "b": 0.3})
    weights, poor = weighing(objective, NOISE)
    assert "a 0.75 (asked 0.5, reliability 0.90), b 0.25 (asked 0.5, reliability 0.30)" in weights
    assert poor.endswith("b (0.30)")
