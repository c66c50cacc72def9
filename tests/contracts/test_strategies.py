"""What every strategy keeps: constraints, identity, determinism, no repeats, an answer."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.execution.local import MemoryStore
from mixopt.execution.sweep import run_sweep
from mixopt.ports import Event
from mixopt.runs.kinds import DESIGN
from mixopt.runs.run_table import RunTable
from mixopt.strategies import (
    STRATEGIES,
    Configuring,
    Parting,
    Problem,
    Strategy,
    strategy,
    traits_of,
)
from mixopt.strategies.base import Answering, alike
from mixopt.testing.worlds import make_world

WORLD = make_world(4, 3, noise=0.05)
SPACE = MixtureSpace(WORLD.space.names, bounds={"d0": (0.0, 0.5), "d1": (0.05, 1.0)})
SMALL: dict[str, dict[str, Any]] = {
    "auto": {"design": 6, "proposals": 4, "batch": 2, "confirm_seeds": 0, "law": "gp"},
    "ladder": {"design": 6, "runs": 10},
    "joint": {"design": 6, "runs": 10},
    "pareto": {"design": 6, "runs": 10},
    "two-phase": {"design": 8, "runs": 14, "confirm_seeds": 0},
    "dmt": {"specialised": ("d1", "d2"), "confirm_seeds": 0},
    "anneal": {"raised": ("d1",), "confirm_seeds": 0},
    "tailpatch": {"control_seeds": 2, "confirm_seeds": 1},
    "microanneal": {"control_seeds": 2, "seeds": 2, "confirm_seeds": 1},
    "random": {"runs": 8},
    "regmix": {"runs": 12, "simulated": 500, "top": 10},
    "olmix": {"runs": 8},
    "dml": {"runs": 8},
    "mixture-experiment": {"runs": 12},
    "rungs": {"design": 6, "proposals": 4},
    "climb": {"rounds": (8, 4), "candidates": 200},
    "quadmix": {"runs": 12, "candidates": 200, "scores": ("edu", "length")},
    "admire": {"runs": 4, "iterations": 30},
    "mfms": {"runs": 8, "design": 6, "iterations": 30},
    "optuna:tpe": {"design": 4, "runs": 8},
}
NEEDS = {
    "optuna:tpe": "optuna",
    "regmix": "lightgbm",
    "climb": "lightgbm",
    "quadmix": "lightgbm",
    "admire": "botorch",
    "mfms": "botorch",
}
APART = ("strategies.online", "strategies.dependence")
TRAINED = [n for n, place in STRATEGIES.items() if not any(part in place for part in APART)]
"""Of the others, which need a trainer that mixes or injects, see tests/unit/strategies."""
NAMES = [*TRAINED, "optuna:tpe"]
# Those on BoTorch, and those that fit most: their long checks are run by `make test-all`.
SLOW = {"admire", "mfms", "pareto"}
THOROUGH = [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES]
SCHEDULED = ("two-phase", "dmt", "anneal", "tailpatch", "microanneal")
"""They ask for runs whose mixture changes, which no pool holds."""


def installed(name: str) -> None:
    """Skip where the library of a strategy is not."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])


def problem(*, pool: bool = False, seed: int = 0) -> Problem:
    scale = WORLD.target
    given: dict[str, Any] = {}
    if pool:
        rng = np.random.default_rng(0)
        W = SPACE.round(SPACE.project(rng.dirichlet(np.ones(4), size=40)))
        given["pool"] = {scale: tuple(dict.fromkeys(SPACE.mixture(w) for w in W))}
    return Problem(SPACE, WORLD.objective, (scale,), seed=seed, **given)


def play(recipe: Strategy, question: Problem) -> list[Observation]:
    done: list[Observation] = []
    for _ in range(60):
        specs = recipe.next(question, done, [])
        if not specs:
            return done
        done += [WORLD.run(s) for s in specs]
    raise AssertionError("the strategy never ends")


@pytest.mark.parametrize("name", THOROUGH)
@pytest.mark.parametrize("pool", [False, True], ids=["space", "pool"])
def test_every_strategy_asks_for_new_allowed_runs_and_answers(name: str, pool: bool) -> None:
    installed(name)
    question = problem(pool=pool)
    recipe = strategy(name, **SMALL.get(name, {}))
    if pool and traits_of(recipe).schedules:
        with pytest.raises(InputError, match="a pool holds single mixtures"):
            recipe.next(question, [], [])
        return
    done = play(recipe, question)
    if pool and name == "baselines":
        return  # none of them is in the pool
    assert 0 < len(done) <= len(recipe.planned(question))
    assert len({o.run_id for o in done}) == len(done)
    W = np.array([o.spec.mixture.array for o in done])
    assert SPACE.contains(W, 1e-6).all()
    assert isinstance(recipe, Answering)
    answer = recipe.answer(question, done).mixture
    assert SPACE.contains(answer.array, 1e-6)[0]
    if pool:
        assert all(o.spec.mixture in question.pool[WORLD.target] for o in done)
        assert answer in question.pool[WORLD.target]


@pytest.mark.parametrize(
    "name", ["ladder", "climb", "optuna:tpe", "auto", "pareto", "joint", "two-phase"]
)
def test_the_same_store_gives_the_same_runs_in_any_order(name: str) -> None:
    installed(name)
    question, settings = problem(), SMALL[name]
    done = play(strategy(name, **settings), question)
    first = sum(o.spec.kind == DESIGN for o in done)
    one = strategy(name, **settings).next(question, done[:first], [])
    other = strategy(name, **settings).next(question, done[:first][::-1], [])
    assert one
    assert [s.run_id for s in one] == [s.run_id for s in other]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in {"regmix", "climb", "baselines"}])
def test_earlier_runs_change_the_choice_of_those_who_declare_it_alone(name: str) -> None:
    installed(name)
    question, recipe = problem(), strategy(name, **SMALL.get(name, {}))
    rng = np.random.default_rng(5)
    mixtures = [SPACE.mixture(w) for w in SPACE.project(rng.dirichlet(np.ones(4), size=30))]
    seen = [WORLD.run(question.run(m, DESIGN)) for m in mixtures]
    told = replace(question, earlier=(RunTable.from_observations(seen, SPACE.names),))
    done = [WORLD.run(s) for s in recipe.next(question, [], [])]
    without, with_them = (
        [s.run_id for s in strategy(name, **SMALL.get(name, {})).next(q, done, [])]
        for q in (question, told)
    )
    assert (without != with_them) == traits_of(recipe).earlier


class Instant:
    """An executor that answers at once, from the world."""

    slots = 1

    def __init__(self) -> None:
        self._done: list[Event] = []

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        self._done += [WORLD.run(s) for s in pack]

    def wait(self, timeout: float) -> list[Event]:
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        self._done.clear()


class Killed(Exception):
    """The driver's process is gone."""


class Mortal(MemoryStore):
    """A store whose driver is killed when it opens a run, after it or before it."""

    def __init__(self, dies: Callable[[int], bool]) -> None:
        super().__init__()
        self._dies, self.opened = dies, 0

    def open(self, spec: RunSpec) -> None:
        new = spec.run_id not in self._specs
        super().open(spec)
        self.opened += new
        if new and self._dies(self.opened):
            raise Killed


def swept(name: str, question: Problem, dies: Callable[[int], bool] = lambda _: False) -> set[str]:
    """The runs of a sweep that is taken up again whenever it was killed."""
    store = Mortal(dies)
    for _ in range(200):
        try:
            run_sweep(strategy(name, **SMALL.get(name, {})), question, Instant(), store)
        except Killed:
            continue
        assert not store.pending()
        return {o.run_id for o in store.observations()}
    raise AssertionError("the sweep never ends")


@pytest.mark.parametrize("name", THOROUGH)
@pytest.mark.parametrize("pool", [False, True], ids=["space", "pool"])
def test_a_kill_between_any_two_openings_changes_no_run(name: str, pool: bool) -> None:
    installed(name)
    if pool and name in SCHEDULED:
        pytest.skip("a pool holds no schedules: refused, see above")
    question = problem(pool=pool)
    whole = swept(name, question)
    assert swept(name, question, lambda opened: True) == whole  # at every opening
    assert swept(name, question, lambda opened: opened % 3 == 2) == whole


@pytest.mark.parametrize("name", [n for n in NAMES if n != "baselines"])
@pytest.mark.parametrize("pool", [False, True], ids=["space", "pool"])
def test_what_is_left_of_a_design_does_not_depend_on_how_much_is_known(
    name: str, pool: bool
) -> None:
    """The strategy alone, without the journal of the sweep."""
    installed(name)
    if pool and name in SCHEDULED:
        pytest.skip("a pool holds no schedules: refused, see above")
    question, recipe = problem(pool=pool), strategy(name, **SMALL.get(name, {}))
    design = recipe.next(question, [], [])
    for known in range(1, len(design)):
        rest = recipe.next(question, [], design[:known])
        assert {s.run_id for s in design[known:]} <= {s.run_id for s in rest}


@settings(max_examples=8, deadline=None)
@given(kills=st.sets(st.integers(1, 30)), batch=st.integers(1, 7))
def test_random_search_draws_the_same_runs_wherever_it_was_killed(
    kills: set[int], batch: int
) -> None:
    question, stores = problem(), [Mortal(lambda _: False), Mortal(lambda n: n in kills)]
    for store in stores:
        done = False
        while not done:
            with contextlib.suppress(Killed):
                recipe = strategy("random", runs=30, batch=batch)
                done = bool(run_sweep(recipe, question, Instant(), store).done)
    one, other = ({o.run_id for o in store.observations()} for store in stores)
    assert len(one) == 30
    assert one == other


@pytest.mark.parametrize("name", NAMES)
def test_only_those_who_declare_it_ask_for_schedules_or_configurations(name: str) -> None:
    recipe, question = strategy(name, **SMALL.get(name, {})), problem()
    specs = recipe.next(question, [], [])
    assert specs
    assert isinstance(recipe, Parting) == traits_of(recipe).branches
    if traits_of(recipe).branches:  # what runs share is trained first
        specs += recipe.next(question, [WORLD.run(s) for s in specs], [])
    asks = any(spec.schedule is not None for spec in specs)
    assert asks == traits_of(recipe).schedules
    assert (name in SCHEDULED) == traits_of(recipe).schedules
    first = alike(specs)
    if isinstance(recipe, Configuring):
        left = recipe.together(question, [])
        assert sum(left) == len(recipe.planned(question))
        assert left[: len(first)] == first
    else:
        assert len(first) == len({spec.scale for spec in specs})  # of one configuration


def fails(spec: RunSpec) -> Observation:
    return Observation.failure(spec, "diverged")


@pytest.mark.parametrize("name", [n for n in NAMES if n != "baselines"])
def test_a_store_of_failed_runs_is_answered_in_words(name: str) -> None:
    installed(name)
    question = problem()
    recipe = strategy(name, **SMALL.get(name, {}))
    done = [fails(s) for s in recipe.next(question, [], [])]
    assert isinstance(recipe, Answering)
    with pytest.raises(InputError, match="succeeded"):
        recipe.answer(question, done)


def test_a_pool_of_other_domains_is_refused_by_name() -> None:
    other = MixtureSpace(["d0", "d1", "d2", "wiki"]).natural
    scale = WORLD.target
    with pytest.raises(InputError, match="differs from the space in d3, wiki"):
        Problem(SPACE, WORLD.objective, (scale,), pool={scale: (other,)})
    with pytest.raises(InputError, match="none of the scales"):
        Problem(SPACE, WORLD.objective, (scale,), pool={Scale(5, 5): ()})
    with pytest.raises(InputError, match="costs -1"):
        Problem(SPACE, WORLD.objective, (scale,), costs={scale: -1})


def test_unknown_names_and_settings_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'regmix'"):
        strategy("regmx")
    question = Problem(SPACE, Objective.of("nope"), (WORLD.target,))
    recipe = strategy("ladder", design=4, runs=6)
    with pytest.raises(InputError, match="no metric 'nope'"):
        play(recipe, question)
