"""What is shown of the sweeps of a cluster."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from mixopt.app.output import console
from mixopt.app.output.show_status import show
from mixopt.errors import MixoptError
from mixopt.space.redaction import redact

_TRIES = 5
_PAUSE_SECONDS = 2.0


def facts(job: Any) -> dict[str, Any]:
    """A `mixopt.execution.ray.jobs.Job` as plain JSON values, without its environment."""
    return {k: v for k, v in asdict(job).items() if k != "runtime_env"}


def show_started(name: str, identifier: str, out: str, address: str) -> None:
    """That a job has been given to a cluster, and how to find it again."""
    console.say(f"Job {identifier} has sweep {name!r}" + (f"; its results: {out}" if out else ""))
    console.say(f"From any machine: mixopt logs|stop|resume '{name}' --address {address}")


def show_list(jobs: Sequence[Any]) -> None:
    """The sweeps of a cluster, a row for each job."""
    if not jobs:
        console.say("No sweep was submitted to this cluster since it was started.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("sweep", "state", "began", "took", "results", "job"):
        table.add_column(title, overflow="fold")
    for job in jobs:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started)) if job.started else ""
        took = console.clock((job.ended or time.time()) - job.started) if job.started else ""
        row = (job.sweep, job.state.lower(), began, took, job.out, job.identifier)
        table.add_row(*(Text(value) for value in row))
    show(table)


def show_log(text: str) -> None:
    """What a job has written, as it is."""
    sys.stdout.write(text if text.endswith("\n") or not text else f"{text}\n")
    sys.stdout.flush()


def show_stopped(job: Any, address: str) -> None:
    """How a job that was asked to stop has ended, or that it has not yet."""
    if job.is_over:
        console.say(
            f"Job {job.identifier} is over ({job.state.lower()}); 'mixopt resume {job.sweep} "
            f"--address {address}' goes on with it"
        )
    else:
        console.say(
            f"Job {job.identifier} was asked to stop and has not ended yet; see 'mixopt jobs'"
        )


def follow(jobs: Any, job: Any) -> int:
    """Show what a job writes until it ends; the exit code that its command would have.

    Ctrl-C and a lost connection end the following, never the job.
    """
    seen, lost = _Seen(), 0
    try:
        while True:
            try:
                seen.begin()
                jobs.follow(job.identifier, seen.write)
                ended = _ended(jobs, job)
                if ended.is_over:
                    break  # else a proxy on the way has closed a connection that was long
            except MixoptError as error:
                lost += 1
                if lost == _TRIES:
                    raise
                console.say(f"The log is lost ({error}); trying again ...")
                time.sleep(_PAUSE_SECONDS)
    except KeyboardInterrupt:
        console.say(
            f"\nDetached; the sweep goes on. 'mixopt logs {job.sweep} --follow' shows it again, "
            f"'mixopt stop {job.sweep}' stops it (--address {jobs.shown})"
        )
        return 0
    if ended.state == "SUCCEEDED":
        return 0
    console.say(f"Job {ended.identifier}: {ended.state.lower()}. {redact(ended.message)}".rstrip())
    return ended.exit_code or 1


def _ended(jobs: Any, job: Any) -> Any:
    """The job after its log has ended; its state comes a moment later."""
    for _ in range(20):
        ended = jobs.state(job.identifier)
        if ended.is_over:
            break
        time.sleep(_PAUSE_SECONDS / 4)
    return ended


class _Seen:
    """Shows a log once, although a new connection begins it anew."""

    def __init__(self) -> None:
        self._shown = self._at = 0

    def begin(self) -> None:
        """A new connection: the log comes from its beginning."""
        self._at = 0

    def write(self, text: str) -> None:
        """Show what of the next piece was not shown."""
        new = text[max(0, self._shown - self._at) :]
        self._at += len(text)
        self._shown = max(self._shown, self._at)
        sys.stdout.write(new)
        sys.stdout.flush()
