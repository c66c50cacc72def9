"""What a verdict asks for is run, the same after a kill, and the answer says what that changed."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt import Observation, RunSpec
from mixopt.diagnostics.gates import Gate, Remedy
from mixopt.diagnostics.trust import trust
from mixopt.evidence.outcome import sweep_outcome
from mixopt.runs.kinds import DESIGN, What
from mixopt.strategies import Problem
from mixopt.strategies.auto import Auto
from mixopt.strategies.ledger import Ledger
from mixopt.strategies.remedies import Remedies, spent, without_remedies
from mixopt.testing.worlds import LARGE, SMALL, World, make_world

ONE = make_world(3, 2, seed=1, noise=0.5)
CLEAR = make_world(3, 2, seed=1, noise=0.1)
TWO = make_world(3, 2, seed=1, kind="two-scales")
PROBLEM = Problem(ONE.space, ONE.objective, ONE.scales)
RECIPE = Auto(design=12, proposals=8, batch=2, law="log-linear", confirm_seeds=0, reserve=4)


def play(recipe: Auto, world: World = ONE) -> list[list[RunSpec]]:
    rounds, seen = list[list[RunSpec]](), list[Observation]()
    while specs := recipe.next(PROBLEM, seen, []):
        rounds.append(specs)
        seen += [world.run(s) for s in specs]
    return rounds


def remedial(rounds: list[list[RunSpec]]) -> list[RunSpec]:
    return [s for r in rounds for s in r if s.kind.what is What.REMEDY]


ROUNDS = play(RECIPE)


def test_a_doubtful_answer_gets_the_runs_that_its_gates_ask_for_and_no_more_in_all() -> None:
    asked = remedial(ROUNDS)
    assert 0 < len(asked) <= 4
    assert sum(map(len, ROUNDS)) == 20  # what design and proposals say, remedies included
    assert all(s.kind.candidate for s in asked)
    first = next(i for i, r in enumerate(ROUNDS) if remedial([r]))
    assert sum(map(len, ROUNDS[:first])) == 16  # after all but the reserve


def test_a_trusted_answer_gets_its_proposals_back() -> None:
    rounds = play(RECIPE, CLEAR)
    assert not remedial(rounds)
    assert sum(map(len, rounds)) == 20
    # So does one of which no verdict is asked for.
    assert not remedial(play(replace(RECIPE, reserve=0)))


def test_a_sweep_that_was_killed_asks_for_the_same() -> None:
    """From the store alone, whatever the order of arrival, at every round."""
    for k in range(len(ROUNDS)):
        done = [ONE.run(s) for r in ROUNDS[:k] for s in r]
        fresh = Auto(**{f: getattr(RECIPE, f) for f in SETTINGS})
        assert fresh.next(PROBLEM, done[::-1], []) == ROUNDS[k]
    # Half of a remedial round is in: the other half is waited for.
    k = next(i for i, r in enumerate(ROUNDS) if len(remedial([r])) > 1)
    done = [ONE.run(s) for r in ROUNDS[:k] for s in r]
    half = [ONE.run(s) for s in ROUNDS[k][:1]]
    assert RECIPE.next(PROBLEM, [*done, *half], ROUNDS[k][1:]) == []


SETTINGS = ("design", "proposals", "batch", "law", "confirm_seeds", "reserve")


def test_the_final_answer_shows_what_they_changed() -> None:
    done = [ONE.run(s) for r in ROUNDS for s in r]
    answer = RECIPE.answer(PROBLEM, done)
    assert answer.remedied is not None
    assert sum(answer.remedied.runs.values()) == len(remedial(ROUNDS))
    outcome = sweep_outcome(PROBLEM, done, answer)
    changed = outcome.checkup.trust.changed
    assert answer.remedied.before.line in changed
    assert changed in outcome.checkup.lines()
    assert outcome.summary()["trust"]["changed"] == changed
    plain = [o for o in done if o.spec.kind.what is not What.REMEDY]
    assert RECIPE.answer(PROBLEM, plain).remedied is None


def test_with_several_scales_they_come_after_the_corrections_and_nothing_is_dearer() -> None:
    world = make_world(3, 2, seed=1, kind="two-scales", noise=0.6)
    problem = Problem(world.space, world.objective, world.scales)
    recipe, done = replace(RECIPE, corrections=2), list[Observation]()
    while specs := recipe.next(problem, done, []):
        done += [world.run(s) for s in specs]
    kinds = [o.spec.kind.what for o in done]
    assert kinds.count(What.REMEDY) > 0
    assert kinds.index(What.REMEDY) > max(i for i, o in enumerate(done) if o.spec.scale == LARGE)
    planned = sum(problem.cost(s) for s in recipe.planned(problem))
    assert sum(problem.cost(o.spec.scale) for o in done) <= planned * (1 + 1e-9)


# -- what becomes of a remedy ---------------------------------------------------------------------


def ledger_of(world_scale: str = "one") -> Ledger:
    world = ONE if world_scale == "one" else TWO
    problem = Problem(world.space, world.objective, world.scales)
    W = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    specs = [problem.run(world.space.mixture(world.space.round(w)), DESIGN) for w in W]
    return Ledger.of(problem, [world.run(s) for s in specs])


def asked(remedy: Remedy, budget: float, ledger: Ledger) -> list[RunSpec]:
    told = trust([Gate("some gate", "no", "it is off", allows="ranking only", remedy=remedy)])
    return Remedies(budget).next(ledger, told, ledger.runs[0].spec.mixture)


def test_repeats_of_the_answer_have_seeds_that_nobody_had() -> None:
    ledger = ledger_of()
    each = ledger.problem.cost(ledger.problem.target)
    specs = asked(Remedy("repeat", 3, where="answer"), 3 * each, ledger)
    assert {s.mixture for s in specs} == {ledger.runs[0].spec.mixture}
    assert len({s.seed for s in specs} | {ledger.problem.seed}) == 4
    again = Ledger.of(ledger.problem, [*ledger.runs, *(ONE.run(s) for s in specs)])
    assert spent(again) == pytest.approx(3 * each)
    assert without_remedies(again) == ledger
    more = asked(Remedy("repeat", 3, where="answer"), 3 * each, again)
    assert not {s.run_id for s in more} & {s.run_id for s in specs}


def test_a_row_runs_again_and_a_new_mixture_for_the_first_time() -> None:
    ledger = ledger_of()
    old, new = tuple(ledger.every().W[2]), (0.5, 0.3, 0.2)
    each = ledger.problem.cost(ledger.problem.target)
    again, first = asked(Remedy("both", 2, mixtures=(old, new), where="given"), 9 * each, ledger)
    assert again.mixture == ledger.runs[2].spec.mixture
    assert again.seed != ledger.problem.seed
    assert first.mixture.array == pytest.approx(new, abs=1e-3)
    assert first.seed == ledger.problem.seed


def test_a_budget_is_kept_and_part_of_a_design_helps_where_part_of_the_pairs_does_not() -> None:
    ledger = ledger_of("two")
    small, large = (ledger.problem.cost(s) for s in (SMALL, LARGE))
    design = asked(Remedy("more", 8, where="design"), 3.5 * small, ledger)
    assert [s.scale for s in design] == [SMALL] * 3
    W = tuple(tuple(w) for w in ledger.every().W[:3])
    pairs = Remedy("pairs", 3, mixtures=(*W[:2], (0.5, 0.3, 0.2)), where="target")
    assert asked(pairs, 2.9 * large, ledger) == []
    enough = asked(pairs, 3 * large + small, ledger)
    assert [s.scale for s in enough] == [LARGE, LARGE, LARGE, SMALL]
    assert asked(Remedy("larger proxies", 8), 1e9 * large, ledger) == []


def test_a_trusted_answer_asks_for_nothing() -> None:
    ledger = ledger_of()
    assert (
        Remedies(1e30).next(ledger, trust([Gate("a", "yes", "fine")]), ledger.runs[0].spec.mixture)
        == []
    )
