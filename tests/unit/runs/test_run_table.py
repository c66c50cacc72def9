"""The tidy run table: arrays from frames and observations, picked and joined."""

import numpy as np
import pandas as pd
import pytest

from mixopt import (
    InputError,
    MixerSpec,
    Mixture,
    Observation,
    Realised,
    RunSpec,
    RunTable,
    Scale,
    Schedule,
)
from mixopt.diagnostics.noise import noise
from mixopt.runs import UNSTATED
from mixopt.runs.run_table import seen_mixtures


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": ["a", "b", "c"],
            "split": ["train", "train", "test"],
            "params": [1e6, 1e6, 1e9],
            "tokens": [1e9, 1e9, 25e9],
            "w/web": [0.7, 0.5, 0.2],
            "w/code": [0.3, 0.5, 0.8],
            "m/loss": [3.0, np.nan, 2.0],
        }
    )


def test_a_run_is_called_by_its_name_else_by_its_row_from_one() -> None:
    frame = pd.DataFrame({"w/a": [0.9, 0.2], "w/b": [0.1, 0.8], "m/x": [1.0, 2.0]})
    assert RunTable.from_frame(frame).named(1) == "row 2 (b 80.0 %, a 20.0 %)"
    assert (
        RunTable.from_frame(frame.assign(run=["p", "q"])).named(0) == "run p (a 90.0 %, b 10.0 %)"
    )


def test_columns_become_arrays() -> None:
    table = RunTable.from_frame(frame())
    assert table.domains == ("web", "code")
    assert table.metrics == ("loss",)
    np.testing.assert_allclose(table.W, [[0.7, 0.3], [0.5, 0.5], [0.2, 0.8]])
    np.testing.assert_array_equal(table.scales[2], [1e9, 25e9])
    np.testing.assert_allclose(table.costs, [6e15, 6e15, 1.5e20])


def test_rounded_rows_are_rescaled_and_others_are_refused_by_number() -> None:
    rounded = frame().assign(**{"w/web": [0.703, 0.5, 0.2]})
    np.testing.assert_allclose(RunTable.from_frame(rounded).W.sum(axis=1), 1.0)
    bad = frame().assign(**{"w/web": [0.7, 0.46, 0.2]})
    with pytest.raises(InputError, match=r"row 2 \(run 'b'\) sum to 0\.96 .*renormalize=True"):
        RunTable.from_frame(bad)
    np.testing.assert_allclose(RunTable.from_frame(bad, renormalize=True).W.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"w/web": [0.7, np.nan, 0.2]},
            "'w/web' holds nan in row 2 .*no share",
        ),
        (
            {"w/web": [1.3, 0.5, 0.2], "w/code": [-0.3, 0.5, 0.8]},
            "'w/code' holds -0.3 in row 1 .*negative",
        ),
        (
            {"m/loss": ["3", "x", "2"]},
            "'m/loss' holds 'x' in row 2 .*no number",
        ),
    ],
)
def test_bad_values_are_named(change: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RunTable.from_frame(frame().assign(**change))


def test_missing_columns_and_rows_are_named() -> None:
    with pytest.raises(InputError, match="no column that starts with 'm/'"):
        RunTable.from_frame(frame().drop(columns="m/loss"))
    with pytest.raises(InputError, match="no rows"):
        RunTable.from_frame(frame().iloc[:0])
    with pytest.raises(InputError, match="'run' twice"):
        RunTable.from_frame(pd.concat([frame(), frame()[["run"]]], axis=1))


def test_queries_pick_runs_and_say_what_is_wrong() -> None:
    table = RunTable.from_frame(frame())
    assert list(table.query("params == 1e6 and split == 'train'").frame["run"]) == ["a", "b"]
    with pytest.raises(InputError, match="no run of the table satisfies"):
        table.query("params == 5")
    with pytest.raises(InputError, match=r"cannot apply .*split"):
        table.query("splitt == 'train'")


def test_some_metrics_of_the_same_runs() -> None:
    table = RunTable.from_frame(frame().assign(**{"m/other": [1.0, 2.0, 3.0]}))
    other = table.only(["other"])
    assert other.metrics == ("other",)
    assert other.Y[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert "m/loss" not in other.frame
    with pytest.raises(InputError, match="unknown metric 'none'"):
        table.only(["none"])


def test_an_unknown_metric_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="did you mean 'loss'"):
        RunTable.from_frame(frame()).metric("los")


def test_observations_make_a_table_of_the_runs_that_succeeded() -> None:
    good = RunSpec(Mixture.of({"web": 1.0}), Scale(10, 20), seed=1)
    bad = RunSpec(Mixture.of({"code": 1.0}), Scale(10, 20), seed=2)
    table = RunTable.from_observations(
        [Observation.of(good, {"loss": 2.0}, flops=7.0), Observation.failure(bad, "diverged")],
        ("web", "code"),
    )
    np.testing.assert_array_equal(table.W, [[1.0, 0.0]])
    np.testing.assert_array_equal(table.Y, [[2.0]])
    assert table.costs.tolist() == [7.0]
    with pytest.raises(InputError, match="none of 1 runs succeeded"):
        RunTable.from_observations([Observation.failure(bad, "diverged")])


def test_a_scale_that_nobody_stated_stays_open_beside_one_that_was() -> None:
    specs = [
        RunSpec(Mixture.of({"a": share, "b": 1 - share}), scale)
        for share, scale in ((0.2, UNSTATED), (0.7, Scale(10, 200)))
    ]
    table = RunTable.from_observations(Observation.of(spec, {"loss": 1.0}) for spec in specs)
    np.testing.assert_array_equal(table.scales, [[np.nan, np.nan], [10, 200]])


# -- what was really drawn -------------------------------------------------------------------------

ASKED = Mixture.of({"web": 0.5, "code": 0.5})
SMALL, LARGE = Scale(10, 1000), Scale(10, 2000)
FAILED = RunSpec(ASKED, SMALL, seed=9)


def drawn(web: int, *, total: int = 1000, grain: int = 20, **fields: object) -> Observation:
    spec = RunSpec(**({"mixture": ASKED, "scale": SMALL} | fields))  # type: ignore[arg-type]
    realised = Realised.whole({"web": web, "code": total - web}, grain)
    return Observation.of(spec, {"loss": 2.0}, realised=realised)


def test_draws_to_the_grain_of_the_trainer_count_as_asked() -> None:
    runs = [drawn(503), drawn(498, seed=1), drawn(1002, total=2000, scale=LARGE)]
    assert seen_mixtures(runs) == [ASKED] * 3
    table = RunTable.from_observations(runs)
    np.testing.assert_array_equal(table.W, 0.5)


def test_a_run_that_drew_something_else_is_seen_as_what_it_drew() -> None:
    table = RunTable.from_observations([drawn(560), drawn(300, mixture=Mixture.of({"web": 1.0}))])
    assert table.domains == ("web", "code")
    np.testing.assert_allclose(table.W, [[0.56, 0.44], [0.3, 0.7]])


def test_repeats_stay_one_mixture_whatever_each_of_them_drew() -> None:
    runs = [drawn(560), drawn(600, seed=1), drawn(510, seed=2), Observation.failure(FAILED, "x")]
    other = drawn(300, mixture=Mixture.of({"web": 0.3, "code": 0.7}))
    table = RunTable.from_observations([*runs, other])
    np.testing.assert_allclose(table.W[:3, 0], (0.56 + 0.6 + 0.51) / 3)
    assert len(np.unique(table.W[:3], axis=0)) == 1
    assert noise(table).replicates.tolist() == [2]


def test_what_a_failed_run_drew_is_no_matter_to_the_others() -> None:
    broken = Observation.failure(FAILED, "x", realised=Realised.whole({"web": 100}, 1))
    assert seen_mixtures([drawn(503), broken]) == [ASKED, ASKED]


def test_runs_with_a_mixer_are_what_they_drew_and_repeats_at_one_scale() -> None:
    mixer = MixerSpec("odm")
    runs = [
        drawn(510, mixer=mixer),  # to the grain, and not what was asked for
        drawn(515, mixer=mixer, seed=1),
        drawn(1400, total=2000, mixer=mixer, scale=LARGE),
        drawn(505),
    ]
    found = [mixture["web"] for mixture in seen_mixtures(runs)]
    assert found == pytest.approx([0.5125, 0.5125, 0.7, 0.5])


def test_a_run_by_a_schedule_is_seen_as_its_mean() -> None:
    schedule = Schedule(((750, Mixture.of({"web": 1.0})), (1000, Mixture.of({"code": 1.0}))))
    spec = RunSpec.scheduled(schedule, SMALL)
    phases = ((760, {"web": 760}), (1000, {"code": 240}))
    seen = Observation.of(spec, {"loss": 2.0}, realised=Realised(phases, 20))
    assert RunTable.from_observations([seen]).W.tolist() == [[0.75, 0.25]]
    far = Observation.of(spec, {"loss": 2.0}, realised=Realised(phases, 9))
    np.testing.assert_allclose(RunTable.from_observations([far]).W, [[0.76, 0.24]])
