"""The verdict at both sides of every threshold, and what would change it.

METHODS 8 gates a campaign at the lower end of a rank correlation at .5; the other thresholds were
chosen on half of the worlds of `mixopt.testing.tables` (docs/log/trust.md).
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mixopt.diagnostics import Extrapolation, Transfer, epoch_mismatch, extrapolation, gates, trust
from mixopt.diagnostics.covered import Covered
from mixopt.diagnostics.gates import Gate, Remedy
from mixopt.diagnostics.guarded import Guarded, guard
from mixopt.diagnostics.held_out_errors import Errors, Order, Without, order_effects
from mixopt.diagnostics.local_noise import local_noise, noise_there
from mixopt.errors import InputError
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable

TARGET_RUNS = Remedy("8 mixtures again at the target", 8, cost=8e20)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def errors(noise: float = 0.1, n: int = 40, claimed: float | None = None, seed: int = 0) -> Errors:
    """Held-out predictions that miss by so much, in sds of the objective."""
    rng = generator(seed)
    truth = rng.standard_normal(n)
    mean = truth + noise * rng.standard_normal(n)
    sd = np.full(n, noise if claimed is None else claimed)
    return Errors(rng.dirichlet(np.ones(3), n), truth, mean, sd, np.arange(n))


def held(name: str = "a") -> Gate:
    return Gate(name, "yes", "fine")


# -- the verdict ---------------------------------------------------------------------------------


def test_the_lowest_gate_decides_and_all_reasons_are_given_gravest_first() -> None:
    slight = Gate("b", "no", "slightly off", allows="ranking only", remedy=Remedy("do b", 2))
    grave = Gate("c", "no", "all wrong", allows="do not trust", remedy=Remedy("do c", 9))
    assert trust([held()]).level == "trust"
    assert trust([held(), slight]).level == "ranking only"
    verdict = trust([held(), slight, grave])
    assert verdict.level == "do not trust"
    assert verdict.reasons == ("all wrong", "slightly off")
    assert verdict.line == "Do not trust this answer: all wrong; slightly off"


def test_what_was_run_for_a_verdict_stays_with_it_whatever_is_asked_later() -> None:
    slight = Gate("b", "no", "slightly off", allows="ranking only", remedy=Remedy("do b", 2))
    before = trust([held(), slight])
    verdict = trust([held()]).after(before, {"b": 2})
    assert "2 for b" in verdict.changed
    assert "another level: Trust the ranking only: slightly off" in verdict.changed
    for later in (verdict.asked(slight), verdict.also(slight), verdict.without("c")):
        assert later.changed == verdict.changed
        assert later.changed in later.lines()
    assert verdict.also(slight).level == verdict.asked(slight).level == "ranking only"
    assert verdict.also(slight).gates[-1] == verdict.asked(slight).gates[0] == slight


def test_what_was_not_measured_is_never_a_silent_yes() -> None:
    open_ = Gate.unmeasured("transfer", "no run is at the target", TARGET_RUNS)
    verdict = trust([held(), open_])
    assert verdict.level == "ranking only"
    assert "transfer not measured: no run is at the target" in verdict.line
    assert verdict.next == (TARGET_RUNS,)
    assert trust([]).level == "do not trust"
    assert "nothing was checked" in trust([]).line


def test_every_verdict_names_the_cheapest_runs_that_would_change_it() -> None:
    dear = Gate("b", "no", "b is off", allows="ranking only", remedy=Remedy("many", 30))
    cheap = Gate("c", "no", "c is off", allows="ranking only", remedy=Remedy("one", 1))
    assert [r.what for r in trust([dear, cheap]).next] == ["one", "many"]
    assert "to change that: one; many" in trust([dear, cheap]).lines()
    grave = Gate("d", "no", "d is off", allows="do not trust", remedy=Remedy("worse", 4))
    # What would change a lesser gate does not change the verdict.
    assert [r.what for r in trust([dear, cheap, grave]).next] == ["worse"]
    assert trust([held()]).next  # a verdict of trust can be confirmed


def test_what_does_not_arise_is_said() -> None:
    verdict = trust([held()], ["transfer (all runs have one scale)"])
    assert verdict.level == "trust"
    assert "not asked: transfer (all runs have one scale)" in verdict.lines()[-1]


# -- the gates, at both sides ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noise", "level"), [(0.3, "trust"), (0.6, "ranking only"), (6.0, "do not trust")]
)
def test_how_held_out_runs_are_ranked(noise: float, level: str) -> None:
    gate = gates.ranking(errors(noise))
    assert gate.allows == level
    assert gate.low < gate.value < gate.high
    assert (gate.remedy is None) is (level == "trust")


def test_a_perfect_ranking_of_too_few_runs_is_not_measured() -> None:
    """Of seven pairs without any relation one in twenty reaches a rank correlation of .71."""
    gate = gates.ranking(errors(1e-6, n=7))
    assert (gate.state, gate.allows) == ("not measured", "do not trust")
    assert gates.ranking(errors(1e-6, n=8)).state == "yes"


def test_repeats_of_a_mixture_do_not_narrow_the_interval_of_the_ranking() -> None:
    once = errors(0.8, n=12)
    many = Errors(*(np.repeat(a, 6, axis=0) for a in (
        once.W, once.truth, once.mean, once.sd)), np.arange(72))  # fmt: skip
    assert many.ranking() == pytest.approx(once.ranking(), abs=0.1)


@pytest.mark.parametrize(("claimed", "state"), [(0.1, "yes"), (0.05, "no")])
def test_intervals_that_hold_too_few_runs(claimed: float, state: str) -> None:
    gate = gates.intervals(errors(0.1, claimed=claimed))
    assert gate.state == state
    assert gate.low <= gate.value <= gate.high


def test_errors_near_the_answer_count_for_themselves() -> None:
    """A good law everywhere but at its optimum."""
    seen = errors(0.1, n=60)
    w = np.array([0.8, 0.1, 0.1])
    near = np.argsort(np.linalg.norm(np.sqrt(seen.W) - np.sqrt(w), axis=1))[:10]
    off = seen.mean.copy()
    off[near] += 0.3 * np.resize([1, -1], 10)
    wrong = Errors(seen.W, seen.truth, off, seen.sd, seen.rows)
    assert gates.ranking(wrong).state == "yes"
    assert gates.local(seen, w).state == "yes"
    assert gates.local(wrong, w).state == "no"
    assert gates.local(wrong, np.array([0.1, 0.1, 0.8])).state == "yes"


@pytest.mark.parametrize(("sd", "state"), [(0.12, "yes"), (0.123, "no")])
def test_a_value_known_to_two_seed_sds(sd: float, state: str) -> None:
    assert gates.known(sd, noise=0.1, spread=1.0, ratio=0.5).state == state
    assert gates.known(sd / 2, noise=0.1, spread=1.0, ratio=2.0).state == state
    # Where a law infers no noise at all, a tenth of the objective's spread is fine enough.
    assert gates.known(sd, noise=0.0, spread=1.0, ratio=1.0).state == state


@pytest.mark.parametrize(
    ("noise", "level"), [(0.54, "trust"), (0.56, "ranking only"), (0.71, "do not trust")]
)
def test_an_objective_that_is_noise(noise: float, level: str) -> None:
    assert gates.reliability(noise, 1.0, measured=True).allows == level
    assert gates.reliability(float("nan"), 1.0, measured=False).state == "not measured"
    assert gates.reliability(noise, 0.0, measured=True).allows == "do not trust"


def pairs(low: float, *, rho: float = 0.9, count: int = 8, paired: bool = True) -> Transfer:
    some = np.array([0.9])
    return Transfer(
        (1e6, 1e9),
        (1e9, 1e10),
        count,
        paired,
        ("loss",),
        some,
        some,
        some,
        some,
        some,
        rho,
        low,
        1.0,
        0.9,
    )


@pytest.mark.parametrize(
    ("low", "level"), [(0.51, "trust"), (0.49, "ranking only"), (-0.01, "do not trust")]
)
def test_proxies_that_rank_otherwise(low: float, level: str) -> None:
    assert gates.transfer(pairs(low), TARGET_RUNS).allows == level


def test_a_correlation_that_few_runs_carry_is_no_ranking() -> None:
    assert gates.transfer(pairs(0.6, rho=0.71), TARGET_RUNS).allows == "trust"
    assert gates.transfer(pairs(0.6, rho=0.69), TARGET_RUNS).allows == "ranking only"
    assert gates.transfer(pairs(0.1, rho=0.31), TARGET_RUNS).allows == "ranking only"
    assert gates.transfer(pairs(0.1, rho=0.29), TARGET_RUNS).allows == "do not trust"
    assert gates.transfer(pairs(0.1, rho=float("nan")), TARGET_RUNS).allows == "do not trust"


@pytest.mark.parametrize(
    ("r", "needed"), [(0.95, 5), (0.85, 9), (0.7, 30), (0.6, None), (0.4, None)]
)
def test_how_many_pairs_would_show_that_scales_rank_alike(r: float, needed: int | None) -> None:
    """atanh(r) - 1.645 / sqrt(n - 3) has to be atanh(.5)."""
    low, high = (float(np.tanh(np.arctanh(r) + s * 1.645 / np.sqrt(5))) for s in (-1, 1))
    measured = replace(pairs(low), objective_high=high)
    assert gates.pairs_needed(measured) == needed
    if needed:
        half = 1.645 / np.sqrt(needed - 3)
        assert np.tanh(np.arctanh(r) - half) >= 0.5
        assert np.tanh(np.arctanh(r) - 1.645 / np.sqrt(needed - 4)) < 0.5


@pytest.mark.parametrize("few", [None, pairs(0.99, count=7), pairs(0.99, paired=False)])
def test_transfer_that_was_not_measured_leaves_the_ranking_only(few: Transfer | None) -> None:
    gate = gates.transfer(few, TARGET_RUNS)
    assert (gate.state, gate.allows) == ("not measured", "ranking only")
    assert gate.remedy == TARGET_RUNS


@pytest.mark.parametrize(("distance", "state"), [(0.21, "yes"), (0.23, "no")])
def test_a_mixture_far_from_every_run(distance: float, state: str) -> None:
    found = Extrapolation(np.array([distance]), 0.05, 0.11, np.zeros(1))
    assert gates.distance(found).state == state


@pytest.mark.parametrize(
    ("bare", "open_", "state"),
    [(0.01, 0.1, "yes"), (0.02, 0.0, "no"), (0.0, 0.11, "no")],
)
def test_space_that_no_run_tells_of(bare: float, open_: float, state: str) -> None:
    gate = gates.space_covered(Covered(bare, open_, np.array([[0.2, 0.8]])))
    assert gate.state == state
    if gate.remedy is not None:
        assert gate.remedy.mixtures == ((0.2, 0.8),)


@pytest.mark.parametrize(("error", "state"), [(0.5, "yes"), (1.2, "no")])
def test_one_run_that_is_off(error: float, state: str) -> None:
    seen = errors(0.1)
    off = seen.mean.copy()
    off[17] = seen.truth[17] + error
    gate = gates.odd_runs(Errors(seen.W, seen.truth, off, seen.sd, seen.rows), "run {}".format)
    assert gate.state == state
    assert "run 17" in gate.told


@pytest.mark.parametrize(
    ("moved", "lost", "level"),
    [(0.9, 0.09, "trust"), (1.1, 0.0, "ranking only"), (0.0, 0.11, "ranking only")],
)
def test_an_odd_run_counts_by_what_it_does_to_the_answer(
    moved: float, lost: float, level: str
) -> None:
    seen = errors(0.1)
    off = seen.mean.copy()
    off[17] = seen.truth[17] + 2.0
    gate = gates.odd_runs(
        Errors(seen.W, seen.truth, off, seen.sd, seen.rows),
        "run {}".format,
        Without(1, moved, lost),
    )
    assert (gate.state, gate.allows) == ("no", level)
    assert gate.remedy is not None
    assert gate.remedy.what == "train run 17 again, or leave it out"
    if level == "trust":  # it says no, and changes nothing: both are said
        line = trust([gate, Gate("other", "yes", "fine")]).line
        assert "1 of 2 gates do not speak against; no reason for doubt alone: the oddest" in line


def test_runs_that_are_all_alike_are_not_called_too_few() -> None:
    seen = errors(0.1)
    alike = replace(seen, truth=np.full(len(seen.W), 2.5))
    gate = gates.ranking(alike)
    assert (gate.state, gate.remedy) == ("not measured", None)  # more runs would not help
    assert "same objective" in gate.told
    blind = gates.ranking(replace(seen, mean=np.zeros(len(seen.W))))
    assert "predicts the same for all 40 runs" in blind.told
    assert "too few" in gates.ranking(errors(n=5)).told


@pytest.mark.parametrize(
    ("margin", "half", "low", "state"),
    [
        (0.0, 1.9, 0.6, "yes"),  # on the guard, and known to two seed sds
        (0.0, 2.1, 0.6, "no"),
        (0.0, 1.9, 0.4, "no"),  # a metric that is not ranked is not known, whatever is claimed
        (3.0, 2.9, -0.5, "yes"),  # so far within that it does not matter
        (-0.5, 1.6, 0.6, "no"),
    ],
)
def test_a_guard_that_may_be_broken(margin: float, half: float, low: float, state: str) -> None:
    gate = guard(Guarded("code", margin, half, 0.7, low))
    assert gate.state == state
    assert gate.allows == ("trust" if state == "yes" else "ranking only")
    assert "code" in gate.told


def repeated(W: np.ndarray, noise: np.ndarray, times: int = 3) -> RunTable:
    """Every mixture so many times, each with a noise of its own."""
    rng = generator(3)
    rows = np.repeat(W, times, axis=0)
    Y = rows @ np.array([1.0, 2.0, 3.0]) + np.repeat(noise, times) * rng.standard_normal(len(rows))
    return RunTable(
        ("a", "b", "c"), ("loss",), rows, Y[:, None], pd.DataFrame(index=range(len(rows)))
    )


def test_noise_is_compared_near_and_far() -> None:
    W = generator(5).dirichlet(np.ones(3), 16)
    w = np.array([0.7, 0.2, 0.1])
    distance = np.linalg.norm(np.sqrt(W) - np.sqrt(w), axis=1)
    loud = np.where(distance <= np.sort(distance)[3], 1.0, 0.1)
    objective = Objective.of("loss")
    there = local_noise([repeated(W, loud)], objective, w)
    assert there.mixtures == 4
    assert there.runs == 12
    assert there.near == pytest.approx(1.0, rel=0.4)
    assert there.elsewhere == pytest.approx(0.1, rel=0.3)
    assert 2.0 < there.low < there.ratio < there.high
    assert there.there == pytest.approx(there.near, rel=0.2)
    assert there.there > 1.5 * there.pooled
    assert noise_there(there, "").state == "no"
    equal = local_noise([repeated(W, 0 * loud + 0.1)], objective, w)
    assert noise_there(equal, "").state == "yes"
    assert equal.there == equal.pooled
    # Two seeds that are far apart do not make the answer loud by themselves.
    few = [repeated(W[[5, 7]], loud[[5, 7]] + 0.2, times=2), repeated(W, np.full(16, 0.1), times=1)]
    two = local_noise(few, objective, W[5])
    assert abs(np.log(two.there / two.pooled)) < 0.7 * abs(np.log(two.near / two.pooled))


def test_noise_in_two_places_takes_two_repeated_mixtures_one_of_them_near() -> None:
    W = generator(5).dirichlet(np.ones(3), 16)
    alone = repeated(W, np.full(16, 0.1), times=1)
    with pytest.raises(InputError, match="no mixture was run twice"):
        local_noise([alone], Objective.of("loss"), W[0])
    # Fresh seeds of a confirmation are repeats too.
    some = repeated(W[:2], np.full(2, 0.1))
    assert local_noise([alone, some], Objective.of("loss"), W[0]).mixtures == 1
    corner = np.array([1.0, 0.0, 0.0])
    far = W[np.argsort(W[:, 0])[:2]]
    with pytest.raises(InputError, match="near the answer"):
        local_noise([alone, repeated(far, np.full(2, 0.1))], Objective.of("loss"), corner)


def test_noise_that_was_not_measured_is_said_and_costs_no_trust() -> None:
    gate = noise_there(None, "no mixture was run twice")
    assert (gate.state, gate.allows) == ("not measured", "trust")
    verdict = trust([held(), gate])
    assert verdict.level == "trust"
    assert any("noise at the answer" in line for line in verdict.lines())


def test_no_better_than_natural_is_an_answer() -> None:
    verdict = trust([held(), gates.gain("natural", 0.1, 0.08, 0.036, certain=False)])
    assert verdict.level == "trust"
    assert "no better than the natural mixture within what is known" in verdict.line
    sure = trust([held(), gates.gain("natural", 0.5, 0.05, 0.495, certain=True)])
    assert "no better" not in sure.line


# -- order and batches -----------------------------------------------------------------------------


def facts(n: int, **columns: object) -> RunTable:
    W = np.full((n, 2), 0.5)
    return RunTable(("a", "b"), ("y",), W, np.zeros((n, 1)), pd.DataFrame(columns, index=range(n)))


def test_errors_that_follow_the_order() -> None:
    seen = errors(0.1)
    drifting = Errors(seen.W, seen.truth + np.linspace(0, 0.5, 40), seen.mean, seen.sd, seen.rows)
    assert gates.order(order_effects(seen, facts(40))).state == "yes"
    gate = gates.order(order_effects(drifting, facts(40)))
    assert (gate.state, gate.allows) == ("no", "do not trust")


def test_a_column_of_times_overrules_the_order_of_the_rows() -> None:
    seen = errors(0.1)
    when = generator(3).permutation(40)
    drifting = Errors(seen.W, seen.truth + 0.5 * when / 40, seen.mean, seen.sd, seen.rows)
    assert gates.order(order_effects(drifting, facts(40))).state == "yes"
    assert gates.order(order_effects(drifting, facts(40, time=when.astype(float)))).state == "no"


def test_batches_that_differ() -> None:
    seen = errors(0.1)
    batch = generator(4).permutation(np.repeat(["monday", "tuesday"], 20))
    off = Errors(
        seen.W, seen.truth + np.where(batch == "monday", 0.0, 0.3), seen.mean, seen.sd, seen.rows
    )
    assert gates.order(order_effects(seen, facts(40, batch=batch))).state == "yes"
    gate = gates.order(order_effects(off, facts(40, batch=batch)))
    assert gate.state == "no"
    assert "'batch'" in gate.told


def test_mixtures_in_order_hide_what_time_did() -> None:
    seen = errors(0.1)
    by = np.argsort(seen.W[:, 0])
    sorted_ = Errors(seen.W[by], seen.truth[by], seen.mean[by], seen.sd, seen.rows)
    gate = gates.order(order_effects(sorted_, facts(40)))
    assert (gate.state, gate.allows) == ("not measured", "ranking only")
    shuffled = facts(40, time=generator(7).permutation(40).astype(float))
    assert gates.order(order_effects(sorted_, shuffled)).state == "yes"


def test_of_several_columns_each_has_its_own_chance() -> None:
    fine = Order("rows", 0.1, 0.1, 0.5)
    assert gates.order([Order("batch", 0.1, 0.4, 0.007)]).state == "no"
    assert gates.order([fine, Order("batch", 0.1, 0.4, 0.007)]).state == "yes"


# -- distance and epochs ---------------------------------------------------------------------------


def test_far_is_beyond_the_95_percent_point_of_the_spacing_of_runs() -> None:
    """Of twenty runs on a line, the last two stand four times as far apart as the others."""
    angles = np.cumsum(np.r_[0.0, np.full(17, 0.03), 0.12, 0.12])
    W = np.column_stack([np.cos(angles) ** 2, np.sin(angles) ** 2])
    ends = angles[-1] + np.array([0.06, 0.11, 0.13])
    found = extrapolation(np.column_stack([np.cos(ends) ** 2, np.sin(ends) ** 2]), W)
    assert found.wide == pytest.approx(4 * found.typical, rel=0.01)
    assert found.far.tolist() == [False, False, True]


@pytest.mark.parametrize(("target", "off"), [(1.26, True), (1.24, False)])
def test_epochs_differ_beyond_a_quarter(target: float, off: bool) -> None:
    """METHODS 3.7: warn when the proxy's epochs are more than 25 % from the target's."""
    found = epoch_mismatch(
        ("web", "math"), [0.5, 0.5], [1e12, 1e9], proxy_budget=4e9 * target, target_budget=4e9,
    )  # fmt: skip
    assert found.mismatched == (("math",) if off else ())
    assert gates.epochs(found).allows == ("ranking only" if off else "trust")


@pytest.mark.parametrize(("weight", "counts"), [(0.011, True), (0.009, False)])
def test_domains_of_less_than_a_percent_do_not_count(weight: float, counts: bool) -> None:
    """METHODS 3.7: for any domain with a share above 1 %."""
    found = epoch_mismatch(
        ("web", "math"), [1 - weight, weight], [1e15, 1e6], proxy_budget=1e9, target_budget=1e11
    )
    assert found.mismatched == (("math",) if counts else ())
