"""A process is known by its number, its beginning, and where the number counts."""

import os
import subprocess
import sys

import pytest

from mixopt.execution import processes
from mixopt.execution.processes import birth, place


def test_a_process_is_there_until_it_ends_and_no_longer() -> None:
    mine = birth(os.getpid())
    assert mine == birth(os.getpid()) is not None
    assert birth(2**22 + 1) is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert birth(child.pid) not in (None, mine)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has taken note
    assert birth(child.pid) is None
    child.communicate()
    assert birth(child.pid) is None


def test_where_there_is_no_proc_it_can_still_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert place() == place() != ""

    class Nowhere:
        def __init__(self, path: str) -> None: ...

        def read_text(self, **how: str) -> str:
            raise FileNotFoundError

    monkeypatch.setattr(processes, "Path", Nowhere)
    assert place() == processes.socket.gethostname()
    assert birth(os.getpid()) == "unknown"
    assert birth(2**22 + 1) is None
