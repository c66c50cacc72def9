"""The examples of trainers that are not ours, run as a user runs them."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_trainer_that_knows_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    told = example("mixed_training").main()
    assert told["work"] == {"steps": 200, "train_loss": 180}
    assert told["skipped"] == 0
    # code is learnt faster per token: fewer words
    assert told["time_average"]["code"] > 0.5


@pytest.mark.slow
def test_a_hugging_face_trainer() -> None:
    pytest.importorskip("transformers")
    session = example("hf_mixing").main(steps=40).state
    assert session.step == 40
    assert session.skipped == 0
    assert sum(session.used) == 40 * 8 * 15
    assert session.weights != (0.5, 0.5)
