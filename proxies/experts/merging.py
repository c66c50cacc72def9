"""`MergeTrainer`: mixtures evaluated as weighted averages of one expert per domain.

Notation:
    theta_0: the common start; theta_i: expert of domain i; w: (m,) mixture
    theta(w) = sum_i w_i theta_i, which is theta_0 + sum_i w_i (theta_i - theta_0)

m experts stand for any number of mixtures, each of which costs one evaluation (arXiv 2410.15661,
2602.00747, 2601.17858). What the average says differs from what training would say in the second
order of the experts' distance from their start: so start together, and check. Measured on seven
domains of real text, 65 k tokens, 16 trained mixtures: the mean rank correlation over 8 metrics is
.84 without a common start, .89 with half of the tokens in common, .94 with three quarters.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from mixopt.errors import TrainerError
from mixopt.execution.file_locks import locked
from mixopt.ports import Capabilities, Report, TrainerInfo, ignore_report
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.files import write_atomically
from mixopt.space import Mixture
from mixopt.space.numbers import check_number
from mixopt.space.simplex import Array
from proxies.experts.adamerging import AdaMerging, Merged, adamerge
from proxies.experts.agreement import Agreement, agreement, calibrate
from proxies.experts.learner import Learner
from proxies.experts.measures import entropy_on, loss_on
from proxies.experts.pool import PATIENCE, Branching, ExpertPool, Parameters
from proxies.experts.runs import Answer, answer_runs, check_settings_of_experts, of_experts
from proxies.lm.setting import one_thread
from proxies.lm.trainer import LanguageModelTrainer

__all__ = ["Agreement", "MergeTrainer", "agreement", "average", "calibrate"]

_WARNING = (
    "metrics are those of averaged experts, not of models trained on mixtures: trust their ranks "
    "as far as the calibration in each run's info says, and confirm with trained runs"
)


@dataclass(frozen=True)
class LearnedMerge:
    """A merge with coefficients of its own per expert and parameter tensor.

    Attributes:
        merged: its parameters and coefficients, in the order of `domains`.
        domains: (m) whose experts were merged.
        metrics: what it scores.
        uniform: what the average of the experts scores.
    """

    merged: Merged
    domains: tuple[str, ...]
    metrics: dict[str, float]
    uniform: dict[str, float]

    def save(self, path: Path) -> None:
        """Write the parameters of the merged model, as safetensors."""
        write_atomically(path, save(self.merged.parameters))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the parameters."""
        return {
            "domains": list(self.domains),
            "metrics": self.metrics,
            "uniform": self.uniform,
            "coefficients": self.merged.coefficients,
            "values": list(self.merged.values),
        }


class MergeTrainer:
    """Answers a mixture with the metrics of the averaged experts.

    Named `"proxies.experts:MergeTrainer"` in a spec. For every scale and seed, a start is trained
    on a share of the tokens, and one expert per domain on the rest. `calibration_runs` mixtures are
    really trained as well, and every observation's `info` says how well merging ranks them.

    Args:
        start_share: share of the tokens that all experts have in common.
        start_mixture: mixture of the start, `"natural"` or `"uniform"`.
        calibration_runs: trained mixtures to compare with: 0 for none, else at least 4; 8 to 16 are
            worth having.
        language_model: settings of `LanguageModelTrainer`.

    Raises:
        InputError: a setting is unknown or breaks its rule.
    """

    def __init__(
        self,
        *,
        start_share: float = 0.75,
        start_mixture: str = "natural",
        calibration_runs: int = 8,
        **language_model: Any,
    ) -> None:
        if calibration_runs != 0:  # the rank correlation of fewer than 4 says nothing
            check_number("calibration_runs", calibration_runs, least=4, most=1000)
        self._branching = Branching(start_share, start_mixture)
        self._calibration_runs = calibration_runs
        check_settings_of_experts(language_model)
        self._trainer = LanguageModelTrainer(**language_model)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the language model that experts have too; see `of_experts`."""
        return of_experts(self._trainer.capabilities)

    def prepare(self, cache: Path) -> TrainerInfo:
        """Build or find the corpus; see `mixopt.ports.Trainer`."""
        info = self._trainer.prepare(cache)
        return replace(info, warnings=(*info.warnings, _WARNING))

    def train(
        self,
        specs: Sequence[RunSpec],
        cache: Path,
        report: Report = ignore_report,  # noqa: ARG002 - the port's; there are no curves
    ) -> list[Observation]:
        """Evaluate every mixture; experts and calibration runs that are missing come first."""
        return answer_runs(
            self, specs, lambda seed: self._open(specs[0].scale, cache, seed, specs[0].data)
        )

    def learned(
        self,
        cache: Path,
        run: RunSpec,
        target: str,
        *,
        guard: float | None = None,
        sequences: int = 32,
        settings: AdaMerging | None = None,
    ) -> LearnedMerge:
        """AdaMerging: learn coefficients on a little text of a target that is not scored.

        Args:
            cache: folder of corpora and experts; experts that are missing are trained.
            run: whose scale, seed and data the experts have; its mixture has no part in it.
            target: a validation set.
            guard: None minimises the loss on the text. A number minimises the entropy of what is
                predicted, as published, with so much of the divergence from the uniform merge; 0
                has no guard against a model that is merely sure.
            sequences: of the target that are read.
            settings: of the learning.

        Raises:
            InputError: there is no such target, or nothing of it is unscored.
            TrainerError: the training of an expert diverged.
        """
        if guard is not None:
            check_number("guard", guard, least=0.0)
        learner = Learner(self._trainer, cache, run.scale, seed=run.seed, data=run.data)
        ids = learner.unscored(target, sequences)
        pool = ExpertPool(learner, cache, self._branching)
        start, experts = pool.start(), pool.experts()
        uniform = average(experts, np.full(len(experts), 1 / len(experts)))
        with one_thread():
            by_loss = guard is None
            measure = (
                loss_on(learner, ids) if by_loss else entropy_on(learner, ids, uniform, guard or 0)
            )
            merged = adamerge(start, experts, measure, settings)
        scores = learner.score(merged.parameters), learner.score(uniform)
        return LearnedMerge(merged, learner.domains, *scores)

    def _open(self, scale: Scale, cache: Path, seed: int, data: str) -> "_Merged":
        learner = Learner(self._trainer, cache, scale, seed=seed, data=data)
        merged = _Merged(learner, ExpertPool(learner, cache, self._branching))
        if self._calibration_runs:
            specs = [
                RunSpec(mixture, scale, seed=seed, data=data)
                for mixture in _spread(learner.domains, self._calibration_runs)
            ]
            merged.calibrate(self._trained(specs, cache, merged.folder))
        return merged

    def _trained(self, specs: Sequence[RunSpec], cache: Path, folder: Path) -> list[Observation]:
        """Real runs of the calibration mixtures, each kept as soon as it is there."""
        observations = []
        for number, spec in enumerate(specs):
            path = folder / f"calibration-{number}.json"
            with locked(path.with_suffix(".lock"), PATIENCE, f"calibration run {number}"):
                seen = _read(path)
                if seen is None:
                    (seen,) = self._trainer.train([spec], cache)
                    if not seen.ok:
                        raise TrainerError(f"calibration run {number} failed: {seen.error}")
                    write_atomically(path, json.dumps(seen.to_dict()).encode())
                    observations.append(seen)
                else:
                    observations.append(replace(seen, flops=0.0))  # paid before
        return observations


class _Merged:
    """The averaged experts of one seed."""

    def __init__(self, learner: Learner, pool: ExpertPool) -> None:
        self._learner, self._experts = learner, pool.experts()
        self.domains, self.folder = learner.domains, pool.folder
        self._spent = 6.0 * learner.params * pool.trained
        start = pool.start()
        self._moved = np.array([_distance(start, expert) for expert in self._experts])
        self._trust: dict[str, Any] = {}

    def spent(self) -> float:
        """FLOPs of training the experts and calibration runs that were missing."""
        return self._spent

    def evaluate(self, weights: Array) -> Answer:
        """Metrics of the average."""
        metrics = self._learner.score(average(self._experts, weights))
        info = {
            "evaluator": "merge",
            "displacement": round(float(weights @ self._moved), 4),
            "trust": self._trust or "not calibrated: set calibration_runs",
        }
        return Answer(metrics, self._learner.evaluation_flops(), info)

    def calibrate(self, trained: Sequence[Observation]) -> None:
        """Compare with trained runs, once for all mixtures."""
        self._spent += sum(seen.flops for seen in trained)
        path = self.folder / f"trust-{len(trained)}.json"
        if (kept := _read_json(path)) is None:
            merged = [
                replace(seen, metrics=self.evaluate(self._weights(seen.spec)).metrics)
                for seen in trained
            ]
            agreements = calibrate(merged, trained)
            kept = {name: agreed.to_dict() for name, agreed in agreements.items()}
            write_atomically(path, json.dumps(kept).encode())
        self._trust = kept

    def _weights(self, spec: RunSpec) -> Array:
        shares = spec.mixture.to_dict()
        return np.array([shares.get(d, 0.0) for d in self.domains])


def average(experts: Sequence[Parameters], weights: Array) -> Parameters:
    """sum_i w_i theta_i; a weight of 1 gives that expert to the bit."""
    chosen = [(float(w), expert) for w, expert in zip(weights, experts, strict=True) if w > 0]
    if len(chosen) == 1:
        return chosen[0][1]
    shares = torch.tensor([w for w, _ in chosen], dtype=torch.float64)
    shares /= shares.sum()
    merged = {}
    for name, tensor in chosen[0][1].items():
        stacked = torch.stack([expert[name].double() for _, expert in chosen])
        merged[name] = torch.tensordot(shares, stacked, dims=1).to(tensor.dtype)
    return merged


def _distance(start: Parameters, end: Parameters) -> float:
    """||end - start|| / ||end||, over all parameters."""
    moved = sum(float((end[k].double() - start[k].double()).square().sum()) for k in end)
    size = sum(float(end[k].double().square().sum()) for k in end)
    return float(np.sqrt(moved / max(size, 1e-300)))


def _spread(domains: Sequence[str], count: int) -> list[Mixture]:
    """Mixtures all over the simplex, the same ones for the same domains."""
    rows = np.random.default_rng(0).dirichlet(np.ones(len(domains)), size=count)
    return [Mixture(tuple(domains), tuple(row.tolist())) for row in rows.round(6)]


def _read(path: Path) -> Observation | None:
    values = _read_json(path)
    return None if values is None else Observation.from_dict(values)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or not readable any more
        return None
    return values
