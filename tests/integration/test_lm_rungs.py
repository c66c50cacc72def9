"""Early stopping with the real trainer: runs that go on continue from their checkpoints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixopt.app.running.driving import run
from mixopt.app.running.launch import new_sweep
from mixopt.app.spec.spec_file import parse_spec

WORDS = {"birds": "robin heron finch crane stork", "rocks": "basalt gneiss schist quartz marble"}


def spec(tmp_path: Path) -> Any:
    domains = {}
    for name, words in WORDS.items():
        rng, folder = np.random.default_rng(len(name)), tmp_path / name
        folder.mkdir()
        for i in range(20):
            text = " ".join(rng.choice(words.split(), size=150))
            (folder / f"{i}.txt").write_text(text, encoding="utf-8")
        domains[name] = str(folder)
    config = {"domains": domains, "vocab": 280, "context": 32, "width": 32, "bigrams": 0}
    return parse_spec(
        {
            "version": 1,
            "name": "rungs",
            "trainer": {
                "use": "proxies:LanguageModelTrainer",
                "config": {**config, "batch": 8, "validation_fraction": 0.2},
            },
            "scales": [{"params": 20_000, "tokens": t} for t in (4096, 12_288)],
            "objective": {"minimize": ["birds", "rocks"]},
            "strategy": {"use": "rungs", "design": 8},
            "execution": {"use": "local"},
        }
    )


@pytest.mark.mlflow
def test_runs_that_go_on_continue_from_their_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_sweep(spec(tmp_path)) as (sweep, recipe):
        run(sweep, recipe)
        seen = sweep.store.observations()
        assert recipe.next(sweep.problem, seen, []) == []
    assert all(o.ok for o in seen)
    short, long = ([o for o in seen if o.spec.scale == s] for s in sweep.problem.scales)
    assert len(short) == 8
    assert 0 < len(long) < 8
    assert all(o.info["continued_from"] >= 0.3 * 4096 for o in long)
    full = 6.0 * long[0].info["params"] * 12_288
    assert all(o.flops < 0.9 * full for o in long)
    assert not list(Path("runs/cache").rglob("trunk-*"))  # nothing is kept when the sweep has ended
