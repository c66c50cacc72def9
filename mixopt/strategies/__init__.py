"""Strategies: recipes over designs, laws and proposers, found by name."""

from typing import Any

from mixopt.errors import InputError
from mixopt.lazy import build, load, lookup
from mixopt.space.numbers import check_arguments
from mixopt.strategies.base import (
    Answer,
    Answering,
    Checking,
    CheckingQuestion,
    Configuring,
    Injecting,
    Mixes,
    Parting,
    Problem,
    Strategy,
    TradeOff,
    Traits,
    traits_of,
)

STRATEGIES: dict[str, str] = {
    "auto": "mixopt.strategies.auto:Auto",
    "ladder": "mixopt.strategies.ladder:LadderSearch",
    "joint": "mixopt.strategies.knob_search:KnobSearch",
    "two-phase": "mixopt.strategies.two_phase:TwoPhase",
    "dmt": "mixopt.strategies.staged:dmt",
    "anneal": "mixopt.strategies.staged:anneal",
    "tailpatch": "mixopt.strategies.tails:tailpatch",
    "microanneal": "mixopt.strategies.tails:microanneal",
    "dependence": "mixopt.strategies.dependence:DependenceTest",
    "pareto": "mixopt.strategies.pareto:Pareto",
    "random": "mixopt.strategies.random:Random",
    "baselines": "mixopt.strategies.random:Baselines",
    "rungs": "mixopt.strategies.rungs:Rungs",
    "regmix": "mixopt.strategies.oneshot:regmix",
    "olmix": "mixopt.strategies.oneshot:olmix",
    "dml": "mixopt.strategies.oneshot:dml",
    "autoscale": "mixopt.strategies.oneshot:autoscale",
    "mixture-experiment": "mixopt.strategies.oneshot:mixture_experiment",
    "climb": "mixopt.strategies.climb:Climb",
    "quadmix": "mixopt.strategies.quadmix:QuaDMix",
    "admire": "mixopt.strategies.published:admire",
    "mfms": "mixopt.strategies.published:mfms",
    "online": "mixopt.strategies.online:Online",
    "aioli": "mixopt.strategies.online_recipes:aioli",
    "doremi": "mixopt.strategies.online_recipes:doremi",
    "doge": "mixopt.strategies.online_recipes:doge",
    "grape": "mixopt.strategies.online_recipes:grape",
    "skill-it": "mixopt.strategies.online_recipes:skill_it",
    "odm": "mixopt.strategies.online_recipes:odm",
    "ado": "mixopt.strategies.online_recipes:ado",
    "pike": "mixopt.strategies.online_recipes:pike",
    "fastmix": "mixopt.strategies.online_recipes:fastmix",
    "r&b": "mixopt.strategies.online_recipes:balance",
    "velocitune": "mixopt.strategies.online_recipes:velocitune",
    "fd": "mixopt.strategies.online_recipes:differences",
}
"""Name of a strategy to where it lives; `optuna:<sampler>` is any sampler of Optuna besides."""

_OPTUNA = "optuna:"


def strategy(name: str, **settings: Any) -> Strategy:
    """The strategy of that name.

    Raises:
        InputError: an unknown name or setting; the message lists the known ones.
    """
    if name.startswith(_OPTUNA):
        settings = {"sampler": name.removeprefix(_OPTUNA), **settings}
        recipe = load("mixopt.adapters.optuna:OptunaSearch")
    else:
        recipe = lookup(name, STRATEGIES, "strategy")
    check_arguments(recipe, settings)
    made = build(recipe, settings, f"strategy {name!r}")
    if not isinstance(made, Strategy):
        raise InputError(
            f"strategy {name!r} gives {type(made).__name__}, which has no 'next' and 'planned'; "
            "name a strategy, or a class of your own that has them"
        )
    return made


__all__ = [
    "STRATEGIES",
    "Answer",
    "Answering",
    "Checking",
    "CheckingQuestion",
    "Configuring",
    "Injecting",
    "Mixes",
    "Parting",
    "Problem",
    "Strategy",
    "TradeOff",
    "Traits",
    "strategy",
    "traits_of",
]
