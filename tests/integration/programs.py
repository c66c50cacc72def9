"""Programs of a few lines, each in a process of its own."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any


def last_line(folder: Path, program: str, *, ends_well: bool = True) -> Any:
    """What a program that runs in the folder prints last, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0 or not ends_well, done.stderr[-4000:]
    assert done.stdout, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
