import numpy as np
import pandas as pd
import pytest

from mixopt.diagnostics import (
    cross_validate,
    epoch_mismatch,
    extrapolation,
    gates,
    influence,
    learning_curve,
    noise,
    transfer,
)
from mixopt.diagnostics.ranks import (
    correlation_interval,
    decision_accuracy,
    spearman,
    spearman_interval,
)
from mixopt.errors import InputError
from mixopt.laws import law
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable


def generator(seed=0):
    return np.random.default_rng(seed)


def table(n=40, seeds=1, sd=0.01, scales=((1e6, 1e9),), slopes=(1.0,)):
    """Two metrics, one of which is noise where `sd` is large."""
    rng = generator(1)
    W = np.repeat(rng.dirichlet(np.ones(3), size=n), seeds, axis=0)
    frames = []
    for (params, tokens), slope in zip(scales, slopes, strict=True):
        good = 2 + slope * np.exp(-2 * W[:, 0]) + sd * rng.standard_normal(len(W))
        frames.append(
            pd.DataFrame(
                {
                    "params": params,
                    "tokens": tokens,
                    "w/a": W[:, 0],
                    "w/b": W[:, 1],
                    "w/c": W[:, 2],
                    "m/good": good,
                    "m/chance": rng.standard_normal(len(W)),
                }
            )
        )
    return RunTable.from_frame(pd.concat(frames, ignore_index=True))


def test_cross_validation_tells_signal_from_chance():
    found = cross_validate("log-linear", table(60), Objective.of("good"), rng=generator())
    rho = dict(zip(found.metrics, found.rho, strict=True))
    assert rho["good"] > 0.97
    assert abs(rho["chance"]) < 0.5
    assert found.objective_rho == pytest.approx(rho["good"])
    assert 0.75 <= found.objective_coverage <= 1.0
    assert "chance" in " ".join(found.lines())


def test_ranks_are_compared_within_scales():
    """Levels that differ between scales must not count as skill."""
    both = table(30, scales=((1e6, 1e9), (1e9, 1e9)), slopes=(1.0, 1.0))
    both.Y[30:, 1] += 100.0
    found = cross_validate("log-linear", both, Objective.of("good"), rng=generator())
    assert abs(found.rho[1]) < 0.6


def test_arrays_are_taken_too():
    runs = table(30)
    found = cross_validate("linear", (runs.W, runs.Y), rng=generator())
    assert found.metrics == ("metric0", "metric1")


def test_too_few_runs_are_refused():
    with pytest.raises(InputError, match="4 or more"):
        cross_validate("log-linear", table(3), rng=generator())


def test_noise_is_measured_on_replicates():
    found = noise(table(30, seeds=3, sd=0.05))
    assert found.sd[0] == pytest.approx(0.05, rel=0.3)
    assert found.replicates[0] == 60
    assert found.reliability[0] > 0.8
    assert found.reliability[1] < 0.4
    assert "chance" in " ".join(found.lines())


def test_noise_without_replicates_is_the_laws_or_unknown():
    runs = table(40, sd=0.02)
    assert "unknown" in noise(runs).lines()[0]
    fitted = law("gp").fit(runs.W, runs.Y, rng=generator())
    assert noise(runs, fitted).sd[0] == pytest.approx(0.02, rel=0.6)


def test_more_runs_are_worth_it_until_they_are_not():
    curve = learning_curve("gp", table(60, sd=0.001), Objective.of("good"), rng=generator())
    assert curve.error[-1] <= curve.error[0]
    assert curve.expected_error(500) <= curve.expected_error(60)
    assert "hardly" in curve.lines()[0]


def test_proposals_far_from_all_runs_are_told():
    rng = generator(2)
    W = rng.dirichlet(np.full(4, 30.0), size=50)
    far = extrapolation(np.vstack([np.eye(4)[0], W.mean(axis=0)]), W)
    assert far.far.tolist() == [True, False]
    assert "extrapolates" in far.lines()[0]
    assert far.unseen[0] > 0.3


def test_epochs_of_proxy_and_target():
    off = epoch_mismatch(
        ("web", "math"), [0.8, 0.2], [1e12, 1e9], proxy_budget=1e9, target_budget=1e11
    )
    assert off.mismatched == ("math",)
    matched = epoch_mismatch(
        ("web", "math"), [0.8, 0.2], [1e12, 1e9], proxy_budget=1e9, target_budget=1e11,
        proxy_tokens=[1e10, 1e7],
    )  # fmt: skip
    assert matched.mismatched == ()


def test_transfer_between_scales():
    runs = table(30, scales=((1e6, 1e9), (1e9, 1e10)), slopes=(1.0, 0.5))
    found = transfer(runs, Objective.of("good"))
    assert found.paired
    assert found.pairs == 30
    assert found.ok
    assert found.slope[0] == pytest.approx(0.5, abs=0.05)
    assert abs(found.rho[1]) < 0.5
    chance = transfer(runs, Objective.of("chance"))
    assert not chance.ok
    with pytest.raises(InputError, match="one scale"):
        transfer(table(10))


def follows_or_not(seed, pairs=16):
    """Losses that follow from one scale to the next, and accuracies whose order is drawn anew."""
    rng = generator(seed)
    W = rng.dirichlet(np.ones(3), size=pairs)
    frames = []
    for params, tokens in ((1e6, 1e9), (1e9, 1e10)):
        frame = {"params": params, "tokens": tokens, "w/a": W[:, 0], "w/b": W[:, 1]}
        frame |= {"w/c": W[:, 2], "m/loss": 2 + np.exp(-2 * W[:, 0])}
        frame["m/loss"] = frame["m/loss"] + 0.05 * rng.standard_normal(pairs)
        frame["m/accuracy"] = rng.standard_normal(pairs)
        frames.append(pd.DataFrame(frame))
    return RunTable.from_frame(pd.concat(frames, ignore_index=True))


def test_transfer_tells_metrics_that_follow_from_those_that_do_not():
    told = [transfer(follows_or_not(seed), Objective.of("loss")) for seed in range(20)]
    follow = np.array([t.rho_low[t.metrics.index("loss")] > 0 for t in told])
    not_follow = np.array([t.rho_low[t.metrics.index("accuracy")] > 0 for t in told])
    assert follow.mean() >= 0.95
    assert not_follow.mean() <= 0.15
    for t in told:
        assert (t.rho_low < t.rho).all()
        assert (t.rho < t.rho_high).all()
    assert not any(t.useless for t in told)


def test_proxies_whose_order_is_chance_are_not_to_be_trusted_for_the_target():
    told = [transfer(follows_or_not(seed), Objective.of("accuracy")) for seed in range(20)]
    assert not any(t.ok for t in told)
    useless = [t for t in told if t.useless]
    assert len(useless) >= 14
    for t in useless:
        assert any("do not trust these proxies for this target" in line for line in t.lines())
        gate = gates.transfer(t, gates.Remedy("larger proxies", 8))
        assert (gate.state, gate.allows) == ("no", "do not trust")
        assert "do not trust these proxies" in gate.told


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_the_lower_end_of_a_correlation_is_above_the_truth_in_one_case_of_twenty(rho):
    """Eight pairs, as a transfer is measured with."""
    rng = generator(4)
    x = rng.standard_normal((1500, 8))
    y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal((1500, 8))
    low = np.array([correlation_interval(a, b)[1] for a, b in zip(x, y, strict=True)])
    assert 0.03 < (low > rho).mean() < 0.07
    ranks = 6 / np.pi * np.arcsin(rho / 2)
    low = np.array([spearman_interval(spearman(a, b), 8)[0] for a, b in zip(x, y, strict=True)])
    assert 0.01 < (low > ranks).mean() < 0.06


def test_three_pairs_leave_every_correlation_open():
    assert spearman_interval(1.0, 3) == (-1.0, 1.0)
    assert correlation_interval(np.arange(3.0), np.arange(3.0))[1:] == (-1.0, 1.0)
    assert np.isnan(correlation_interval(np.ones(9), np.arange(9.0))).all()
    assert np.isnan(spearman_interval(np.nan, 9)).all()


def test_decision_accuracy_counts_pairs():
    assert decision_accuracy(np.array([1.0, 2, 3]), np.array([1.0, 2, 3])) == 1.0
    assert decision_accuracy(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == 0.0
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))


def test_influence_finds_what_helps_and_what_interacts():
    rng = generator(3)
    W = rng.dirichlet(np.ones(3), size=120)
    Y = 3 - 2 * W[:, [0]] + W[:, [1]] - 6 * W[:, [1]] * W[:, [2]]
    fitted = law("gp").fit(W, Y, rng=rng)
    found = influence(
        fitted, np.full(3, 1 / 3), Objective.of("y"), domains=("a", "b", "c"), metrics=("y",)
    )
    assert found.objective.argmin() == 0
    off = found.interaction.copy()
    np.fill_diagonal(off, 0)
    assert off.min() == off[1, 2] < 0
    np.testing.assert_allclose(found.interaction, found.interaction.T)
