"""From where on the curves of a study foretell their ends: over runs, in words, in JSON."""

import json

import numpy as np
import pytest

from mixopt import Mixture, Objective, Observation, RunSpec, Scale
from mixopt.diagnostics import foretelling
from mixopt.diagnostics.foretelling import too_short
from mixopt.runs import Point

SCALE = Scale(1000, 100_000)
LOSS = Objective.of("loss")


def run(i: int, points: int = 10, drop: float = 0.0, scale: Scale = SCALE) -> Observation:
    """A curve of the form of a trend; `drop` is what it loses over its last tenth."""
    tokens = [int(scale.tokens * (k + 1) / (points + 1)) for k in range(points)]
    amplitude = 0.5 + 0.1 * i

    def value(t: int) -> float:
        share = t / scale.tokens
        return float(2.0 + amplitude * share**-0.4 - drop * max(share - 0.9, 0.0) * 10)

    spec = RunSpec(Mixture(("a", "b"), (i / 10, 1 - i / 10)), scale, seed=i)
    curve = tuple(Point(t, {"loss": value(t)}) for t in tokens)
    return Observation.of(spec, {"loss": value(scale.tokens)}, curve=curve)


def test_curves_of_a_trend_are_foretold_from_their_third_point_on() -> None:
    told = foretelling([run(i) for i in range(5)], LOSS)
    assert told is not None
    assert (told.curves, told.points, told.foretold, told.predicted) == (5, 11, 5, 5)
    assert told.share == told.most == told.level == pytest.approx(3 / 11, abs=1e-3)
    ends = [run(i).metrics["loss"] for i in range(5)]
    assert told.tolerance == pytest.approx(0.5 * np.std(ends, ddof=1))
    assert told.lines() == [
        "5 of 5 learning curves foretell their end within 0.079 (half the sd over runs), half of "
        "those from 27 % of a run on, 90 % of them from 27 % on",
        "5 of 5 reach the prediction level, at 27 % of a run, and miss their end by "
        f"{told.error:.2g} there, which was right",
    ]
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False))["scale"]["tokens"] == 100_000


def test_a_decay_is_told_as_what_it_is() -> None:
    told = foretelling([run(i, drop=0.5) for i in range(5)], LOSS)
    assert told is not None
    assert told.foretold == 0
    assert "none of 5 learning curves foretells its end" in told.lines()[0]
    assert "which was too early" in told.lines()[1]


def test_few_points_or_runs_say_less() -> None:
    told = foretelling([run(0, points=5)], LOSS)
    assert told is not None
    assert not told.compared
    assert told.tolerance == pytest.approx(0.025)
    assert "(1 %)" in told.lines()[0]
    assert told.lines()[1] == "a prediction level takes 9 points a curve, and these have 6"
    assert foretelling([run(0, points=3)], LOSS) is None
    assert "have 4 points at most, and 5 are needed" in too_short([run(0, points=3)])
    assert too_short([run(0, points=4)]) == too_short([]) == ""


def test_of_many_curves_some_are_looked_at_and_the_rest_is_counted() -> None:
    told = foretelling([run(i % 7) for i in range(230)], LOSS)
    assert told is not None
    assert (told.curves, told.left) == (100, 130)
    assert told.lines()[-1].startswith("130 more curves were not looked at")


def test_the_scale_with_most_curves_counts_and_failed_runs_do_not() -> None:
    larger = Scale(1000, 400_000)
    runs = [run(i) for i in range(3)] + [run(i, scale=larger) for i in range(2)]
    runs.append(Observation.failure(run(7).spec, "diverged", curve=run(7).curve))
    told = foretelling(runs, Objective({"loss": 1.0}, standardize=True))
    assert told is not None
    assert (told.scale, told.curves) == (SCALE, 3)
