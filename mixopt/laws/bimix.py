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
    log_r = np.log(at.W[:, at.own] + _OFFSET)
    alpha, beta = np.exp(np.clip(theta[[2, 4]], -5, 2))
    own = np.exp(np.clip(theta[1] - alpha * log_r, -20, 10))
    decay = np.exp(np.clip(theta[3] - beta * at.D, -20, 10)) if at.varies[1] else 0.0 * at.D
    f = theta[0] + own * (decay + 1.0)
    by_decay = own * decay
    J = np.column_stack(
        [
            np.ones_like(f),
            f - theta[0],
            -(f - theta[0]) * alpha * log_r,
            by_decay,
            -by_decay * beta * at.D,
        ]
    )
    return f, J


def _center(_: Inputs) -> Array:
    return np.array([-1.0, -1.0, -1.0, -0.5, -1.0])


FORMULAS = {"bimix": Formula(_bimix, _center)}
