"""Every cell of a table is understood or refused by column and row; what is not used is said."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mixopt import InputError, RunTable

N = 6


def frame(**columns: Any) -> pd.DataFrame:
    web = np.linspace(0.1, 0.9, N)
    made = {"run": [f"r{i}" for i in range(N)], "w/web": web, "w/code": 1 - web}
    return pd.DataFrame({**made, "m/loss": np.linspace(2.0, 3.0, N), **columns})


def notes(table: RunTable) -> str:
    return "\n".join(table.notes)


# -- facts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["1M", "1,000,000", "1_000_000", "1e6", "1000k", " 1M ", "1000000"]
)
def test_counts_are_read_as_in_a_spec(text: str) -> None:
    table = RunTable.from_frame(frame(params=text, tokens="160k"))
    np.testing.assert_array_equal(table.scales, [[1e6, 160e3]] * N)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("params", "1 M parameters", "no count"),
        ("params", "1m", "no count"),
        ("params", 0, "no count"),
        ("params", -1e6, "no count"),
        ("params", 1.5, "no count"),
        ("params", np.inf, "no count"),
        ("params", True, "no count"),
        ("tokens", "-3G", "no count"),
        ("tokens", "many", "no count"),
        ("seed", "a", "no number"),
        ("seed", 0.5, "no seed"),
        ("seed", np.inf, "no seed"),
        ("cost", "3 h", "no number"),
        ("cost", -1.0, "no cost"),
        ("cost", np.inf, "no cost"),
        ("seconds", "3 min", "no number"),
        ("seconds", -2, "no cost"),
        ("w/web", "50%", "no number"),
        ("w/web", "1/2", "no number"),
        ("w/web", None, "no share"),
        ("w/web", -0.5, "negative share"),
        ("w/web", "True", "no number"),
        ("m/loss", "OOM", "no number"),
        ("m/loss", "3,5", "write a point"),
        ("m/loss", pd.Timestamp("2024-01-01"), "no number"),
    ],
)
def test_a_bad_cell_is_refused_by_column_and_row(column: str, cell: Any, message: str) -> None:
    good = {"params": 1000, "tokens": 1000, "seed": 1, "cost": 1.0, "seconds": 1.0}
    bad = frame(**good).astype({column: object})
    bad.loc[2, column] = cell
    with pytest.raises(InputError, match=message) as caught:
        RunTable.from_frame(bad)
    assert f"'{column}' holds" in str(caught.value)
    assert "row 3 (run 'r2')" in str(caught.value)


def test_truth_values_and_dates_are_no_numbers() -> None:
    for column in ("w/web", "m/loss"):
        for values in ([True] * N, pd.date_range("2024-01-01", periods=N)):
            with pytest.raises(InputError, match=f"'{column}' holds .* no number"):
                RunTable.from_frame(frame(**{column: values}))


def test_empty_facts_are_no_facts() -> None:
    table = RunTable.from_frame(frame(params=np.nan, tokens=None, seed=np.nan, cost=""))
    assert np.isnan(table.scales).all()
    assert "seed" not in table.facts


# -- scales ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("column", "other"), [("params", "tokens"), ("tokens", "params")])
def test_a_scale_that_is_half_stated_is_refused_and_the_remedy_works(
    column: str, other: str
) -> None:
    sizes = [1e6, 1e6, 1e6, 1e9, 1e9, 1e9]
    half = frame(**{column: sizes})
    with pytest.raises(InputError, match=f"'{column}' varies .*no column '{other}'") as caught:
        RunTable.from_frame(half)
    where = str(caught.value).split('--where "')[1].split('"')[0]
    assert len(RunTable.from_frame(half, where=where)) == 3
    assert len(RunTable.from_frame(half.assign(**{other: 5}))) == N
    assert len(RunTable.from_frame(frame(**{column: 1e6}))) == N


@pytest.mark.parametrize("column", ["params", "tokens"])
def test_a_scale_that_some_rows_lack_is_refused_and_the_remedy_works(column: str) -> None:
    gaps = frame(params=1e6, tokens=1e9).astype({column: float})
    gaps.loc[[1, 4], column] = np.nan
    with pytest.raises(InputError, match=r"empty in row 2 \(run 'r1'\) \(2 of 6 rows\)") as caught:
        RunTable.from_frame(gaps)
    where = str(caught.value).split('--where "')[1].split('"')[0]
    assert len(RunTable.from_frame(gaps, where=where)) == 4


@pytest.mark.parametrize("name", ["n_params", "num_params", "Params", "PARAMS", "num-params"])
def test_a_scale_under_another_name_is_used_and_said(name: str) -> None:
    sizes = [1e6, 1e6, 1e6, 1e9, 1e9, 1e9]
    table = RunTable.from_frame(frame(**{name: sizes, "tokens": 1e9}))
    np.testing.assert_array_equal(table.scales[:, 0], sizes)
    assert f"'{name}' as 'params'" in notes(table)
    with pytest.raises(InputError, match="all state 'params'"):
        RunTable.from_frame(frame(n_params=1, num_params=2))


# -- identity --------------------------------------------------------------------------------------


def test_tables_of_steps_are_refused_and_the_remedies_work() -> None:
    steps = pd.concat([frame(step=100), frame(step=200).iloc[:3]], ignore_index=True)
    with pytest.raises(InputError, match=r"run 'r0' stands in several rows .*3 rows") as caught:
        RunTable.from_frame(steps)
    where = str(caught.value).split('--where "')[1].split('"')[0]
    assert where == "step == 200"
    assert len(RunTable.from_frame(steps, where=where)) == 3
    with_tokens = steps.assign(params=1e6, tokens=steps["step"] * 1000)
    assert len(RunTable.from_frame(with_tokens)) == 9
    seeds = pd.concat([frame(seed=0), frame(seed=1)], ignore_index=True)
    assert len(RunTable.from_frame(seeds)) == 12


def test_copies_of_a_row_are_one_run_and_counted() -> None:
    table = RunTable.from_frame(pd.concat([frame(), frame().iloc[:4]]))
    assert len(table) == N
    assert "4 of 10 rows repeat another in every cell" in notes(table)


@pytest.mark.parametrize("name", ["run_id", "Run", "name", "id"])
def test_a_run_may_be_named_in_other_columns(name: str) -> None:
    table = RunTable.from_frame(frame().rename(columns={"run": name}))
    assert table.facts["run"].tolist() == [f"r{i}" for i in range(N)]
    named = frame().set_index("run")
    assert RunTable.from_frame(named).facts["run"].tolist() == [f"r{i}" for i in range(N)]


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("status", "failed"),
        ("State", "crashed"),
        ("status", "running"),
        ("status", "OOM"),
        ("failed", True),
        ("diverged", True),
    ],
)
def test_runs_that_did_not_finish_are_left_out_and_counted(column: str, bad: Any) -> None:
    good = False if bad is True else "Finished"
    told = frame(**{column: [good, bad, good, good, bad, good]})
    told.loc[[1, 4], "w/web"] = np.nan  # a failed run may lack anything
    table = RunTable.from_frame(told)
    assert table.facts["run"].tolist() == ["r0", "r2", "r3", "r5"]
    assert "2 of 6 runs did not finish" in notes(table)
    word = column if bad is True else bad
    assert f"'{word}' 2" in notes(table)


def test_a_status_that_is_not_understood_is_refused() -> None:
    with pytest.raises(InputError, match="calls no run finished"):
        RunTable.from_frame(frame(status="failed"))
    with pytest.raises(InputError, match="calls no run finished"):
        RunTable.from_frame(frame(status=[0, 0, 0, 1, 1, 0]))


# -- metrics and what is left over -----------------------------------------------------------------


def test_missing_and_infinite_metrics_are_counted() -> None:
    loss = [2.0, np.inf, np.nan, -np.inf, 1e200, 3.0]
    table = RunTable.from_frame(frame(**{"m/loss": loss, "m/other": 1.0}))
    assert "4 of 6 runs lack m/loss (3 of them infinite)" in notes(table)
    assert np.isnan(table.metric("loss")).sum() == 4
    with pytest.raises(InputError, match="no run has a finite value"):
        RunTable.from_frame(frame(**{"m/loss": np.inf}))


def test_a_value_far_from_all_others_is_named() -> None:
    table = RunTable.from_frame(frame(**{"m/loss": [2.0, 2.1, 2.3, 1e9, 2.2, 2.5]}))
    assert r"m/loss of row 4 (run 'r3') is 1e+09" in notes(table)
    assert notes(RunTable.from_frame(frame())) == ""


def test_bookkeeping_is_neither_metric_nor_domain() -> None:
    table = RunTable.from_frame(
        frame(
            **{
                "m/_timestamp": 1.7e9,
                "m/_step": 3,
                "m/epoch": 1,
                "m/Unnamed: 0": range(N),
                "w/index": range(N),
                "w/Unnamed: 0": range(N),
            }
        )
    )
    assert (table.domains, table.metrics) == (("web", "code"), ("loss",))
    for name in ("m/_timestamp", "m/_step", "m/epoch", "w/index"):
        assert name in notes(table)


def test_a_language_may_be_called_id() -> None:
    table = RunTable.from_frame(frame().rename(columns={"w/web": "w/id", "w/code": "w/name"}))
    assert table.domains == ("id", "name")


def test_columns_that_are_not_used_are_named() -> None:
    table = RunTable.from_frame(frame(split="train", w_math=0.0, **{"metric/acc": 0.5}))
    assert "3 columns, split, w_math, metric/acc" in notes(table)
    assert "'w_math' ('w/math'?), 'metric/acc' ('m/acc'?)" in notes(table)
    unseen = RunTable.from_frame(frame(**{"w/new": 0.0}))
    assert "no run gives weight to w/new" in notes(unseen)


def test_rows_off_the_simplex_get_a_remedy_that_is_right() -> None:
    total = frame(**{"w/total": 1.0})
    with pytest.raises(InputError, match="without w/total every row does"):
        RunTable.from_frame(total)
    percent = frame(**{"w/web": 50.0, "w/code": 50.0})
    with pytest.raises(InputError, match=r"sum to 100 .*--renormalize\) scales them to 1"):
        RunTable.from_frame(percent)
    scaled = RunTable.from_frame(percent, renormalize=True)
    np.testing.assert_allclose(scaled.W, 0.5)
    with pytest.raises(InputError, match="add the columns of domains that are missing"):
        RunTable.from_frame(frame().drop(columns="w/code"))
    nothing = frame()
    nothing.loc[1, ["w/web", "w/code"]] = 0.0
    with pytest.raises(InputError, match="has to train on something"):
        RunTable.from_frame(nothing, renormalize=True)


def test_names_with_spaces_and_signs_are_names() -> None:
    table = RunTable.from_frame(
        frame().rename(columns={"w/web": " w/ Wikipedia (en) ", "m/loss": "m/DM Mathematics"})
    )
    assert table.domains == ("Wikipedia (en)", "code")
    assert table.metrics == ("DM Mathematics",)


def test_notes_follow_the_runs() -> None:
    table = RunTable.from_frame(frame(split="train"))
    for other in (
        table.take([0, 1]),
        table.only(["loss"]),
        table.within(["code", "web", "new"]),
        RunTable.joined([table, table]),
    ):
        assert other.notes == table.notes
