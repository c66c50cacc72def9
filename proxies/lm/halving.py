"""Which runs are trained side by side, and what is tried where that does not go.

What goes wrong in a run stays in it: a pack that fails as a whole is halved until it is alone.
"""

import logging
from collections.abc import Callable, Sequence

import torch

from mixopt.runs import Observation, RunSpec
from proxies.lm.packing import is_out_of_memory

_log = logging.getLogger(__name__)


def by_mixer(specs: Sequence[RunSpec]) -> list[list[RunSpec]]:
    """Runs that may share a pack: the same mixer, over the same domains."""
    groups: list[list[RunSpec]] = []
    for spec in specs:
        for group in groups:
            first = group[0]
            if first.mixer == spec.mixer and first.mixture.domains == spec.mixture.domains:
                group.append(spec)
                break
        else:
            groups.append([spec])
    return groups


def train_halving(
    device: torch.device,
    specs: Sequence[RunSpec],
    train: Callable[[Sequence[RunSpec]], list[Observation]],
) -> list[Observation]:
    """Train a pack; one that fails as a whole, for want of memory say, is tried in halves.

    What goes wrong in a run stays in it: the last half is the run alone.

    Args:
        device: where it trains.
        specs: runs of the pack.
        train: what trains some of them.
    """
    if not specs:
        return []
    try:
        return train(specs)
    except (RuntimeError, ValueError, ArithmeticError, MemoryError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"
        log = _log.warning if is_out_of_memory(error) else _log.info
        log("a pack of %d runs does not train (%s)", len(specs), reason)
    # out of the handler, whose traceback keeps the failed pack in memory
    if len(specs) == 1:
        return [Observation.failure(specs[0], reason)]
    if device.type == "cuda":
        torch.cuda.empty_cache()
    middle = len(specs) // 2
    halves = (specs[:middle], specs[middle:])
    return [seen for half in halves for seen in train_halving(device, half, train)]
