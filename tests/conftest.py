"""Services that are slow to start, once per test session."""

import os
from collections.abc import Iterator

# Before numpy: small matrices on several threads, beside Ray's workers, only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from mixopt.lazy import load


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray cluster with two CPUs on this machine; executors that tests make join it."""
    executor = load("mixopt.execution.ray:RayExecutor")(tmp_path_factory.mktemp("ray"), slots=2)
    yield
    executor.close()


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite database with MLflow's tables, for sweeps with different names."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
    load("mixopt.tracking.mlflow:MLflowStore")(uri, "first").release()
    return uri
