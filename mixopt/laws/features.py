"""Feature maps of mixtures, and their standardisation.

Notation:
    W: (n, m) mixtures; P: (n, p) features; Z: (n, p) standardised features
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.laws.base import JSON, numbers
from mixopt.space.simplex import Array

FeatureName = Literal["weights", "sqrt", "log", "all"]
FEATURES: tuple[FeatureName, ...] = ("weights", "sqrt", "log", "all")
EPSILON = 0.003
"""Offset of the log feature: a weight below this acts like zero (METHODS 11.2)."""


def features(W: Array, name: str, epsilon: float = EPSILON) -> Array:
    """(n, p) features of mixtures W (n, m).

    `weights` is w (Olmix, 2602.12237), `sqrt` is sqrt w (Hellinger coordinates), `log` is
    log(w + epsilon), `all` the three side by side.

    Raises:
        InputError: an unknown name.
    """
    w = np.clip(W, 0.0, None)
    if name == "weights":
        return w
    if name == "sqrt":
        return np.asarray(np.sqrt(w))
    if name == "log":
        return np.asarray(np.log(w + epsilon))
    if name == "all":
        return np.concatenate([w, np.sqrt(w), np.log(w + epsilon)], axis=1)
    raise InputError(f"unknown features {name!r}; {did_you_mean(name, FEATURES)}")


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Features that are centred and scaled by the runs they were learned from.

    Attributes:
        name: one of `FEATURES`. epsilon: offset of the log.
        center: (p,).
        spread: (p,) sd over the runs; where a feature is constant, the median of the others: a
            domain that these runs never varied (it came in later) counts like those that they did.
    """

    name: str
    epsilon: float
    center: Array
    spread: Array

    @classmethod
    def learn(cls, W: Array, name: str, epsilon: float = EPSILON) -> "FeatureMap":
        """Center and spread of the features of mixtures W (n, m)."""
        raw = features(W, name, epsilon)
        blocks = raw.std(axis=0).reshape(-1, W.shape[1])  # weights, roots and logs have other units
        spread = np.concatenate([_filled(block) for block in blocks])
        return cls(name, epsilon, raw.mean(axis=0), spread)

    def __call__(self, W: Array) -> Array:
        """(n, p) standardised features."""
        return np.asarray((features(W, self.name, self.epsilon) - self.center) / self.spread)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "epsilon": self.epsilon,
            "center": self.center.tolist(),
            "spread": self.spread.tolist(),
        }

    @classmethod
    def read(cls, values: JSON) -> "FeatureMap":
        """What `to_dict` wrote."""
        return cls(
            values["name"],
            values["epsilon"],
            numbers(values["center"]),
            numbers(values["spread"]),
        )


def _filled(spread: Array) -> Array:
    """(m,) spreads with the median of the others where a feature is constant; 1 if all are."""
    varies = spread > 1e-9
    return np.where(varies, spread, np.median(spread[varies]) if varies.any() else 1.0)
