from pathlib import Path

import pandas as pd
import pytest

from mixopt.errors import InputError
from mixopt.ports import Trainer
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies import TableTrainer

SCALE = Scale(10, 100)


@pytest.fixture
def path(tmp_path) -> str:
    frame = pd.DataFrame(
        {
            "params": [10, 10, 10, 20],
            "tokens": [100, 100, 100, 100],
            "w/web": [0.5, 0.5, 1.0, 0.0],
            "w/code": [0.5, 0.5, 0.0, 1.0],
            "m/loss": [3.0, 3.1, 2.0, 1.0],
        }
    )
    frame.to_csv(tmp_path / "runs.csv", index=False)
    return str(tmp_path / "runs.csv")


def spec(seed: int = 0, **weights: float) -> RunSpec:
    return RunSpec(Mixture.of(weights), SCALE, seed=seed)


def test_it_replays_the_recorded_run_and_its_replicates(path):
    trainer = TableTrainer(table=path)
    assert isinstance(trainer, Trainer)
    info = trainer.prepare(Path())
    assert [d.name for d in info.domains] == ["web", "code"]
    assert info.metrics == ("loss",)
    specs = [spec(web=1.0), spec(0, web=0.5, code=0.5), spec(1, web=0.5, code=0.5)]
    found = trainer.train(specs, Path())
    assert [o.metrics["loss"] for o in found] == [2.0, 3.0, 3.1]


def test_what_the_table_does_not_hold_fails_with_the_reason(path):
    exact, near = TableTrainer(table=path), TableTrainer(table=path, tolerance=0.2)
    run = spec(web=0.9, code=0.1)
    assert "differs by 0.1" in exact.train([run], Path())[0].error
    assert near.train([run], Path())[0].metrics == {"loss": 2.0}
    assert "no domain 'books'" in exact.train([spec(books=1.0)], Path())[0].error
    other = RunSpec(Mixture.of({"web": 1.0}), Scale(7, 7))
    assert "no run of scale" in exact.train([other], Path())[0].error


def test_a_tolerance_beyond_a_share_is_refused(path):
    with pytest.raises(InputError, match="tolerance"):
        TableTrainer(table=path, tolerance=2)
