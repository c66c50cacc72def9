"""The commands in processes of their own, for tests of what a user sees."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

MIXOPT = [sys.executable, "-m", "mixopt"]
SPEC: dict[str, Any] = {
    "version": 1,
    "name": "tiny",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer", "config": {"noise": 0.002}},
    "scales": [{"params": 1000, "tokens": "10k"}],
    "objective": {"minimize": ["loss/web", "loss/code", "loss/math"]},
    "strategy": {
        "use": "auto",
        "design": 6,
        "proposals": 2,
        "batch": 2,
        "confirm_seeds": 2,
        "law": "log-linear",
    },
}


@contextmanager
def hearing_ctrl_c() -> Iterator[None]:
    """What is started inside hears Ctrl-C, also where the tests run as a background job.

    A shell without job control starts such a job, and so all that it starts, with SIGINT ignored;
    a handler, however, is not inherited: the system then sets what is started to the default.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**SPEC, **changes}))
    return path


def mixopt(*arguments: object, cwd: Path, ok: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*MIXOPT, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert (done.returncode == 0) is ok, done.stderr
    assert "Traceback" not in done.stderr
    return done


def result(cwd: Path, *arguments: object) -> Mapping[str, Any]:
    mixopt("run", "spec.yaml", "--json", "out.json", *arguments, cwd=cwd)
    values: Mapping[str, Any] = json.loads((cwd / "out.json").read_text())
    return values
