"""The epoch-coordinate shape: golden numbers, known optimum, amplitudes recovered."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mixopt.errors import InputError
from mixopt.laws.epochs import Shape, amplitudes, epochs


def test_golden_values():
    shape, E = Shape(0.5, 0.7, 2.0), np.array([0.1, 1, 4, 16])
    assert shape.benefit(E) == pytest.approx([0.115580, 0.459668, 0.802991, 0.986255], abs=1e-6)
    assert shape.harm(E) == pytest.approx([0.019259, 0.057382, 0.267096, 1.425957], abs=1e-6)
    eta = -1 + shape.columns(np.array([[2.0, 8.0]])) @ [1, 0.5, 0.1, 0.1]
    assert eta[0] == pytest.approx(-2.021334, abs=1e-6)
    assert 0.9 + np.exp(eta[0]) == pytest.approx(1.032479, abs=1e-6)


def test_the_known_optimum():
    shape, N = Shape(1.0, 1.0), np.array([0.2, 0.4, 0.8])
    best = minimize(
        lambda w: -shape.benefit(epochs(w, N, 1.0)).sum(),
        np.full(3, 1 / 3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    assert best.x == pytest.approx([0.340899, 0.404540, 0.254561], abs=1e-4)
    assert -best.fun == pytest.approx(1.726952, abs=1e-6)


def test_amplitudes_of_a_noiseless_world_are_recovered():
    rng = np.random.default_rng(0)
    E = epochs(rng.dirichlet(np.ones(2), 40), [0.05, 0.5], 1.0)
    X, true = Shape().columns(E), np.array([1.0, 0.5, 0.1, 0.0])
    c, fitted = amplitudes(X, 0.9 + np.exp(-1 + X @ true), floor=0.9)
    assert c == pytest.approx(-1, abs=1e-6)
    assert fitted == pytest.approx(true, abs=1e-6)


@pytest.mark.parametrize(
    ("sizes", "budget", "rule"),
    [([1.0], 1.0, "1 sizes"), ([1.0, np.nan], 1.0, "domain 1 is nan"), ([1, 1], 0.0, "budget")],
)
def test_without_sizes_or_budget_it_says_what_to_give(sizes, budget, rule):
    with pytest.raises(InputError, match=rule):
        epochs([[0.5, 0.5]], sizes, budget)
