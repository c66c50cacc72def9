"""How far to trust runs, laws and answers. Functions return frozen results with plain `lines()`."""

from mixopt.diagnostics.distance import (
    EpochMismatch,
    Extrapolation,
    epoch_mismatch,
    extrapolation,
)
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
    "CrossValidation",
    "EpochMismatch",
    "Extrapolation",
    "Influence",
    "LearningCurve",
    "Noise",
    "Transfer",
    "Trust",
    "cross_validate",
    "epoch_mismatch",
    "extrapolation",
    "influence",
    "learning_curve",
    "noise",
    "transfer",
    "trust",
]
