"""From a finished sweep to a decision, a version and a card, without services."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mixopt.app.output import show_status
from mixopt.app.promotion import follow
from mixopt.app.promotion.promote import (
    PLANS,
    Promotion,
    conclude_promotion,
    decision_in,
    promotion_of,
    train,
)
from mixopt.app.registry import artefact
from mixopt.app.registry.artefact import Promoted, make_card, promoted_plan, register
from mixopt.app.results import publish
from mixopt.app.running import driving, launch, retrying
from mixopt.app.running.launch import Sweep
from mixopt.app.spec.spec_file import parse_spec
from mixopt.app.state.state import SweepState, state_of
from mixopt.errors import InputError, StoreError
from mixopt.evidence.decision import Decision
from mixopt.evidence.past import Past
from mixopt.execution.local import MemoryStore
from mixopt.execution.sweep import SweepError, SweepStatus
from mixopt.runs import Observation, Schedule, What
from mixopt.space import Mixture, MixtureSpace
from mixopt.strategies import Strategy
from mixopt.tracking.registry import MemoryRegistry

SPEC: dict[str, Any] = {
    "version": 1,
    "name": "study",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer", "config": {"noise": 0.002}},
    "scales": [{"params": 1000, "tokens": "10k"}],
    "space": {"budget": "1B"},
    "objective": {"minimize": ["loss/web", "loss/code", "loss/math"]},
    "strategy": {
        "use": "auto", "design": 8, "proposals": 2, "batch": 2, "law": "log-linear",
        "confirm_seeds": 2, "singles": False,
    },
    "promotion": {
        "scale": {"params": 2000, "tokens": "20k"}, "seeds": 2, "repetition": False,
        "against": ["natural", "only-web"],
    },
    "execution": {"use": "local"},
    "store": {"use": "memory"},
}  # fmt: skip


def values(**changes: Any) -> dict[str, Any]:
    """The spec with rules changed; None takes the rules away."""
    made = json.loads(json.dumps(SPEC))
    rules = changes.pop("rules", {})
    made["promotion"] = None if rules is None else {**made["promotion"], **rules}
    made |= changes
    return {k: v for k, v in made.items() if v is not None}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def ran(folder: Path, made: dict[str, Any]) -> tuple[Sweep, Strategy]:
    made = {**made, "execution": {"use": "local", "cache": str(folder / "cache")}}
    with launch.new_sweep(parse_spec(made), folder / "study") as (sweep, recipe):
        driving.run(sweep, recipe)
        publish.finish(sweep, trained=1)
        return sweep, recipe


@pytest.fixture(scope="module")
def finished(home: Path) -> tuple[Sweep, Strategy]:
    return ran(home, values())


def copied(finished: tuple[Sweep, Strategy], home: Path) -> tuple[Sweep, Strategy]:
    """The same sweep with a store of its own."""
    sweep, recipe = finished
    store = MemoryStore()
    for seen in sweep.store.observations():
        store.close(seen)
    store.annotate(sweep.store.annotations())
    home.mkdir(exist_ok=True)
    return replace(sweep, store=store, folder=home), recipe


@pytest.fixture
def study(finished: tuple[Sweep, Strategy], tmp_path: Path) -> tuple[Sweep, Strategy]:
    return copied(finished, tmp_path / "study")


def decided(study: tuple[Sweep, Strategy]) -> tuple[Promotion, Decision]:
    promotion = promotion_of(*study)
    train(promotion)
    return promotion, conclude_promotion(promotion)


def test_from_plan_to_decision(study: tuple[Sweep, Strategy]) -> None:
    promotion = promotion_of(*study)
    names = [(p.name, p.rival) for p in promotion.recipe.plans]
    assert names == [
        ("recommended", False), ("candidate-2", False), ("between-2", False), ("natural", True),
        ("only-web", True),
    ]  # fmt: skip
    assert promotion.power.runs == len(promotion.missing) == 10
    assert promotion.power.flops == pytest.approx(10 * 6 * 2000 * 20_000)
    # No run of the study is of the promotion's scale: an order is predicted, and no gain.
    assert np.isnan(promotion.power.expected)
    assert any("ranking only: no run was trained at" in line for line in promotion.power.lines())
    assert promotion.power.whence == "measured by confirmation"
    status = train(promotion)
    assert (status.done, status.planned, status.trained) == (10, 10, 10)
    decision = conclude_promotion(promotion)
    assert decision.passed, decision.reasons
    assert decision.scale == promotion.recipe.scale
    assert any(what.startswith("optimism (ranking only") for what in decision.unasked)
    assert decision_in(study[0]) is not None
    assert train(promotion).trained == 0  # nothing is trained twice
    assert conclude_promotion(promotion).id == decision.id


def test_the_answer_stays_what_it_was_concluded_from(study: tuple[Sweep, Strategy]) -> None:
    sweep, _ = study
    before = publish.conclude(sweep)
    decided(study)
    assert publish.conclude(sweep).rests_on == before.rests_on
    assert sum(o.spec.kind.what is What.PROMOTION for o in sweep.store.observations()) == 10


def test_one_that_was_killed_goes_on_to_the_same_runs(study: tuple[Sweep, Strategy]) -> None:
    sweep, recipe = study
    promotion = promotion_of(sweep, recipe)

    class Killed(Exception):
        pass

    def kill(status: Any) -> None:
        if status.trained == 3:
            raise Killed

    with pytest.raises(Killed):
        train(promotion, kill)
    with pytest.raises(InputError, match="7 runs of the promotion are missing"):
        conclude_promotion(promotion)
    again = promotion_of(sweep, recipe)
    assert again.specs == promotion.specs
    assert train(again).trained == 7
    assert conclude_promotion(again).runs == conclude_promotion(promotion).runs


def test_runs_of_the_confirmation_count_where_rules_were_there_first(home: Path) -> None:
    at = {"scale": {"params": 1000, "tokens": "10k"}, "between": False, "candidates": 1}
    promotion = promotion_of(*ran(home / "same", values(rules=at | {"against": ["natural"]})))
    assert promotion.recipe.seeds == (1, 2)
    assert promotion.missing == []
    assert conclude_promotion(promotion).passed


def test_rules_that_came_late_are_judged_on_seeds_that_nobody_saw(home: Path) -> None:
    folder = home / "late"
    sweep, recipe = ran(folder, values(rules=None))
    with pytest.raises(StoreError, match="write a section 'promotion'"):
        promotion_of(sweep, recipe)
    at = {"scale": {"params": 1000, "tokens": "10k"}, "against": ["natural"]}
    made = {**values(rules=at), "execution": {"use": "local", "cache": str(folder / "cache")}}
    spec, runs = parse_spec(made), len(sweep.store.observations())
    launch.claim(sweep.store, spec, sweep.info, sweep.problem.config)
    late = replace(sweep, spec=spec)
    promotion = promotion_of(late, recipe)
    used = {o.spec.seed for o in sweep.store.observations()}
    assert not used & set(promotion.recipe.seeds)
    train(promotion)
    decision = conclude_promotion(promotion)
    assert decision.given.after == runs
    assert f"given after {runs} runs" in decision.reasons[-1]
    assert f"given after {runs} runs" in make_card(
        Promoted(late, promotion.outcome, decision), registered=False
    )


def test_what_cannot_be_promoted_is_refused_before_training(
    study: tuple[Sweep, Strategy], home: Path
) -> None:
    sweep, recipe = study
    bare = replace(sweep, info=replace(sweep.info, data=""))
    with pytest.raises(InputError, match="states no data manifest"):
        promotion_of(bare, recipe)
    empty = MemoryStore()
    empty.annotate({k: v for k, v in sweep.store.annotations().items() if k != "outcome"})
    with pytest.raises(InputError, match="no run has finished yet"):
        promotion_of(replace(sweep, store=empty), recipe)
    half = MemoryStore()
    half.annotate(empty.annotations())
    for seen in sweep.store.observations()[:5]:
        half.close(seen)
    with pytest.raises(InputError, match="is not finished, and more runs may change its answer"):
        promotion_of(replace(sweep, store=half), recipe)
    for rules, told in (
        ({"metric": "loss/wen"}, "judges the metric 'loss/wen'"),
        ({"against": ["natura"]}, "did you mean 'natural'"),
    ):
        other = parse_spec(values(rules=rules))
        store = MemoryStore()
        kept = {k: v for k, v in sweep.store.annotations().items() if k != "rules"}
        for seen in sweep.store.observations():
            store.close(seen)
        store.annotate(kept)
        launch.claim(store, other, sweep.info, sweep.problem.config)
        with pytest.raises(InputError, match=told):
            promotion_of(replace(sweep, spec=other, store=store), recipe)


def test_the_budget_is_kept(study: tuple[Sweep, Strategy]) -> None:
    sweep, recipe = study
    cheap = parse_spec(values(rules={"budget": 1e6}))
    with pytest.raises(InputError, match=r"costs 2\.4GFLOP and promotion\.budget allows 1MFLOP"):
        train(promotion_of(replace(sweep, spec=cheap), recipe))
    assert PLANS not in sweep.store.annotations()


def test_a_trainer_that_fails_at_the_larger_scale_stops_it_early(
    study: tuple[Sweep, Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, specs: Any, cache: Path, report: Any = None) -> list[Observation]:
        return [Observation.failure(s, "out of memory") for s in specs]

    monkeypatch.setattr("mixopt.testing.trainers.FakeTrainer.train", fail)
    with pytest.raises(SweepError, match=r"the first 5 runs all failed.*out of memory"):
        train(promotion_of(*study))


def test_past_promotions_temper_what_is_expected(
    study: tuple[Sweep, Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixopt.app.promotion.promote.unlevelled", lambda *_: "")
    sweep, recipe = study
    past = (Past("old", "large run", 1, 1, "natural", 0.1, 0.05),)
    whole = promotion_of(sweep, recipe).power.expected
    assert whole > 0
    assert promotion_of(replace(sweep, past=past), recipe).power.expected == pytest.approx(
        whole / 2
    )
    outcome = publish.conclude(replace(sweep, past=past))
    gate = outcome.checkup.trust.gates[-1]
    assert (gate.name, gate.value) == ("past promotions", 0.5)


# -- what is left behind ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def promoted(
    finished: tuple[Sweep, Strategy], tmp_path_factory: pytest.TempPathFactory
) -> Promoted:
    sweep, recipe = copied(finished, tmp_path_factory.mktemp("promoted"))
    promotion, decision = decided((sweep, recipe))
    return Promoted(sweep, promotion.outcome, decision)


def test_a_version_holds_plan_evidence_and_provenance(promoted: Promoted) -> None:
    registry = MemoryRegistry()
    made = register(promoted, registry, {}, to="champion")
    assert made.aliases == {"candidate": "1", "champion": "1"}
    plan, kept = promoted_plan(registry.text("mixopt.study", "@champion", "mixture.json"))
    assert isinstance(plan, Mixture)
    assert plan == promoted.decision.pick.plan.mixture
    assert sum(kept["tokens"]["domains"].values()) == kept["tokens"]["total"] == 10**9
    assert kept["epochs"]["web"] == pytest.approx(plan["web"])  # of 1e9 unique tokens
    assert kept["constraints"]["budget"] == 1e9
    assert kept["provenance"]["data"] == promoted.sweep.info.data
    assert kept["promotion"] == promoted.decision.id
    (record,) = registry.records()
    assert record["study"] == "study"
    entry = registry.entries["mixopt.study"][0]
    ids = {o.run_id for o in promoted.sweep.store.observations()}
    assert set(entry.runs) <= ids
    assert set(promoted.decision.runs) <= set(entry.runs)
    assert set(entry.tables) == {"runs", f"data {promoted.sweep.info.data[:12]}"}


def test_an_alias_that_was_moved_meanwhile_stays(promoted: Promoted) -> None:
    registry = MemoryRegistry()
    register(promoted, registry, {}, to="champion")
    registry.register(replace(registry.entries["mixopt.study"][0], promotion="theirs"))
    seen = artefact.aliases_of(registry, "mixopt.study")
    registry.aliases["mixopt.study", "champion"] = "2"
    with pytest.raises(StoreError, match="was at version 1 when this began and is at version 2"):
        register(promoted, registry, seen, to="champion")
    assert registry.alias("mixopt.study", "champion") == "2"


def test_the_card_is_one_page_with_its_five_parts(promoted: Promoted) -> None:
    card = make_card(promoted, registered=True)
    heads = [line for line in card.splitlines() if line.startswith("#")]
    assert heads == [
        "# study: promoted", "## What", "## Why", "## Evidence", "## Limits", "## How to reproduce",
    ]  # fmt: skip
    assert len(card.splitlines()) < 90
    assert promoted.decision.headline in card
    assert promoted.decision.id in card
    assert "50k times as many tokens" in card
    assert "mixopt export models:/mixopt.study@candidate" in card


def test_markup_in_names_stays_text(promoted: Promoted) -> None:
    odd = replace(promoted.decision, study="<b>*x*</b>|y_z _e_")
    card = make_card(replace(promoted, decision=odd), registered=False)
    assert card.startswith("# \\<b\\>\\*x\\*\\</b\\>\\|y_z \\_e\\_: promoted")


def test_a_stored_plan_may_be_a_schedule_and_another_format_is_refused() -> None:
    web = Mixture.of({"web": 1.0, "code": 0.0})
    code = Mixture.of({"web": 0.0, "code": 1.0})
    schedule = Schedule(((5, web), (9, code)))
    kept = {"schema": "mixopt.promoted", "version": 1, "schedule": schedule.to_dict()}
    assert promoted_plan(json.dumps(kept))[0] == schedule
    with pytest.raises(StoreError, match=r"reads mixopt\.promoted 1"):
        promoted_plan(json.dumps({**kept, "version": 2}))
    for text in ("{", "[]", json.dumps({k: v for k, v in kept.items() if k != "schedule"})):
        with pytest.raises(StoreError, match=r"is damaged|holds None None"):
            promoted_plan(text)


# -- what the large run measured -------------------------------------------------------------------

METRICS = {"loss/web": 1.7, "loss/code": 1.9, "loss/math": 1.8}
WORSE = {"loss/web": 1.8, "loss/code": 1.9, "loss/math": 1.85}


@pytest.fixture
def registry(promoted: Promoted) -> MemoryRegistry:
    made = MemoryRegistry()
    register(promoted, made, {})
    return made


def write(folder: Path, **told: Any) -> Path:
    path = folder / "large.json"
    path.write_text(json.dumps(told))
    return path


def test_a_large_run_is_kept_with_its_version(
    promoted: Promoted, registry: MemoryRegistry, tmp_path: Path
) -> None:
    told = {"promotion": promoted.decision.id, "params": 1e9, "tokens": 1e12, "metrics": METRICS}
    path = write(tmp_path, **told, baselines={"natural": WORSE})
    large = follow.read_large(path)
    past, records = follow.follow(promoted.sweep, registry, large)
    assert past.measured == pytest.approx(0.05)
    assert np.isnan(past.predicted)  # ranking only
    levels = MemoryRegistry()
    register(replace(promoted, decision=replace(promoted.decision, ranking_only="")), levels, {})
    plans = {r.name: r.plan.predicted for r in promoted.decision.results}
    assert follow.follow(promoted.sweep, levels, large)[0].predicted == pytest.approx(
        plans["natural"] - plans[promoted.decision.picked]
    )
    assert (past.where, past.params, past.version) == ("large run", 10**9, "1")
    assert [r.where for r in records] == ["promotion", "large run"]
    follow.follow(promoted.sweep, registry, large)
    assert len(registry.records()) == 2
    rows = [
        {"promotion": promoted.decision.id, "plan": plan, "params": 1e9, "tokens": 1e12}
        | {f"m/{k}": v for k, v in metrics.items()}
        for plan, metrics in (("promoted", METRICS), ("natural", WORSE))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "large.csv", index=False)
    assert follow.read_large(tmp_path / "large.csv") == large


def test_sizes_are_read_as_people_write_them_and_may_be_missing(tmp_path: Path) -> None:
    path = write(tmp_path, promotion="id", params="7B", tokens="1.5T", metrics=METRICS)
    assert (follow.read_large(path).params, follow.read_large(path).tokens) == (
        7 * 10**9,
        15 * 10**11,
    )
    table = tmp_path / "large.csv"
    table.write_text("promotion,plan,params,tokens,m/loss\nid,promoted,,1T,1.9\n")
    assert (follow.read_large(table).params, follow.read_large(table).tokens) == (0, 10**12)
    table.write_text("promotion,plan,m/loss\nid,promoted,low\n")
    with pytest.raises(InputError, match=r"large.csv: metric 'loss' is 'low'; give a finite"):
        follow.read_large(table)


def test_what_no_training_can_change_is_said_before_it(study: tuple[Sweep, Strategy]) -> None:
    promotion = promotion_of(*study)
    assert promotion.refused_beforehand is None  # the rules do not ask
    rules = replace(promotion.question.rules, repetition=True)
    space = MixtureSpace(promotion.sweep.problem.space.domains, budget=1e15, epochs=1e9)
    sweep = replace(promotion.sweep, problem=replace(promotion.sweep.problem, space=space))
    asked = replace(promotion, sweep=sweep, question=replace(promotion.question, rules=rules))
    told = asked.refused_beforehand
    assert told is not None
    assert told.startswith("epochs of proxy and target differ: ")
    train(asked)
    assert f"NO: repetition: {told}" in conclude_promotion(asked).reasons


def test_a_damaged_version_is_said(
    promoted: Promoted, registry: MemoryRegistry, tmp_path: Path
) -> None:
    entry = registry.entries["mixopt.study"][0]
    broken = replace(entry, files={**entry.files, "decision.json": '{"picked": 1}'})
    registry.entries["mixopt.study"][0] = broken
    large = follow.read_large(write(tmp_path, promotion=promoted.decision.id, metrics=METRICS))
    with pytest.raises(StoreError, match=r"decision\.json of the version is damaged"):
        follow.follow(promoted.sweep, registry, large)
    assert len(registry.records()) == 1


def test_without_a_baseline_the_optimism_is_unknown(
    promoted: Promoted, registry: MemoryRegistry, tmp_path: Path
) -> None:
    large = follow.read_large(write(tmp_path, promotion=promoted.decision.id, metrics=METRICS))
    past, _ = follow.follow(promoted.sweep, registry, large)
    assert past.share != past.share  # NaN
    assert past.baseline == ""
    assert past.line.endswith("no baseline beside it, so that its gain is not known")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"promotion": "0123"}, "'0123', and mixopt.study has these: .* it belongs to another"),
        ({"promotion": None}, "names no promotion; give its id"),
        ({"metrics": None}, "the promoted plan has no metrics"),
        ({"metrics": {"loss/web": "low"}}, "metric 'loss/web' is 'low'; give a finite number"),
        ({"metrics": {"loss/web": 1.0}}, "has no metric 'loss/code', by which"),
        ({"baselines": {"natura": METRICS}}, "did you mean 'natural'"),
        (
            {"baselines": {"natural": {"loss/web": 1.0}}},
            "natural has no metric 'loss/code', by which",
        ),
        ({"metric": 1}, "unknown key 'metric'"),
        ({"tokens": float("inf")}, "tokens is inf"),
        ({"params": "7x"}, "params: '7x' is no count"),
        ({"params": -7e9}, "params is -7000000000"),
        ({"baselines": [1]}, r"baselines are \[1\]; give JSON"),
    ],
    ids=lambda v: str(v)[:20],
)
def test_results_of_another_study_or_of_no_form_are_refused(
    promoted: Promoted, registry: MemoryRegistry, tmp_path: Path, changes: Any, told: str
) -> None:
    good = {"promotion": promoted.decision.id, "metrics": METRICS}
    path = write(tmp_path, **{**good, **changes})
    with pytest.raises((InputError, StoreError), match=told):
        follow.follow(promoted.sweep, registry, follow.read_large(path))
    assert len(registry.records()) == 1


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        follow.read_large(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        follow.read_large(tmp_path / "x.json")
    (tmp_path / "x.csv").write_text("promotion,plan\na,promoted\n")
    with pytest.raises(InputError, match="no column 'm/<metric>'"):
        follow.read_large(tmp_path / "x.csv")


def test_a_promotion_is_told_apart_from_the_runs_of_the_search(
    study: tuple[Sweep, Strategy],
) -> None:
    sweep, recipe = study
    before = state_of(sweep, time.time())
    assert before.promotion is None
    promotion = promotion_of(sweep, recipe)
    seen: list[SweepState] = []

    def look(status: SweepStatus) -> None:
        if status.done == 4 and not seen:
            seen.append(state_of(sweep, time.time()))

    train(promotion, look)
    during, after = seen[0], state_of(sweep, time.time())
    assert during.promotion is not None
    assert after.promotion is not None
    assert not during.ended
    assert during.promotion.alive
    assert (during.promotion.done, during.promotion.planned) == (4, 10)
    assert (after.promotion.done, after.promotion.state, after.ended) == (10, "trained", True)
    for state in (during, after):  # the search is what it was
        assert (state.state, state.done, state.planned) == ("finished", before.done, before.planned)
    assert "running: 4 of 10 runs" in show_status.status_line(during)
    assert during.to_dict()["promotion"]["state"] == "running"


def test_a_promotion_whose_runs_are_to_be_trained_again(study: tuple[Sweep, Strategy]) -> None:
    sweep, recipe = study
    promotion, decision = decided(study)
    spec, store = promotion.specs["natural"][0], MemoryStore()
    for seen in sweep.store.observations():
        gone = Observation.failure(spec, "OSError: gone")
        store.close(gone if seen.run_id == spec.run_id else seen)
    store.annotate(sweep.store.annotations())
    sweep = replace(sweep, store=store)
    chosen = retrying.choose(store.observations())
    assert "'mixopt promote' decides anew" in " ".join(chosen.lines)
    retrying.mark(store, chosen)
    state = state_of(sweep, time.time())
    assert state.promotion is not None
    assert (state.promotion.state, state.promotion.waiting) == ("stopped", 1)
    assert (state.state, state.waiting, state.retried) == ("finished", 0, 0)
    assert "To go on with the promotion: mixopt promote" in page(state)
    again = promotion_of(sweep, recipe)
    assert train(again).trained == 1
    assert conclude_promotion(again).id == decision.id


def page(state: SweepState) -> str:
    console = Console(file=io.StringIO(), width=200)
    show_status.show(show_status.status_page(state), console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]
