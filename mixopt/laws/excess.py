"""Runs with a last stage of their own: every domain that the stage has more of adds its effect.

The stage is taken apart into as much of the base as it holds and the rest, the excess. A share x of
one domain in place of the base changes a metric by what was measured; excesses add up in
proportion. So the control and every stage of one domain come out as they were measured.

Notation:
    W: (n, m) mixtures of whole runs; b: (m,) the base, until the last stage; s: its share of a run
    V = (W - (1 - s) b) / s: (n, m) the last stages; t = min_i V_i / b_i, at most 1
    q = (V - t b) / x: (n, m) excess in units of what was tried; C: (m, k) change at q_i = 1
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.laws.base import JSON, Prediction, as_mixtures, numbers
from mixopt.space.simplex import Array

_NOTHING = 1e-9  # shares below are none


@dataclass(frozen=True, eq=False)
class FittedExcess:
    """The measured effects as a law over mixtures of whole runs.

    Attributes:
        base: (m,) b.
        tail: s.
        share: x.
        control: (k,) metrics where the last stage is the base.
        control_sd: (k,) what is not known of them.
        change: (m, k) C; 0 for domains that were not tried.
        change_sd: (m, k) what is not known of it.
        noise: (k,) sd of one run.
    """

    base: Array
    tail: float
    share: float
    control: Array
    control_sd: Array
    change: Array
    change_sd: Array
    noise: Array

    def excess(self, W: Array) -> Array:
        """(n, m) q at mixtures W (n, m) of whole runs."""
        given = as_mixtures(W, self.base.size)
        V = np.maximum((given - (1.0 - self.tail) * self.base) / self.tail, 0.0)
        V = V / V.sum(axis=1, keepdims=True)
        held = self.base > _NOTHING
        kept = np.minimum((V[:, held] / self.base[held]).min(axis=1), 1.0)
        q = (V - kept[:, None] * self.base) / self.share
        return np.where(q > _NOTHING, q, 0.0)  # what is left of rounding is no excess

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) of whole runs; `scale` is not used."""
        del scale
        q = self.excess(W)
        variance = self.control_sd**2 + q**2 @ self.change_sd**2
        return Prediction(self.control + q @ self.change, np.sqrt(variance), self.noise)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `read` reads them back."""
        arrays = ("base", "control", "control_sd", "change", "change_sd", "noise")
        return {
            "law": f"{__name__}:FittedExcess",
            "tail": self.tail,
            "share": self.share,
            **{name: vars(self)[name].tolist() for name in arrays},
        }


def read(values: JSON) -> FittedExcess:
    """The fitted law that `to_dict` wrote."""
    return FittedExcess(
        numbers(values["base"]),
        float(values["tail"]),
        float(values["share"]),
        numbers(values["control"]),
        numbers(values["control_sd"]),
        numbers(values["change"]),
        numbers(values["change_sd"]),
        numbers(values["noise"]),
    )
