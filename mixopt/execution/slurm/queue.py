"""Slurm's commands: sbatch, squeue, scancel and sacct, as this package calls them and reads them.

Nothing else of Slurm is used, so a cluster of any age, or a stand-in with these four commands,
will do. Arguments are lists, never a line for a shell.
"""

import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mixopt.errors import MixoptError
from mixopt.execution.packs import Cause

_log = logging.getLogger(__name__)
_SECONDS = 60.0  # that a command may take
_LATER = (
    *("unable to contact", "socket timed out", "temporarily unable", "zero bytes were transmitted"),
    *("resource temporarily unavailable", "connection refused", "connection reset"),
    *("maxsubmit", "submit limit", "maximum number of jobs"),
)
"""In what sbatch says where it is worth another try: the controller restarts, or enough jobs of
this user wait already."""

_ACTIVE = frozenset(
    {
        *("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"),
        *("RESIZING", "STAGE_OUT", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD"),
        "SPECIAL_EXIT",
    }
)
_CAUSES: dict[str, Cause] = {
    "OUT_OF_MEMORY": "memory",
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "NODE_FAIL": "lost",
    "BOOT_FAIL": "lost",
    "PREEMPTED": "lost",
    "REVOKED": "lost",
    "CANCELLED": "lost",  # by somebody else: what this driver cancels it has forgotten
}
GONE = "gone"
"""The state of a job that neither squeue nor sacct knows."""


class LaterError(MixoptError):
    """Slurm could not take a job just now."""


@dataclass(frozen=True)
class Job:
    """A job as squeue shows it.

    Attributes:
        number: Slurm's number of it.
        name: as it was submitted.
        state: in Slurm's words, e.g. `"RUNNING"`.
        reason: why it waits or has ended.
    """

    number: str
    name: str
    state: str
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether it waits, runs, or is about to end."""
        return self.state in _ACTIVE


def cause_of(state: str) -> Cause:
    """What ended a job that has left no answer, by its last state."""
    if state == GONE:
        return "lost"
    return _CAUSES.get(state, "crash")


@dataclass
class Queue:
    """This user's jobs.

    Attributes:
        environment: of the commands; jobs get it as well.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: clean(os.environ))

    def submit(self, options: Sequence[str], words: Sequence[str]) -> str:
        """Have a job queued; its number.

        Args:
            options: of sbatch.
            words: the script and its arguments.

        Raises:
            LaterError: not now; the job may have been queued all the same.
            MixoptError: sbatch refuses it.
        """
        done = self._run(["sbatch", "--parsable", *options, *words])
        if done is None:
            raise LaterError("sbatch does not answer")
        if done.returncode:
            said = _brief(done.stderr)
            if any(sign in said.lower() for sign in _LATER):
                raise LaterError(said)
            raise MixoptError(
                f"Slurm refuses the job: {said}; correct what execution asks for (partition, "
                "account, options, and what a pack needs)"
            )
        return done.stdout.strip().splitlines()[-1].split(";")[0]

    def jobs(self) -> list[Job] | None:
        """All of this user's jobs that squeue still knows; None where it does not answer."""
        form = "%i|%j|%T|%r"
        done = self._run(["squeue", "--me", "--noheader", "--states=all", f"--format={form}"])
        if done is None or done.returncode:
            _log.debug("squeue: %s", "no answer" if done is None else _brief(done.stderr))
            return None
        rows = (line.strip().split("|", 3) for line in done.stdout.splitlines())
        return [Job(*row) for row in rows if len(row) == 4]

    def last_state(self, number: str) -> str:
        """How a job ended that squeue has forgotten; `GONE` where accounting does not know it."""
        columns = ["--noheader", "--parsable2", "--allocations", "--format=State"]
        done = self._run(["sacct", f"--jobs={number}", *columns])
        lines = [] if done is None or done.returncode else done.stdout.split("\n")
        return (lines[0].split() or [GONE])[0] if lines else GONE  # "CANCELLED by 0"

    def cancel(self, numbers: Sequence[str]) -> None:
        """End jobs; one that has ended already is no error."""
        for start in range(0, len(numbers), 500):  # the length of a command line has a limit
            done = self._run(["scancel", *numbers[start : start + 500]])
            if done is None or done.returncode:
                said = "no answer" if done is None else _brief(done.stderr)
                _log.warning("scancel: %s; jobs may be left, see 'squeue --me'", said)

    def _run(self, words: Sequence[str]) -> "subprocess.CompletedProcess[str] | None":
        try:
            return subprocess.run(
                list(words),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        except FileNotFoundError as error:
            raise MixoptError(
                f"there is no command {words[0]!r} here; start the sweep on a machine from which "
                "jobs are submitted to Slurm, or use another executor"
            ) from error


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for jobs: without what Slurm has told the job that the driver itself may be.

    sbatch reads some of those variables as wishes, which contradict what a pack needs.
    """
    kept = {k: v for k, v in environment.items() if not k.startswith("SLURM_") or k == "SLURM_CONF"}
    return {**kept, "LC_ALL": environment.get("LC_ALL", "C.UTF-8")}


def _brief(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return "; ".join(lines[-2:])[:400] or "without a reason"
