"""The benchmark of verdicts: records, cache, and what counts as wrong."""

import json
from pathlib import Path

import pytest

from analysis.trust import answered as answer_of
from analysis.trust import main, record, summary, wrong
from mixopt.testing.tables import known_table


def test_records_say_what_was_told_and_what_was_true(tmp_path: Path, capsys) -> None:
    out, cache = tmp_path / "out.json", tmp_path / "fits"
    how = ["--json", str(out), "--law", "gp", "--seeds", "1", "--cache", str(cache)]
    worlds = ["--worlds", "power-law-3,pure-noise-4"]
    assert main([*how, *worlds]) == 0
    first = json.loads(out.read_text())
    assert [r["world"] for r in first] == ["power-law-3", "pure-noise-4"]
    assert first[0]["regret"] < 0.3
    assert first[1]["verdict"] == "do not trust"
    assert first[1]["reasons"]
    assert {"value", "low", "high", "threshold", "state", "allows", "remedy"} <= set(
        first[0]["gates"]["held-out ranking"]
    )
    # What was kept is judged again without a fit, and alike; what was not kept is passed over.
    assert main([*how, "--cached"]) == 0
    assert json.loads(out.read_text()) == first
    assert "all of report" in capsys.readouterr().out


def test_optimism_is_in_sds_of_a_run_and_regret_in_sds_of_the_objective() -> None:
    known = known_table("smooth-4", 0)
    found = record(known, "gp", 0, answer_of(known, "gp", 0))
    answer = answer_of(known, "gp", 0).recommendation
    w = answer.mixture.array[None]
    assert found["optimism"] == pytest.approx((known.value(w)[0] - answer.value) / 0.2, abs=1e-6)
    best = known.value(known.optimum()[None])[0]
    assert found["regret"] == pytest.approx((known.value(w)[0] - best) / known.spread(), abs=1e-6)


@pytest.mark.parametrize(
    ("regret", "optimism", "is_wrong"),
    [(0.29, 1.9, False), (0.31, 0.0, True), (0.0, 2.1, True), (0.0, -9.0, False)],
)
def test_wrong_is_a_regret_or_an_optimism_that_hurts(
    regret: float, optimism: float, is_wrong: bool
) -> None:
    assert wrong({"regret": regret, "optimism": optimism}) is is_wrong


def test_only_trusted_answers_can_be_wrong() -> None:
    base = {
        "world": "w", "half": "report", "easy": False, "regret": 3.0, "optimism": 9.0,
        "cover_objective": False,
    }  # fmt: skip
    lines = summary([{**base, "verdict": v} for v in ("trust", "ranking only", "do not trust")])
    assert "33.3%" in lines[1]
    assert "0.0%" in summary([{**base, "verdict": "ranking only"}])[1]


def test_cached_needs_a_cache(tmp_path: Path, capsys) -> None:
    assert main(["--json", str(tmp_path / "o.json"), "--cached"]) == 2
    assert "--cache" in capsys.readouterr().err
