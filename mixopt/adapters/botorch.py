"""Any acquisition function of BoTorch on our laws, in a notebook.

>>> from botorch.acquisition import qLogNoisyExpectedImprovement
>>> from botorch.optim import optimize_acqf
>>> from mixopt.adapters import botorch as laws
>>> model = laws.model(study)  # doctest: +SKIP
>>> ei = qLogNoisyExpectedImprovement(model, laws.told(study), cache_root=False)  # doctest: +SKIP
>>> X, _ = optimize_acqf(ei, q=2, **laws.search(study))  # doctest: +SKIP
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixopt.proposers.botorch import (
    ConditionedLaw,
    LawModel,
    arguments,
    outcome_constraints,
    starts,
)
from mixopt.study import Study

__all__ = [
    "ConditionedLaw",
    "LawModel",
    "arguments",
    "model",
    "outcome_constraints",
    "search",
    "starts",
    "told",
]


def model(study: Study, metrics: Sequence[str] | None = None) -> LawModel:
    """The study's fitted law as a BoTorch model; see `LawModel`.

    Args:
        study: with runs.
        metrics: one output each, higher is better; left out, the objective, negated.

    Raises:
        NotFittedError: nothing was told yet.
    """
    return LawModel(study.surrogate, metrics)


def told(study: Study) -> Tensor:
    """(n x m) the mixtures that were run, each once: `X_baseline` of noisy acquisitions."""
    return torch.tensor(np.unique(study.evidence.W, axis=0), dtype=torch.double)


def search(study: Study, restarts: int = 4, q: int = 1) -> dict[str, Any]:
    """What `optimize_acqf` needs to stay in the study's space, start points included.

    Args:
        study: whose space and seed are taken.
        restarts: start points, drawn from the space.
        q: mixtures per start point; give `optimize_acqf` the same.
    """
    rng = np.random.default_rng([study.seed, len(study), len(study.asked)])
    begin = starts(study.space, restarts, rng, q)
    return {
        **arguments(study.space),
        "num_restarts": restarts,
        "batch_initial_conditions": begin,
    }
