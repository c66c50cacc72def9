"""Packs that were given to Slurm: of this driver, and of one that died and left them."""

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mixopt.execution.packs import Pack
from mixopt.execution.slurm.folder import DriverFolder, PackFolder
from mixopt.execution.slurm.queue import GONE, Job
from mixopt.execution.slurm.requests import SlurmNeeds
from mixopt.runs import Place

_log = logging.getLogger(__name__)
_SETTLE_SECONDS, _LONG_SECONDS = 2.0, 30.0


@dataclass(frozen=True)
class UnderWay:
    """A pack that was given to Slurm. Times are in monotonic seconds.

    Attributes:
        pack: its runs.
        needs: of the pack.
        folder: of this attempt.
        job: Slurm's number; empty while sbatch takes none.
        since: when it was submitted; `heard`: when something last came of it.
        began: when this driver first saw that a worker had it; None before.
        host: of that worker.
        read: how much of its progress was read.
        state: of its job, as squeue last said; `reason`: why it waits.
        ended: when the job was first seen to have ended; None before.
        warned: that nothing was heard for long.
    """

    pack: Pack
    needs: SlurmNeeds
    folder: PackFolder
    job: str
    since: float
    heard: float
    began: float | None = None
    host: str = ""
    read: int = 0
    state: str = ""
    reason: str = ""
    ended: float | None = None
    warned: bool = False

    @property
    def gpus(self) -> float:
        """GPUs that it holds."""
        return float(self.needs.gpus_per_pack * self.needs.nodes_per_pack)

    @property
    def place(self) -> Place | None:
        """Where each of its runs was trained so far; None while it waits."""
        if self.began is None:
            return None
        return Place(self.host, (time.monotonic() - self.began) / len(self.pack.specs), self.gpus)

    @property
    def limit(self) -> float:
        """Seconds that it may take."""
        return self.needs.seconds(self.pack.specs)

    @property
    def deadline(self) -> float:
        """When it has taken longer than it may; infinite while it waits."""
        return math.inf if self.began is None else self.began + self.limit

    @property
    def hopeless(self) -> bool:
        """Whether its job has ended for so long that no answer is on its way any more.

        A shared disk shows a file later than its writer has closed it. A job that ended well has
        written one, so that is waited for.
        """
        if self.ended is None:
            return False
        patience = _LONG_SECONDS if self.state in {"COMPLETED", GONE} else _SETTLE_SECONDS
        return time.monotonic() - self.ended >= patience

    @property
    def last(self) -> str:
        """What is known of the end of its job."""
        what = "Slurm does not know it any more" if self.state == GONE else self.state
        return f"job {self.job}: {what}; {self.folder.last_lines()}"

    @property
    def warning(self) -> str:
        """That nothing was heard of it for long, and what to do."""
        specs, now = self.pack.specs, time.monotonic()
        what = f"{len(specs)} run(s) of {specs[0].scale} (first: {specs[0].run_id})"
        if self.began is None:
            why = self.reason or "sbatch takes no more jobs"
            return (
                f"{what} wait since {now - self.since:.0f} s for {self.needs} ({why}); see "
                f"'squeue --jobs={self.job}'"
            )
        return (
            f"nothing was heard of {what} on {self.host} for {now - self.heard:.0f} s; "
            "execution.timeout ends runs that hang"
        )


class Leftovers:
    """Packs that a driver which died has left: jobs that still wait or run, and answers.

    Args:
        root: folder of all drivers' folders.
        jobs: this user's jobs, as of now.
    """

    def __init__(self, root: Path, jobs: Iterable[Job]) -> None:
        self._active = {job.name: job for job in jobs if job.active}
        self._packs: dict[str, tuple[DriverFolder, PackFolder]] = {}
        for path in sorted(root.iterdir()) if root.is_dir() else ():
            driver = DriverFolder(path)
            if path.is_dir() and driver.take():  # a driver that lives has it otherwise
                self._note(driver)
                driver.release()

    def _note(self, driver: DriverFolder) -> None:
        for folder in driver.packs():
            task = folder.task()
            if task is not None and (folder.answers() or folder.name in self._active):
                ids = [spec.run_id for spec in task.pack.specs]
                self._packs.update(dict.fromkeys(ids, (driver, folder)))

    def take(self, run_id: str) -> tuple[DriverFolder, PackFolder, str] | None:
        """The pack that has a run, the folder that it is in, now ours, and its job's number.

        None where there is none. A pack is taken once.
        """
        driver, folder = self._packs.get(run_id, (None, None))
        if driver is None or folder is None or not driver.take():
            return None
        self._packs = {k: v for k, v in self._packs.items() if v[1] != folder}
        job = self._active.get(folder.name)
        return driver, folder, job.number if job else ""
