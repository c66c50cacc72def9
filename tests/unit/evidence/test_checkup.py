"""The checkup measures what the runs allow, and says what they do not."""

import numpy as np
import pandas as pd
import pytest

from mixopt import MixtureSpace, Objective, RunSpec, Study
from mixopt.evidence.checkup import Checkup, check
from mixopt.judging.measuring import Beside
from mixopt.testing.worlds import LARGE, SMALL, World, make_world

PLAIN = make_world(3, 2, seed=1, noise=0.05)


def study(world: World = PLAIN, *, n: int = 16, seeds: int = 1, scales: int = 1) -> Study:
    W = world.space.round(world.space.sample(n, np.random.default_rng(0)))
    made = Study(world.space, world.objective, law="log-linear" if scales == 1 else "shukor-joint")
    for scale in (LARGE, SMALL)[:scales]:
        for seed in range(seeds):
            runs = [RunSpec(world.space.mixture(w), scale, seed=seed) for w in W]
            made.tell([world.run(spec) for spec in runs])
    return made


def checkup(made: Study, **how: bool) -> Checkup:
    rng = np.random.default_rng(0)
    return check(made.surrogate, made.table, made.recommend(), Beside(made.space), rng=rng, **how)


def test_every_diagnostic_that_one_scale_allows_is_made() -> None:
    found = checkup(study(seeds=2))
    assert found.validation is not None
    assert found.validation.runs == 32
    assert found.validation.objective_rho > 0.7
    assert found.extrapolation is not None
    assert found.noise is not None
    assert (found.noise.replicates == 16).all()
    assert found.curve is not None
    assert found.transfer is None
    assert found.influence.objective.shape == (3,)
    assert [line.split()[0] for line in found.trust.unasked] == ["transfer", "epochs"]


def test_two_scales_are_compared() -> None:
    world = make_world(3, 2, seed=1, kind="two-scales")
    found = checkup(study(world, n=14, scales=2), curve=False)
    assert found.transfer is not None
    assert found.transfer.paired
    assert found.transfer.pairs == 14
    states = {g.name: g.state for g in found.trust.gates}
    assert states["transfer between scales"] == "yes"


def test_a_proxy_that_misleads_costs_the_trust() -> None:
    world = make_world(3, 2, seed=1, kind="misleading")
    found = checkup(study(world, n=14, scales=2), curve=False)
    assert found.transfer is not None
    assert not found.transfer.ok
    assert found.trust.level != "trust"
    assert any("small runs rank" in reason for reason in found.trust.reasons)


@pytest.mark.parametrize(("n", "curve"), [(24, True), (23, False)])
def test_a_learning_curve_needs_24_runs(n: int, curve: bool) -> None:
    assert (checkup(study(n=n)).curve is not None) is curve
    assert checkup(study(n=n), curve=False).curve is None


def test_too_few_runs_leave_the_verdict_with_what_is_missing() -> None:
    made = Study(MixtureSpace(["a", "b"]), "loss", law="gp")
    made.tell(pd.DataFrame({"w/a": [0.2, 0.5, 0.8], "w/b": [0.8, 0.5, 0.2], "m/loss": [1, 2, 3.0]}))
    found = checkup(made)
    assert found.validation is None
    assert found.trust.level == "do not trust"
    assert any("too few to hold any out" in reason for reason in found.trust.reasons)
    assert found.influence is not None


def test_a_metric_of_chance_is_not_trusted() -> None:
    W = PLAIN.space.sample(20, np.random.default_rng(0))
    frame = pd.DataFrame(W, columns=["w/d0", "w/d1", "w/d2"])
    made = Study(PLAIN.space, "chance", law="log-linear")
    made.tell(frame.assign(**{"m/chance": np.random.default_rng(3).standard_normal(20)}))
    assert checkup(made, curve=False).trust.level == "do not trust"


def test_metrics_without_weight_are_validated_beside_the_objective() -> None:
    made = Study(PLAIN.space, Objective.of("loss-0"), law="log-linear")
    made.tell(study().table)
    found = checkup(made, curve=False).validation
    assert found is not None
    assert found.metrics == ("loss-0", "loss-1")
    assert found.objective_rho == pytest.approx(found.rho[0])


def test_the_lines_end_with_the_verdict_and_hold_every_part() -> None:
    found = checkup(study(seeds=2))
    told = found.lines()
    for part in (found.validation, found.noise, found.curve, found.extrapolation):
        assert part is not None
        assert set(part.lines()) <= set(told)
    assert set(found.influence.lines()) <= set(told)
    assert told[-len(found.trust.lines()) :] == found.trust.lines()


def test_the_same_runs_give_the_same_checkup() -> None:
    assert checkup(study(n=12)).lines() == checkup(study(n=12)).lines()
