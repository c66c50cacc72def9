"""A sweep that starts from an earlier one, through spec, store and resume."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from mixopt.app.running.driving import run
from mixopt.app.running.launch import new_sweep, open_sweep
from mixopt.app.spec.spec_file import parse_spec
from mixopt.errors import SpecError
from mixopt.testing.trainers import NAME


def spec(name: str, **changes: Any) -> Any:
    values = {
        "version": 1,
        "name": name,
        "trainer": {"use": NAME, "config": {"noise": 0.002}},
        "scales": [{"params": 1000, "tokens": 10_000}],
        "objective": {"minimize": ["loss/web", "loss/code", "loss/math"]},
        "strategy": {"use": "auto", "design": 6, "proposals": 2, "confirm_seeds": 0, "law": "gp"},
        "execution": {"use": "local"},
    }
    return parse_spec({**values, **changes})


@pytest.mark.slow
@pytest.mark.mlflow
def test_a_sweep_starts_from_an_earlier_one_and_resumes_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_sweep(spec("old")) as (sweep, recipe):
        run(sweep, recipe)
    warm = spec("new", warm_start=["runs/old"])
    with new_sweep(warm) as (sweep, recipe):
        (table,) = sweep.problem.earlier
        assert len(table) == 8
        specs = recipe.next(sweep.problem, [], [])
        run(sweep, recipe)
        proposed = [o.spec.mixture for o in sweep.store.observations()]
    shutil.rmtree("runs/old")
    with new_sweep(warm) as (sweep, recipe):
        assert [t.frame.to_dict() for t in sweep.problem.earlier] == [table.frame.to_dict()]
        assert recipe.next(sweep.problem, sweep.store.observations(), []) == []
    with open_sweep(Path("runs/new")) as sweep:
        assert len(sweep.problem.earlier) == 1
    assert len(proposed) == len(specs) + 2


@pytest.mark.mlflow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warm_start": ["runs/none.csv"]}, "warm_start: .*no such folder or file"),
        (
            {"warm_start": ["runs/x.csv"], "strategy": {"use": "olmix"}},
            "'olmix' learns nothing from earlier studies",
        ),
    ],
    ids=["missing", "strategy"],
)
def test_a_warm_start_that_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=message), new_sweep(spec("new", **changes)):
        pass
