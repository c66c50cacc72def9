"""The trainer of the trials: a known law that takes a moment, and runs that make trouble."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixopt.errors import TrainerError
from mixopt.ports import Capabilities, Report, ignore_report
from mixopt.runs import Observation, RunSpec
from mixopt.testing.trainers import FakeTrainer

NAME = "analysis.faults.trainer:Troubled"


class Troubled(FakeTrainer):
    """A `FakeTrainer` some of whose runs make trouble; nothing of that is part of a run.

    Args:
        sleep: seconds that a run takes.
        troubles: `run_id` to `"raise"`, `"crash"` or `"hang"`, at every attempt; with `-once` at
            the first attempt alone. It comes when the curve of the run is done.
    """

    capabilities = Capabilities(runtime=frozenset({"sleep", "troubles"}), schedules=True)

    def __init__(
        self, *, noise: float = 0.002, sleep: float = 0.0, troubles: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(noise=noise, sleep=sleep)
        self.troubles = dict(troubles or {})

    def train(
        self, specs: Sequence[RunSpec], cache: Path, report: Report = ignore_report
    ) -> list[Observation]:
        """Answer for every run, unless there is trouble.

        Raises:
            TrainerError: a run was to raise.
        """
        trained = []
        for spec in specs:
            trained += super().train([spec], cache, report)
            what, _, once = self.troubles.get(spec.run_id, "").partition("-")
            marker = cache / f"troubled-{spec.run_id}"
            if once and marker.exists():
                continue
            marker.touch()
            if what == "raise":
                raise TrainerError(f"run {spec.run_id} was told to raise")
            if what == "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            if what == "hang":
                time.sleep(3600)
        return trained
