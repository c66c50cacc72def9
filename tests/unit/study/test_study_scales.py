"""A study asks at the scale of its runs, and mixes no scales and no names without a word."""

import numpy as np
import pandas as pd
import pytest

from mixopt import InputError, MixtureSpace, RunSpec, Scale, Study
from mixopt.runs import UNSTATED
from mixopt.study import MOST_RUNS

SMALL, LARGE = Scale(1_000_000, 10**9), Scale(60_000_000, 10**9)


def frame(n: int = 12, scale: Scale | None = None) -> pd.DataFrame:
    a = np.linspace(0.05, 0.95, n)
    runs = pd.DataFrame({"w/a": a, "w/b": 1 - a, "m/loss": 2 + (a - 0.6) ** 2})
    if scale is not None:
        runs = runs.assign(params=scale.params, tokens=scale.tokens)
    return runs


def study(**changes: object) -> Study:
    return Study(MixtureSpace(["a", "b"]), "loss", law="log-linear", **changes)  # type: ignore[arg-type]


def test_the_next_runs_are_of_the_scale_that_was_told() -> None:
    made = study()
    made.tell(frame(scale=SMALL))
    (spec,) = made.ask()
    assert spec.scale == SMALL
    made.tell(spec, 2.0)
    assert len(made) == 13
    assert made.surrogate.scale is None  # one scale: nothing is related to anything
    assert np.unique(made.table.scales, axis=0).tolist() == [[1e6, 1e9]]


def test_a_study_of_several_scales_is_told_which() -> None:
    made = study()
    made.tell(frame(3, scale=SMALL))
    made.tell(frame(2, scale=LARGE))
    with pytest.raises(InputError, match=r"2 scales \(1M params.*60M params.*ask\(n, scale="):
        made.ask()
    assert made.ask(scale=LARGE)[0].scale == LARGE
    named = study(scale=LARGE)
    named.tell(frame(scale=SMALL))
    assert named.ask()[0].scale == LARGE


def test_runs_without_a_scale_and_runs_with_one_are_not_mixed() -> None:
    bare = study()
    bare.tell(frame())
    assert bare.ask()[0].scale == UNSTATED
    with pytest.raises(InputError, match=r"these 12 runs state a scale, .* have none"):
        bare.tell(frame(scale=SMALL))
    stated = study()
    stated.tell(frame(scale=SMALL))
    with pytest.raises(InputError, match=r"do not state a scale, .* have one"):
        stated.tell(frame())
    assert len(stated) == 12
    asked = study()
    (spec,) = asked.ask()
    with pytest.raises(InputError, match="state a scale"):
        asked.tell(frame(scale=SMALL))
    asked.tell(spec, 2.0)
    asked.tell(frame())
    assert len(asked) == 13


def test_the_scale_of_the_study_stands_for_runs_that_state_none() -> None:
    made = study(scale=SMALL)
    made.tell(frame())
    made.tell(frame(scale=SMALL))
    assert np.unique(made.table.scales, axis=0).tolist() == [[1e6, 1e9]]
    assert made.ask()[0].scale == SMALL


def test_a_run_that_was_asked_is_told_at_the_scale_that_was_asked() -> None:
    made = study(scale=SMALL)
    (spec,) = made.ask()
    other = pd.DataFrame(
        {
            "run": [spec.run_id],
            "w/a": [spec.mixture["a"]],
            "w/b": [spec.mixture["b"]],
            "m/loss": [2.0],
            "params": [LARGE.params],
            "tokens": [LARGE.tokens],
        }
    )
    with pytest.raises(InputError, match=r"was asked at 1M params .* told at 60M params"):
        made.tell(other)
    moved = RunSpec(spec.mixture, LARGE, seed=spec.seed)
    with pytest.raises(InputError, match=r"was asked at 1M params .* told at 60M params"):
        made.tell(moved, 2.0)
    made.tell(other.assign(params=SMALL.params))
    assert len(made) == 1


def test_a_misspelt_metric_is_refused_with_the_right_name() -> None:
    made = study()
    (spec,) = made.ask()
    with pytest.raises(InputError, match=r"unknown metric 'los': .*did you mean 'loss'"):
        made.tell(spec, {"los": 3.0})
    with pytest.raises(InputError, match="unknown metric 'loss': the objective needs it"):
        made.tell(spec, {"accuracy": 0.3})
    with pytest.raises(InputError, match="has none"):
        made.tell(spec, {})
    made.tell(spec, {"loss": 3.0, "accuracy": 0.3})
    assert len(made) == 1


def test_of_very_many_runs_a_part_that_covers_them_is_fitted() -> None:
    a = np.random.default_rng(0).beta(0.3, 0.3, size=MOST_RUNS * 3)
    many = pd.DataFrame({"w/a": a, "w/b": 1 - a, "m/loss": 2 + (a - 0.6) ** 2})
    made = study()
    made.tell(many)
    part = made.evidence
    assert len(part) == MOST_RUNS < len(made) == 3 * MOST_RUNS
    assert any(f"{MOST_RUNS} of {3 * MOST_RUNS} runs" in note for note in part.notes)
    assert part.W[:, 0].min() < np.quantile(a, 0.02)
    gaps = np.diff(np.sort(part.W[:, 0]))
    assert gaps.max() < 0.02
    again = study()
    again.tell(many)
    np.testing.assert_array_equal(again.evidence.W, part.W)
    assert made.recommend().mixture["a"] > 0.4
