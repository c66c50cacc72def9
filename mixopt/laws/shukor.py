"""Scaling laws for optimal data mixtures (Shukor et al., 2507.09404).

    additive: L = E + 1 / (sum_i C_i h_i^gamma_i) + A / N^alpha + B / D^beta
    joint:    the same with A(h) = (sum_i CA_i h_i)^gA and B(h) = (sum_i CB_i h_i)^gB

N and D are relative to a reference scale and all coefficients are logarithms, so a weak prior is
scale free. A term whose variable never varied is left out, for nothing can be said of it.

Notation:
    h: (n, m) mixtures, floored at 1e-3; N, D: (n,) logs; theta: see `_unpack`
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

_FLOOR = 1e-3
_FIXED = 5  # E, log A, log alpha, log B, log beta


def additive() -> Parametric:
    """The additive law: 5 + 2 m parameters, and an optimum that no scale moves."""
    return Parametric("shukor-additive", FORMULAS["shukor-additive"], starts=2, takes_scales=True)


def joint() -> Parametric:
    """The joint law: the mixture changes how fast N and D help, so its optimum moves with scale."""
    return Parametric("shukor-joint", FORMULAS["shukor-joint"], starts=3, takes_scales=True)


def read(values: JSON) -> FittedParametric:
    """The fitted law that `to_dict` wrote."""
    return read_parametric(values, FORMULAS)


def _mixture_term(h: Array, logs: Array, J: Array) -> Array:
    """1 / (sum C h^gamma); its derivatives by [log C, log gamma] are written to J (..., n, 2 m)."""
    m = h.shape[1]
    gamma = np.exp(np.clip(logs[..., None, m:], -4, 3))
    exponents = gamma * np.log(h)
    parts = np.exp(np.clip(logs[..., None, :m], -10, 10) + exponents)  # far quicker than h ** gamma
    value = 1.0 / parts.sum(axis=-1, keepdims=True)
    parts *= -(value**2)
    J[..., :m] = parts
    np.multiply(parts, exponents, out=J[..., m:])
    return np.asarray(value[..., 0])


def _power_term(log_c: Array, log_exponent: Array, x: Array) -> tuple[Array, Array]:
    """C exp(-exponent x), and its derivatives (..., n, 2)."""
    exponent = np.exp(np.clip(log_exponent[..., None], -4, 2))
    value = np.exp(np.clip(log_c[..., None] - exponent * x, -30, 10))
    return value, np.stack([value, -value * exponent * x], axis=-1)


def _blend(h: Array, logs: Array) -> tuple[Array, Array]:
    """G log(sum C h) with logs = [log C (m), g], and its derivatives (..., n, m + 1)."""
    parts = np.exp(np.clip(logs[..., None, :-1], -8, 8)) * h
    total = parts.sum(axis=-1, keepdims=True)
    power, log_total = logs[..., None, -1:], np.log(total)
    by = np.concatenate([power * parts / total, log_total], axis=-1)
    return (power * log_total)[..., 0], by


def _additive(theta: Array, at: Inputs) -> tuple[Array, Array]:
    h = np.maximum(at.W, _FLOOR)
    J = np.zeros((*theta.shape[:-1], len(h), theta.shape[-1]))
    J[..., 0] = 1.0
    f = theta[..., :1] + _mixture_term(h, theta[..., _FIXED:], J[..., _FIXED:])
    for k, (x, varies) in enumerate(zip((at.N, at.D), at.varies, strict=True)):
        if varies:
            column = 1 + 2 * k
            value, by = _power_term(theta[..., column], theta[..., column + 1], x)
            f, J[..., column : column + 2] = f + value, by
    return f, J


def _joint(theta: Array, at: Inputs) -> tuple[Array, Array]:
    m = at.W.shape[1]
    h = np.maximum(at.W, _FLOOR)
    J = np.zeros((*theta.shape[:-1], len(h), theta.shape[-1]))
    J[..., 0], mixture = 1.0, slice(_FIXED, _FIXED + 2 * m)
    f = theta[..., :1] + _mixture_term(h, theta[..., mixture], J[..., mixture])
    for k, (x, varies) in enumerate(zip((at.N, at.D), at.varies, strict=True)):
        if varies:
            column, block = 1 + 2 * k, _FIXED + 2 * m + k * (m + 1)
            log_factor, by_factor = _blend(h, theta[..., block : block + m + 1])
            factor = np.exp(np.clip(log_factor, -5, 5))
            value, by = _power_term(theta[..., column], theta[..., column + 1], x)
            f = f + value * factor
            J[..., column : column + 2] = by * factor[..., None]
            J[..., block : block + m + 1] = (value * factor)[..., None] * by_factor
    return f, J


def _center(at: Inputs) -> Array:
    """A mixture term of about one sd, exponents of one half, scale terms of about one sd."""
    m = at.W.shape[1]
    return np.concatenate([[-1.0, -0.5, -1.0, -0.5, -1.0], np.zeros(m), np.full(m, -0.7)])


def _center_joint(at: Inputs) -> Array:
    blend = np.zeros(at.W.shape[1] + 1)
    blend[-1] = 0.3
    return np.concatenate([_center(at), blend, blend])


FORMULAS = {
    "shukor-additive": Formula(_additive, _center),
    "shukor-joint": Formula(_joint, _center_joint),
}
