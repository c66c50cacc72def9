"""Objectives: directions, weights, scales, missing metrics, bad input."""

from typing import Any

import numpy as np
import pytest

from mixopt import Guard, InputError, Objective
from mixopt.runs.objective import objective_of

METRICS = ("code", "web", "accuracy")
Y = np.array([[1.0, 2.0, 0.5], [2.0, 1.0, 0.9], [np.nan, 1.0, 0.7]])


def test_weights_are_scaled_and_directions_applied() -> None:
    objective = Objective.of({"code": 1, "web": 1}, maximize={"accuracy": 2})
    np.testing.assert_allclose(objective.coefficients(METRICS), [0.25, 0.25, -0.5])
    np.testing.assert_allclose(objective.value(Y[:2], METRICS), [0.5, 0.3])
    assert np.isnan(objective.value(Y, METRICS)[2])
    assert np.isfinite(Objective.of("web").value(Y, METRICS)).all(), "an unused metric may miss"


def test_worst_case() -> None:
    worst = Objective.of(["code", "web"]).__class__({"code": 1, "web": 1}, reduce="worst")
    np.testing.assert_allclose(worst.value(Y[:2], METRICS), [2, 2])
    mean, sd = worst.moments(Y[:2], np.array([[0.1, 0.2, 0], [0.3, 0.4, 0]]), METRICS)
    np.testing.assert_allclose(mean, [2, 2])
    np.testing.assert_allclose(sd, [0.2, 0.3])


def test_moments_of_a_mean() -> None:
    objective = Objective.of(["code", "web"])
    mean, sd = objective.moments(Y[:2], np.full((2, 3), 0.2), METRICS)
    np.testing.assert_allclose(mean, [1.5, 1.5])
    np.testing.assert_allclose(sd, 0.2 / np.sqrt(2))


def test_standardized_metrics_have_unit_spread() -> None:
    objective = Objective({"code": 1, "web": 1}, standardize=True).standardized(Y, METRICS)
    assert not objective.standardize
    assert objective.scales["web"] == pytest.approx(np.std([2, 1, 1]))
    assert objective.scales["code"] == pytest.approx(0.5)
    constant = Objective.of("web").standardized(np.ones((3, 3)), METRICS)
    assert constant.scales["web"] == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Objective({}), "at least one above 0"),
        (lambda: Objective({"a": -1.0}), "must be numbers >= 0"),
        (lambda: Objective({"a": float("nan")}), "must be numbers >= 0"),
        (lambda: Objective({"a": 1.0}, maximize=frozenset({"b"})), "'b' is to be maximised"),
        (lambda: Objective({"a": 1.0}, scales={"a": 0.0}), "scale of metric 'a' is 0.0"),
        (lambda: Objective({"a": 1.0}, kl=-1.0), "kl is -1.0"),
        (lambda: Objective.of("cod").check(METRICS), "unknown metric 'cod'.*did you mean 'code'"),
        (
            lambda: Objective({"web": 1.0}, guards=(Guard("cde"),)).check(METRICS),
            "unknown metric 'cde'",
        ),
    ],
)
def test_bad_objectives_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (Objective.of("code"), "code"),
        (Objective.of([], maximize="accuracy"), "-accuracy"),
        (Objective.of(["code", "web"]), "mean of code, web"),
        (Objective({"code": 3, "web": 1, "off": 0}), "mean of 0.75 code, 0.25 web"),
        (Objective({"code": 1, "web": 1}, reduce="worst"), "worst of code, web"),
        (Objective.of("abcdef"), "abcdef"),
        (Objective.of(list("abcdef")), "mean of a, b, c, d, e, f"),
        (Objective.of(list("abcdefg")), "mean of 7 metrics"),
    ],
)
def test_an_objective_in_words(objective: Objective, words: str) -> None:
    assert objective.describe() == words


def test_scales_divide_and_their_worst_keeps_their_units() -> None:
    scaled = Objective({"code": 1, "web": 1}, scales={"code": 2.0})
    np.testing.assert_allclose(scaled.value(Y[:2], METRICS), [0.25 + 1.0, 0.5 + 0.5])
    worst = Objective(
        {"code": 1, "accuracy": 1},
        maximize=frozenset({"accuracy"}),
        scales={"code": 4.0, "accuracy": 0.5},
        reduce="worst",
    )
    np.testing.assert_allclose(worst.value(Y[:2], METRICS), [0.25, 0.5])
    mean, sd = worst.moments(Y[:2], np.array([[0.4, 9.0, 0.1], [0.8, 9.0, 0.1]]), METRICS)
    np.testing.assert_allclose(mean, [0.25, 0.5])
    np.testing.assert_allclose(sd, [0.1, 0.2])


def test_what_is_named_and_what_counts() -> None:
    objective = Objective({"code": 1, "off": 0}, guards=(Guard("web"), Guard("code")))
    assert objective.metrics == ("code",)
    assert objective.needed == ("code", "off", "web")
    assert Objective.of(objective) is objective
    assert objective.weights == {"code": 1.0, "off": 0.0}
    defaults = Objective.of("code")
    assert (defaults.kl, defaults.kl_unit, defaults.reduce) == (0.0, "objective", "mean")
    assert not defaults.standardize
    assert Guard("web") == Guard("web", 0.0, "natural")
    # A guard's metric may be one where higher is better, without any weight.
    assert Objective(
        {"code": 1}, maximize=frozenset({"accuracy"}), guards=(Guard("accuracy"),)
    ).maximize == {"accuracy"}


def test_the_objective_of_one_run() -> None:
    assert objective_of({"web": 4.0, "code": 2.0}, Objective.of(["code", "web"])) == 3.0
