"""Locks end with whoever holds them, and not before."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mixopt.execution.file_locks import BusyError, hold, locked

HOLDS = """
import sys, time
from pathlib import Path
from mixopt.execution.file_locks import hold
assert hold(Path(sys.argv[1])) is not None
print("held", flush=True)
time.sleep(600)
"""


def test_a_killed_process_gives_its_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    waited: list[bool] = []
    assert hold(path, 0.3, lambda: waited.append(True)) is None
    assert waited == [True]
    with pytest.raises(BusyError, match="at the data"), locked(path, 0.0, "the data"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    handle = hold(path, 60.0)
    assert handle is not None
    os.close(handle)


def test_a_child_that_inherits_the_descriptor_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, 0.0, "a run") as handle:
        child = subprocess.Popen(["sleep", "600"], pass_fds=(handle,))
    assert hold(path) is None
    child.kill()
    child.wait()
    handle_again = hold(path, 60.0)
    assert handle_again is not None
    os.close(handle_again)
