"""Injections on real proxies: what is learnt, packs, resume to the bit, one start for many runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import proxies.lm.train as train_module
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from tests.unit.proxies.injected import ODD, SCALE, SPEC, made_with, rows_of
from tests.unit.proxies.texts import write_domains

pytestmark = pytest.mark.slow

TWO = {
    "odd": ODD,
    "dog": {
        "documents": ["the dog is zoo"],
        "repetitions": 8,
        "probes": ["a dog is zoo"],
        "controls": ["the cow is zip", "a cow is zip"],
    },
}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_domains(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def make(text):
    def made(injections: Any = TWO, **config) -> LanguageModelTrainer:
        return made_with(text, injections, **config)

    return made


@pytest.fixture(scope="module")
def trainer(make) -> LanguageModelTrainer:
    return make()


@pytest.fixture(scope="module")
def whole(trainer, cache) -> Observation:
    return train(trainer, SPEC, cache)


def train(trainer: LanguageModelTrainer, spec: RunSpec, cache: Path) -> Observation:
    trainer.prepare(cache)
    (seen,) = trainer.train([spec], cache)
    assert seen.ok, seen.error
    return seen


def test_a_run_without_injections_is_the_run_that_it_was(make, cache):
    first, none = train(make(None), SPEC, cache), train(make(inject=[]), SPEC, cache)
    assert first.info.keys() == none.info.keys()
    assert first.realised == none.realised
    assert "injected" not in first.realised.to_dict()
    assert {k: none.metrics[k] for k in first.metrics} == dict(first.metrics)


def test_what_is_injected_is_learnt_and_control_facts_are_not(make, trainer, cache, whole):
    info = trainer.prepare(cache)
    told = ("injection/odd", "control/odd", "difference/odd")
    assert info.metrics[-6:-3] == told
    assert info.notes["injections"]["dog"]["documents"] == 1
    none = train(make(inject=[]), SPEC, cache)
    ours, without = whole.metrics, none.metrics
    for name, least in {"odd": 0.1, "dog": 1.0}.items():
        injected, control = ours[f"injection/{name}"], ours[f"control/{name}"]
        assert ours[f"difference/{name}"] == pytest.approx(injected - control)
        assert ours[f"difference/{name}"] < without[f"difference/{name}"] - least
    assert whole.info["standard_error"]["control/dog"] > 0
    assert "injection/dog" not in whole.info["standard_error"]  # of one text nothing is known


def test_runs_of_a_pack_are_the_runs_alone(trainer, cache, whole):
    other, again = trainer.train([replace(SPEC, seed=5), SPEC], cache)
    assert again.metrics == pytest.approx(dict(whole.metrics), rel=1e-4)
    assert again.realised == whole.realised
    assert other.metrics != again.metrics


def killed(monkeypatch, step: int) -> None:
    """Have the process die before a step, once."""
    original, left = train_module.Pack._one_step, [1]

    def one_step(pack) -> None:
        if pack.step == step and left:
            left.pop()
            raise KeyboardInterrupt
        original(pack)

    monkeypatch.setattr(train_module.Pack, "_one_step", one_step)


@pytest.mark.parametrize(("step", "start"), [(9, None), (20, {"tokens": 16_384, "seed": 0})])
def test_a_run_that_is_killed_goes_on_as_if_it_had_not_been(
    make, cache, tmp_path, monkeypatch, step, start
):
    more = {} if start is None else {"shared_start": start}
    spec = replace(SPEC, seed=3, config=more)
    never = train(make(**more), spec, tmp_path)
    saving = make(checkpoint_seconds=0.0, **more)
    saving.prepare(cache)
    killed(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        saving.train([spec], cache)
    again = train(saving, spec, cache)
    assert again.info["continued_from"] == step * 1024
    assert again.metrics == never.metrics
    assert again.realised == never.realised


def test_runs_part_from_one_start_whatever_they_inject(make, tmp_path):
    """A branch pays for its own part, and is the run that starts anew elsewhere."""
    start, at = {"tokens": 16_384, "seed": 0}, 16_384
    seen, paid = {}, {}
    for seed, inject in enumerate([[], [], ["odd"], ["odd", "dog"]]):
        config = {"inject": inject, "shared_start": start}
        spec = replace(SPEC, seed=seed, config=config)
        ours = train(make(**config, branch_at=at, decay=0.5), spec, tmp_path / "shared")
        anew = train(make(**config, decay=0.5), spec, tmp_path / f"alone{seed}")
        assert ours.metrics == anew.metrics
        seen[seed], paid[seed] = ours, ours.flops / anew.flops
        assert ours.info["continued_from"] == (0 if seed == 0 else at)
    assert paid == pytest.approx({0: 1.0, 1: 0.5, 2: 0.5, 3: 0.5})
    assert seen[0].metrics != seen[1].metrics  # the start is the same, what follows is not
    rows = [
        rows_of(make(inject=i, shared_start=start), replace(SPEC, seed=s), tmp_path / "shared")
        for s, i in ((0, []), (1, []), (1, ["odd"]))
    ]
    first = at // 32
    assert (rows[0][:first] == rows[1][:first]).all()
    assert (rows[0][first:] != rows[1][first:]).any(axis=1).mean() > 0.9
    assert (rows[1] != rows[2]).any(axis=1).sum() == 9
    trainer = make(**config, branch_at=at, decay=0.5)
    trainer.forget([seen[seed].spec for seed in seen], tmp_path / "shared")
    assert not [p for p in (tmp_path / "shared").rglob("*.safetensors")]


def test_what_is_injected_is_learnt_among_hidden_spans_and_sampled_documents(text, tmp_path):
    hidden = {
        "birds_x": {"source": "birds", "objective": "x"},
        "rocks_fill": {"source": "rocks", "objective": "infill"},
    }
    few = RunSpec(Mixture.of({"birds_x": 0.5, "rocks_fill": 0.5}), SCALE)
    sampled = {"scores": {"letters": "high"}, "sampling": {"*": {"cut": 0.5, "exponent": 1.0}}}
    for name, spec, config in (("hidden", few, {}), ("sampled", SPEC, sampled)):
        domains = {**text, **hidden} if name == "hidden" else text
        seen = {
            inject: train(
                made_with(domains, TWO, inject=list(inject), **config),
                spec,
                tmp_path,
            )
            for inject in ((), ("dog",))
        }
        told = {k: one.metrics["difference/dog"] for k, one in seen.items()}
        assert told["dog",] < told[()] - 0.3, (name, told)
        if name == "hidden":
            tokens = sum(seen["dog",].info["loss_tokens"].values())
            assert 0.3 * SCALE.tokens < tokens < 0.7 * SCALE.tokens


def test_a_run_with_injections_goes_on_to_a_longer_one(make, tmp_path):
    longer = replace(SPEC, scale=Scale(SCALE.params, 2 * SCALE.tokens))
    config = {"inject_over": 2 * SCALE.tokens}
    trainer = make(continue_to=2 * SCALE.tokens, **config)
    first, ours = train(trainer, SPEC, tmp_path / "on"), train(trainer, longer, tmp_path / "on")
    whole = train(make(**config), longer, tmp_path / "whole")
    assert ours.info["continued_from"] > 0
    assert ours.flops < 0.85 * whole.flops  # rates fall over the last .6 of the shorter one
    assert ours.metrics == pytest.approx(dict(whole.metrics), rel=1e-4)
    assert ours.realised == whole.realised
    doses = first.realised.injected, whole.realised.injected
    assert 0.35 < doses[0]["odd"] / doses[1]["odd"] < 0.65
