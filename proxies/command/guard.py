"""The guard of an external command: when the one who started it goes away, so does the command.

A program of its own (standard library alone, started as a file), with the command as its child:

    python guard.py GRACE COMMAND [ARGUMENT ...]

It ends with the command's exit code (128 + n after signal n). When its standard input closes, which
the system does when the driver dies however suddenly, it ends the command: SIGTERM to its process
group, SIGKILL after GRACE seconds. On Linux it also adopts and ends what the command left behind
in sessions of its own (as `torchrun` does with its workers); elsewhere the group is all it sees.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
CANNOT_START = 127
_LOOKS = 500
_LOOK_SECONDS = 0.05  # between looks at processes that were told to end


def main(arguments: list[str]) -> int:
    """Run the command and guard it; its exit code."""
    grace, command = float(arguments[0]), arguments[1:]
    woken = _wake_on_signals()
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_guard,  # noqa: PLW1509 - safe: the guard has a single thread
        )
    except OSError as error:
        print(f"cannot start {command[0]!r}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return CANNOT_START
    lifeline = sys.stdin.fileno()
    while child.poll() is None:
        ready, _, _ = select.select([lifeline, woken], [], [])
        signals = os.read(woken, 512) if woken in ready else b""
        if lifeline in ready or signal.SIGTERM in signals:
            _end(child, grace)
            break
    _end_group(child.pid, signal.SIGKILL)
    code = child.wait()
    _end_orphans()
    return code if code >= 0 else 128 - code


def _wake_on_signals() -> int:
    """A file descriptor that can be read after SIGTERM and SIGCHLD, whose numbers it holds."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reader


def _end_with_guard() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _end(child: "subprocess.Popen[bytes]", grace: float) -> None:
    _end_group(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def _end_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end_orphans() -> None:
    """Kill what the command left behind, until nothing of it is left."""
    with contextlib.suppress(ChildProcessError):  # raised when there are no children any more
        for _ in range(_LOOKS):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass  # one of the dead was buried
            for pid in _children(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_LOOK_SECONDS / 5)


def _children(parent: int) -> list[int]:
    """Children of a process; on Linux alone, elsewhere none are known."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # "pid (name) state ppid ...", where the name may hold anything
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == parent:
                children.append(int(stat.parent.name))
    return children


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
