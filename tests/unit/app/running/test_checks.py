"""What can be known before training is refused before training; obeying the remedy works."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mixopt.app.running.checks import make_strategy
from mixopt.app.running.preparation import checked, prepared
from mixopt.app.spec.spec_file import parse_spec, read_spec
from mixopt.errors import MissingDependencyError, MixoptError, SpecError, StoreError
from mixopt.ports import TrainerInfo
from mixopt.space import Domain
from mixopt.strategies import STRATEGIES
from mixopt.testing.trainers import FakeTrainer

BASE = """\
version: 1
name: tiny
trainer: {use: "mixopt.testing.trainers:FakeTrainer", config: {noise: 0.1}}
scales: [{params: 1k, tokens: 10k}]
objective: {minimize: [loss/web, loss/code]}
strategy: {use: random, runs: 3}
execution: {cache: cache}
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Read and check a spec, with some lines in place of those of the same key."""
    monkeypatch.chdir(tmp_path)

    def run(*lines: str) -> None:
        replaced = {line.partition(":")[0] for line in lines}
        kept = [x for x in BASE.splitlines() if x.partition(":")[0] not in replaced]
        Path("spec.yaml").write_text("\n".join([*kept, *lines]), encoding="utf-8")
        spec = read_spec("spec.yaml")
        try:
            prepared(checked(spec, tmp_path / "out"))
        except SpecError as error:
            raise spec.located(error) from error

    return run


Check = Callable[..., None]


def test_the_spec_itself_is_taken(check: Check) -> None:
    check()


ODD = ["six", "6.5", ".nan", ".inf", "0", "-1", "1000000000000", "true", "[]", "{}", "'6'", "~"]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("use", ["random", "auto", "ladder", "olmix", "optuna:tpe", "rungs"])
def test_counts_of_every_strategy_are_checked(use: str, value: str, check: Check) -> None:
    if use == "olmix" and value == "~":  # all at once
        check(f"strategy: {{use: {use}, batch: ~}}")
        return
    with pytest.raises(SpecError, match=r"^strategy\.batch \(line 7\): batch is .*; give a whole"):
        check(f"strategy: {{use: '{use}', batch: {value}}}")


def test_every_strategy_refuses_settings_that_it_does_not_have(check: Check) -> None:
    for use in [*STRATEGIES, "optuna:tpe"]:
        for name in ("bacth", "memo"):
            with pytest.raises(SpecError, match=r"^strategy.*no setting"):
                check(f"strategy: {{use: '{use}', {name}: 3}}")


@pytest.mark.parametrize(
    ("line", "message", "wrong", "remedy"),
    [
        ("strategy: {use: ladder, runs: 5}", "fewer than the 10 of the", "runs: 5", "runs: 10"),
        ("strategy: {use: ladder, runs: 5}", "or lower 'design'", "}", ", design: 5}"),
        ("strategy: {use: random, runs: six}", "give a whole number", "six", "6"),
        ("strategy: {use: random, runs: 010}", "write it in decimals", "010", "10"),
        ("strategy: {use: auto, law: lgbm}", "did you mean 'lightgbm'", "lgbm", "lightgbm"),
        ("strategy: {use: random, design: unifrm}", "mean 'uniform'", "unifrm", "uniform"),
        ("strategy: {use: regmix, swarm: olmx}", "did you mean 'olmix'", "olmx", "olmix"),
        ("strategy: {use: climb, rounds: []}", r"e.g. \[64, 32, 16\]", "[]", "[64, 32, 16]"),
        ("strategy: {use: ladder, acquisition: ei}", "known: kg, mes", "ei", "kg"),
        ("strategy: {use: auto, wait: no}", "write false", "no", "false"),
        ("objective: {minimize: loss/wb}", "did you mean 'loss/web'", "wb", "web"),
        ("objective: {minimize: loss/web, standardize: yes}", "write true", "yes", "true"),
        ("seed: 1:30", "write it in decimals", "1:30", "90"),
        ("execution: {max_slots: 2.5, cache: c}", "give a whole number", "2.5", "2"),
        (
            "execution: {max_slot: 2, cache: c}",
            "did you mean 'max_slots'",
            "max_slot:",
            "max_slots:",
        ),
        ("trainer: {use: 'mixopt.testing.trainers:FakeTrainr'}", "mean 'Fake", "inr", "iner"),
    ],
)
def test_obeying_the_remedy_works(
    line: str, message: str, wrong: str, remedy: str, check: Check
) -> None:
    with pytest.raises(SpecError, match=message):
        check(line)
    check(line.replace(wrong, remedy))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trainer: {use: 'os:sep'}", r"trainer.use \(line 7\): 'os:sep' is str '/', no trainer"),
        ("trainer: {use: 'sys:exit'}", "no trainer; name a class"),
        ("trainer: {use: 'pathlib:Path'}", r"the class Path, no trainer; .*prepare\(cache\)"),
        ("trainer: {use: 'json:dumps', config: {obj: 1}}", "gives str '1', no trainer"),
        ("trainer: {use: 'no_such:Thing'}", "cannot import 'no_such'"),
        ("strategy: {use: 'os:sep'}", "no strategy"),
        ("strategy: {use: 'pathlib:Path'}", "has no 'next'"),
        ("strategy: {use: auto, law: 'os:sep'}", "no law"),
        ("strategy: {use: auto, law: 'pathlib:Path'}", "PosixPath is no law"),
        ("strategy: {use: random, design: 'os:sep'}", "no design"),
        ("space: {bounds: {web: [0.2, 0.2], code: [0.5, 0.5]}}", "leave one mixture alone"),
        ("space: {ties: {all: {web: 1, code: 1, math: 1}}}", "leave one mixture alone"),
        ("space: {bounds: {web: [0.9, 0.1]}}", "web goes from 0.9 to 0.1"),
        ("objective: {minimize: loss/web, maximize: loss/web}", "minimised and maximised"),
        ("objective: {minimize: [loss/web, loss/web]}", "named twice"),
        ("objective: {minimize: loss/web, guards: {loss/code: {baseline: nat}}}", "'natural'"),
        ("objective: {minimize: loss/web, guards: {no: {}}}", "unknown metric 'no'"),
        (
            "objective: {minimize: loss/web, guards: {loss/code: {baseline: unimax}}}",
            r"objective.guards.loss/code.baseline \(line 7\): .*needs space.budget",
        ),
        ("objective: {minimize: no}", "unknown metric 'no'; known: loss/code"),
        ("objective: {minimize: [2020]}", "unknown metric '2020'"),
        ("objective: {minimize: ~}", "unknown metric '~'"),
        ("scales: [{params: 1k, tokens: 1k}, {params: 1k, tokens: 1k}]", "number 2 .* is not"),
        ("scales: [{params: 2k, tokens: 1k}, {params: 1k, tokens: 1k}]", "number 2 .* is not"),
        ("scales: [{params: 010, tokens: 1k}]", r"scales.0.params \(line 7\): 010 is"),
        ("scales: [{params: '010', tokens: 1k}]", "'010' is no count"),
        ("scales: [{params: 9e99T, tokens: 1k}]", "less than or equal"),
        ("trainer: {use: 'mixopt.testing.trainers:FakeTrainer', config: {noise: a}}",
         r"trainer.config.noise \(line 7\): noise is the text 'a'; give a number"),
        ("trainer: {use: 'mixopt.testing.trainers:FakeTrainer', config: {values: {web: 1}}}",
         "one domain, 'web'"),
        ("trainer: {use: 'mixopt.testing.trainers:FakeTrainer', config: {noise: .nan}}",
         "noise: nan is no number"),
        ("trainer: {use: 'mixopt.testing.trainers:FakeTrainer', config: {api_key: abc}}",
         "api_key looks like a secret"),
        ("execution: {cache: /proc/nowhere}", r"execution.cache .*cannot write to"),
        ("warm_start: [nowhere]", "learns nothing from earlier studies"),
    ],
)  # fmt: skip
def test_what_can_be_known_is_refused(line: str, message: str, check: Check) -> None:
    start = time.process_time()
    with pytest.raises(MixoptError, match=message):
        check(line)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("oracle://me:hush@host/db", "no store of kind 'oracle'"),
        ("mysql://me:hush@host/db", "needs the driver 'MySQLdb'.*pip install mysqlclient"),
        ("postgresql+nope://me:hush@host/db", "nope"),
        ("sqlite:///:memory:", "keeps nothing"),
        ("sqlite://", "keeps nothing"),
        ("sqlite:///file?mode=memory", "keeps nothing"),
        ("sqlite:///.", "is a folder"),
        ("sqlite:///spec.yaml", "another kind of file"),
        ("sqlite:////proc/x.db", "cannot write to /proc"),
        ("runs/store", "is a folder store"),
        ("http://me:hush@127.0.0.1:1", r"no MLflow server answers at http://me:\*\*\*@127"),
        ("http://me:hu/sh@host", "%2F for '/'"),
        ("http://", "names no host"),
        ("http://me:***@host", "was not kept"),
        ("http://me:$NOT_SET_HERE@host", "NOT_SET_HERE is not set"),
        ("databricks", "is a folder store"),
    ],
)
def test_stores_that_cannot_be_used_are_refused_without_their_password(
    uri: str, message: str, check: Check
) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        check(f'store: {{uri: "{uri}"}}')
    assert "hush" not in str(caught.value)
    assert "hu/sh" not in str(caught.value)


class Untouched(FakeTrainer):
    """A trainer whose data would take hours to prepare."""

    def prepare(self, cache: Path) -> TrainerInfo:
        """Never."""
        raise AssertionError("data was prepared for a spec that is refused without any")


KL = "objective: {minimize: loss/web, kl: 0.1}"
GUARD = "objective: {minimize: loss/web, guards: {loss/code: {baseline: unimax}}}"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["warm_start: [nowhere]", "strategy: {use: auto}"], "'nowhere': no such folder or file"),
        (["warm_start: [.]", "strategy: {use: auto}"], "no sweep here"),
        (["warm_start: [spec.txt]", "strategy: {use: auto}"], "spec.txt"),
        (["strategy: {use: aioli}"], "mixer 'aioli'"),
        (["strategy: {use: dependence}"], "does not declare injects"),
        (["strategy: {use: tailpatch}"], "share_trunk: false"),
        ([KL, "strategy: {use: two-phase}"], "pulls towards the natural mixture"),
        ([KL, "strategy: {use: dmt, specialised: [web]}"], "pulls towards the natural mixture"),
        ([KL, "strategy: {use: joint}"], "guards against the natural mixture only"),
        (["strategy: {use: quadmix}"], "names no scores"),
        ([GUARD], "'unimax' needs space.budget"),
        (
            ["objective: {minimize: loss/web, reliability: down-weight}"],
            "'random' runs no mixture twice",
        ),
        (
            ["objective: {minimize: loss/web, reliability: down-weight}", "strategy: {use: auto}"],
            "repeats is 0",
        ),
        (["objective: {maximize: loss/web}", "strategy: {use: odm}"], "mixer 'odm'"),
        (["store: {use: mlflw}"], "unknown store 'mlflw'"),
        (["store: {uri: 'http://127.0.0.1:1'}"], "no MLflow server answers"),
        (["execution: {use: lcal, cache: c}"], "unknown executor 'lcal'"),
    ],
)
def test_what_needs_no_data_is_refused_before_any_is_prepared(
    lines: list[str], message: str, check: Check
) -> None:
    Path("spec.txt").write_text("no table")
    trainer = f'trainer: {{use: "{__name__}:Untouched"}}'
    with pytest.raises(MixoptError, match=message):
        check(trainer, *lines)


def test_a_library_that_is_not_installed_is_missed_before_data_is_prepared(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botorch", None)
    with pytest.raises(MissingDependencyError, match=r"mixopt\[botorch\]"):
        check(f'trainer: {{use: "{__name__}:Untouched"}}', "strategy: {use: mfms}")


class Broken:
    """A trainer with a fault of its own."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        if fault == "made":
            raise KeyError("nothing here")

    def prepare(self, cache: Path) -> TrainerInfo:
        if self.fault == "prepared":
            raise ZeroDivisionError("by nought")
        domains = () if self.fault == "none" else (Domain("a"), Domain("b"))
        return None if self.fault == "info" else TrainerInfo(domains, ("m",), "", "")  # type: ignore[return-value]

    def train(self, *_: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("made", "does not take this configuration: KeyError: 'nothing here' .*line"),
        ("prepared", "prepare failed with ZeroDivisionError: by nought"),
        ("info", "prepare gave None"),
    ],
)
def test_a_broken_trainer_is_told_in_words(
    fault: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixopt.testing.trainers.Broken", Broken, raising=False)
    spec = parse_spec(
        {
            "version": 1,
            "name": "broken",
            "trainer": {"use": "mixopt.testing.trainers:Broken", "config": {"fault": fault}},
            "scales": [{"params": 1, "tokens": 1}],
            "objective": {"minimize": "m"},
            "execution": {"cache": str(tmp_path)},
        }
    )
    with pytest.raises(MixoptError, match=message):
        prepared(checked(spec, tmp_path / "out"))


def test_an_offline_mixture_is_taken_from_where_it_is(tmp_path: Path) -> None:
    kept = tmp_path / "mixture.json"
    kept.write_text('{"web": 0.7, "code": 0.3}')
    values = yaml.safe_load(BASE)

    def made(offline: Any) -> Any:
        return make_strategy(
            parse_spec({**values, "strategy": {"use": "odm", "offline": offline}})
        ).offline

    assert made(str(kept)) == {"web": 0.7, "code": 0.3} == made({"web": 0.7, "code": 0.3})
    kept.write_text('{"phases": [{"until": 10, "mixture": {"web": 0.7, "code": 0.3}}]}')
    with pytest.raises(SpecError, match="recommends a schedule"):
        made(str(kept))
    with pytest.raises(MixoptError, match="nowhere"):
        made(str(tmp_path / "nowhere.json"))


def test_a_scale_that_the_trainers_settings_do_not_go_with_is_refused(
    check: Check, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        lines = [f"{name} {i} is {i * i} times {name * (i % 7)} of {i % 13}" for i in range(400)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    config = (
        "{domains: {a: a.txt, b: b.txt}, vocab: 300, context: 16, width: 32, bigrams: 0, "
        "validation_fraction: 0.3, injections: {x: {documents: ['a 3 is 5 times b'], "
        "repetitions: 4, probes: ['a 3 is 5'], controls: ['a 4 is 9']}}}"
    )
    trainer = f"trainer: {{use: 'proxies:LanguageModelTrainer', config: {config}}}"
    aim = "objective: {minimize: difference/x}"
    with pytest.raises(SpecError, match=r"(?s)trainer.config.*'x' has \d+ tokens.*above 0.5%"):
        check(trainer, aim, "scales: [{params: 1k, tokens: 4k}]")
    check(trainer, aim, "scales: [{params: 1k, tokens: 40k}]")
