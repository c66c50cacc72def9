"""Means of metrics of different kinds, and directions that names contradict, are said."""

import numpy as np
import pandas as pd
import pytest

from mixopt import Objective, RunTable
from mixopt.diagnostics.unlike import doubts


def table(**metrics: float) -> RunTable:
    """Metrics of names to sd over runs, level 10 sd."""
    rng = np.random.default_rng(0)
    a = rng.random(40)
    columns = {f"m/{name}": sd * (10 + rng.standard_normal(40)) for name, sd in metrics.items()}
    return RunTable.from_frame(pd.DataFrame({"w/a": a, "w/b": 1 - a, **columns}))


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"web": 0.1, "code": 12.0}, "code makes 99.9 % of its variance"),
        ({"bpb": 0.1, "ppl": 0.2}, "names are of bits per byte and perplexity"),
        ({"loss/web": 0.1, "acc/web": 0.1}, "names are of accuracy or score and loss"),
        ({f"t{i}": 10.0**-i for i in range(3)} | {"t0b": 1.0, "t0c": 1.1}, "orders of magnitude"),
    ],
)
def test_unlike_metrics_are_named_with_their_spreads(
    metrics: dict[str, float], message: str
) -> None:
    runs = table(**metrics)
    said = doubts(runs, Objective.of(runs.metrics))
    assert any(message in line and "--standardize" in line and "sd over" in line for line in said)
    if "orders" in message or "variance" in message:
        assert not doubts(runs, Objective({k: 1.0 for k in runs.metrics}, standardize=True))


def test_alike_metrics_pass_without_a_word() -> None:
    runs = table(web=0.1, code=0.3, math=0.2)
    assert doubts(runs, Objective.of(runs.metrics)) == ()
    losses = table(**{"loss/a": 0.1, "loss/b": 0.2})
    assert doubts(losses, Objective.of(losses.metrics)) == ()


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("mmlu_acc", "higher"),
        ("accuracy", "higher"),
        ("F1", "higher"),
        ("eval/exact_match", "higher"),
        ("ppl", "lower"),
        ("val_loss", "lower"),
        ("arxiv bpb", "lower"),
        ("accuracy_loss", "lower"),
        ("arc_easy:rc::olmes", "unknown"),
    ],
)
def test_a_direction_that_the_name_contradicts_is_said(name: str, direction: str) -> None:
    runs = table(**{name: 0.1})
    low = doubts(runs, Objective.of(name))
    high = doubts(runs, Objective.of((), name))
    assert bool(low) == (direction == "higher")
    assert bool(high) == (direction == "lower")
    if low:
        assert f"--maximize {name}" in low[0]
    if high:
        assert f"--minimize {name}" in high[0]
