"""Whether a process that left its number in a store is still there."""

import os
import socket
from pathlib import Path


def place() -> str:
    """Where a process number means one process: this boot of a machine, and in it a container.

    A host's name does not do: containers share one, one after the other or at the same time, and
    so do laptops. It is all there is where the system is not Linux.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def birth(pid: int) -> str | None:
    """When a process of this place began, as the system counts; None where it is gone.

    A number may be another process's by now; together with its beginning it is one process. What
    was killed and still waits for its parent to notice is gone.
    """
    try:
        # After the name, which may hold anything but comes in parentheses: fields 3 and 22 of
        # proc(5).
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return _unknown(pid)
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _unknown(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
