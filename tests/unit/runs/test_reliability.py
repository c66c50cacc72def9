"""Reliability of metrics on repeated runs, and the weights and units that runs give."""

import numpy as np
import pandas as pd
import pytest

from mixopt import InputError, Objective, RunTable
from mixopt.runs.reliability import LEAST, reliability, resolved, within

NAMES = ("quiet", "even", "loud")


def runs(mixtures: int = 24, seeds: int = 3, seed: int = 0, **facts: object) -> RunTable:
    """Three metrics of signal variance 1 over mixtures and noise sds of .1, 1 and 3."""
    rng = np.random.default_rng(seed)
    W = np.repeat(rng.dirichlet(np.ones(3), mixtures), seeds, axis=0)
    signal = np.repeat(rng.standard_normal((mixtures, 3)), seeds, axis=0)
    Y = signal + np.array([0.1, 1.0, 3.0]) * rng.standard_normal(W.shape)
    return RunTable(("a", "b", "c"), NAMES, W, Y, pd.DataFrame(facts, index=range(len(W))))


def test_reliability_is_the_share_of_variance_that_is_signal() -> None:
    told = reliability(runs(mixtures=60))
    assert told.freedom.tolist() == [120, 120, 120]
    assert told.values == pytest.approx([1 / 1.01, 0.5, 0.1], abs=0.12)
    assert told.values[0] > 0.98


def test_sums_of_squares_are_within_mixtures_and_leave_out_what_is_missing() -> None:
    W = np.array([[0.5, 0.5]] * 3 + [[1.0, 0.0]] * 2 + [[0.0, 1.0]])
    Y = np.array([[1.0, 5.0], [2.0, np.nan], [3.0, 7.0], [0.0, 1.0], [4.0, np.nan], [9.0, 9.0]])
    squares, freedom = within(W, Y)
    assert squares.tolist() == [2.0 + 8.0, 2.0]
    assert freedom.tolist() == [3, 1]


def test_two_seeds_of_one_mixture_do_not_tell_metrics_apart() -> None:
    table = runs(seeds=1)
    again = table.take([0])
    few = RunTable.joined(
        [table, RunTable(again.domains, NAMES, again.W, again.Y + 0.3, again.facts)]
    )
    values = reliability(few).values
    assert np.ptp(values) < 1e-9
    assert values[0] > 0.9


def test_metrics_weigh_by_reliability_in_any_unit() -> None:
    table, asked = runs(mixtures=60), Objective.of(NAMES)
    told = resolved(Objective(asked.weights, reliability="down-weight"), table)
    share = reliability(table).values
    assert [told.weights[k] for k in NAMES] == pytest.approx(share / share.sum())
    assert told.reliability == "ignore"
    assert resolved(told, table) == told
    assert "loud 0.1" in told.weighing
    assert "(asked 0.333, reliability 0." in told.weighing
    scaled = RunTable(table.domains, NAMES, table.W, table.Y * [1.0, 1e3, 1e-3], table.facts)
    both = Objective(asked.weights, reliability="down-weight", standardize=True)
    assert dict(resolved(both, scaled).weights) == pytest.approx(dict(told.weights))
    assert resolved(both, scaled).scales["even"] == pytest.approx(np.std(scaled.Y[:, 1]))
    assert resolved(asked, table) is asked


def test_noise_alone_prefers_no_metric() -> None:
    table = runs()
    nothing = table.Y - np.repeat(table.Y.reshape(24, 3, 3).mean(axis=1), 3, axis=0)
    told = reliability(RunTable(table.domains, NAMES, table.W, nothing, table.facts))
    assert told.values.tolist() == [LEAST] * 3


def test_where_nothing_was_run_twice_weights_by_reliability_are_refused() -> None:
    asked = Objective.of(NAMES)
    wanted = Objective(asked.weights, reliability="down-weight")
    with pytest.raises(InputError, match=r"that of 'quiet' is unknown.*repeats: 4"):
        resolved(wanted, runs(seeds=1))
    # The same mixture at another scale is no repeat.
    params = np.tile([1e6, 1e7, 1e8], 24)
    with pytest.raises(InputError, match="no mixture was run twice at the scale with most runs"):
        resolved(wanted, runs(params=params, tokens=params))
    with pytest.raises(InputError, match="worst of the metrics"):
        Objective(asked.weights, reliability="down-weight", reduce="worst")
