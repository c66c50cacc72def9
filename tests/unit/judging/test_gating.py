"""The verdict on tables of runs whose truth is known: one test for each way to be wrong."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mixopt import MixtureSpace, Objective, diagnostics, proposers
from mixopt.diagnostics import Trust, gates
from mixopt.diagnostics.gates import Gate
from mixopt.evidence.checkup import Checkup, check
from mixopt.judging.measuring import Beside
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs.run_table import RunTable
from mixopt.testing.tables import KnownTable, known_table


def checked(
    known: KnownTable, law: str = "gp", *, target: bool = True, repeats: RunTable | None = None
) -> Checkup:
    rng = np.random.default_rng(0)
    surrogate = fit_surrogate(
        known.table, known.objective, known.space, law, rng=rng, every_metric=True,
        target=known.target if target else None,
    )  # fmt: skip
    answer = proposers.recommend(surrogate, known.space, W=known.table.W, rng=rng)
    return check(
        surrogate, known.table, answer, Beside(known.space, repeats=repeats), rng=rng, curve=False
    )


def gate(verdict: Trust, name: str) -> Gate:
    return next(g for g in verdict.gates if g.name == name)


def test_an_easy_table_is_trusted_and_says_what_it_was_asked() -> None:
    verdict = checked(known_table("power-law-5", 1)).trust
    assert verdict.level == "trust"
    assert {g.name for g in verdict.gates} == {
        "held-out ranking", "interval coverage", "calibration near the answer", "odd runs",
        "order and batches", "seed noise", "value of the answer", "distance to the runs",
        "gain over natural", "space covered", "noise at the answer",
    }  # fmt: skip
    assert any("transfer" in line for line in verdict.unasked)
    # No mixture was run twice: that is said, and errors near the answer stand in for it.
    assert gate(verdict, "noise at the answer").state == "not measured"
    assert any("not measured" in line and "run twice" in line for line in verdict.lines())


def test_the_noise_at_the_answer_is_what_counts_where_it_differs() -> None:
    verdict = checked(known_table("loud-repeated-3", 1)).trust
    assert gate(verdict, "noise at the answer").value == pytest.approx(2.7, abs=0.2)
    # Pooled over all repeats 77 % of the variance are signal, which passes; at the answer half.
    asked = gate(verdict, "seed noise")
    assert (asked.state, round(asked.value, 1)) == ("no", 0.5)
    assert "measured near the answer" in asked.told


def test_an_answer_for_a_scale_without_runs_is_a_ranking_and_says_what_to_run() -> None:
    known = known_table("opposite-none", 0)
    verdict = checked(known).trust
    assert verdict.level == "ranking only"
    asked = gate(verdict, "transfer between scales")
    assert asked.state == "not measured"
    remedy = asked.remedy
    assert remedy is not None
    assert remedy.runs == len(remedy.mixtures) == gates.ANCHORS
    assert remedy.cost == pytest.approx(8 * 6 * 1e7 * 1e9)  # 6 N D each, at the target
    assert remedy.mixtures[1] == pytest.approx(tuple(known.space.prior))
    assert known.space.contains(np.array(remedy.mixtures)).all()


@pytest.mark.parametrize("name", ["opposite-two", "misleading-two"])
def test_two_runs_at_the_target_do_not_vanish_among_many_small_ones(name: str) -> None:
    """Scales weighed by their number of runs showed a rank correlation of .9 here."""
    verdict = checked(known_table(name, 1)).trust
    assert verdict.level != "trust"
    assert gate(verdict, "transfer between scales").state == "not measured"


def test_eight_shared_runs_unmask_a_misleading_proxy() -> None:
    verdict = checked(known_table("opposite-eight", 0)).trust
    assert verdict.level == "do not trust"
    assert gate(verdict, "transfer between scales").state == "no"


def test_more_pairs_are_of_mixtures_that_did_not_run_at_the_target() -> None:
    known = known_table("two-scales-power", 18)
    asked = gate(checked(known).trust, "transfer between scales")
    assert (asked.state, asked.allows) == ("no", "ranking only")
    assert asked.remedy is not None
    large = known.table.scales[:, 0] == known.table.scales[:, 0].max()
    there = {tuple(np.round(w, 6)) for w in known.table.W[large]}
    assert not there & {tuple(np.round(w, 6)) for w in asked.remedy.mixtures}
    assert len(asked.remedy.mixtures) == asked.remedy.runs


def fresh(known: KnownTable, mixtures: int) -> RunTable:
    """Three seeds each of some mixtures at the scale of the answer."""
    rng = np.random.default_rng(9)
    W = np.repeat(known.space.sample(mixtures, rng), 3, axis=0)
    Y = known.truth(W) + 0.1 * rng.standard_normal((len(W), len(known.seed_sd)))
    return RunTable(known.space.names, known.table.metrics, W, Y, pd.DataFrame(index=range(len(W))))


def without_target_runs(known: KnownTable) -> KnownTable:
    small = known.table.scales[:, 0] == known.table.scales[:, 0].min()
    return replace(known, table=known.table.take(small))


@pytest.mark.parametrize(
    ("name", "mixtures", "allows"),
    [
        ("two-scales-power", 10, "trust"),
        ("opposite-none", 10, "do not trust"),
        ("two-scales-power", 7, "ranking only"),  # too few: not measured
    ],
)
def test_a_confirmation_shows_what_pairs_of_scales_would(
    name: str, mixtures: int, allows: str
) -> None:
    known = without_target_runs(known_table(name, 0))
    asked = gate(checked(known, repeats=fresh(known, mixtures)).trust, "transfer between scales")
    assert asked.allows == allows
    assert (asked.state == "not measured") is (mixtures < 8)


@pytest.mark.parametrize("name", ["corner-4", "hidden-valley-3"])
def test_a_part_of_the_space_without_runs_is_named(name: str) -> None:
    known = known_table(name, 0)
    asked = gate(checked(known).trust, "space covered")
    assert asked.state == "no"
    assert asked.remedy is not None
    where = np.array(asked.remedy.mixtures)
    runs = np.unique(np.round(known.table.W, 9), axis=0)
    found = diagnostics.extrapolation(where, runs)
    assert (found.distance > found.wide).all()


@pytest.mark.parametrize("name", ["drift-4", "batches-4"])
def test_mixtures_that_ran_in_order_are_not_trusted(name: str) -> None:
    verdict = checked(known_table(name, 0)).trust
    assert verdict.level != "trust"
    assert gate(verdict, "order and batches").state == "not measured"


@pytest.mark.parametrize("name", ["pure-noise-4", "noise-as-signal-4", "six-runs-five-domains"])
def test_where_there_is_nothing_to_see_nothing_is_trusted(name: str) -> None:
    assert checked(known_table(name, 0)).trust.level == "do not trust"


def test_metrics_without_weight_do_not_count() -> None:
    """A clean objective beside two metrics that are noise was called noise in 22 of 24 cases."""
    known = known_table("bystanders-3", 3)
    found = checked(known)
    assert found.noise is not None
    assert (found.noise.reliability[-2:] < 0.5).all()
    asked = gate(found.trust, "seed noise")
    assert asked.state == "yes"
    assert asked.value > 0.8


def test_what_is_ranked_is_what_was_minimised() -> None:
    """In units of its own one metric hides the others; standardised they count alike."""
    rng = np.random.default_rng(2)
    W = rng.dirichlet(np.ones(3), 40)
    Y = np.column_stack([1e6 * W[:, 0] ** 2, 1e-3 * rng.standard_normal(40)])
    table = RunTable(("a", "b", "c"), ("seen", "chance"), W, Y, pd.DataFrame(index=range(40)))
    space = MixtureSpace(["a", "b", "c"])
    levels = {}
    for standardize in (False, True):
        objective = Objective({"seen": 1.0, "chance": 1.0}, standardize=standardize)
        known = KnownTable(
            "by hand", known_table("smooth-4").recipe, table, space, objective, lambda W: W,
            np.ones(2),
        )  # fmt: skip
        levels[standardize] = gate(checked(known).trust, "held-out ranking")
    assert levels[False].value > 0.95
    assert levels[True].value < 0.9
    assert levels[True].low < levels[False].low


def with_row_off(known: KnownTable, row: int, sds: float) -> KnownTable:
    Y = known.table.Y.copy()
    Y[row] += sds * Y.std(axis=0)
    table = RunTable(known.table.domains, known.table.metrics, known.table.W, Y, known.table.facts)
    return KnownTable(
        "odd", known.recipe, table, known.space, known.objective, known.truth, known.seed_sd
    )


def test_a_run_that_is_off_and_bends_the_answer_is_named_with_its_row() -> None:
    asked = gate(checked(with_row_off(known_table("power-law-5", 1), 11, 30)).trust, "odd runs")
    assert (asked.state, asked.allows) == ("no", "ranking only")
    assert "row 12 (" in asked.told
    assert "the answer is another" in asked.told
    assert asked.remedy is not None
    assert len(asked.remedy.mixtures) == 1


def test_a_run_that_is_off_far_from_the_answer_does_not_cost_the_trust() -> None:
    """A mixture of one domain that failed to learn: without it the answer is the same."""
    known = known_table("power-law-5", 1)
    far = int(known.table.W.max(axis=1).argmax())
    verdict = checked(with_row_off(known, far, 2)).trust
    asked = gate(verdict, "odd runs")
    assert (asked.state, asked.allows) == ("no", "trust")
    assert "the answer stays" in asked.told
    assert asked.told in verdict.line


def test_a_guard_counts_by_how_well_its_metric_is_known() -> None:
    held, loud = (checked(known_table(name, 0)).trust for name in ("guarded-4", "guard-loud-5"))
    assert gate(held, "guard on loss-1").low < 0.0  # the optimum lies on the guard
    unseen = gate(loud, "guard on loss-1")
    assert (unseen.state, unseen.allows) == ("no", "ranking only")
    assert "ranked with rho" in unseen.told


def test_noise_at_the_optimum_is_told_from_noise_elsewhere() -> None:
    asked = gate(checked(known_table("loud-repeated-3", 1)).trust, "noise at the answer")
    assert (asked.state, asked.allows) == ("no", "ranking only")
    assert asked.value > 2.0
    assert asked.remedy is not None
    assert (asked.remedy.where, asked.remedy.runs) == ("answer", 2)


def test_an_answer_is_widened_by_how_its_law_misses_held_out_runs() -> None:
    known = known_table("smooth-4", 5)
    result = checked(known)
    assert result.validation is not None
    z = (result.validation.observed - result.validation.predicted.mean)[:, 0]
    z /= result.validation.predicted.total_sd[:, 0]
    assert result.widening >= np.sqrt((z**2).mean()) - 1e-9
    assert result.widening >= 1.0


def test_screen_report_and_json_show_the_same_verdict() -> None:
    found = checked(known_table("opposite-none", 0))
    for line in found.trust.lines():
        assert line in found.lines()


def test_repeats_in_other_words_than_the_law_are_left_aside() -> None:
    """Of schedules the law sees phases, and what was confirmed are mixtures."""
    known = known_table("power-law-5", 1)
    rng = np.random.default_rng(0)
    surrogate = fit_surrogate(known.table, known.objective, known.space, "gp", rng=rng)
    answer = proposers.recommend(surrogate, known.space, W=known.table.W, rng=rng)
    twice = {"w/one": [0.5, 0.5, 0.2, 0.2], "w/two": [0.5, 0.5, 0.8, 0.8]}
    values = {f"m/{name}": [1.0, 1.1, 1.2, 1.3] for name in known.table.metrics}
    beside = Beside(known.space, repeats=RunTable.from_frame(pd.DataFrame(twice | values)))
    seen = check(surrogate, known.table, answer, beside, rng=rng, curve=False)
    assert gate(seen.trust, "noise at the answer").state == "not measured"
