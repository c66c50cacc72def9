"""How runs are trained is no part of what they are: a sweep goes on under other settings of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixopt.app.running.driving import run
from mixopt.app.running.launch import new_sweep
from mixopt.app.spec.spec_file import parse_spec
from mixopt.errors import SpecError, StoreError

WORDS = {"birds": "robin heron finch crane stork", "rocks": "basalt gneiss schist quartz marble"}


@pytest.fixture
def domains(tmp_path: Path) -> dict[str, str]:
    made = {}
    for name, words in WORDS.items():
        rng, folder = np.random.default_rng(len(name)), tmp_path / name
        folder.mkdir()
        for i in range(20):
            text = " ".join(rng.choice(words.split(), size=150))
            (folder / f"{i}.txt").write_text(text, encoding="utf-8")
        made[name] = str(folder)
    return made


def spec(
    domains: dict[str, str], runs: int = 4, runtime: dict[str, Any] | None = None, **config: Any
) -> Any:
    tiny = {"domains": domains, "vocab": 280, "context": 32, "width": 32, "bigrams": 0}
    return parse_spec(
        {
            "version": 1,
            "name": "same",
            "trainer": {
                "use": "proxies:LanguageModelTrainer",
                "config": {**tiny, "batch": 8, "validation_fraction": 0.2, **config},
                "runtime": runtime or {},
            },
            "scales": [{"params": 20_000, "tokens": 4096}],
            "objective": {"minimize": ["birds", "rocks"]},
            "strategy": {"use": "random", "runs": runs, "batch": 2},
            "execution": {"use": "local"},
        }
    )


@pytest.mark.slow
@pytest.mark.mlflow
def test_another_pack_device_or_interval_goes_on_and_trains_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domains: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_sweep(spec(domains, runs=2)) as (sweep, recipe):
        assert run(sweep, recipe).trained == 2
        first = [o.run_id for o in sweep.store.observations()]
    changed = {"pack": 1, "device": "auto", "checkpoint_seconds": 0.0, "continue_to": 50_000}
    changed["branch_at"] = 1000
    with new_sweep(spec(domains, runtime=changed)) as (sweep, recipe):
        assert run(sweep, recipe).trained == 2
        seen = sweep.store.observations()
    assert [o.run_id for o in seen[:2]] == first
    assert len({o.run_id for o in seen}) == len(seen) == 4
    assert {o.info["pack"] for o in seen[2:]} == {1}  # what was set has reached the trainer
    with new_sweep(spec(domains, runtime={"ranks": 2, "pack": 8})) as (sweep, recipe):
        assert run(sweep, recipe).trained == 0
    changed = spec(domains, learning_rate=0.5)
    with pytest.raises(StoreError, match=r"trainer\.config"), new_sweep(changed):
        pass
    with pytest.raises(SpecError, match="'pack' says how"), new_sweep(spec(domains, pack=4)):
        pass
