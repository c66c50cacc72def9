"""Running an external command to its end: output kept, time and disk watched, no orphan left."""

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from proxies.command import guard

LOG_BYTES = 20_000_000
"""Of a command's output, what is kept on disk; a command that floods it is cut there."""

TAIL_BYTES = 16_384
_LINES, _LINE_CHARS = 12, 300
_LOOK_SECONDS = 0.2
_DISK_SECONDS = 5.0
_READ_BYTES = 65_536


@dataclass(frozen=True)
class Command:
    """A command, fully decided.

    Attributes:
        argv: program and arguments; no shell sees them.
        env: the whole environment.
        cwd: where it runs; None: where this process runs.
        log: file for its output (standard output and error together).
        timeout: seconds after which it is ended.
        grace: seconds between SIGTERM and SIGKILL.
        min_free: bytes that must stay free on the disk of the log; it is ended below.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path | None
    log: Path
    timeout: float
    grace: float
    min_free: float


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        code: its exit code, 128 + n after signal n.
        reason: why this process ended it, in words; empty if it ended by itself.
        tail: the last lines of its output.
    """

    code: int
    reason: str
    tail: str

    def explain(self) -> str:
        """What went wrong, in words; empty if nothing did."""
        if not self.reason and self.code == 0:
            return ""
        what = self.reason or f"the command ended with exit code {self.code}{_signal(self.code)}"
        return f"{what}; {self.last_lines()}"

    def last_lines(self) -> str:
        """The end of the output, for messages."""
        return f"its last lines:\n{self.tail}" if self.tail else "it wrote no output"


def run_command(command: Command, look: Callable[[], None], keep: Sequence[int] = ()) -> Ending:
    """Run a command under its guard (see `guard`) until it ends, or has to.

    Args:
        command: what to run.
        look: called several times a second while it runs (to read what it has written).
        keep: file descriptors that the guard holds open until everything has ended (a lock).

    Raises:
        OSError: no process can be started, or the log cannot be opened.
    """
    guarded = [sys.executable, "-I", guard.__file__, str(command.grace), *command.argv]
    with (
        command.log.open("wb", buffering=0) as log,
        subprocess.Popen(
            guarded,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(command.env),
            cwd=command.cwd,
            start_new_session=True,
            pass_fds=tuple(keep),
        ) as process,
    ):
        output = _Output(process, log)
        try:
            reason = _watch(command, process, output, look)
        finally:
            # also after Ctrl-C or an error of `look`: nothing goes on without this process
            code = _let_end(process, output, command.grace)
    return Ending(code, reason, output.tail())


def last_lines(output: bytes) -> str:
    """The last lines of an output; a progress bar's carriage returns count as line ends."""
    text = output[-TAIL_BYTES:].decode(errors="replace").replace("\r", "\n")
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    return "\n".join(line[-_LINE_CHARS:] for line in lines[-_LINES:])


class _Output:
    """The output of a process: its beginning goes to a file, its end is remembered."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        assert process.stdout is not None
        self._pipe, self._log = process.stdout.fileno(), log
        self._room = LOG_BYTES
        self._tail = b""
        self.open = True
        os.set_blocking(self._pipe, False)

    def read(self, seconds: float) -> bool:
        """Take what comes, waiting up to `seconds` for it; whether anything came."""
        ready, _, _ = select.select([self._pipe], [], [], seconds)
        if ready:
            data = os.read(self._pipe, _READ_BYTES)
            self.open = bool(data)
            self._write(data)
            self._tail = (self._tail + data)[-TAIL_BYTES:]
        return bool(ready)

    def tail(self) -> str:
        """The last lines."""
        return last_lines(self._tail)

    def _write(self, data: bytes) -> None:
        if self._room <= 0:
            return
        try:
            self._log.write(data[: self._room])
        except OSError:  # a full disk: the run may still end well, its log ends here
            self._room = 0
        self._room -= len(data)


def _watch(
    command: Command,
    process: "subprocess.Popen[bytes]",
    output: _Output,
    look: Callable[[], None],
) -> str:
    """Wait for the end of a command; why it has to end before, if it has to."""
    started = looked = time.monotonic()
    disk_seen = -_DISK_SECONDS
    while output.open and process.poll() is None:
        output.read(_LOOK_SECONDS)
        now = time.monotonic()
        if now - looked >= _LOOK_SECONDS:
            looked = now
            look()
        if now - started > command.timeout:
            return f"the command took longer than its timeout of {command.timeout:g} s"
        if now - disk_seen >= _DISK_SECONDS:
            disk_seen = now
            free = shutil.disk_usage(command.log.parent).free
            if free < command.min_free:
                return (
                    f"the disk of {command.log.parent} has {free / 1e9:.3g} GB free, less than "
                    f"min_free_gb {command.min_free / 1e9:g}: the command was ended before it "
                    "filled the disk"
                )
    return ""


def _let_end(process: "subprocess.Popen[bytes]", output: _Output, grace: float) -> int:
    """Close the guard's lifeline, take the rest of the output and wait; the exit code."""
    assert process.stdin is not None
    process.stdin.close()
    deadline = time.monotonic() + grace + 10.0
    while output.open and time.monotonic() < deadline:
        ended = process.poll() is not None
        if not output.read(_LOOK_SECONDS) and ended:
            break  # somebody else holds the pipe open
    try:
        code = process.wait(timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:  # the guard itself hangs; the command dies with it
        process.kill()
        code = process.wait()
    return code if code >= 0 else 128 - code


def _signal(code: int) -> str:
    if code == guard.CANNOT_START:
        return " (it could not be started)"
    if code == 128 + 9:
        return " (killed, as the system does when memory runs out)"
    return f" (ended by signal {code - 128})" if 128 < code < 160 else ""
