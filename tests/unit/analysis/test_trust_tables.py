"""Verdicts on parts of a table, and what the rest of it says."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.trust import main
from analysis.trust_tables import borne_out, judged, objectives, parts
from mixopt.errors import InputError
from mixopt.testing.tables import known_table


def test_a_part_is_shown_and_all_else_is_held_out() -> None:
    table = known_table("smooth-5", 0).table
    drawn = parts(table, 30, np.random.default_rng(0))
    assert (len(drawn.shown), len(drawn.held_out), drawn.target) == (30, 18, None)
    both = np.vstack([drawn.shown.W, drawn.held_out.W])
    np.testing.assert_allclose(np.sort(both, axis=0), np.sort(table.W, axis=0))
    with pytest.raises(InputError, match="show fewer than 48"):
        parts(table, 48, np.random.default_rng(0))


def test_of_two_scales_the_smaller_is_shown_and_the_larger_asked_about() -> None:
    table = known_table("two-scales-faithful", 0).table
    drawn = parts(table, 32, np.random.default_rng(0))
    assert set(drawn.shown.scales[:, 0]) == {1e6}
    assert set(drawn.held_out.scales[:, 0]) == {float(drawn.target.params)} if drawn.target else 0
    told = judged(table, objectives(table, [])["mean of 1"], "gp", 32, 0)
    assert told["verdict"] == "ranking only"
    assert any("transfer between scales not measured" in r for r in told["reasons"])
    assert told["rho"] > 0.5
    assert told["borne_out"]


@pytest.mark.parametrize(
    ("verdict", "rho", "regret", "cover", "holds"),
    [
        ("trust", 0.6, 0.2, 0.8, True),
        ("trust", 0.6, 0.4, 0.8, False),
        ("trust", 0.6, 0.2, 0.6, False),
        ("ranking only", 0.6, 0.4, 0.0, True),
        ("ranking only", 0.4, 0.0, 1.0, False),
        ("do not trust", 0.9, 0.0, 1.0, True),
    ],
)
def test_what_each_verdict_claims(
    verdict: str, rho: float, regret: float, cover: float, holds: bool
) -> None:
    told = {"verdict": verdict, "rho": rho, "regret": regret, "cover": cover}
    assert borne_out(told) is holds


def test_the_command_takes_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "runs.csv", tmp_path / "out.json"
    known_table("power-law-3", 0).table.frame.to_csv(path, index=False)
    how = ["--json", str(out), "--law", "gp", "--seeds", "1", "--tables", str(path)]
    assert main([*how, "--metrics", "loss-0", "missing"]) == 0
    records = json.loads(out.read_text())
    assert [(r["table"], r["objective"]) for r in records] == [
        ("runs", "mean of 3"),
        ("runs", "loss-0"),
    ]
    assert records[0]["held_out"] == 12
    assert "borne out" in capsys.readouterr().out
