"""A sweep that is stopped or killed goes on where it was."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from sandbox import MIXOPT, SPEC, hearing_ctrl_c, result, write


def start(cwd: Path) -> "subprocess.Popen[str]":
    """A sweep in a process of its own, once the first runs are in."""
    with hearing_ctrl_c():
        process = subprocess.Popen(
            [*MIXOPT, "run", "spec.yaml"],
            cwd=cwd,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    assert process.stderr is not None
    deadline = time.monotonic() + 180
    for line in process.stderr:
        if line.startswith("[design]") and not line.startswith("[design] 0/"):
            return process
        assert time.monotonic() < deadline
    raise AssertionError("the sweep ended before it was stopped")


@pytest.mark.ray
@pytest.mark.mlflow
@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGINT, id="ctrl-c"), pytest.param(signal.SIGKILL, id="kill -9")],
)
@pytest.mark.slow
def test_a_sweep_that_was_stopped_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    slow = {**SPEC["trainer"], "runtime": {"sleep": 1.0}}
    write(tmp_path, trainer=slow, strategy={**SPEC["strategy"], "singles": False})
    process = start(tmp_path)
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=120)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on" in " ".join(errors.split())
        assert "Traceback" not in errors
    values = result(tmp_path)
    assert 0 < values["trained"] < values["runs"]
    assert values["validated"]["recommended"]["seeds"] == 2
