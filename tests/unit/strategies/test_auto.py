"""What `auto` does when nobody sets anything, and on which measurement each number rests."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec
from mixopt.designs import baselines
from mixopt.runs.objective import Guard
from mixopt.space import simplex
from mixopt.strategies import Answering, Problem, strategy
from mixopt.testing.worlds import LARGE, SMALL, World, make_world

ONE = make_world(3, 2, seed=1)
TWO = make_world(3, 2, seed=1, kind="two-scales")


def question(world: World) -> Problem:
    return Problem(world.space, world.objective, world.scales)


def play(world: World, **settings: object) -> tuple[list[list[RunSpec]], list[Observation]]:
    """All rounds of a search with a quick law."""
    recipe = strategy("auto", **{"law": "log-linear", **settings})
    rounds, done = list[list[RunSpec]](), list[Observation]()
    while specs := recipe.next(question(world), done, []):
        rounds.append(specs)
        done += [world.run(s) for s in specs]
    return rounds, done


def distinct(specs: Sequence[RunSpec]) -> int:
    return len({s.mixture for s in specs})


def test_the_design_is_32_runs_that_begin_with_natural_and_uniform() -> None:
    """METHODS 13.1 step 3: max(3 (m + 1), 32), centred on the natural mixture."""
    space = MixtureSpace({"a": 5.0, "b": 3.0, "c": 2.0})
    problem = Problem(space, ONE.objective, (SMALL, LARGE))
    design = strategy("auto").next(problem, [], [])
    assert len(design) == 32
    assert design[0].mixture == space.natural
    assert design[1].mixture == space.uniform
    assert {s.scale for s in design} == {SMALL}
    assert {s.seed for s in design} == {problem.seed}  # common random numbers
    assert distinct(design) == 32
    # RegMix's swarm: centred on the square root of the natural mixture, most of it sparse.
    W = np.array([s.mixture.array for s in design[2:]])
    assert W.min(axis=1).mean() < 0.1


def test_sixteen_proposals_follow_in_rounds_of_four() -> None:
    rounds, _ = play(ONE, confirm_seeds=0)
    assert [len(r) for r in rounds] == [32, 4, 4, 4, 4]


def test_confirmation_trains_every_candidate_with_three_fresh_seeds(kinds) -> None:  # type: ignore[no-untyped-def]
    """METHODS 8, rule 5: fresh seeds at the largest proxy scale against the winner's curse."""
    rounds, _ = play(ONE, proposals=0)
    named: dict[str, list[RunSpec]] = {}
    for spec in rounds[-1]:
        named.setdefault(kinds.confirmed(spec), []).append(spec)
    singles = {"only-d0", "only-d1", "only-d2"}
    assert singles | {"recommended", "natural"} <= set(named)  # natural and uniform are one here
    assert set(named) <= singles | {"recommended", "natural", "best-random"}
    for specs in named.values():
        assert len(specs) == 3
        assert distinct(specs) == 1
        assert len({s.seed for s in specs}) == 3
    search = {s.seed for r in rounds[:-1] for s in r}
    assert not search & {s.seed for s in rounds[-1]}
    # The same seeds for all: what differs is the mixture.
    assert len({tuple(sorted(s.seed for s in specs)) for specs in named.values()}) == 1


def test_the_best_random_run_is_that_of_the_design_alone(kinds) -> None:  # type: ignore[no-untyped-def]
    rounds, done = play(ONE, design=8, proposals=4)
    confirmed = {kinds.confirmed(s): s.mixture for s in rounds[-1]}
    design = {s.run_id for s in rounds[0]}
    first = [o for o in done if o.run_id in design]
    best = min(first, key=lambda o: float(np.mean(list(o.metrics.values()))))
    assert confirmed.get("best-random", best.spec.mixture) == best.spec.mixture
    assert best.spec.mixture in confirmed.values()


def test_single_domains_are_baselines_unless_told_not_to(kinds) -> None:  # type: ignore[no-untyped-def]
    rounds, _ = play(ONE, proposals=0, design=6, singles=False)
    assert not any(kinds.confirmed(s).startswith("only-") for s in rounds[-1])


def test_what_is_confirmed_is_what_is_answered(kinds) -> None:  # type: ignore[no-untyped-def]
    rounds, done = play(ONE, design=8, proposals=4)
    (sent,) = {s.mixture for s in rounds[-1] if kinds.confirmed(s) == "recommended"}
    recipe = strategy("auto", law="log-linear", design=8, proposals=4)
    assert isinstance(recipe, Answering)
    assert recipe.recommend(question(ONE), done) == sent
    regret = ONE.value(sent.array[None])[0] - ONE.best
    assert regret < 0.1 * ONE.spread


def test_a_mixture_that_was_sent_to_confirmation_once_stands(kinds) -> None:  # type: ignore[no-untyped-def]
    """Whatever the law would say now: seeds of one candidate are of one mixture."""
    settings = {"law": "log-linear", "design": 8, "proposals": 0}
    recipe, problem = strategy("auto", **settings), question(ONE)
    done = [ONE.run(s) for s in recipe.next(problem, [], [])]
    sent = ONE.space.mixture(np.array([0.5, 0.3, 0.2]))
    first = RunSpec(sent, problem.target, seed=1, **kinds.confirms("recommended"))
    rest = recipe.next(problem, [*done, ONE.run(first)], [])
    again = [s for s in rest if kinds.confirmed(s) == "recommended"]
    assert {s.mixture for s in again} == {sent}
    assert sorted(s.seed for s in again) == [2, 3]


def test_four_runs_at_the_largest_scale_correct_the_proxies() -> None:
    """docs/log/corrections.md: 4 bring most of the gain where the proxy follows."""
    _, done = play(TWO, design=8, proposals=4, confirm_seeds=0)
    assert sum(o.spec.scale == LARGE for o in done) == 4
    _, none = play(TWO, design=8, proposals=4, confirm_seeds=0, corrections=0)
    assert all(o.spec.scale == SMALL for o in none)


def test_no_run_is_repeated_and_the_search_does_not_end_early() -> None:
    """docs/log/replicates.md: repeats cost regret at every noise, so there are none."""
    noisy = replace(ONE, noise=0.5)
    rounds, _ = play(noisy, design=8, confirm_seeds=0)
    specs = [s for r in rounds for s in r]
    assert len(specs) == 8 + 16
    assert distinct(specs) == len(specs)
    assert len({s.seed for s in specs}) == 1


def test_a_round_waits_for_all_runs_under_way() -> None:
    recipe, problem = strategy("auto", law="log-linear", design=6), question(ONE)
    design = recipe.next(problem, [], [])
    done = [ONE.run(s) for s in design]
    assert recipe.next(problem, done[:-1], design[-1:]) == []
    assert len(recipe.next(problem, done, [])) == 4


def test_mixtures_that_are_run_again_let_metrics_weigh_by_their_reliability() -> None:
    asked = replace(ONE.objective, reliability="down-weight")
    problem = Problem(ONE.space, asked, ONE.scales)
    few = {"law": "log-linear", "design": 8, "proposals": 4, "confirm_seeds": 0, "reserve": 0}
    with pytest.raises(InputError, match=r"strategy.repeats is 0.*give 'repeats: 4'"):
        strategy("auto", **few).check(problem, ())
    with pytest.raises(InputError, match="repeats is 9, more than the 8"):
        strategy("auto", **few, repeats=9)
    recipe = strategy("auto", **few, repeats=3)
    recipe.check(problem, ())
    first = recipe.next(problem, [], [])
    again = first[8:]
    assert [s.mixture for s in again] == [s.mixture for s in first[:3]]
    assert {str(s.kind.what) for s in again} == {"repeat"}
    done = [ONE.run(s) for s in first]
    assert len(recipe.next(problem, done[:9], first[9:])) == 0  # the rest is under way
    while specs := recipe.next(problem, done, []):
        done += [ONE.run(s) for s in specs]
    assert len(done) == 8 + 3 + 4 == len(recipe.planned(problem))
    seen = recipe.answer(problem, done).surrogate.objective
    assert set(seen.reliabilities) == set(ONE.objective.metrics)
    assert sum(seen.weights.values()) == pytest.approx(1.0)


def test_what_is_planned_is_what_is_run_at_most() -> None:
    recipe = strategy("auto")
    planned = recipe.planned(question(TWO))
    known = baselines(TWO.space)
    assert planned.count(SMALL) == 32 + 16
    assert planned.count(LARGE) == 4 + 3 * (2 + len(known) + 3)


def test_the_law_of_the_default_is_the_ensemble() -> None:
    """docs/log/quickstart-law.md: rho .98 on held-out runs, .96 for the process alone."""
    settings = {"design": 10, "proposals": 0, "confirm_seeds": 0}
    done = [ONE.run(s) for s in strategy("auto", **settings).next(question(ONE), [], [])]
    default, named, process = (
        strategy("auto", **settings, **law).recommend(question(ONE), done)  # type: ignore[union-attr]
        for law in ({}, {"law": "auto"}, {"law": "gp"})
    )
    assert default == named
    assert default != process


def test_proposals_stay_apart_from_each_other_and_from_what_failed() -> None:
    recipe, problem = strategy("auto", law="log-linear", design=8), question(ONE)
    done = [ONE.run(s) for s in recipe.next(problem, [], [])]
    first = recipe.next(problem, done, [])
    failed = [Observation.failure(s, "diverged") for s in first]
    again = recipe.next(problem, [*done, *failed], [])
    both = np.array([s.mixture.array for s in (*first, *again)])
    apart = simplex.hellinger_distance(both, both)[np.triu_indices(len(both), 1)]
    assert apart.min() >= 0.02 - 1e-9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stop": float("nan")}, "stop is nan"),
        ({"replicate": -0.1}, "replicate is -0.1"),
        ({"proposals": -1}, "proposals is -1"),
        ({"confirm_seeds": 1.5}, "confirm_seeds is 1.5"),
        ({"corrections": True}, "corrections is True"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        strategy("auto", **settings)


def test_a_guard_holds_the_answer_of_a_sweep_back() -> None:
    natural = ONE.truth(ONE.space.prior)[0, 1]
    answers = []
    for guards in ((), (Guard("loss-1"),)):
        objective = Objective({"loss-0": 1.0}, guards=guards)
        problem = Problem(ONE.space, objective, ONE.scales)
        recipe = strategy("auto", law="gp", design=20, proposals=0, confirm_seeds=0)
        done = [ONE.run(s) for s in recipe.next(problem, [], [])]
        assert isinstance(recipe, Answering)
        answers.append(ONE.truth(recipe.recommend(problem, done).array)[0, 1])
    assert answers[0] > natural + 0.02
    assert answers[1] <= natural + 0.01
