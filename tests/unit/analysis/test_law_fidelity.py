"""The benchmark on a table that it has never seen: higher is better, gaps, several scales."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.law_fidelity import main, score

KEYS = {"law", "n", "seed", "target", "rho", "mae", "regret", "coverage90", "fit_seconds"}


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frames = []
    for params in (1e6, 1e7, 1e8):
        W = rng.dirichlet(np.ones(3), size=24).round(3)
        W[:, -1] = (1 - W[:, :-1].sum(axis=1)).round(3)
        loss = 2 + np.exp(-2 * W[:, 0]) + (params / 1e6) ** -0.3
        frame = pd.DataFrame(W, columns=["w/a", "w/b", "w/c"])
        frames.append(
            frame.assign(params=params, tokens=1e9, **{"m/loss": loss, "m/score": W[:, 0]})
        )
    whole = pd.concat(frames, ignore_index=True)
    whole.loc[3, "m/loss"] = np.nan
    path = tmp_path / "runs.csv"
    whole.to_csv(path, index=False)
    return path


def run(table, tmp_path, *options):
    out = tmp_path / "out.json"
    status = main([str(table), "--seeds", "2", "--json", str(out), *options])
    return status, json.loads(out.read_text()) if out.exists() else []


def test_a_larger_model_and_a_metric_to_maximise(table, tmp_path, capsys):
    status, records = run(
        table, tmp_path, "--train", "params < 1e8", "--test", "params == 1e8", "--sizes", "20,99",
        "--laws", "log-linear,linear", "--maximize", "score",
    )  # fmt: skip
    assert status == 0
    assert all(set(r) == KEYS for r in records)
    assert {r["n"] for r in records} == {20, 48}
    assert {r["target"] for r in records} == {"loss", "score", "objective"}
    linear = [r for r in records if r["law"] == "linear" and r["target"] == "score"]
    assert all(r["rho"] > 0.99 and r["regret"] < 0.05 for r in linear)
    shown = capsys.readouterr().out
    assert "log-linear" in shown
    assert "regret" in shown


def test_calibration_runs_are_not_tested(table, tmp_path):
    status, records = run(
        table, tmp_path, "--train", "params == 1e6", "--test", "params == 1e8", "--sizes", "20",
        "--laws", "log-linear", "--calibrate", "6",
    )  # fmt: skip
    assert status == 0
    loss = [r for r in records if r["target"] == "loss"]
    assert all(r["mae"] < 0.2 for r in loss)  # the level of the larger model was learned


def test_unknown_names_end_with_a_message(table, tmp_path, capsys):
    status, _ = run(table, tmp_path, "--laws", "loglinear")
    assert status == 2
    assert "log-linear" in capsys.readouterr().err


def test_regret_has_the_sign_of_the_direction():
    truth, told = np.array([1.0, 2.0, 4.0]), np.array([0.0, 1.0, 0.5])
    assert score(truth, told, np.ones(3))["regret"] == 0.0
    assert score(truth, told, np.ones(3), higher_is_better=True)["regret"] == 2.0
