"""The whole loop in memory: strategy, executor, store; stopped and continued at every point."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.evidence.outcome import sweep_outcome
from mixopt.execution.local import LocalExecutor, MemoryStore
from mixopt.execution.sweep import SweepError, SweepStatus, queued, run_sweep
from mixopt.ports import Event
from mixopt.runs.kinds import DESIGN
from mixopt.strategies import Problem, strategy
from mixopt.strategies.auto import Auto
from mixopt.testing.trainers import NAME, FakeTrainer

TRAINER = FakeTrainer(noise=0.002)
RECIPE = Auto(design=10, proposals=4, batch=2, law="log-linear", confirm_seeds=2)


def problem(**changes: Any) -> Problem:
    fields: dict[str, Any] = {
        "space": MixtureSpace(TRAINER.prepare(Path("/tmp")).domains),
        "objective": Objective.of(TRAINER.metrics),
        "scales": (Scale(1000, 10_000), Scale(1000, 40_000)),
        "trainer": NAME,
        "config": {"noise": 0.002},
        "data": "fake",
    }
    return Problem(**{**fields, **changes})


class Counting(LocalExecutor):
    """A local executor that remembers what it was given, and may be interrupted."""

    def __init__(self, cache: Path, stop_after: int | None = None) -> None:
        super().__init__(cache)
        self.submitted: list[RunSpec] = []
        self.packs: list[int] = []
        self._stop_after = stop_after

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        self.submitted.extend(pack)
        self.packs.append(len(pack))
        super().submit(pack, runtime)

    def wait(self, timeout: float) -> list[Event]:
        if self._stop_after is not None and len(self.submitted) > self._stop_after:
            raise KeyboardInterrupt
        return super().wait(timeout)


def test_a_sweep_finds_the_known_optimum_and_proves_it(tmp_path: Path) -> None:
    store, seen = MemoryStore(), list[SweepStatus]()
    status = run_sweep(RECIPE, problem(), LocalExecutor(tmp_path), store, on_change=seen.append)
    observations = store.observations()
    assert status.done == status.trained == len(observations)
    assert status.done <= status.planned == len(RECIPE.planned(problem()))
    outcome = sweep_outcome(problem(), observations, RECIPE.answer(problem(), observations))
    best = TRAINER.optimum().array
    np.testing.assert_allclose(outcome.recommendation.mixture.array, best, atol=0.08)
    assert outcome.confirmation is not None
    names = {c.name for c in outcome.confirmation.candidates}
    assert {"recommended", "natural", "only-web", "only-code", "only-math"} <= names
    assert all(c.seeds == 2 for c in outcome.confirmation.candidates)
    beaten = {c.baseline for c in outcome.confirmation.comparisons if c.beyond_noise}
    assert {"only-web", "only-code", "only-math"} <= beaten
    search_seeds = {o.spec.seed for o in observations if o.spec.kind.in_search}
    confirm_seeds = {o.spec.seed for o in observations if not o.spec.kind.in_search}
    assert not search_seeds & confirm_seeds
    assert [s.done for s in seen] == sorted(s.done for s in seen)
    etas = [s.eta_seconds for s in seen if s.eta_seconds is not None]
    assert len(etas) > 10
    assert etas[-1] == 0.0


def test_a_finished_sweep_trains_nothing_again(tmp_path: Path) -> None:
    store = MemoryStore()
    run_sweep(RECIPE, problem(), LocalExecutor(tmp_path), store)
    again = Counting(tmp_path)
    status = run_sweep(RECIPE, problem(), again, store)
    assert again.submitted == []
    assert status.trained == 0


@pytest.mark.parametrize(
    "stop_after", [9, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 3, 11, 15, 20))]
)
def test_a_sweep_that_was_stopped_goes_on_to_the_same_end(tmp_path: Path, stop_after: int) -> None:
    whole = MemoryStore()
    run_sweep(RECIPE, problem(), LocalExecutor(tmp_path), whole)
    store, first, second = MemoryStore(), Counting(tmp_path, stop_after), Counting(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(RECIPE, problem(), first, store)
    done = {o.run_id for o in store.observations()}
    run_sweep(RECIPE, problem(), second, store)
    assert not done & {spec.run_id for spec in second.submitted}
    assert {o.run_id for o in store.observations()} == {o.run_id for o in whole.observations()}


def test_a_run_that_diverges_is_recorded_and_the_sweep_goes_on(tmp_path: Path) -> None:
    config = {"noise": 0.002, "faults": {"1": "nan"}}  # seed 1 is the first fresh one
    store = MemoryStore()
    status = run_sweep(RECIPE, problem(config=config), LocalExecutor(tmp_path), store)
    failed = [o for o in store.observations() if not o.ok]
    assert failed
    assert status.failed == len(failed)
    assert all(o.spec.seed == 1 and "nan" in o.error for o in failed)
    question, observations = problem(config=config), store.observations()
    outcome = sweep_outcome(question, observations, RECIPE.answer(question, observations))
    assert outcome.confirmation is not None
    assert outcome.confirmation.recommended.seeds == 1
    assert any("runs failed" in w for w in outcome.warnings)


def test_failed_runs_count_against_the_budget(tmp_path: Path) -> None:
    class HalfBroken(FakeTrainer):
        def train(self, specs: Any, cache: Any, report: Any = None) -> list[Observation]:
            return [
                o if int(o.run_id, 16) % 2 else Observation.failure(o.spec, "the run diverged")
                for o in super().train(specs, cache)
            ]

    store = MemoryStore()
    executor = LocalExecutor(tmp_path, trainers={NAME: HalfBroken(noise=0.002)})
    run_sweep(replace(RECIPE, confirm_seeds=0), problem(), executor, store)
    small, large = problem().scales
    scales = [o.spec.scale for o in store.observations()]
    assert scales.count(small) == RECIPE.design + RECIPE.proposals
    assert scales.count(large) == RECIPE.corrections


def test_a_sweep_in_which_everything_fails_stops_early_with_the_reason(tmp_path: Path) -> None:
    config = {"faults": {"0": "raise"}}
    store = MemoryStore()
    with pytest.raises(SweepError, match="the first 5 runs all failed"):
        run_sweep(RECIPE, problem(config=config), LocalExecutor(tmp_path), store)
    assert len(store.observations()) == 5


def test_packs_hold_runs_of_one_scale(tmp_path: Path) -> None:
    executor = Counting(tmp_path)
    run_sweep(RECIPE, problem(), executor, MemoryStore(), pack_size=lambda scale: 4)
    assert max(executor.packs) == 4
    assert executor.packs[:3] == [4, 3, 3]  # ten runs of the design, evenly
    assert sum(executor.packs) == len({s.run_id for s in executor.submitted})


def test_the_order_in_which_runs_finish_does_not_change_the_proposals(tmp_path: Path) -> None:
    store = MemoryStore()
    run_sweep(replace(RECIPE, confirm_seeds=0), problem(), LocalExecutor(tmp_path), store)
    design = [o for o in store.observations() if o.spec.kind == DESIGN]
    one = RECIPE.next(problem(), design, [])
    other = RECIPE.next(problem(), design[::-1], [])
    assert [s.run_id for s in one] == [s.run_id for s in other]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"design": 2}, "design is 2; give a whole number of at least 3"),
        ({"batch": 0}, "batch is 0"),
        ({"law": "log-liner"}, "did you mean 'log-linear'"),
        ({"desing": 8}, "no setting 'desing'; .*did you mean 'design'"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        strategy("auto", **settings)


class Forgetful(LocalExecutor):
    """Its trainer forgets the objective's metric in one run."""

    def wait(self, timeout: float) -> list[Event]:
        events = super().wait(timeout)
        return [
            replace(e, metrics={"unknown": 1.0})
            if isinstance(e, Observation) and e.spec.mixture == problem().space.natural
            else e
            for e in events
        ]


def test_a_run_without_the_objectives_metric_is_one_failed_run(tmp_path: Path) -> None:
    store = MemoryStore()
    status = run_sweep(RECIPE, problem(), Forgetful(tmp_path), store)
    failed = [o for o in store.observations() if not o.ok]
    assert failed
    assert status.failed == len(failed)
    assert all(o.spec.mixture == problem().space.natural for o in failed)
    assert all("no metric" in o.error and "unknown" in o.error for o in failed)
    assert RECIPE.answer(problem(), store.observations()).surrogate is not None


class Journal(MemoryStore):
    """Remembers what was written, and is killed at the n-th writing, before or after it."""

    def __init__(self, kill_at: int | None = None, after: bool = False) -> None:
        super().__init__()
        self.written: list[str] = []
        self.kill_at, self.after = kill_at, after

    def _write(self, what: str, write: Any, value: Any) -> None:
        self.written.append(what)
        killed = len(self.written) - 1 == self.kill_at
        if killed and not self.after:
            raise KeyboardInterrupt
        write(value)
        if killed:
            raise KeyboardInterrupt

    def open(self, spec: RunSpec) -> None:
        if spec not in self.pending():  # closing opens what is not there
            self._write("open", super().open, spec)

    def annotate(self, values: Mapping[str, Any]) -> None:
        self._write("annotate", super().annotate, values)


def test_what_was_chosen_is_written_as_a_whole_and_opened_when_it_goes_out(tmp_path: Path) -> None:
    store = Journal()
    run_sweep(RECIPE, problem(), LocalExecutor(tmp_path), store, pack_size=lambda _: 4)
    assert store.written[:5] == ["annotate", "open", "open", "open", "open"]
    assert store.written.count("open") == len(store.observations())
    assert queued(store) == []
    stopped, executor = MemoryStore(), Counting(tmp_path, stop_after=0)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(RECIPE, problem(), executor, stopped, pack_size=lambda _: 4)
    assert len(stopped.pending()) == 4
    left = [s.run_id for s in queued(stopped)]
    assert len(left) == RECIPE.design - 4
    assert not set(left) & {s.run_id for s in stopped.pending()}


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_writing_it_goes_on_to_the_same_runs(tmp_path: Path, after: bool) -> None:
    recipe = replace(RECIPE, proposals=2, corrections=0, singles=False, confirm_seeds=1)
    small = problem(scales=(Scale(1000, 10_000),))
    whole = Journal()
    run_sweep(recipe, small, LocalExecutor(tmp_path), whole)
    expected = {o.run_id for o in whole.observations()}
    for kill_at in range(0, len(whole.written), 3):
        store, again = Journal(kill_at, after), Counting(tmp_path)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(recipe, small, LocalExecutor(tmp_path), store)
        done = {o.run_id for o in store.observations()}
        run_sweep(recipe, small, again, store)
        assert {o.run_id for o in store.observations()} == expected
        assert not done & {s.run_id for s in again.submitted}


class Instant:
    """Two slots that answer at once, all runs alike."""

    slots = 2

    def __init__(self) -> None:
        self._done: list[Event] = []

    def submit(self, pack: Sequence[RunSpec], runtime: Any = None) -> None:
        self._done += [Observation(s, metrics=dict.fromkeys(TRAINER.metrics, 1.0)) for s in pack]

    def wait(self, timeout: float) -> list[Event]:
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        pass


class Slow(Instant):
    """Says nothing nine times out of ten."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def wait(self, timeout: float) -> list[Event]:
        self.asked += 1
        return [] if self.asked % 10 else super().wait(timeout)


def test_a_strategy_that_waits_is_asked_again_when_a_run_came_in_and_not_before() -> None:
    """While runs train, the driver leaves the processors to them."""
    questions: list[int] = []

    class Asked(Auto):
        def next(self, problem: Any, observations: Any, pending: Any) -> list[RunSpec]:
            questions.append(len(observations))
            return super().next(problem, observations, pending)

    recipe = Asked(design=10, proposals=4, batch=2, law="log-linear", confirm_seeds=2)
    store, slow = MemoryStore(), Slow()
    run_sweep(recipe, problem(), slow, store)
    done = len(store.observations())
    assert slow.asked > 3 * done  # it was polled far more often than runs came in
    assert questions[-1] == done
    assert len(questions) <= 2 * done


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("name", ["random", "regmix"])
def test_what_a_run_costs_does_not_grow_with_the_store(name: str, standardize: bool) -> None:
    """Counted in calls of Python functions, which no other process disturbs."""
    objective = Objective.of(TRAINER.metrics)
    question = problem(objective=replace(objective, standardize=standardize))

    def calls_per_run(before: int) -> float:
        store, more = MemoryStore(), 40
        recipe = strategy(name, runs=before + more)
        for spec in strategy(name, runs=before + more, batch=before).next(question, [], []):
            metrics = dict.fromkeys(TRAINER.metrics, 2.0)
            store.close(Observation(spec, metrics=metrics))
        count = [0]

        def count_call(frame: Any, event: str, argument: Any) -> None:
            count[0] += event == "call"

        def on_change(status: SweepStatus) -> None:
            if status.trained == 10:  # reading the store is no part of it
                sys.setprofile(count_call)

        try:
            status = run_sweep(recipe, question, Instant(), store, on_change=on_change)
        finally:
            sys.setprofile(None)
        assert status.trained == more
        return count[0] / (more - 10)

    assert calls_per_run(600) < 1.2 * calls_per_run(60)
