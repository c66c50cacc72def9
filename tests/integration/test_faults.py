"""The short form of `make faults`: two things that happen to sweeps on a cluster of nodes."""

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.faults import __main__ as faults
from analysis.faults import trials
from analysis.faults.sweeps import Sweep
from mixopt.lazy import load
from mixopt.runs import Observation
from mixopt.testing.executor_contract import fake_spec
from mixopt.testing.store_contract import example_observation

pytestmark = pytest.mark.mlflow


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_worker_and_a_lost_node_change_no_run(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    words = ["--json", str(record), "--faults", "worker-killed,node-lost"]
    assert faults.main([*words, "--kills", "2"]) == 0
    seen = json.loads(record.read_text())
    assert [r["fault"] for r in seen] == ["worker-killed", "node-lost"]
    assert "; killed" in seen[0]["done"]
    assert faults.main([*words, "--kills", "2"]) == 0  # nothing is left to do
    assert json.loads(record.read_text()) == seen


def test_what_is_lost_doubled_open_or_different_is_seen(tmp_path: Path, mlflow_uri: str) -> None:
    """The harness over a store that a test has spoilt."""
    uri, specs = mlflow_uri, [fake_spec(seed) for seed in range(5)]
    done = [example_observation(spec) for spec in specs]
    expected = {o.run_id: (o.ok, o.metrics) for o in done}
    sweep = Sweep(tmp_path / "spoilt", uri, {})
    with load("mixopt.tracking.mlflow:MLflowStore")(uri, "spoilt") as store:
        for seen in done[:2]:
            store.close(seen)
        store.open(specs[2])
        store.close(Observation.of(specs[3], {"loss": -1.0}))
        store.close(example_observation(fake_spec(9)))
    client = load("mlflow.tracking:MlflowClient")(uri)
    (experiment,) = client.search_experiments(filter_string="name LIKE '%spoilt%'")
    kept = f"tags.`mixopt.run_id` = '{specs[0].run_id}'"
    (once,) = client.search_runs([experiment.experiment_id], kept)
    client.create_run(experiment.experiment_id, tags=once.data.tags)
    problems = sweep.problems(expected)
    ids = [spec.run_id for spec in specs]
    for text in (
        f"{ids[0]} is there 2 times",
        f"{ids[2]} is open",
        f"{ids[4]} is missing",
        f"{fake_spec(9).run_id} was never asked for",
    ):
        assert text in problems
    assert any(problem.startswith(f"{ids[3]}: ") for problem in problems)
    assert not any(ids[1] in problem for problem in problems)


def test_a_trial_that_does_not_end_is_not_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def never(trial: trials.Trial) -> list[str]:
        raise TimeoutError("not done after 120 s")

    monkeypatch.setitem(trials.FAULTS, "hangs", never)
    record = tmp_path / "record.json"
    assert faults.main(["--json", str(record), "--kills", "1", "--faults", "hangs"]) == 1
    (seen,) = json.loads(record.read_text())
    assert seen["problems"] == ["TimeoutError: not done after 120 s"]
    assert "| hangs | 1 | 0 |" in capsys.readouterr().out
