"""A fitted law as others call it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mixopt.errors import InputError, StoreError
from mixopt.evidence.law_model import LawModel
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import RunSpec, Scale
from mixopt.runs.reach import Reach
from mixopt.runs.run_table import RunTable
from mixopt.testing.worlds import make_world

WORLD = make_world(3, 2, seed=1)


@pytest.fixture(scope="module")
def law() -> LawModel:
    W = WORLD.space.round(WORLD.space.sample(12, np.random.default_rng(0)))
    runs = [WORLD.run(RunSpec(WORLD.space.mixture(w), WORLD.target)) for w in W]
    table = RunTable.from_observations(runs, WORLD.space.names)
    rng = np.random.default_rng(0)
    surrogate = fit_surrogate(table, WORLD.objective, WORLD.space, "log-linear", rng=rng)
    return LawModel(WORLD.space.names, surrogate)


def test_it_predicts_what_the_study_predicts_and_comes_back_from_json(law: LawModel) -> None:
    W = np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]])
    table = pd.DataFrame(W[:, ::-1], columns=["w/d2", "w/d1", "w/d0"], index=["x", "y"])
    table["note"] = "left aside"
    seen = LawModel.read(law.to_json()).predict(table)
    expected = law.surrogate.predict(W)
    assert list(seen.columns) == list(law.outputs)
    assert list(seen.index) == ["x", "y"]
    assert seen["m/loss-1"].tolist() == pytest.approx(expected.mean[:, 1].tolist())
    assert seen["sd/loss-1"].tolist() == pytest.approx(expected.sd[:, 1].tolist())
    assert seen["objective"].tolist() == pytest.approx(law.surrogate.moments(W)[0].tolist())


def test_at_a_scale_to_which_no_runs_lead_it_ranks_and_gives_no_value(law: LawModel) -> None:
    reach = Reach.to(Scale(10**10, 10**12), np.array([WORLD.target.sizes]))
    assert not reach.levels
    far = LawModel.read(replace(law, reach=reach).to_json())
    assert far.outputs == ("rank", "order")
    W = WORLD.space.sample(20, np.random.default_rng(1))
    table = pd.DataFrame(W, columns=list(far.inputs))
    seen, values = far.predict(table), law.predict(table)["objective"]
    assert list(seen.columns) == ["rank", "order"]
    assert seen["rank"].tolist() == values.rank().tolist()
    # Rows of another table have the same order: it does not depend on what else is asked.
    assert far.predict(table[:1])["order"].tolist() == seen["order"][:1].tolist()
    assert (np.argsort(seen["order"]) == np.argsort(values)).all()
    there = Reach.to(WORLD.target, np.array([WORLD.target.sizes]))
    assert replace(law, reach=there).predict(table).equals(law.predict(table))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"w/d0": [0.5], "w/d1": [0.5]}, "no column 'w/d2'; give one column for each of the 3"),
        ({"w/d0": [0.5], "w/d1": [0.5], "w/d2": [0.0], "w/d9": [0.0]}, "unknown domain 'd9'"),
        ({"w/d0": [0.5], "w/d1": [0.5], "w/d2": [0.2]}, r"row 0 is no mixture .*sum 1\.2"),
        ({"w/d0": [1.5], "w/d1": [-0.5], "w/d2": [0.0]}, "row 0 is no mixture"),
        ({"w/d0": [np.nan], "w/d1": [1.0], "w/d2": [0.0]}, "row 0 is no mixture"),
    ],
)
def test_what_is_no_mixture_is_refused(law: LawModel, columns: dict, told: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=told):
        law.predict(pd.DataFrame(columns))


def test_another_format_and_damage_are_refused(law: LawModel) -> None:
    values = json.loads(law.to_json())
    with pytest.raises(StoreError, match="has format 9, and this mixopt reads 4"):
        LawModel.read(json.dumps({**values, "format": 9}))
    del values["surrogate"]["fitted"]
    with pytest.raises(StoreError, match="cannot be read"):
        LawModel.read(json.dumps(values))
    with pytest.raises(StoreError, match="cannot be read"):
        LawModel.read("{}")
