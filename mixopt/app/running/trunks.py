"""Runs that begin alike and part for their last stage: what their trainer is told."""

from collections.abc import Mapping
from typing import Any

from mixopt.app.spec.values import Spec
from mixopt.errors import SpecError
from mixopt.ports import Capabilities
from mixopt.strategies import Parting

DECAY, BRANCH_AT = "decay", "branch_at"

Settings = dict[str, Any]


def parted(
    spec: Spec,
    recipe: Parting,
    able: Capabilities,
    config: Mapping[str, Any],
    runtime: Mapping[str, Any],
) -> tuple[Settings, Settings, tuple[str, ...]]:
    """Configuration and runtime settings with where runs part, and what is odd about that.

    Rates fall over the last stage, and runs of the smallest scale share what is before it, unless
    the spec says otherwise.

    Args:
        spec: of the sweep.
        recipe: its strategy.
        able: what the trainer can do.
        config: of the trainer.
        runtime: of the trainer.

    Raises:
        SpecError: the trainer would train the shared beginning anew for every run.
    """
    told, how = dict(config), dict(runtime)
    tokens = min(spec.make_scales()).tokens
    at = recipe.parts_at(tokens)
    doubts: list[str] = []
    if able.branches:
        how.setdefault(BRANCH_AT, at)
    elif recipe.share_trunk:
        raise SpecError(
            f"trainer {spec.trainer.use} does not declare that runs which begin alike share their "
            f"beginning, and would train the first {at} of {tokens} tokens anew for every domain; "
            "take one that declares branches (proxies:LanguageModelTrainer does), or set "
            "share_trunk: false to pay for that",
            "strategy",
        )
    if able.decays:
        told.setdefault(DECAY, round(1.0 - at / tokens, 6))
    else:
        doubts.append(
            f"trainer {spec.trainer.use} does not declare a setting {DECAY!r}: whether its rates "
            f"fall to zero over the last {1.0 - at / tokens:.3g} of a run is for its configuration"
        )
    return told, how, tuple(doubts)
