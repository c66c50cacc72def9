"""How often proxies and the target pass over each domain."""

from collections.abc import Mapping, Sequence

import numpy as np

from mixopt.diagnostics import EpochMismatch, epoch_mismatch
from mixopt.runs import Observation
from mixopt.space import Mixture, MixtureSpace
from mixopt.strategies import Problem


def epochs_of(
    problem: Problem,
    observations: Sequence[Observation],
    mixture: Mixture,
    unique: Mapping[str, float],
) -> EpochMismatch | None:
    """How often proxies and target pass over each domain; None where that is not known.

    A trainer that matched its repetition to the target's says itself where it could not.
    """
    told = [o.info["repetition"] for o in observations if "repetition" in o.info]
    if any(r.get("matched") for r in told):
        return None
    return epochs_at(problem.space, mixture, unique, problem.target.tokens)


def epochs_at(
    space: MixtureSpace, mixture: Mixture, unique: Mapping[str, float], tokens: float
) -> EpochMismatch | None:
    """How often a run of so many tokens and the target pass over each domain.

    Args:
        space: has the target's budget and tokens.
        mixture: of both runs.
        unique: domain to unique tokens that the smaller run has, where known.
        tokens: training tokens of the smaller run.

    Returns:
        None where budget or tokens are not known.
    """
    have = np.array([unique.get(name, np.nan) for name in space.names])
    known = np.isfinite(have) & np.isfinite(space.tokens)
    if space.budget is None or not known.any():
        return None
    return epoch_mismatch(
        space.names,
        mixture.array,
        np.where(known, space.tokens, np.nan),
        proxy_budget=tokens,
        target_budget=space.budget,
        proxy_tokens=have,
    )
