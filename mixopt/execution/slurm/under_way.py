"""Packs that were given to Slurm: of this driver, and of one that died and left them."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mixopt.execution.sent import Sent
from mixopt.execution.slurm.folder import DriverFolder, PackFolder
from mixopt.execution.slurm.queue import GONE, Job
from mixopt.execution.slurm.requests import SlurmNeeds

_log = logging.getLogger(__name__)
_SETTLE_SECONDS, _LONG_SECONDS = 2.0, 30.0


@dataclass(frozen=True, kw_only=True)
class UnderWay(Sent[SlurmNeeds]):
    """A pack that was given to Slurm; it began when this driver first saw that a worker had it.

    Attributes:
        folder: of this attempt.
        job: Slurm's number; empty while sbatch takes none.
        read: how much of its progress was read.
        state: of its job, as squeue last said; `reason`: why it waits.
        ended: when the job was first seen to have ended; None before.
    """

    folder: PackFolder
    job: str
    read: int = 0
    state: str = ""
    reason: str = ""
    ended: float | None = None

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
        why = self.reason or "sbatch takes no more jobs"
        room = f"{self.needs} ({why}); see 'squeue --jobs={self.job}'"
        return self.silence(time.monotonic(), room)


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
