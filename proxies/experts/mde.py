"""`MDETrainer`: mixtures evaluated from cached probabilities of one expert per domain.

A candidate costs a matrix-vector product. See `mixture` for the mathematics.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixopt.ports import Capabilities, Report, TrainerInfo, ignore_report
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.space.simplex import Array
from proxies.experts.learner import Learner
from proxies.experts.mixture import ExpertProbabilities, MixMin, mixmin
from proxies.experts.pool import Branching, ExpertPool, Parameters
from proxies.experts.runs import Answer, answer_runs, check_settings_of_experts, of_experts
from proxies.lm.trainer import LanguageModelTrainer

__all__ = ["ExpertProbabilities", "MDETrainer", "MixMin", "mixmin"]

_WARNING = (
    "metrics are losses of mixed expert probabilities (MDE), not of models trained on mixtures: "
    "they rank mixtures and know nothing of transfer between domains; confirm with trained runs"
)


class MDETrainer:
    """Answers a mixture with the loss of its experts' mixed probabilities (arXiv 2502.15950).

    Named `"proxies.experts:MDETrainer"` in a spec. For every scale and seed one expert per domain
    is trained, as long as a whole run; their log-probabilities of all validation tokens are kept.

    Args:
        start_share: share of the tokens that all experts train on in common first.
        start_mixture: mixture of that start, `"natural"` or `"uniform"`.
        language_model: settings of `LanguageModelTrainer`.

    Raises:
        InputError: a setting is unknown or breaks its rule.
    """

    def __init__(
        self, *, start_share: float = 0.0, start_mixture: str = "natural", **language_model: Any
    ) -> None:
        self._branching = Branching(start_share, start_mixture)
        check_settings_of_experts(language_model)
        self._trainer = LanguageModelTrainer(**language_model)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the language model that experts have too; see `of_experts`."""
        return of_experts(self._trainer.capabilities)

    def prepare(self, cache: Path) -> TrainerInfo:
        """Build or find the corpus; see `mixopt.ports.Trainer`. Metrics are losses alone."""
        info = self._trainer.prepare(cache)
        sets = self._trainer.corpus(cache).validation_sets
        return replace(info, metrics=sets, warnings=(*info.warnings, _WARNING))

    def train(
        self,
        specs: Sequence[RunSpec],
        cache: Path,
        report: Report = ignore_report,  # noqa: ARG002 - the port's; there are no curves
    ) -> list[Observation]:
        """Evaluate every mixture; experts that are missing are trained first."""
        return answer_runs(
            self, specs, lambda seed: self._open(specs[0].scale, cache, seed, specs[0].data)
        )

    def probabilities(
        self, scale: Scale, cache: Path, *, seed: int = 0, data: str = ""
    ) -> ExpertProbabilities:
        """Log-probabilities of the experts of one scale and seed, for MixMin and for features.

        Raises:
            TrainerError: the training of an expert diverged.
        """
        return self._open(scale, cache, seed, data).probabilities

    def _open(self, scale: Scale, cache: Path, seed: int, data: str) -> "_Mixed":
        learner = Learner(self._trainer, cache, scale, seed=seed, data=data)
        return _Mixed(learner, ExpertPool(learner, cache, self._branching))


class _Mixed:
    """MDE losses of the experts of one seed."""

    def __init__(self, learner: Learner, pool: ExpertPool) -> None:
        self._learner, self._pool = learner, pool
        self.domains = learner.domains
        kept = pool.kept("log-probabilities", self._read_all)
        self.probabilities = ExpertProbabilities(
            learner.domains, {name: kept[name].numpy() for name in learner.bytes}, learner.bytes
        )

    def spent(self) -> float:
        """FLOPs of training the experts that were missing."""
        return 6.0 * self._learner.params * self._pool.trained

    def evaluate(self, weights: Array) -> Answer:
        """MDE losses in bits per byte."""
        losses = self.probabilities.losses(weights)[0].tolist()
        cells = sum(P.size for P in self.probabilities.log_probs.values())
        metrics = dict(zip(self.probabilities.sets, losses, strict=True))
        return Answer(metrics, 2.0 * cells, {"evaluator": "mde", "experts": len(self.domains)})

    def _read_all(self) -> Parameters:
        read = [self._learner.log_probabilities(expert) for expert in self._pool.experts()]
        return {
            name: torch.from_numpy(np.stack([each[name] for each in read], axis=1))
            for name in self._learner.bytes
        }
