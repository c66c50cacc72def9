"""Published sequential recipes, as settings of the one sequential search (see `ladder`)."""

from typing import Any

from mixopt.strategies.ladder import LadderSearch


def admire(**settings: Any) -> LadderSearch:
    """ADMIRE-BayesOpt (2508.11551): one process for the objective; information per cost.

    At one scale: expected improvement. At several: the linear-truncated kernel over mixture and
    scale, max-value entropy search per cost. Departs from the paper: places and levels of scales
    (see `mixopt.laws.processes.truncated`), the closed form of 2102.03324 for the entropy, and an
    answer by posterior mean, never by hindsight; it starts from two random runs of the smallest
    scale (one run fits nothing).
    """
    ours: dict[str, Any] = {
        "design": 1,
        "batch": 1,
        "acquisition": "nei",
        "proxies": 10**6,
        "allowance": float("inf"),
        "composite": False,
        "features": "weights",
        "contrast": False,
        "caution": 0.0,
        "criterion": "entropy",
        "process": "truncated",
    }
    return LadderSearch(**{**ours, **settings})


def mfms(**settings: Any) -> LadderSearch:
    """MFMS (2503.21023): one process for the objective; gain at the target per FLOP.

    Departs from the paper: recursive co-kriging over the scales in place of decay kernels on size
    and steps, the exact knowledge gradient in place of fantasised expected improvement, no partial
    runs, and an answer by posterior mean.
    """
    ours: dict[str, Any] = {
        "design": 8,
        "batch": 1,
        "acquisition": "nei",
        "proxies": 10**6,
        "allowance": float("inf"),
        "composite": False,
        "features": "log",
        "contrast": False,
        "caution": 0.0,
        "criterion": "gain",
    }
    return LadderSearch(**{**ours, **settings})
