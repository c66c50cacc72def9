"""The gate: candidates with fresh seeds against the recommendation."""

import numpy as np
import pytest

from mixopt import InputError, Mixture, Objective, Observation, RunSpec, Scale
from mixopt.evidence.confirmation import confirm
from mixopt.runs.kinds import Kind

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
    assert found.verdict.startswith("NOT SHOWN")
    assert "not better than natural beyond noise" in found.verdict


def test_a_loss_is_said_plainly() -> None:
    found = confirm(runs(natural=[1.0, 1.01], recommended=[2.0, 2.01]), LOSS)
    assert "is no better than natural" in found.verdict
    assert found.comparisons[0].difference < 0


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
