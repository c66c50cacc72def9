"""The executor contract over every executor."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mixopt.execution.local import LocalExecutor
from mixopt.execution.slurm import SlurmExecutor
from mixopt.lazy import load
from mixopt.testing.executor_contract import ExecutorContract
from mixopt.testing.slurm_cluster import slurm_cluster, slurm_is_installed


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


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if not slurm_is_installed():
        pytest.skip("Slurm is not installed (see .ci/packages)")
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), cpus=4):
        yield


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
class TestSlurmExecutor(ExecutorContract):
    def make(self, cache: Path) -> Any:
        return SlurmExecutor(cache, max_slots=2, poll=0.3)

    def make_timed(self, cache: Path, seconds: float) -> Any:
        return SlurmExecutor(cache, max_slots=2, poll=0.3, timeout=seconds)

    @property
    def survives_crashes(self) -> bool:
        return True
