"""A law of last stages: what was measured comes out, excesses add up, JSON keeps all."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.laws import fitted_law
from mixopt.laws.excess import FittedExcess
from mixopt.testing.strategies import mixtures

BASE = np.array([0.5, 0.3, 0.2])
CHANGE = np.array([[0.3, -0.1], [-0.2, 0.4], [0.0, 0.1]])


def law(share: float = 0.3, tail: float = 0.2) -> FittedExcess:
    doubt = np.full((3, 2), 0.02)
    one = np.array([0.01, 0.01])
    return FittedExcess(BASE, tail, share, np.array([2.0, 3.0]), one, CHANGE, doubt, one)


def whole(v: np.ndarray, tail: float = 0.2) -> np.ndarray:
    return (1 - tail) * BASE + tail * np.atleast_2d(v)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_control_and_stages_of_one_domain_come_out_as_measured(share: float) -> None:
    fitted, stages = law(share), (1 - share) * BASE + share * np.eye(3)
    assert fitted.predict(whole(BASE)).mean == pytest.approx(np.array([[2.0, 3.0]]))
    assert fitted.excess(whole(stages)) == pytest.approx(np.eye(3), abs=1e-9)
    assert fitted.predict(whole(stages)).mean == pytest.approx(np.array([2.0, 3.0]) + CHANGE)
    assert fitted.predict(whole(stages)).sd == pytest.approx(np.hypot(0.01, 0.02))


@given(mixtures(3), st.floats(0.05, 1.0), st.floats(0.05, 0.95))
def test_a_stage_is_base_and_excess(v: np.ndarray, share: float, tail: float) -> None:
    q = law(share, tail).excess(whole(v, tail))[0]
    kept = 1.0 - share * q.sum()
    assert (q >= 0).all()
    assert -1e-6 <= kept <= 1 + 1e-6
    assert kept * BASE + share * q == pytest.approx(v, abs=1e-6)
    assert q.min() == pytest.approx(0.0, abs=1e-6)  # as much of the base as there is


def test_json_keeps_predictions() -> None:
    fitted = law()
    W = np.random.default_rng(0).dirichlet(np.ones(3), size=5)
    again = fitted_law(json.loads(json.dumps(fitted.to_dict())))
    assert again.predict(W).mean == pytest.approx(fitted.predict(W).mean)
    assert again.predict(W).sd == pytest.approx(fitted.predict(W).sd)
