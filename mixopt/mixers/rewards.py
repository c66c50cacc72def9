"""What a domain is rewarded for, of the methods that treat domains as arms of a bandit."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from mixopt.space.simplex import Array

Reward = Literal["progress", "loss", "heldout"]
"""`"progress"`: how fast the loss falls, per token drawn (ours); `"loss"`: the training loss, as
published, which also rewards what cannot be learnt; `"heldout"`: the loss of each domain's target.
"""

_SMOOTH = 0.9


def signal_of(reward: Reward) -> str:
    """The signal that a reward is made of."""
    return "heldout" if reward == "heldout" else "train_loss"


def rewards(
    reward: Reward, losses: Array, share: Array, memory: Mapping[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """(m,) rewards, NaN where a domain was not seen, and what is to be kept.

    Progress is the fall of the smoothed loss (.9 old, .1 new) over the share of tokens that the
    domain had, in units of its own mean size over domains and time: a typical domain has 1, one
    that gets worse is below 0. At the first sight of a domain it is 0.

    Args:
        reward: which.
        losses: (m,) of the period, NaN where not seen.
        share: (m,) of tokens that each domain had in the period.
        memory: what was kept last time.
    """
    if reward != "progress":
        return losses, {}
    before = memory["loss"] if "loss" in memory else np.full(len(losses), np.nan)
    seen = np.isfinite(losses)
    known = seen & np.isfinite(before)  # now and before
    after = np.where(known, _SMOOTH * before + (1.0 - _SMOOTH) * losses, before)
    fall = before - after
    if (first := seen & ~known).any():
        after, fall = np.where(first, losses, after), np.where(first, 0.0, fall)
    pace = np.where(seen, fall / np.maximum(share, 1e-6), np.nan)
    unit = float(memory["unit"][0]) if "unit" in memory else 0.0
    if known.any():
        now = float(np.abs(pace[known]).mean())
        unit = now if unit == 0.0 else _SMOOTH * unit + (1.0 - _SMOOTH) * now
    scaled = pace / unit if unit > 0.0 else np.where(seen, 0.0, np.nan)
    return scaled, {"loss": after, "unit": np.array([unit])}
