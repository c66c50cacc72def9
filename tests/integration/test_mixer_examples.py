"""The examples of trainers that are not ours, run as a user runs them."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mixopt.app.spec.spec_file import parse_spec, read_spec
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies.command import CommandTrainer

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


def test_a_trainer_that_only_prints(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "guide" / "trainer_examples.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        spec = parse_spec({"version": 1, "name": "x", **yaml.safe_load(block)})
        argv = list(spec.trainer.config["argv"])
        prints = (
            "print('starting'); print('Step 00001 | Validation bpb: 3.5 |');"
            "print('step:  1  validate_loss:  3.5')\n"
            "print('Step 00002 | Validation bpb: 1.25'); print('step: 2 x validate_loss: 1.25')"
        )
        wrapped = [str(EXAMPLES / "from_log.py") if a.endswith(".py") else a for a in argv]
        wrapped = [*wrapped[: argv.index("--") + 1], sys.executable, "-c", prints]
        trainer = CommandTrainer(**{**spec.trainer.config, "argv": [sys.executable, *wrapped[1:]]})
        mixture = Mixture.of({"web": 0.5, "code": 0.5})
        tokens = 2 * 524_288
        (seen,) = trainer.train([RunSpec(mixture, Scale(1000, tokens))], tmp_path)
        assert list(seen.metrics.values()) == [1.25], seen.error
        assert [point.tokens for point in seen.curve] == [524_288]


@pytest.mark.slow
def test_a_hugging_face_trainer_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "easy.txt").write_text("abcd" * 8000)
    words = np.random.default_rng(0).choice(list("abcdefgh "), 20_000)
    (tmp_path / "data" / "hard.txt").write_text("".join(words))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    spec = read_spec(EXAMPLES / "hf_train.yaml")
    argv = [
        str(EXAMPLES / "hf_train.py") if a.endswith(".py") else a
        for a in spec.trainer.config["argv"]
    ]
    trainer = CommandTrainer(**{**spec.trainer.config, "argv": argv, "cwd": str(tmp_path)})
    assert trainer.prepare(tmp_path / "cache").metrics == ("easy", "hard")
    run = RunSpec(Mixture.of({"easy": 1.0, "hard": 0.0}), Scale(40_000, 16_384))
    (seen,) = trainer.train([run], tmp_path / "cache")
    assert seen.ok, seen.error
    assert seen.metrics["easy"] < seen.metrics["hard"]  # it never saw the other
    assert len(seen.curve) > 0


@pytest.mark.slow
def test_a_hugging_face_trainer() -> None:
    pytest.importorskip("transformers")
    session = example("hf_mixing").main(steps=40).state
    assert session.step == 40
    assert session.skipped == 0
    assert sum(session.used) == 40 * 8 * 15
    assert session.weights != (0.5, 0.5)
