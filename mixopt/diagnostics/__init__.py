"""How far to trust runs, laws and answers. Functions return frozen results with plain `lines()`."""

from mixopt.diagnostics.beforehand import Expected, beforehand, expected_width
from mixopt.diagnostics.covered import Covered, covered
from mixopt.diagnostics.curve_levels import CurveLevels, curve_levels
from mixopt.diagnostics.dependence import Dependence, dependence, holm
from mixopt.diagnostics.distance import (
    EpochMismatch,
    Extrapolation,
    epoch_mismatch,
    extrapolation,
)
from mixopt.diagnostics.domain_values import DomainValues, domain_values
from mixopt.diagnostics.epoch_control import EpochControl, epoch_control, objective_control
from mixopt.diagnostics.expected_transfer import (
    Estimate,
    ExpectedTransfer,
    expected_transfer,
)
from mixopt.diagnostics.foretelling import Foretelling, foretelling
from mixopt.diagnostics.gates import Gate, Remedy
from mixopt.diagnostics.held_out_errors import Errors, Order, held_out_errors, order_effects
from mixopt.diagnostics.influence import Influence, influence
from mixopt.diagnostics.noise import Noise, noise
from mixopt.diagnostics.transfer import Transfer, transfer
from mixopt.diagnostics.trust import Trust, trust
from mixopt.diagnostics.validation import (
    CrossValidation,
    LearningCurve,
    cross_validate,
    learning_curve,
)

__all__ = [
    "Covered",
    "CrossValidation",
    "CurveLevels",
    "Dependence",
    "DomainValues",
    "EpochControl",
    "EpochMismatch",
    "Errors",
    "Estimate",
    "Expected",
    "ExpectedTransfer",
    "Extrapolation",
    "Foretelling",
    "Gate",
    "Influence",
    "LearningCurve",
    "Noise",
    "Order",
    "Remedy",
    "Transfer",
    "Trust",
    "beforehand",
    "covered",
    "cross_validate",
    "curve_levels",
    "dependence",
    "domain_values",
    "epoch_control",
    "epoch_mismatch",
    "expected_transfer",
    "expected_width",
    "extrapolation",
    "foretelling",
    "held_out_errors",
    "holm",
    "influence",
    "learning_curve",
    "noise",
    "objective_control",
    "order_effects",
    "transfer",
    "trust",
]
