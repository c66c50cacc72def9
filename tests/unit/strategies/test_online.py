"""Online methods as strategies: they run what papers run, and what they must be held against."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.evidence.outcome import sweep_outcome
from mixopt.execution.local import LocalExecutor, MemoryStore
from mixopt.execution.sweep import run_sweep
from mixopt.mixers import Recorded
from mixopt.report import ReportData
from mixopt.report.blocks import Plot
from mixopt.report.mixing import mixing
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.objective import Objective
from mixopt.space import MixtureSpace
from mixopt.strategies import STRATEGIES, Problem, strategy
from mixopt.strategies.comparisons import half_width
from mixopt.strategies.online import Online
from mixopt.testing.mixing_trainer import MixingTrainer
from mixopt.tracking import records

SPACE = MixtureSpace({"web": 6e8, "code": 3e8, "math": 1e8})
SMALL, LARGE = Scale(1000, 10_000), Scale(4000, 40_000)
OBJECTIVE = Objective.of("loss/mean")
STEPS = 100
METHODS: dict[str, dict[str, Any]] = {
    "aioli": {"mixer": {"every": 30, "rounds": 1, "probe_steps": 2}},
    "doremi": {},
    "doge": {"mixer": {"rate": 0.1, "mu": 0.05, "targets": "heldout"}},
    "grape": {"mixer": {"every": 10, "scaled": True}},
    "skill-it": {"mixer": {"every": 20, "graph_steps": 5}},
    "odm": {"mixer": {"every": 10}},
    "ado": {"mixer": {"warmup": 5, "refit": 20, "stride": 2}},
    "pike": {"mixer": {"every": 10}},
    "fastmix": {"mixer": {"every": 2}},
    "r&b": {"mixer": {"every": 10}},
    "velocitune": {"mixer": {"goals": {"web": 0.1, "code": 0.1, "math": 0.1}, "every": 40}},
    "fd": {"mixer": {"every": 10, "probe_steps": 5}},
}


def problem(**more: Any) -> Problem:
    return Problem(SPACE, OBJECTIVE, more.pop("scales", (SMALL,)), **more)


def play(recipe: Any, question: Problem, trainer: MixingTrainer | None = None) -> list[Observation]:
    trainer, done = trainer or MixingTrainer(steps=STEPS), []
    for _ in range(20):
        specs = recipe.next(question, done, [])
        if not specs:
            return done
        done += trainer.train(specs, Path())
    raise AssertionError("the strategy never ends")


def names(done: Sequence[Observation]) -> list[str]:
    return sorted({o.spec.kind.candidate for o in done if o.spec.kind.confirms})


def tokens(done: Sequence[Observation], candidate: str) -> set[int]:
    return {o.spec.scale.tokens for o in done if o.spec.kind.confirms == candidate}


def test_every_method_of_the_table_is_run_compared_and_answered() -> None:
    assert set(METHODS) <= set(STRATEGIES)
    for name, settings in METHODS.items():
        recipe, question = strategy(name, confirm_seeds=1, **settings), problem()
        done = play(recipe, question)
        failed = [o.error for o in done if not o.ok]
        assert not failed, f"{name}: {failed[0]}"
        assert len(done) <= len(recipe.planned(question))
        assert {"natural", "recommended"} <= set(names(done)), name
        assert {"online", "time-average"} & set(names(done)), name
        answer = recipe.answer(question, done)
        assert SPACE.contains(answer.mixture.array, 1e-6)[0]
        assert any("of its time average with one seed" in n for n in answer.notes), answer.notes
        same = any("is the uniform mixture" in note for note in answer.notes)
        assert same != ("uniform" in names(done)), name


def test_a_run_that_is_its_own_product_is_answered_with_its_course() -> None:
    recipe, question = strategy("odm", mixer={"every": 10}, confirm_seeds=3), problem()
    done = play(recipe, question)
    online = next(o for o in done if o.spec.mixer is not None)
    record = Recorded.of(online)
    assert record is not None
    answer = recipe.answer(question, done)
    assert answer.schedule == record.course.schedule.coarsened(4)
    np.testing.assert_allclose(answer.mixture.array, record.course.schedule.mean.array, atol=1e-9)
    confirmed = [o.spec for o in done if o.spec.kind.confirms == "recommended"]
    assert all(spec.mixer == online.spec.mixer for spec in confirmed)
    assert {spec.seed for spec in confirmed} == {1, 2, 3}
    average = next(o.spec for o in done if o.spec.kind.confirms == "time-average")
    np.testing.assert_allclose(average.mixture.array, record.course.time_average.array, atol=1e-9)


def test_a_method_whose_product_is_an_average_answers_with_it() -> None:
    recipe, question = strategy("doge", **METHODS["doge"], confirm_seeds=2), problem()
    done = play(recipe, question)
    record = Recorded.of(next(o for o in done if o.spec.mixer is not None))
    assert record is not None
    answer = recipe.answer(question, done)
    assert answer.schedule is None
    np.testing.assert_allclose(answer.mixture.array, record.course.time_average.array, atol=1e-9)
    best = MixingTrainer().optimum({"loss/mean": 1.0})
    np.testing.assert_allclose(answer.mixture.array, best.array, atol=0.05)
    recommended = {o.spec.mixer for o in done if o.spec.kind.confirms == "recommended"}
    assert recommended == {None}
    online = [o.spec.mixer for o in done if o.spec.kind.confirms == "online"]
    assert [chosen.name for chosen in online if chosen] == ["doge", "doge"]


def test_what_a_method_spends_beside_the_run_its_rivals_train_on() -> None:
    """A reference run and looks cost; rivals get as many more tokens, unless told otherwise."""
    question = problem()
    done = play(strategy("doremi", confirm_seeds=1), question)
    record = Recorded.of(next(o for o in done if o.spec.mixer is not None))
    assert record is not None
    assert record.cost_ratio == pytest.approx(2.0 + 0.5 * 99 / 100)
    assert tokens(done, "recommended") == {10_000}  # a plain run, and finding it cost 2.5 more
    (longer,) = tokens(done, "uniform")
    assert longer == pytest.approx(10_000 * (1 + record.cost_ratio), rel=1e-3)
    spent = {
        name: {o.flops for o in done if o.spec.kind.confirms == name}
        for name in ("natural", "recommended")
    }
    (first,) = spent["recommended"]
    search = next(o.flops for o in done if o.spec.mixer is not None)
    assert next(iter(spent["natural"])) == pytest.approx(first + search, rel=1e-3)
    same = play(strategy("doremi", confirm_seeds=1, equal="tokens"), question)
    assert tokens(same, "uniform") == {10_000}


def test_mixtures_that_stay_are_trained_with_the_same_cost_and_with_the_same_tokens() -> None:
    """What wins at one of them alone is so told apart from what wins at both."""
    question, best = problem(), MixingTrainer().optimum({"loss/mean": 1.0})
    recipe = strategy("doremi", confirm_seeds=2, equal="both", offline=best.to_dict())
    done = play(recipe, question)
    assert len(done) <= len(recipe.planned(question))
    for name in ("natural", "uniform", "offline"):
        (longer,), (plain,) = tokens(done, name), tokens(done, f"{name}, same tokens")
        assert plain == 10_000 < longer
    free = play(strategy("odm", confirm_seeds=1, equal="both"), question)
    assert not [name for name in names(free) if "same tokens" in name]  # it costs nothing more


def test_what_is_planned_reckons_with_longer_rivals() -> None:
    question = problem()
    for name, factor in (("doremi", 3.1), ("odm", 1.1)):
        recipe = strategy(name, confirm_seeds=2)
        planned = sorted(scale.tokens for scale in recipe.planned(question))
        assert planned[-1] == round(10_000 * factor)
        done = play(recipe, question)
        assert len(done) <= len(planned)
    assert {s.tokens for s in strategy("doremi", equal="tokens").planned(question)} == {10_000}


def test_a_proxy_is_paid_at_its_own_scale() -> None:
    question = problem(scales=(SMALL, LARGE))
    done = play(strategy("doremi", confirm_seeds=1), question)
    record = Recorded.of(next(o for o in done if o.spec.mixer is not None))
    assert record is not None
    factor = 1 + record.cost_ratio * SMALL.flops / LARGE.flops
    assert tokens(done, "uniform") == {round(40_000 * round(factor, 3))}
    assert tokens(done, "recommended") == {40_000}


def test_an_offline_mixture_stands_beside_the_others() -> None:
    best = MixingTrainer().optimum({"loss/mean": 1.0})
    recipe = strategy("odm", offline=best.to_dict(), confirm_seeds=3)
    question = problem()
    done = play(recipe, question)
    assert "offline" in names(done)
    outcome = sweep_outcome(question, done, recipe.answer(question, done))
    assert outcome.confirmation is not None
    first = min(outcome.confirmation.candidates, key=lambda c: c.mean)
    assert first.name == "offline"
    assert not outcome.confirmation.passed
    assert "loses to offline" in outcome.verdict.sentence


def test_several_methods_are_each_held_against_their_own_average() -> None:
    methods = {"odm": {"every": 10}, "doge": METHODS["doge"]["mixer"]}
    recipe, question = Online(methods=methods, confirm_seeds=2), problem()
    done = play(recipe, question)
    assert names(done) == [
        "natural",
        "odm",
        "odm time-average",
        "online",
        "recommended",
        "uniform",
    ]
    notes = recipe.answer(question, done).notes
    assert sum("its time average:" in note for note in notes) == 2
    outcome = sweep_outcome(question, done, recipe.answer(question, done))
    assert outcome.confirmation is not None
    assert len(outcome.confirmation.candidates) == 6
    assert outcome.notes == notes


def test_the_same_whatever_is_known_and_what_is_confirmed_stands() -> None:
    recipe, question = strategy("odm", confirm_seeds=2), problem()
    done = play(recipe, question)
    for known in range(len(done)):
        again = strategy("odm", confirm_seeds=2)
        asked = again.next(question, done[:known], [])
        assert {s.run_id for s in asked} <= {o.run_id for o in done}
        assert not {s.run_id for s in asked} & {o.run_id for o in done[:known]}
    first = done[0].spec
    waiting = strategy("odm", confirm_seeds=2).next(question, [], [first])
    assert first.run_id not in {s.run_id for s in waiting}


class Killed(Exception):
    """The driver's process is gone."""


class Mortal(MemoryStore):
    """A store whose driver is killed after every opening of a new run."""

    def open(self, spec: RunSpec) -> None:
        new = spec.run_id not in self._specs
        super().open(spec)
        if new:
            raise Killed


def test_a_kill_at_any_opening_changes_no_run(tmp_path: Path) -> None:
    question, trainer = problem(trainer="here:trainer"), MixingTrainer(steps=STEPS)
    ids = []
    for store in (MemoryStore(), Mortal()):
        for _ in range(60):
            executor = LocalExecutor(tmp_path, trainers={"here:trainer": trainer})
            recipe = Online(methods={"odm": {"every": 10}, "doremi": {}}, confirm_seeds=1)
            with contextlib.suppress(Killed):
                run_sweep(recipe, question, executor, store)
                break
        ids.append({o.run_id for o in store.observations()})
    assert ids[0] == ids[1]
    assert len(ids[0]) == 12


def test_a_method_that_fails_is_said_to_and_the_others_go_on() -> None:
    methods = {"moe": {}, "odm": {"every": 10}}
    recipe, question = Online(methods=methods, confirm_seeds=1), problem()
    done = play(recipe, question)
    notes = recipe.answer(question, done).notes
    assert any(note.startswith("moe failed") and "gate_load" in note for note in notes)
    alone = Online(methods=("moe",), confirm_seeds=1)
    failed = MixingTrainer().train(alone.next(question, [], []), Path())
    with pytest.raises(InputError, match="no run of an online method has succeeded"):
        alone.answer(question, failed)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Online(methods=()), "methods names none"),
        (lambda: Online(methods=("oddm",)), "did you mean 'odm'"),
        (lambda: Online(methods={"odm": {"evry": 2}}), "no setting 'evry'"),
        (lambda: strategy("aioli", mixer={"focus": 2.0}), "focus is 2.0"),
    ],
)
def test_settings_are_refused_before_anything_runs(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_problems_are_refused_that_no_online_method_can_work_on() -> None:
    recipe = strategy("aioli", mixer={"focus": 1 / 3})
    with pytest.raises(InputError, match="1 over 3 domains"):
        recipe.check(problem(), ())
    accuracy = replace(problem(), objective=Objective.of("x", maximize="x"))
    with pytest.raises(InputError, match="'x' is to be maximised"):
        strategy("odm").check(accuracy, ())
    pool = problem(pool={SMALL: (SPACE.natural,)})
    with pytest.raises(InputError, match="a pool holds single mixtures"):
        strategy("odm").check(pool, ())


def test_trust_rests_on_fresh_seeds_and_on_no_law() -> None:
    recipe, question = strategy("doge", **METHODS["doge"], confirm_seeds=3), problem()
    done = play(recipe, question)
    before = [o for o in done if not o.spec.kind.confirms]
    untested = sweep_outcome(question, before, recipe.answer(question, before))
    assert untested.checkup.trust.level == "do not trust"
    shown = sweep_outcome(question, done, recipe.answer(question, done))
    assert [gate.name for gate in shown.checkup.trust.gates] == ["comparison with fresh seeds"]
    assert any("not predicted" in what for what in shown.checkup.trust.unasked)
    again = type(shown).from_dict(json.loads(json.dumps(shown.to_dict())))
    assert again.checkup.trust.lines() == shown.checkup.trust.lines()


def test_a_run_is_shown_by_what_it_drew_and_not_by_where_it_began() -> None:
    recipe, question = strategy("odm", mixer={"every": 10}, confirm_seeds=2), problem()
    done = play(recipe, question)
    run = next(o for o in done if o.spec.mixer is not None)
    total = sum(run.tokens.values())
    drawn = {name: n / total for name, n in run.tokens.items()}
    assert run.mixture.to_dict() == pytest.approx(drawn)
    assert run.mixture != run.spec.mixture
    outcome = sweep_outcome(question, done, recipe.answer(question, done))
    assert outcome.confirmation is not None
    first = outcome.confirmation.recommended
    assert first.mixer == "odm"
    assert first.mixture["math"] == pytest.approx(drawn["math"], abs=0.05)
    assert "The recommended run with odm" in outcome.confirmation.verdict


def test_runs_that_weigh_losses_tell_laws_nothing() -> None:
    methods = {"doge": METHODS["doge"]["mixer"], "odm": {"every": 10}}
    recipe, question = Online(methods=methods, confirm_seeds=0), problem()
    done = play(recipe, question)
    kinds = {o.spec.mixer.name: o.spec.kind for o in done if o.spec.mixer}
    assert not kinds["doge"].in_search
    assert kinds["odm"].in_search
    table = recipe.answer(question, done).runs
    assert table is not None
    assert len(table) == 5  # natural, uniform, two averages, one run that drew what it says


def test_the_page_and_the_store_show_how_the_mixture_went() -> None:
    recipe, question = Online(methods={"odm": {"every": 10}}, confirm_seeds=1), problem()
    done = play(recipe, question)
    data = ReportData("study", SPACE, OBJECTIVE, tuple(done))
    section = mixing(data)
    assert section is not None
    picture, table = section.blocks
    assert isinstance(picture, Plot)
    assert picture.options == ["odm"]
    assert "1 x" in str(table)
    assert mixing(ReportData("study", SPACE, OBJECTIVE, ())) is None
    run = next(o for o in done if o.spec.mixer is not None)
    every = records.values(run)
    rows = [row for row in every if row[0].startswith("mix/")]
    record = Recorded.of(run)
    assert record is not None
    assert len(rows) == 3 * len(record.course.schedule.phases)
    assert {row[0] for row in rows} == {"mix/web", "mix/code", "mix/math"}
    assert rows[-1][2] == 10_000
    for key in ("drawn/web", "signal/train_loss/web"):
        steps = [step for name, _, step in every if name == key]
        assert len(steps) > 3, key
        assert steps == sorted(set(steps))
    told = record.history
    assert told is not None
    last = {key: value for key, value, step in every if step == told.tokens[-1]}
    assert last["drawn/web"] == told.drawn["web"][-1]
    assert sum(last[f"drawn/{name}"] for name in SPACE.names) == pytest.approx(1.0)
    assert len(every) <= records.MAX_VALUES


def test_intervals_of_paired_differences() -> None:
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(2.919986 / np.sqrt(3), abs=1e-5)
    assert np.isnan(half_width([1.0]))
