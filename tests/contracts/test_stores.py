"""The store contract over every store."""

from pathlib import Path
from typing import Any

import pytest

from mixopt.execution.local import MemoryStore
from mixopt.lazy import require
from mixopt.testing.store_contract import StoreContract
from mixopt.tracking.mlflow import MLflowStore


class TestMemoryStore(StoreContract):
    def make(self, folder: Path, name: str = "sweep") -> Any:
        return MemoryStore()


@pytest.mark.mlflow
class TestMLflowStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _database(self, mlflow_uri: str) -> None:
        # Making the tables takes a second, so the tests share a database and have sweeps in it.
        self.uri = mlflow_uri

    def make(self, folder: Path, name: str = "sweep") -> Any:
        return MLflowStore(self.uri, f"{folder.name}/{name}", artifacts=folder / "artifacts")

    def reopen(self, store: Any, folder: Path, name: str = "sweep") -> Any:
        store.release()
        return self.make(folder, name)

    def attached(self, store: Any, name: str) -> bytes:
        client = require("mlflow.tracking").MlflowClient(self.uri)
        file = client.download_artifacts(store.sweep_id, name)
        return Path(file).read_bytes()
