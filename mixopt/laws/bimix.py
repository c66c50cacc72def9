"""BiMix (2405.14908): a domain's loss by its own share and the tokens.

    L = A r^-alpha (B s^-beta + C)

r is the metric's own domain's share (floored), s the tokens over a reference. The own domain is the
one whose share goes with the metric most clearly. Strong with very few runs, blind to transfer
between domains. A C is folded into A.

Notation:
    r: (n,) own share + 0.003; theta = [E, log A, log alpha, log B, log beta]
"""

import numpy as np

from mixopt.laws.base import JSON
from mixopt.laws.parametric import (
    FittedParametric,
    Formula,
    Inputs,
    Parametric,
    read_parametric,
)
from mixopt.space.simplex import Array

_OFFSET = 0.003


def bimix() -> Parametric:
    """The law, with a free level E so that it holds in any unit."""
    return Parametric("bimix", FORMULAS["bimix"])


def read(values: JSON) -> FittedParametric:
    """The fitted law that `to_dict` wrote."""
    return read_parametric(values, FORMULAS)


def _bimix(theta: Array, at: Inputs) -> tuple[Array, Array]:
    log_r = np.log(at.W.T[at.own] + _OFFSET)
    level, log_a, log_alpha, log_b, log_beta = np.moveaxis(theta, -1, 0)[..., None]
    alpha, beta = (np.exp(np.clip(x, -5, 2)) for x in (log_alpha, log_beta))
    own = np.exp(np.clip(log_a - alpha * log_r, -20, 10))
    decay = np.exp(np.clip(log_b - beta * at.D, -20, 10)) if at.varies[1] else 0.0 * at.D
    above = own * (decay + 1.0)
    J = np.zeros((*above.shape, theta.shape[-1]))
    J[..., 0], J[..., 1], J[..., 2] = 1.0, above, -above * alpha * log_r
    if at.varies[1]:
        J[..., 3], J[..., 4] = own * decay, -own * decay * beta * at.D
    return level + above, J


def _center(_: Inputs) -> Array:
    return np.array([-1.0, -1.0, -1.0, -0.5, -1.0])


FORMULAS = {"bimix": Formula(_bimix, _center)}
