"""The executor contract over every executor."""

from pathlib import Path
from typing import Any

import pytest

from mixopt.execution.local import LocalExecutor
from mixopt.lazy import load
from mixopt.testing.executor_contract import ExecutorContract


class TestLocalExecutor(ExecutorContract):
    def make(self, cache: Path) -> Any:
        return LocalExecutor(cache)

    def make_timed(self, cache: Path, seconds: float) -> Any:
        return LocalExecutor(cache, timeout=seconds)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
class TestRayExecutor(ExecutorContract):
    def make(self, cache: Path) -> Any:
        return load("mixopt.execution.ray:RayExecutor")(cache)

    def make_timed(self, cache: Path, seconds: float) -> Any:
        return load("mixopt.execution.ray:RayExecutor")(cache, timeout=seconds)

    @property
    def survives_crashes(self) -> bool:
        return True
