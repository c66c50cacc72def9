"""Mixing laws: one file per law, found by name.

A law is imported when it is named, so that `import mixopt` loads neither torch nor lightgbm. The
module of a law also holds `read`, which makes a fitted law of what its `to_dict` wrote.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import InputError, did_you_mean
from mixopt.laws.base import FittedLaw, Law, Prediction, Sized, Tagged, several_scales
from mixopt.lazy import build, load, lookup
from mixopt.space import MixtureSpace

LAWS: dict[str, str] = {
    "log-linear": "mixopt.laws.log_linear:LogLinear",
    "log-linear-sqrt": "mixopt.laws.log_linear:log_linear_sqrt",
    "log-linear-log": "mixopt.laws.log_linear:log_linear_log",
    "linear": "mixopt.laws.ridge:least_squares",
    "ridge": "mixopt.laws.ridge:Ridge",
    "lightgbm": "mixopt.laws.trees:Trees",
    "gp": "mixopt.laws.processes.gp:gp",
    "gp-log": "mixopt.laws.processes.gp:gp_log",
    "scheffe": "mixopt.laws.scheffe:Scheffe",
    "bimix": "mixopt.laws.bimix:bimix",
    "autoscale": "mixopt.laws.autoscale:autoscale",
    "shukor-additive": "mixopt.laws.shukor:additive",
    "shukor-joint": "mixopt.laws.shukor:joint",
    "capacity-competition": "mixopt.laws.capacity:CapacityCompetition",
    "correction": "mixopt.laws.scales.correction:Correction",
    "stacking": "mixopt.laws.scales.stacking:Stacking",
    "cokriging": "mixopt.laws.processes.cokriging:CoKriging",
    "truncated": "mixopt.laws.processes.truncated:Truncated",
    "botorch": "mixopt.laws.processes.botorch:BoTorchProcess",
    "gp-residual": "mixopt.laws.processes.residual:Residual",
    "tiers": "mixopt.laws.tiers:Tiers",
    "projektor": "mixopt.laws.transport.projektor:Projektor",
    "epochs": "mixopt.laws.epochs:Epochs",
    "repeated": "mixopt.laws.repetition:Repeated",
    "bootstrap": "mixopt.laws.wrappers:Bootstrap",
    "conformal": "mixopt.laws.wrappers:Conformal",
    "mean": "mixopt.laws.mean:Mean",
    "auto": "mixopt.laws.ensemble:Ensemble",
}
"""Name of a law to where it lives; a user's own law is named `"module:attribute"`."""

Named = str | Mapping[str, Any]
"""A law as a spec has it: its name, or `{use: NAME, ...}` with settings."""


def law(name: str, **hyperparameters: Any) -> Law:
    """The law of that name.

    Raises:
        InputError: an unknown name, and the message lists the known ones; or what it names is no
            law.
    """
    return as_law(build(lookup(name, LAWS, "law"), hyperparameters, f"law {name!r}"))


def as_law(given: Named | Law) -> Law:
    """A law given as itself, by its name, or by a mapping of `use` (its name) and settings.

    Raises:
        InputError: see `law`; or a mapping without `use`.
    """
    if isinstance(given, str):
        return law(given)
    if isinstance(given, Mapping):
        if not isinstance(given.get("use"), str):
            raise InputError(
                f"a law is {dict(given)!r}, without a name; give {{use: NAME, ...}} with its "
                "settings"
            )
        return law(given["use"], **{k: v for k, v in given.items() if k != "use"})
    if not isinstance(given, Law):
        raise InputError(
            f"{type(given).__name__} is no law: a law has a method `fit`, and an attribute "
            "`takes_scales` that says (True or False) whether it fits several scales together"
        )
    return given


def law_for(given: Named | Law, scale: ArrayLike | None, space: MixtureSpace | None = None) -> Law:
    """The law that fits runs of these scales: itself, or inside `correction` where it needs that.

    Sweeps, studies, reports and diagnostics all get their law here, so that the same name and the
    same runs mean the same law. A law is wrapped only if the runs have several scales and it
    declares that it takes one (`takes_scales`).

    Args:
        given: the law, or its name.
        scale: (n, 2) parameters and tokens of the runs; rows that do not say (NaN) are left out.
        space: gives its tokens and budget to a law that counts epochs and was not given them, and
            its tags to one that needs tiers (not to laws inside another, such as `bootstrap`).

    Raises:
        InputError: see `law`; or tags that a law needs are not there.
    """
    made = as_law(given)
    if space is not None and isinstance(made, Sized):
        made = made.sized(space.tokens, space.budget)
    if space is not None and isinstance(made, Tagged):
        made = made.tagged(space.names, [d.tags for d in space.domains])
    if made.takes_scales or scale is None:
        return made
    stated = np.array(scale, dtype=float).reshape(-1, 2)
    stated[:, np.isnan(stated).all(axis=0)] = 1.0
    stated = stated[np.isfinite(stated).all(axis=1)]
    return law("correction", base=made) if several_scales(stated) else made


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
    "FittedLaw",
    "Law",
    "Named",
    "Prediction",
    "as_law",
    "fitted_law",
    "law",
    "law_for",
]
