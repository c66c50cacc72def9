"""Figures of a study, as plotly figures over plain inputs; they print and show nothing."""

from mixopt.plots.fronts import against, trade_off
from mixopt.plots.mixtures import (
    SHARE_AXIS,
    along,
    confirmed,
    mixture_bars,
    response_curves,
    schedule_steps,
)
from mixopt.plots.runs import SEARCH, best_so_far, learning_curves, predicted_observed
from mixopt.plots.style import RECOMMENDED

__all__ = [
    "RECOMMENDED",
    "SEARCH",
    "SHARE_AXIS",
    "against",
    "along",
    "best_so_far",
    "confirmed",
    "learning_curves",
    "mixture_bars",
    "predicted_observed",
    "response_curves",
    "schedule_steps",
    "trade_off",
]
