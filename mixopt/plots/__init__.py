"""Drawings of a study, from plain inputs: data for plotly.js, which notebooks show as they are."""

from mixopt.plots.candidates import confirmed, gains, toughest
from mixopt.plots.dependence import MARK, interference
from mixopt.plots.drawing import Drawing
from mixopt.plots.fronts import trade_off
from mixopt.plots.held_out import coverage, predicted_observed, small_large
from mixopt.plots.mixtures import SHARE_AXIS, mixture_bars, schedule_steps
from mixopt.plots.promotions import past_promotions
from mixopt.plots.responses import along, interactions, response_curves
from mixopt.plots.runs import SEARCH, best_so_far, learning_curves
from mixopt.plots.style import RECOMMENDED

__all__ = [
    "MARK",
    "RECOMMENDED",
    "SEARCH",
    "SHARE_AXIS",
    "Drawing",
    "along",
    "best_so_far",
    "confirmed",
    "coverage",
    "gains",
    "interactions",
    "interference",
    "learning_curves",
    "mixture_bars",
    "past_promotions",
    "predicted_observed",
    "response_curves",
    "schedule_steps",
    "small_large",
    "toughest",
    "trade_off",
]
