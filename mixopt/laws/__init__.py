"""Mixing laws: one file per law, found by name.

A law is imported when it is named, so that `import mixopt` loads neither torch nor lightgbm. The
module of a law also holds `read`, which makes a fitted law of what its `to_dict` wrote.
"""

from collections.abc import Mapping
from typing import Any

from mixopt.errors import InputError, did_you_mean
from mixopt.laws.base import FittedLaw, Law, Prediction
from mixopt.lazy import load

LAWS: dict[str, str] = {
    "log-linear": "mixopt.laws.log_linear:LogLinear",
    "log-linear-sqrt": "mixopt.laws.log_linear:log_linear_sqrt",
    "log-linear-log": "mixopt.laws.log_linear:log_linear_log",
    "linear": "mixopt.laws.ridge:least_squares",
    "ridge": "mixopt.laws.ridge:Ridge",
    "lightgbm": "mixopt.laws.trees:Trees",
    "gp": "mixopt.laws.processes.gp:GaussianProcess",
    "gp-log": "mixopt.laws.processes.gp:gp_log",
    "scheffe": "mixopt.laws.scheffe:Scheffe",
    "bimix": "mixopt.laws.bimix:bimix",
    "autoscale": "mixopt.laws.autoscale:autoscale",
    "shukor-additive": "mixopt.laws.shukor:additive",
    "shukor-joint": "mixopt.laws.shukor:joint",
    "capacity-competition": "mixopt.laws.capacity:CapacityCompetition",
    "correction": "mixopt.laws.scales.correction:Correction",
    "stacking": "mixopt.laws.scales.stacking:Stacking",
    "gp-residual": "mixopt.laws.processes.residual:Residual",
    "repeated": "mixopt.laws.repetition:Repeated",
    "bootstrap": "mixopt.laws.wrappers:Bootstrap",
    "conformal": "mixopt.laws.wrappers:Conformal",
    "mean": "mixopt.laws.mean:Mean",
    "auto": "mixopt.laws.ensemble:Ensemble",
}
"""Name of a law to where it lives; a user's own law is named `"module:attribute"`."""


SCALE_LAWS = frozenset(
    {"auto", "stacking", "correction", "shukor-additive", "shukor-joint", "capacity-competition"}
)
"""Laws with a term for the scale; the others are fitted to one scale, or through `correction`."""


def law(name: str, **hyperparameters: Any) -> Law:
    """The law of that name.

    Raises:
        InputError: an unknown name; the message lists the known ones.
    """
    made: Law = load(_target(name))(**hyperparameters)
    return made


def for_scales(name: str) -> Law:
    """The law of that name, able to take runs of several scales.

    Raises:
        InputError: an unknown name.
    """
    return law(name) if name in SCALE_LAWS else law("correction", base=name)


def fitted_law(values: Mapping[str, Any]) -> FittedLaw:
    """The fitted law that `to_dict` wrote.

    Raises:
        InputError: no `"law"` among the values, or an unknown one.
    """
    if "law" not in values:
        raise InputError(f"no 'law' among {sorted(values)}; give what FittedLaw.to_dict wrote")
    module = _target(values["law"]).partition(":")[0]
    fitted: FittedLaw = load(f"{module}:read")(values)
    return fitted


def _target(name: str) -> str:
    if ":" in name:
        return name
    if name not in LAWS:
        raise InputError(f"unknown law {name!r}; {did_you_mean(name, LAWS)}")
    return LAWS[name]


__all__ = [
    "LAWS",
    "SCALE_LAWS",
    "FittedLaw",
    "Law",
    "Prediction",
    "fitted_law",
    "for_scales",
    "law",
]
