"""AutoScale (2407.20177): additive power laws in each domain's amount, and its scale rule.

    L = E + sum_j (K (a_j + w_j))^-gamma_j,  optimal amounts: n3 = n2^2 / n1 over scales

K sets the unit of amounts. The scale rule takes the best amounts of two scales (not laws) and goes
on geometrically; it explodes after few doublings, so it is offered, and not used by default.

Notation:
    w: (n, m); theta = [E, log c (m), log a (m), log gamma (m)] with c_j = K^-gamma_j
"""

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import InputError
from mixopt.laws.base import JSON
from mixopt.laws.parametric import (
    FittedParametric,
    Formula,
    Inputs,
    Parametric,
    read_parametric,
)
from mixopt.space.simplex import Array


def autoscale() -> Parametric:
    """The additive law in shares (as in Olmix's comparison)."""
    return Parametric("autoscale", FORMULAS["autoscale"], starts=2)


def read(values: JSON) -> FittedParametric:
    """The fitted law that `to_dict` wrote."""
    return read_parametric(values, FORMULAS)


def next_amounts(first: ArrayLike, second: ArrayLike) -> Array:
    """(m,) best amounts of the next scale, n2^2 / n1.

    Args:
        first: (m,) best amounts per domain at the smallest scale, above 0.
        second: (m,) those of the next.

    Raises:
        InputError: an amount that is not positive, or lengths that differ.
    """
    n1, n2 = _amounts(first, second)
    return np.asarray(n2**2 / n1)


def amounts_between(first: ArrayLike, second: ArrayLike) -> Array:
    """(m,) best amounts half-way (geometrically) between two scales, sqrt(n1 n2).

    The rule of `next_amounts` read backwards: where that scale is known, it tests the rule.

    Raises:
        InputError: as `next_amounts`.
    """
    n1, n2 = _amounts(first, second)
    return np.asarray(np.sqrt(n1 * n2))


def _amounts(first: ArrayLike, second: ArrayLike) -> tuple[Array, Array]:
    n1, n2 = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if n1.shape != n2.shape or not ((n1 > 0).all() and (n2 > 0).all()):
        raise InputError(f"amounts {n1} and {n2}; give two equally long lists of numbers above 0")
    return n1, n2


def _additive(theta: Array, at: Inputs) -> tuple[Array, Array]:
    m = at.W.shape[1]
    by_domain = theta[..., None, :]
    c = np.exp(np.clip(by_domain[..., 1 : m + 1], -12, 6))
    a = np.exp(np.clip(by_domain[..., m + 1 : 2 * m + 1], -7, 2))
    gamma = np.exp(np.clip(by_domain[..., 2 * m + 1 :], -4, 2))
    amount = a + np.maximum(at.W, 0.0)
    logs = np.log(amount)
    parts = c * np.exp(np.clip(-gamma * logs, -30, 20))
    ones = np.ones((*parts.shape[:-1], 1))
    J = np.concatenate([ones, parts, -parts * gamma * a / amount, -parts * gamma * logs], axis=-1)
    return theta[..., :1] + parts.sum(axis=-1), J


def _center(at: Inputs) -> Array:
    m = at.W.shape[1]
    return np.concatenate([[-1.0], np.full(m, -2.5), np.full(m, -3.0), np.full(m, -1.0)])


FORMULAS = {"autoscale": Formula(_additive, _center)}
