"""Mixing laws: one file per law, found by name.

A law is imported when it is named, so that `import mixopt` loads neither botorch nor lightgbm.
"""

from collections.abc import Mapping
from typing import Any

from mixopt.laws.base import FittedLaw, Law, Prediction
from mixopt.lazy import lookup

LAWS: dict[str, str] = {
    "log-linear": "mixopt.laws.log_linear:LogLinear",
    "gp": "mixopt.laws.gp:GaussianProcess",
}
"""Name of a law to where it lives; a user's own law is named `"module:attribute"`."""


def law(name: str, **hyperparameters: Any) -> Law:
    """The law of that name.

    Raises:
        InputError: an unknown name; the message lists the known ones.
    """
    made: Law = lookup(name, LAWS, "law")(**hyperparameters)
    return made


def fitted_law(values: Mapping[str, Any]) -> FittedLaw:
    """The fitted law that `to_dict` wrote."""
    read: FittedLaw = lookup(values["law"], LAWS, "law").read(values)
    return read


__all__ = ["LAWS", "FittedLaw", "Law", "Prediction", "fitted_law", "law"]
