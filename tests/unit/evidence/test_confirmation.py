"""The gate: candidates with fresh seeds against the recommendation."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt import InputError, Mixture, Objective, Observation, RunSpec, Scale, Schedule
from mixopt.evidence.confirmation import confirm
from mixopt.evidence.verdict import judge
from mixopt.runs.kinds import DESIGN, Kind

LOSS = Objective.of("loss")
MIXTURES = {
    "recommended": Mixture.of({"web": 0.5, "code": 0.5}),
    "natural": Mixture.of({"web": 0.9, "code": 0.1}),
    "best-random": Mixture.of({"web": 0.6, "code": 0.4}),
    "only-web": Mixture.of({"web": 1.0, "code": 0.0}),
}


def runs(**values: list[float]) -> list[Observation]:
    found = []
    for key, losses in values.items():
        name = key.replace("_", "-")
        for seed, loss in enumerate(losses):
            spec = RunSpec(MIXTURES[name], Scale(1, 1), seed=seed, kind=Kind.confirmation(name))
            found.append(Observation.of(spec, {"loss": loss}))
    return found


def test_a_win_beyond_noise_against_every_baseline_passes() -> None:
    found = confirm(
        runs(natural=[2.50, 2.54], recommended=[2.00, 2.02], only_web=[2.70, 2.72]), LOSS
    )
    assert [c.name for c in found.candidates] == ["recommended", "natural", "only-web"]
    # Pooled over three pairs of seeds that are .02, .04 and .02 apart.
    assert found.seed_sd == pytest.approx(np.sqrt((0.0002 + 0.0008 + 0.0002) / 3))
    assert found.comparisons[0].difference == pytest.approx(0.51)
    assert found.comparisons[0].low < 0.51 < found.comparisons[0].high
    assert found.passed
    assert "beats all 2 baselines" in found.verdict


def test_a_difference_within_twice_the_seed_sd_is_said_plainly() -> None:
    found = confirm(runs(natural=[2.03, 2.07], recommended=[2.00, 2.04]), LOSS)
    assert not found.comparisons[0].beyond_noise
    assert not found.passed
    assert judge(found).badge == "Not shown"
    assert "not better than natural beyond noise" in found.verdict


def test_a_loss_is_said_plainly() -> None:
    found = confirm(runs(natural=[1.0, 1.01], recommended=[2.0, 2.01]), LOSS)
    assert "loses to natural beyond noise" in found.verdict
    assert found.comparisons[0].difference < 0
    assert found.comparisons[0].lost
    level = confirm(runs(natural=[2.0, 2.02], recommended=[2.01, 2.03]), LOSS)
    assert "is no better than natural" in level.verdict
    assert not level.comparisons[0].lost


def test_without_a_second_seed_nothing_is_shown() -> None:
    found = confirm(runs(natural=[3.0], recommended=[2.0]), LOSS)
    assert np.isnan(found.seed_sd)
    assert not found.passed
    assert "noise is unknown" in found.verdict
    assert found.to_dict()["natural"] == {"mean": 3.0, "sd": None, "seeds": 1}


def test_higher_is_better_where_the_objective_says_so() -> None:
    objective = Objective.of([], maximize="loss")
    found = confirm(runs(natural=[0.1, 0.11], recommended=[0.5, 0.51]), objective)
    assert found.passed


def test_failed_seeds_are_counted_and_do_not_enter_the_mean() -> None:
    seen = runs(natural=[3.0, 3.1], recommended=[2.0, 2.1])
    spec = RunSpec(
        MIXTURES["recommended"], Scale(1, 1), seed=9, kind=Kind.confirmation("recommended")
    )
    found = confirm([*seen, Observation.failure(spec, "worker died")], LOSS)
    assert found.recommended.seeds == 2
    assert found.recommended.failed == 1
    assert found.recommended.mean == pytest.approx(2.05)


def test_no_finished_recommendation_is_an_error() -> None:
    with pytest.raises(InputError, match="no confirmatory run of the recommended"):
        confirm(runs(natural=[3.0]), LOSS)


@pytest.mark.parametrize(
    ("random", "sentence"),
    [
        ([2.90, 2.92], "It also beats the best random run"),
        ([2.01, 2.03], "as good within noise"),
        ([1.50, 1.52], "the best random run of the search is better"),
    ],
)
def test_the_best_random_run_is_reported_beside_the_baselines(
    random: list[float], sentence: str
) -> None:
    found = confirm(runs(natural=[2.5, 2.52], recommended=[2.0, 2.02], best_random=random), LOSS)
    assert found.passed
    assert "beats natural by more than" in found.verdict
    assert sentence in found.verdict


def spread(differences: float, sd: float = 0.1) -> list[Observation]:
    """Recommendation and one baseline of three seeds each: pooled sd `sd`, known difference."""
    return runs(
        recommended=[2.0 - sd, 2.0, 2.0 + sd],
        natural=[2.0 + differences - sd, 2.0 + differences, 2.0 + differences + sd],
    )


def test_of_two_seeds_alone_twice_their_sd_is_not_beyond_noise() -> None:
    # On two degrees of freedom the 95 % point of t is 2.92.
    half = 0.1 / np.sqrt(2)
    for sds, passed in ((2.85, False), (2.95, True)):
        natural = [2.0 + 0.1 * sds - half, 2.0 + 0.1 * sds + half]
        found = confirm(runs(recommended=[2.0 - half, 2.0 + half], natural=natural), LOSS)
        assert found.comparisons[0].beyond_noise is passed
        assert (found.comparisons[0].low > 0) is passed


def test_one_loud_baseline_does_not_hide_a_gain_over_the_quiet_ones() -> None:
    quiet = {"recommended": [2.00, 2.01, 1.99, 2.0], "natural": [2.05, 2.06, 2.04, 2.05]}
    found = confirm(runs(**quiet, only_web=[2.2, 3.4, 2.6, 3.2]), LOSS)
    natural, loud = found.comparisons
    assert 2 * found.seed_sd > natural.difference > 2 * natural.sd
    assert natural.beyond_noise
    assert natural.low > 0
    assert loud.sd > 10 * natural.sd
    assert np.isnan(found.common_sd)
    assert "Noise differs between candidates" in found.verdict
    assert "for only-web" in found.noise
    worse = confirm(runs(**quiet, only_web=[1.2, 2.8, 2.6, 1.0]), LOSS)
    assert "is no better than only-web. Noise differs between candidates" in worse.verdict
    # Louder by a chance that equal noise often has: pooled, and nothing is said.
    alike = confirm(runs(**quiet, only_web=[2.50, 2.53, 2.51, 2.52]), LOSS)
    assert not alike.noise
    assert alike.common_sd == alike.seed_sd == alike.comparisons[0].sd


@pytest.mark.parametrize(("sds", "passed"), [(1.95, False), (2.05, True)])
def test_beyond_noise_begins_at_twice_the_seed_sd(sds: float, passed: bool) -> None:
    found = confirm(spread(sds * 0.1), LOSS)
    assert found.seed_sd == pytest.approx(0.1)
    assert found.comparisons[0].beyond_noise is passed
    assert found.passed is passed
    assert (judge(found).badge == "Not shown") is not passed


def test_the_seed_sd_is_pooled_over_degrees_of_freedom_not_over_runs() -> None:
    # Squares of deviations: 2 (three seeds), 2 (two seeds), 0 (one seed): sqrt(4 / (2 + 1)).
    found = confirm(runs(recommended=[1.0, 2.0, 3.0], natural=[4.0, 6.0], only_web=[9.0]), LOSS)
    assert found.seed_sd == pytest.approx(np.sqrt(4 / 3))


def test_the_interval_is_students_with_the_pooled_sd_and_both_numbers_of_seeds() -> None:
    found = confirm(runs(recommended=[1.0, 2.0, 3.0], natural=[4.0, 6.0]), LOSS)
    sd = np.sqrt(4 / 3)
    half = 2.3534 * sd * np.sqrt(1 / 3 + 1 / 2)  # 95 % point of t with 3 degrees of freedom
    natural = found.comparisons[0]
    assert natural.difference == pytest.approx(3.0)
    assert natural.low == pytest.approx(3.0 - half, abs=1e-3)
    assert natural.high == pytest.approx(3.0 + half, abs=1e-3)


def test_the_best_random_run_is_no_baseline() -> None:
    lost = confirm(runs(recommended=[2.0, 2.02], natural=[2.5, 2.52], best_random=[1, 1.02]), LOSS)
    assert lost.passed
    assert [c.baseline for c in lost.baselines] == ["natural"]
    alone = confirm(runs(recommended=[2.0, 2.02], best_random=[3.0, 3.02]), LOSS)
    assert not alone.passed
    assert "No baseline was trained" in alone.verdict


def test_one_baseline_that_is_not_beaten_is_enough_to_fail() -> None:
    found = confirm(runs(recommended=[2.0, 2.02], natural=[2.5, 2.52], only_web=[2.01, 2.03]), LOSS)
    assert not found.passed
    assert "only-web" in found.verdict
    assert "natural" not in found.verdict


def test_runs_of_the_search_confirm_nothing() -> None:
    seen = runs(natural=[3.0, 3.1], recommended=[2.0, 2.1])
    search = RunSpec(MIXTURES["recommended"], Scale(1, 1), seed=0, kind=DESIGN)
    both = confirm([Observation.of(search, {"loss": -9.0}), *seen], LOSS)
    assert both.recommended.mean == pytest.approx(2.05)
    assert both.recommended.seeds == 2


def test_weights_of_the_objective_enter_the_comparison() -> None:
    found = []
    for name, a, b in (("recommended", 1.0, 3.0), ("natural", 2.0, 1.0)):
        for seed in (0, 1):
            spec = RunSpec(MIXTURES[name], Scale(1, 1), seed=seed, kind=Kind.confirmation(name))
            found.append(Observation.of(spec, {"a": a + 0.01 * seed, "b": b}))
    assert confirm(found, Objective.of({"a": 3.0, "b": 1.0})).comparisons[0].difference > 0
    assert confirm(found, Objective.of({"a": 1.0, "b": 3.0})).comparisons[0].difference < 0


def test_a_schedule_that_does_not_beat_its_time_average_is_not_shown_and_told_what_to_train() -> (
    None
):
    web, code = MIXTURES["only-web"], Mixture.of({"web": 0.0, "code": 1.0})
    schedule = Schedule(((5, web), (10, code)))
    average = RunSpec(schedule.mean, Scale(1, 10), kind=Kind.confirmation("time-average"))
    ours = RunSpec.scheduled(schedule, Scale(1, 10), kind=Kind.confirmation("recommended"))
    worse = RunSpec(web, Scale(1, 10), kind=Kind.confirmation("natural"))

    def seeds(spec: RunSpec, *losses: float) -> list[Observation]:
        return [
            Observation.of(replace(spec, seed=i), {"loss": loss}) for i, loss in enumerate(losses)
        ]

    beaten = confirm(
        [*seeds(ours, 2.0, 2.02), *seeds(average, 2.01, 2.03), *seeds(worse, 3.0, 3.02)], LOSS
    )
    assert not beaten.passed
    assert "The recommended schedule is not better than time-average" in beaten.verdict
    assert "Its order is not shown to help: train its time average" in beaten.verdict
    assert beaten.recommended.schedule == schedule
    assert beaten.candidates[1].schedule is None
    shown = confirm(
        [*seeds(ours, 2.0, 2.02), *seeds(average, 2.5, 2.52), *seeds(worse, 3.0, 3.02)], LOSS
    )
    assert shown.passed
    assert "The recommended schedule beats all 2 baselines" in shown.verdict
    assert "order" not in shown.verdict
