"""What every registry of promoted mixtures must do."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mixopt.errors import StoreError
from mixopt.evidence.law_model import LawModel
from mixopt.lazy import require
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Observation, RunSpec
from mixopt.runs.run_table import RunTable
from mixopt.testing.store_contract import example_observation, example_spec
from mixopt.testing.worlds import make_world
from mixopt.tracking.mlflow import MLflowStore
from mixopt.tracking.mlflow_registry import MLflowRegistry
from mixopt.tracking.registry import Entry, MemoryRegistry, Registry, Version


@pytest.fixture(scope="module")
def law() -> LawModel:
    world = make_world(3, 2, seed=1)
    W = world.space.round(world.space.sample(12, np.random.default_rng(0)))
    runs = [world.run(RunSpec(world.space.mixture(w), world.target)) for w in W]
    table = RunTable.from_observations(runs, world.space.names)
    rng = np.random.default_rng(0)
    surrogate = fit_surrogate(table, world.objective, world.space, "log-linear", rng=rng)
    return LawModel(world.space.names, surrogate)


def entry(law: LawModel, promotion: str = "p1", name: str = "mixopt.study") -> Entry:
    return Entry(
        name,
        promotion,
        {"law.json": law.to_json(), "mixture.json": '{"a": 1}', "card.md": f"# {promotion}"},
        law.inputs,
        law.outputs,
        "Promoted: ...",
        (example_spec().run_id, "not there"),
        {"gain/measured": 0.1},
        {"runs": pd.DataFrame({"w/web": [0.5], "m/loss": [1.0]})},
        {"study": name, "promotion": promotion},
    )


class Contract:
    """Inherit it, with a fixture `registry`."""

    def test_a_promotion_is_registered_once(self, registry: Any, law: LawModel) -> None:
        assert isinstance(registry, Registry)
        assert registry.versions("mixopt.study") == ()
        with pytest.raises(StoreError, match=r"no registered model 'mixopt\.study'; 'mixopt prom"):
            registry.text("mixopt.study", "@champion", "card.md")
        first = registry.register(entry(law))
        assert registry.register(entry(law)) == first == Version("mixopt.study", "1", "p1")
        second = registry.register(entry(law, "p2"))
        assert registry.versions("mixopt.study") == (first, second)
        assert second.uri == "models:/mixopt.study/2"
        assert registry.text("mixopt.study", "2", "card.md") == "# p2"
        assert registry.text("mixopt.study", "1", "law.json") == law.to_json()
        with pytest.raises(StoreError, match=r"no version '3' in .*; versions: 1, 2"):
            registry.text("mixopt.study", "3", "card.md")

    def test_an_alias_moves_from_where_it_was_seen(self, registry: Any, law: LawModel) -> None:
        first, second = (registry.register(entry(law, p)) for p in ("p1", "p2"))
        assert registry.alias("mixopt.study", "champion") == ""
        assert registry.alias("mixopt.nobody", "champion") == ""
        registry.move(first, "champion", seen="")
        assert registry.text("mixopt.study", "@champion", "card.md") == "# p1"
        with pytest.raises(StoreError, match="was nowhere when this began and is at version 1 now"):
            registry.move(second, "champion", seen="")
        assert registry.alias("mixopt.study", "champion") == "1"
        registry.move(second, "champion", seen="1")
        assert registry.alias("mixopt.study", "champion") == "2"

    def test_records_of_all_studies_are_kept_once(self, registry: Any, law: LawModel) -> None:
        first = registry.register(entry(law))
        registry.register(entry(law, "p9", "mixopt.other"))
        for _ in range(2):
            registry.note(first, {"study": "mixopt.study", "where": "large run"})
        told = [(r["study"], r.get("where", ""), r["version"]) for r in registry.records()]
        assert sorted(told) == [
            ("mixopt.other", "", "1"),
            ("mixopt.study", "", "1"),
            ("mixopt.study", "large run", "1"),
        ]


class TestMemoryRegistry(Contract):
    @pytest.fixture
    def registry(self) -> MemoryRegistry:
        return MemoryRegistry()


@pytest.mark.mlflow
@pytest.mark.slow
class TestMLflowRegistry(Contract):
    @pytest.fixture
    def uri(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'mlflow.db'}"

    @pytest.fixture
    def registry(self, uri: str, tmp_path: Path) -> Iterator[MLflowRegistry]:
        with MLflowStore(uri, "sweep", artifacts=tmp_path / "artifacts") as store:
            seen: Observation = example_observation(example_spec())
            store.close(seen)
            with MLflowRegistry(uri, "sweep") as made:
                yield made

    def test_a_version_leads_to_its_runs_data_and_law(
        self, registry: MLflowRegistry, law: LawModel, uri: str, tmp_path: Path
    ) -> None:
        version = registry.register(entry(law))
        client = require("mlflow.tracking").MlflowClient(uri)
        kept = client.get_model_version(version.name, version.number)
        run = client.get_run(kept.run_id)
        (parent,) = client.search_runs([run.info.experiment_id], "tags.`mixopt.entry` = 'sweep'")
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        (lineage,) = json.loads(run.data.tags["mixopt.runs"])
        assert client.get_run(lineage).data.tags["mixopt.run_id"] == example_spec().run_id
        assert [i.dataset.name for i in run.inputs.dataset_inputs] == ["runs"]
        assert run.data.metrics == {"gain/measured": 0.1}
        assert not list(tmp_path.rglob("*.pkl"))
        # The sweep's own record is what it was.
        assert len(MLflowStore(uri, "sweep", read_only=True).observations()) == 1

        mixtures = pd.DataFrame({"w/d2": [0.5], "w/d0": [0.2], "w/d1": [0.3]})
        program = f"""
            import mlflow, pandas as pd
            mlflow.set_tracking_uri({uri!r})
            law = mlflow.pyfunc.load_model("models:/{version.name}/{version.number}")
            print(law.predict(pd.DataFrame({mixtures.to_dict(orient="list")!r})).to_json())
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            capture_output=True, text=True, check=False, timeout=100, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        there = pd.DataFrame(json.loads(done.stdout.splitlines()[-1]))
        here = law.predict(mixtures)
        assert there.iloc[0].tolist() == pytest.approx(here.iloc[0].tolist())

    def test_a_registry_that_refuses_is_an_error_in_words_and_leaves_no_version(
        self, registry: MLflowRegistry, law: LawModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        error = require("mlflow.exceptions").MlflowException
        denied = error(
            "you may not", error_code=require("mlflow.protos.databricks_pb2").PERMISSION_DENIED
        )

        def refuse(*_: Any, **__: Any) -> None:
            raise denied

        with monkeypatch.context() as patch:
            patch.setattr(registry._client, "create_model_version", refuse)
            with pytest.raises(
                StoreError, match=r"cannot register .*you may not; ask for the perm"
            ):
                registry.register(entry(law))
        assert registry.versions("mixopt.study") == ()
        made = registry.register(entry(law))  # goes on with the files that are there
        assert made.number == "1"
        client = registry._client
        experiment = client.get_experiment_by_name("sweep").experiment_id
        assert len(client.search_runs([experiment], "tags.`mixopt.entry` = 'promotion'")) == 1
