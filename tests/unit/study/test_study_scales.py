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


AFAR = Scale(10**10, 10**9)


def test_at_a_scale_that_no_run_was_trained_at_only_the_ranking_is_said() -> None:
    made = study(target=AFAR)
    made.tell(frame(scale=SMALL))
    mixtures = [{"a": a, "b": 1 - a} for a in (0.1, 0.6, 0.9)]
    shown = made.predict(mixtures)
    best = made.predict(mixtures, SMALL)["m/loss"].rank()
    assert shown["rank"].tolist() == best.tolist()
    assert set(shown["reach"]) == {"ranking only"}
    assert shown.drop(columns=["rank", "reach"]).isna().all().all()
    assert "runs of one scale (1M params x 1B tokens)" in shown.attrs["reach"]
    assert np.isfinite(made.predict(mixtures, SMALL)).all().all()
    answer = made.recommend()
    assert not answer.levels
    assert answer.gains == {}
    assert answer.metrics == {}
    assert "ranking only" in answer._repr_html_().lower()
    assert "Predicted objective" not in answer._repr_html_()
    told = made.outcome.summary()
    assert told["predicted"]["objective"] == {"mean": None, "sd": None}
    assert told["predicted"]["reach"]["says"] == "ranking only"
    assert "for no run was trained at 10B params x 1B tokens" in told["headline"]
    assert any("ranking only" in w for w in told["warnings"])
    assert told["trust"]["level"] != "trust"


def test_two_scales_lead_to_a_third_and_the_answer_says_how_far() -> None:
    made = study()
    made.tell(frame(scale=SMALL))
    made.tell(frame(scale=LARGE).assign(**{"m/loss": frame()["m/loss"] - 0.4}))
    seen, far = made.predict({"a": 0.6, "b": 0.4}), made.predict({"a": 0.6, "b": 0.4}, AFAR)
    assert "reach" not in seen
    assert far["reach"].tolist() == ["extrapolated"]
    assert "the parameters of the largest" in far.attrs["reach"]
    assert far["m/loss"][0] < seen["m/loss"][0]
    assert far["sd/loss"][0] > seen["sd/loss"][0]
    beside = made.predict({"a": 0.6, "b": 0.4}, Scale(10**6, 10**12))  # tokens never varied
    assert beside["reach"].tolist() == ["ranking only"]


def test_a_scale_is_refused_where_the_runs_state_none() -> None:
    made = study()
    made.tell(frame())
    with pytest.raises(InputError, match="do not say at which scale they were trained"):
        made.predict({"a": 0.6, "b": 0.4}, AFAR)
    aimed = study(target=AFAR)
    aimed.tell(frame())
    with pytest.raises(InputError, match="answers are asked for 10B params"):
        aimed.fit()


def test_the_gate_tells_metrics_that_follow_from_those_that_do_not() -> None:
    """A loss of the domain follows from one scale to the next, an accuracy beside it does not."""
    rng = np.random.default_rng(1)
    parts = [
        frame(24, scale=scale).assign(
            **{"m/accuracy": rng.normal(size=24), "m/loss": frame(24)["m/loss"] - drop}
        )
        for scale, drop in ((SMALL, 0.0), (LARGE, 0.3))
    ]
    gates = {}
    for metric in ("loss", "accuracy"):
        made = Study(MixtureSpace(["a", "b"]), metric, law="log-linear", target=AFAR)
        made.tell(pd.concat(parts))
        (gates[metric],) = (g for g in made.check().gates if g.name == "transfer between scales")
    assert "a rank correlation of 0.83 (0.50 to 0.93) is to be expected" in gates["loss"].told
    assert "do not trust" not in gates["loss"].told
    assert gates["loss"].allows == "ranking only"
    assert "do not trust these proxies for this target" in gates["accuracy"].told
    assert gates["accuracy"].allows == "do not trust"
