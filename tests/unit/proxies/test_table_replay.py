"""Replaying a table: the run that was asked for, or a failure that names the nearest."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import lazy
from mixopt.errors import InputError
from mixopt.runs import Observation, Point, RunSpec, Scale
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture
from mixopt.testing.trainer_contract import TrainerContract
from proxies import TableTrainer

SCALE = Scale(10, 100)


def table(tmp_path: Path, **columns: Any) -> str:
    """Two runs of two domains; `columns` are added or replaced."""
    web = np.asarray(columns.pop("web", [0.25, 0.75]))
    frame = pd.DataFrame(
        {"run": [f"r{i}" for i in range(len(web))], "w/web": web, "w/code": 1 - web}
        | {"m/loss": [3.0, 2.0]}
        | columns
    )
    path = tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    return str(path)


def ask(trainer: TableTrainer, web: float, seed: int = 0, scale: Scale = SCALE) -> Observation:
    spec = RunSpec(Mixture.of({"web": web, "code": 1 - web}), scale, seed=seed)
    return trainer.train([spec], Path())[0]


class TestContract(TrainerContract):
    scale = SCALE

    @pytest.fixture(autouse=True)
    def _write(self, tmp_path):
        web = [0.5, 0.5, 1.0, 0.5]
        columns = {"params": 10, "tokens": [100, 100, 100, 50], "seed": [0, 1, 0, 0]}
        columns |= {"run": ["a", "b", "c", "a"], "m/loss": [3.0, 3.1, 2.0, 4.0]}
        self._path = table(tmp_path, web=web, **columns)

    def make(self, **more: Any) -> Any:
        return TableTrainer(table=self._path, **more)


def test_the_nearest_run_is_named_when_none_has_the_mixture(tmp_path):
    error = ask(TableTrainer(table=table(tmp_path)), 0.7).error
    distance = math.sqrt(1 - math.sqrt(0.7 * 0.75) - math.sqrt(0.3 * 0.25))
    assert "run r1 (web 0.75, code 0.25)" in error
    assert f"Hellinger distance {distance:.3g}" in error
    assert "differs by 0.05 in a weight" in error


def test_a_nearest_run_answers_inside_the_radius_only_and_is_marked(tmp_path):
    path = table(tmp_path)
    far = ask(TableTrainer(table=path, nearest=True, radius=0.03), 0.7)
    near = ask(TableTrainer(table=path, nearest=True, radius=0.05), 0.7)
    assert "outside the radius 0.03" in far.error
    assert near.metrics == {"loss": 2.0}
    assert near.info["run"] == "run r1"
    assert near.info["mixture"] == {"web": 0.75, "code": 0.25}
    assert 0.03 < near.info["hellinger"] < 0.05
    exact = ask(TableTrainer(table=path, nearest=True), 0.75)
    assert exact.info["hellinger"] == 0


@given(st.floats(0, 1))
def test_the_answer_is_the_nearest_in_hellinger_distance(web):
    trainer = TableTrainer(table="unread", nearest=True, radius=1.0)
    shares = np.array([0.0, 0.2, 0.55, 0.9])
    frame = pd.DataFrame({"w/web": shares, "w/code": 1 - shares, "m/loss": shares})
    trainer.__dict__["runs"] = RunTable.from_frame(frame)
    seen = ask(trainer, web)
    w = np.array([web, 1 - web])
    gaps = [np.linalg.norm(np.sqrt(w) - np.sqrt([s, 1 - s])) for s in shares]
    best = np.flatnonzero(np.array(gaps) <= min(gaps) + 1e-6)
    assert seen.metrics["loss"] in shares[best]


def test_seeds_of_the_table_are_matched(tmp_path):
    path = table(tmp_path, web=[0.5, 0.5], seed=[0, 7])
    assert ask(TableTrainer(table=path), 0.5, seed=7).metrics == {"loss": 2.0}
    assert "with seed 0, 7, not 3" in ask(TableTrainer(table=path), 0.5, seed=3).error
    assert ask(TableTrainer(table=path, any_seed=True), 0.5, seed=3).metrics == {"loss": 2.0}


def test_a_scale_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    path = table(tmp_path, params=[10, 20], tokens=100)
    assert ask(TableTrainer(table=path), 0.25).ok
    assert "its (params, tokens): (10, 100), (20, 100)" in (
        ask(TableTrainer(table=path), 0.25, scale=Scale(10, 200)).error
    )


def test_cost_curve_and_seconds_come_from_the_table(tmp_path):
    columns = {"web": [0.25, 0.25], "run": ["a", "a"], "params": 10, "tokens": [50, 100]}
    path = table(tmp_path, **columns, cost=[5.0, 11.0], seconds=[1.0, 2.5])
    reported: list[Point] = []
    spec = RunSpec(Mixture.of({"web": 0.25, "code": 0.75}), SCALE)
    (seen,) = TableTrainer(table=path).train([spec], Path(), lambda _, p: reported.append(p))
    assert (seen.metrics, seen.flops, seen.seconds) == ({"loss": 2.0}, 11.0, 2.5)
    assert list(seen.curve) == reported == [Point(50, {"loss": 3.0})]


def test_a_metric_without_a_value_fails_the_run_by_name(tmp_path):
    path = table(tmp_path, **{"m/code": [1.0, None]})
    assert ask(TableTrainer(table=path), 0.25).metrics == {"loss": 3.0, "code": 1.0}
    assert "run r1 of the table has no value of 'code'" in ask(TableTrainer(table=path), 0.75).error


def test_rows_can_be_selected_and_tokens_given(tmp_path):
    path = table(tmp_path, split=["train", "test"])
    trainer = TableTrainer(table=path, where="split == 'train'", tokens={"web": 8e9})
    assert [d.tokens for d in trainer.prepare(tmp_path).domains] == [8e9, None]
    assert not ask(trainer, 0.75).ok
    with pytest.raises(InputError, match="did you mean 'web'"):
        TableTrainer(table=path, tokens={"wed": 1}).prepare(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tolerance": 2}, "tolerance is 2"),
        ({"radius": 0}, "radius is 0"),
        ({"tolerence": 0.1}, "did you mean 'tolerance'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        lazy.build(TableTrainer, {"table": "runs.csv"} | settings, "trainer")


def test_a_missing_table_is_refused_on_prepare(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        TableTrainer(table=str(tmp_path / "gone.csv")).prepare(tmp_path)
