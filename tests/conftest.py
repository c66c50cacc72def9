"""Services that are slow to start, once per test session; why a run was asked for."""

import os
from collections.abc import Iterator
from typing import Any

# Before numpy: small matrices on several threads, beside Ray's workers, only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from mixopt import RunSpec
from mixopt.lazy import load
from mixopt.runs.kinds import DESIGN, Kind

# A commit is green or not, whatever the day and however busy the machine: properties are tried on
# the same examples every time, without a limit of time. `make properties` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile("new" if os.environ.get("MIXOPT_NEW_EXAMPLES") else "same")


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray cluster with two CPUs on this machine; executors that tests make join it."""
    executor = load("mixopt.execution.ray:RayExecutor")(tmp_path_factory.mktemp("ray"), max_slots=2)
    yield
    executor.close()


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite database with MLflow's tables, for sweeps with different names."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
    load("mixopt.tracking.mlflow:MLflowStore")(uri, "first").release()
    return uri


class Kinds:
    """Why a run was asked for: how tests write it and read it, in this one place."""

    def confirms(self, name: str) -> dict[str, Any]:
        """Arguments of a `RunSpec` that trains the candidate `name` with a fresh seed."""
        return {"kind": Kind.confirmation(name)}

    def design(self) -> dict[str, Any]:
        """Arguments of a `RunSpec` of a design."""
        return {"kind": DESIGN}

    def confirmed(self, spec: RunSpec) -> str:
        """The name of the candidate that a run confirms; empty for a run of the search."""
        return spec.kind.confirms or ""

    def of(self, spec: RunSpec) -> str:
        """The kind of a run in one word: see `mixopt.runs.kinds.What`."""
        return str(spec.kind.what)


@pytest.fixture(scope="session")
def kinds() -> Kinds:
    """See `Kinds`."""
    return Kinds()
