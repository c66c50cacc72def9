"""Mixers by their names."""

from typing import Any

from mixopt.errors import InputError
from mixopt.lazy import build, lookup
from mixopt.mixers.base import Mixer
from mixopt.runs import MixerSpec
from mixopt.space.numbers import check_arguments

MIXERS: dict[str, str] = {
    "fixed": "mixopt.mixers.fixed:Fixed",
    "aioli": "mixopt.mixers.aioli:Aioli",
    "doremi": "mixopt.mixers.doremi:DoReMi",
    "doge": "mixopt.mixers.doge:DoGE",
    "grape": "mixopt.mixers.grape:Grape",
    "skill-it": "mixopt.mixers.skill_it:SkillIt",
    "dml": "mixopt.mixers.retention:Retention",
    "odm": "mixopt.mixers.odm:ODM",
    "exp3": "mixopt.mixers.exp3:EXP3",
    "softmax-loss": "mixopt.mixers.exp3:SoftmaxLoss",
    "ado": "mixopt.mixers.ado:ADO",
    "pike": "mixopt.mixers.pike:PiKE",
    "fastmix": "mixopt.mixers.fastmix:FastMix",
    "r&b": "mixopt.mixers.balance:Balance",
    "velocitune": "mixopt.mixers.velocitune:Velocitune",
    "moe": "mixopt.mixers.experts:Gates",
    "fd": "mixopt.mixers.differences:Differences",
    "alp-gmm": "mixopt.mixers.teacher:Teacher",
    "cyclical": "mixopt.mixers.cycles:Cycles",
}
"""Name of a mixer to where it lives; a user's own is named `"module:attribute"`."""


def mixer(name: str, **settings: Any) -> Mixer:
    """The mixer of that name.

    Raises:
        InputError: an unknown name or setting; the message lists the known ones.
    """
    recipe = lookup(name, MIXERS, "mixer")
    check_arguments(recipe, settings)
    made = build(recipe, settings, f"mixer {name!r}")
    if not isinstance(made, Mixer):
        raise InputError(
            f"mixer {name!r} gives {type(made).__name__}, which lacks some of needs, start, plan, "
            "update, name and product; name a mixer, or a class of your own that has them"
        )
    return made


def mixer_of(spec: MixerSpec) -> Mixer:
    """The mixer of a run.

    Raises:
        InputError: see `mixer`.
    """
    return mixer(spec.name, **spec.settings)
