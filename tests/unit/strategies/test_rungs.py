"""Early stopping over rungs: as good at less cost, controls go on, slow starters are kept."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from mixopt import InputError, Observation, Scale
from mixopt.runs import Point
from mixopt.runs.kinds import REFERENCE
from mixopt.strategies import Problem, strategy
from mixopt.strategies.ladder import fit_scales
from mixopt.strategies.ledger import Ledger
from mixopt.strategies.rungs import Rungs, better
from mixopt.testing.worlds import World, make_world

RUNGS = tuple(Scale(10**6, tokens) for tokens in (10**7, 3 * 10**7, 9 * 10**7))


def world_of(seed: int, *, shift: float = 0.15, noise: float = 0.02) -> World:
    """A world whose shorter runs rank mixtures a little otherwise: `shift` at the first rung."""
    world = make_world(5, 2, seed=seed, noise=noise)
    rng = np.random.default_rng(seed)
    off = rng.standard_normal(world.transfer.shape)
    below = {
        scale: world.transfer * np.exp(shift * part * off)
        for scale, part in zip(RUNGS, (1.0, 0.4), strict=False)
    }
    return replace(world, scales=RUNGS, below=below, slopes={RUNGS[0]: 0.6, RUNGS[1]: 0.8})


def question(world: World) -> Problem:
    return Problem(world.space, world.objective, world.scales)


def play(world: World, recipe: Rungs) -> list[Observation]:
    problem, done = question(world), list[Observation]()
    while specs := recipe.next(problem, done, []):
        done += [world.run(s) for s in specs]
    return done


def tokens(done: list[Observation]) -> float:
    """Tokens trained, every run going on from its checkpoint."""
    longest: dict[object, int] = {}
    for o in done:
        longest[o.spec.mixture] = max(longest.get(o.spec.mixture, 0), o.spec.scale.tokens)
    return sum(longest.values()) / RUNGS[-1].tokens


def regret(world: World, done: list[Observation]) -> float:
    """Of the best run of the last rung, in spreads."""
    last = np.array([o.spec.mixture.array for o in done if o.spec.scale == RUNGS[-1]])
    return float(world.value(last).min() - world.best) / world.spread


def test_the_best_mixture_is_kept_at_half_the_tokens() -> None:
    lost, share = [], []
    for seed in range(5):
        world = world_of(seed)
        done = play(world, Rungs(design=27))
        starts = np.array([o.spec.mixture.array for o in done if o.spec.scale == RUNGS[0]])
        every = float(world.value(starts).min() - world.best) / world.spread
        lost.append(regret(world, done) - every)
        share.append(tokens(done) / 27)
    assert np.mean(lost) < 0.05
    assert np.mean(share) < 0.6


def test_a_run_that_goes_on_keeps_mixture_and_seed() -> None:
    done = play(world_of(0), Rungs(design=12))
    below = {(o.spec.mixture, o.spec.seed) for o in done if o.spec.scale == RUNGS[0]}
    above = {(o.spec.mixture, o.spec.seed) for o in done if o.spec.scale == RUNGS[1]}
    assert above
    assert above < below


def test_controls_reach_the_last_rung_whatever_they_show() -> None:
    world = world_of(1)
    done = play(world, Rungs(design=20, controls=0.3))
    kinds = {o.spec.mixture: o.spec.kind for o in done if o.spec.scale == RUNGS[1]}
    controls = {m for m, kind in kinds.items() if kind == REFERENCE}
    last = {o.spec.mixture for o in done if o.spec.scale == RUNGS[-1]}
    assert controls
    assert controls <= last
    values = {m: float(world.value(m.array[None])[0]) for m in kinds}
    chosen = [v for m, v in values.items() if m not in controls]
    assert np.mean([values[m] for m in controls]) > np.mean(chosen)
    # Who is a control does not depend on results.
    worse = [replace(o, metrics={k: v + 1 for k, v in o.metrics.items()}) for o in done]
    first = [o for o in worse if o.spec.scale == RUNGS[0]]
    again = Rungs(design=20, controls=0.3).next(question(world), first, [])
    assert {s.mixture for s in again} == controls


def test_a_ranking_that_turns_round_is_seen_and_slow_starters_go_on() -> None:
    # At the first rung the metric runs against the target; controls and the first runs show it.
    world = make_world(4, 1, seed=3)
    world = replace(world, scales=RUNGS[:2], slopes={RUNGS[0]: -1.0})
    blind = play(world, Rungs(design=24, controls=0.0, most=0.34))
    done = play(world, Rungs(design=24, controls=0.2, most=0.5))
    finished = [o for o in done if o.spec.scale == RUNGS[1]]
    best = min(world.value(o.spec.mixture.array[None])[0] for o in finished)
    starts = [o.spec.mixture.array for o in done if o.spec.scale == RUNGS[0]]
    assert best == pytest.approx(world.value(np.array(starts)).min())
    assert len(finished) < 24
    ranked = [o for o in blind if o.spec.scale == RUNGS[1]][:8]
    assert min(world.value(o.spec.mixture.array[None])[0] for o in ranked) > best


def test_the_same_store_gives_the_same_runs_in_any_order() -> None:
    world, recipe = world_of(2), Rungs(design=12, proposals=4)
    done = play(world, recipe)
    for cut in (0, 5, 12, 14, 17, len(done)):
        fresh = replace(recipe, memo=type(recipe.memo)())
        one = recipe.next(question(world), done[:cut], [])
        assert fresh.next(question(world), done[:cut][::-1], []) == one
    assert recipe.next(question(world), done[:14], [done[14].spec]) == []


def test_failed_runs_do_not_go_on() -> None:
    world, recipe = world_of(2), Rungs(design=12)
    done = [world.run(s) for s in recipe.next(question(world), [], [])]
    done[0] = Observation.failure(done[0].spec, "diverged")
    onward = recipe.next(question(world), done, [])
    assert onward
    assert done[0].spec.mixture not in {s.mixture for s in onward}


def test_no_more_runs_than_planned_and_the_answer_is_good() -> None:
    world = world_of(4)
    recipe = Rungs(design=16, proposals=8)
    done = play(world, recipe)
    assert len(done) <= len(recipe.planned(question(world)))
    answer = recipe.recommend(question(world), done)
    assert world.value(answer.array[None])[0] - world.best < 0.1 * world.spread
    seen = recipe.calibration(question(world), done)
    assert 0 <= seen.missed <= seen.stopped <= seen.controls
    assert seen.controls >= 1


def test_the_probability_is_that_of_the_joint_normal() -> None:
    world = replace(world_of(0), scales=RUNGS[-1:], below={}, slopes={})
    problem = Problem(world.space, world.objective, RUNGS[-1:])
    done = [world.run(s) for s in Rungs(design=12).next(problem, [], [])]
    surrogate = fit_scales(Ledger.of(problem, done))
    X = world.space.sample(3, np.random.default_rng(0))
    chance = better(surrogate, X[:2], X[2])
    mean, sd = surrogate.moments(X)
    assert better(surrogate, X[2:], X[2])[0] == pytest.approx(0.5)
    assert ((chance > 0.5) == (mean[:2] < mean[2])).all()
    # Far apart they are nearly independent, so the variances add up at most.
    bound = norm.cdf(np.abs(mean[2] - mean[:2]) / np.hypot(sd[2], sd[:2]) * 0.5)
    assert (np.maximum(chance, 1 - chance) >= bound - 1e-9).all()


def test_a_steep_curve_of_its_own_saves_a_run() -> None:
    world = world_of(0, noise=0.0)
    problem = question(world)
    done = play(world, Rungs(design=12))
    stopped = next(
        o for o in done if o.spec.scale == RUNGS[0]
        and o.spec.mixture not in {p.spec.mixture for p in done if p.spec.scale == RUNGS[1]}
    )  # fmt: skip

    def falling(share: float) -> dict[str, float]:
        return {k: v + 40.0 * (share**-0.8 - 1.0) for k, v in stopped.metrics.items()}

    points = (0.1, 0.2, 0.4, 0.6, 0.8)
    curve = tuple(Point(int(s * RUNGS[0].tokens), falling(s)) for s in points)
    told = [replace(o, curve=curve) if o is stopped else o for o in done]
    assert Rungs(design=12, curves=True).next(problem, done, []) == []
    onward = Rungs(design=12, curves=True).next(problem, told, [])
    assert [s.mixture for s in onward] == [stopped.spec.mixture]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eta": 1.0}, "eta is 1.0"),
        ({"controls": 1.5}, "controls is 1.5; give a number of at least 0 and at most 1"),
        ({"design": 2}, "design is 2"),
        ({"killl": 0.1}, "did you mean 'kill'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        strategy("rungs", **settings)
