"""What is to be expected at a scale without runs, in worlds whose correlations are known."""

import numpy as np
import pandas as pd
import pytest

from mixopt import Objective
from mixopt.diagnostics import ExpectedTransfer, expected_transfer, gates, noise, transfer
from mixopt.errors import InputError
from mixopt.runs.run_table import RunTable

SCALES = ((1e6, 2e7), (1e7, 2e8), (1e8, 2e9))
TARGET = SCALES[-1]
UNMEASURED = gates.Gate.unmeasured("transfer between scales", "no mixture ran there", None)
# sd of one run around expectations of sd 1, and the correlation of expectations at adjacent scales
LIKE = {"loss": (0.3, 1.0), "accuracy": (0.5, 0.0), "noisy": (3.0, 1.0), "fading": (0.2, 0.7)}


def follows_or_not(seed: int, *, proxies: int, pairs: int = 0, mixtures: int = 24) -> RunTable:
    """Metrics of mixtures at scales, eight of them with two seeds; some mixtures at the target."""
    rng = np.random.default_rng(seed)
    W = rng.dirichlet(np.ones(3), size=mixtures)
    true = {name: [rng.standard_normal(mixtures)] for name in LIKE}
    for name, (_, follows) in LIKE.items():
        for _ in SCALES[1:]:
            new = np.sqrt(1 - follows**2) * rng.standard_normal(mixtures)
            true[name].append(follows * true[name][-1] + new)
    rows = []
    for s, (params, tokens) in enumerate(SCALES):
        at = [*range(mixtures), *range(8)] if s < proxies else list(range(pairs)) if s == 2 else []
        for i in at:
            row = {"params": params, "tokens": tokens}
            row |= {"w/a": W[i, 0], "w/b": W[i, 1], "w/c": W[i, 2]}
            rows.append(row | {
                f"m/{k}": true[k][s][i] + LIKE[k][0] * rng.standard_normal() for k in LIKE
            })  # fmt: skip
    return RunTable.from_frame(pd.DataFrame(rows))


def expected(seed: int, metric: str = "loss", **world: int) -> ExpectedTransfer:
    table, objective = follows_or_not(seed, **world), Objective.of(metric)
    there = transfer(table, objective) if world.get("pairs") else None
    return expected_transfer(table, TARGET, objective, noise=noise(table), measured=there)


def share(told: list[ExpectedTransfer], metric: str) -> float:
    """Of worlds in which the metric is said not to carry over."""
    return float(np.mean([next(e for e in t.metrics if e.name == metric).useless for t in told]))


def test_two_scales_of_proxies_tell_metrics_that_follow_from_those_that_do_not() -> None:
    told = [expected(seed, proxies=2) for seed in range(20)]
    assert {t.source for t in told} == {"proxies"}
    assert {t.pairs for t in told} == {24}
    assert share(told, "loss") == 0
    assert share(told, "accuracy") >= 0.85
    # .7 from scale to scale, and noise of .2: .67 of which the rank correlation is .65
    fading = [next(e for e in t.metrics if e.name == "fading") for t in told]
    assert np.mean([e.low <= 0.65 <= e.high for e in fading]) >= 0.8
    assert np.mean([e.rho for e in fading]) == pytest.approx(0.65, abs=0.1)


def test_one_scale_says_what_noise_leaves_and_no_more() -> None:
    told = [expected(seed, proxies=1) for seed in range(20)]
    assert share(told, "noisy") >= 0.6  # eight repeats tell noise to a third
    assert share(told, "loss") == share(told, "accuracy") == 0  # steady, and who knows
    for t in told:
        assert t.source == "reliability"
        assert np.isnan(t.objective.rho)
        assert t.objective.reliability_low < t.objective.reliability < t.objective.reliability_high
    most = np.mean([t.objective.most for t in told])
    assert most == pytest.approx(1 / (1 + 0.3**2), abs=0.05)  # sqrt(rel rel)
    gate = told[0].gate(UNMEASURED)
    assert (gate.state, gate.allows) == ("not measured", "ranking only")
    assert "noise leaves single runs of" in gate.told
    assert "at most 0.9" in gate.told


def test_a_few_runs_at_the_target_say_what_one_scale_of_proxies_cannot() -> None:
    told = [expected(seed, proxies=1, pairs=7) for seed in range(20)]
    assert {(t.source, t.pairs) for t in told} == {("pairs", 7)}
    assert share(told, "loss") <= 0.05
    assert share(told, "accuracy") >= 0.4


def test_proxies_that_do_not_follow_are_not_to_be_trusted_for_the_target() -> None:
    told = expected(0, "accuracy", proxies=2)
    gate = told.gate(UNMEASURED)
    assert (gate.state, gate.allows) == ("no", "do not trust")
    assert "do not trust these proxies for this target" in gate.told
    assert gate.low < gate.value < gate.threshold
    assert any("not to be expected to carry over" in line and "noisy" in line
               for line in told.lines())  # fmt: skip
    # That proxies rank alike is no measurement of the target.
    assert expected(0, proxies=2).gate(UNMEASURED).state == "not measured"


def test_the_longer_the_way_the_less_is_to_be_expected() -> None:
    table, objective = follows_or_not(1, proxies=2), Objective.of("fading")
    near, far = (
        expected_transfer(table, (n, 20 * n), objective, noise=noise(table)).objective.rho
        for n in (2e7, 1e10)
    )
    assert far < near
    with pytest.raises(InputError, match="no run states a scale below"):
        expected_transfer(table, SCALES[0], objective)


def test_without_any_word_of_noise_nothing_is_known_of_it() -> None:
    table = follows_or_not(0, proxies=1).take(range(24))
    told = expected_transfer(table, TARGET, Objective.of("loss")).objective
    assert np.isnan(told.reliability)
    assert told.most == 1.0
