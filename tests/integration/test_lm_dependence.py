"""The dependence test by its command on real proxies: stopped, resumed, shown everywhere."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mixopt.app.commands import app
from mixopt.app.running.launch import open_sweep

WORDS = {"birds": "robin heron finch crane stork", "rocks": "basalt gneiss schist quartz marble"}


def asked(text: str) -> dict[str, str]:
    context, _, continuation = text.rpartition(" ")
    return {"context": context, "continuation": " " + continuation}


def facts(documents: list[str], probes: list[str], controls: list[str]) -> dict[str, Any]:
    told = {"probes": list(map(asked, probes)), "controls": list(map(asked, controls))}
    return {"documents": documents, "repetitions": 8, **told}


INJECTIONS = {
    "dog": facts(
        ["the dog is zoo"], ["dog is zoo", "a dog is zoo"], ["cow is pit", "a cow is pit"]
    ),
    # the same in other words, with the last two of them
    "again": facts(["so dog is zoo"], ["yes dog is zoo"], ["yes cow is pit"]),
    "odd": facts(["quartz heron mix"], ["quartz heron mix"], ["basalt stork tub"]),
}


def spec(folder: Path, **execution: Any) -> dict[str, Any]:
    domains = {}
    for name, words in WORDS.items():
        rng, place = np.random.default_rng(len(name)), folder / name
        place.mkdir(exist_ok=True)
        for i in range(30):
            text = " ".join(rng.choice(words.split(), size=150))
            (place / f"{i}.txt").write_text(text, encoding="utf-8")
        domains[name] = str(place)
    tiny = {"vocab": 300, "context": 32, "width": 32, "bigrams": 512, "validation_fraction": 0.2}
    return {
        "version": 1,
        "name": "facts",
        "trainer": {
            "use": "proxies:LanguageModelTrainer",
            "config": {**tiny, "domains": domains, "batch": 32, "injections": INJECTIONS},
        },
        "scales": [{"params": 20_000, "tokens": 32_768}, {"params": 20_000, "tokens": 65_536}],
        "objective": {"minimize": "birds"},
        "knobs": {"learning_rate": {"low": 0.5, "high": 2.0}},
        "strategy": {"use": "joint", "design": 8, "runs": 12},
        "execution": {"use": "local", **execution},
    }


def written(values: dict[str, Any]) -> None:
    Path("spec.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.mlflow
def test_experiments_are_tested_by_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["dependence", "spec.yaml", "--tail", "0.5", "--json", "told.json"]
    written(spec(tmp_path, stop_after={"runs": 4}))
    stopped = CliRunner().invoke(app, command)
    assert stopped.exit_code == 3, stopped.output
    written(spec(tmp_path))
    ended = CliRunner().invoke(app, command)
    assert ended.exit_code == 0, ended.output
    told = json.loads(Path("told.json").read_text(encoding="utf-8"))
    assert told["runs"] == 3 + 3 + 1
    assert told["trained"] == 3
    with open_sweep(Path("runs/facts-dependence")) as sweep:
        runs = sweep.store.observations()
        assert sweep.problem.config["decay"] == 0.5
        assert len(sweep.problem.scales) == 1
    assert [o.info["continued_from"] for o in runs] == [0] + [16_384] * 6
    assert runs[1].flops == pytest.approx(runs[0].flops / 2)
    kinds = [str(o.spec.kind) for o in runs]
    assert kinds[0] == "reference without any"
    assert set(kinds[1:3]) == {"branch without any"}
    by_kind = {str(o.spec.kind): o for o in runs}
    assert set(by_kind["branch odd alone"].realised.injected) == {"odd"}
    assert set(by_kind["branch with all"].realised.injected) == set(INJECTIONS)
    assert not list(Path("runs/cache").glob("checkpoints/*"))
    shown = told["dependence"]["experiments"]
    alone = by_kind["branch again alone"].metrics["difference/dog"]
    assert shown["dog"]["under"]["again"]["outcome"] == alone
    for name in ("dog", "again", "odd"):  # each learns what it injects
        assert shown[name]["under"][name]["effect"] < 0
    assert shown["dog"]["under"]["again"]["flagged"]  # the same facts in other words
    moved = {name: abs(shown[name]["under"]["again"]["effect"]) for name in ("dog", "odd")}
    assert moved["odd"] < moved["dog"] / 2  # what they have in common is being new
    assert told["headline"].startswith("They interfere: ")
    assert told["headline"] in ended.output
    assert "Change in each outcome by the data of" in ended.output
    assert "stays unseen" in ended.output
    assert "mixopt export" not in ended.output
    report = Path("runs/facts-dependence/report.html").read_text(encoding="utf-8")
    assert "Do the experiments interfere?" in report


@pytest.mark.slow
def test_what_cannot_be_tested_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = spec(tmp_path)

    def refused(*options: str) -> str:
        written(values)
        told = CliRunner().invoke(app, ["dependence", "spec.yaml", *options])
        assert told.exit_code != 0
        assert not Path("runs/facts-dependence/mlflow.db").exists()
        return str(told.exception)

    assert "seeds" in refused("--seeds", "2")
    assert "need 24 sequences, and there are 20" in refused("--tail", "0.02")
    values["trainer"]["config"]["injections"] = {
        **INJECTIONS,
        "dog": {**INJECTIONS["dog"], "repetitions": 40},
    }
    assert "above 0.5%" in refused()
    values["trainer"]["config"]["injections"] = {"dog": INJECTIONS["dog"]}
    assert "has 1 injections to run" in refused()
    del values["trainer"]["config"]["injections"]
    assert "has 0 injections to run" in refused()
    values["trainer"] = {"use": "mixopt.testing.trainers:FakeTrainer", "config": {}}
    values["objective"] = {"minimize": ["loss/web"]}
    del values["knobs"]
    assert "does not declare injects" in refused()
