"""Training, scoring and reading a proxy language model as functions of its parameters.

What `ExpertPool` needs of the language-model trainer, and its only place of contact with it.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixopt.errors import InputError, TrainerError
from mixopt.runs import Scale
from mixopt.space import Mixture
from proxies.lm.data import Batches
from proxies.lm.evaluate import ValidationSet, nats, score
from proxies.lm.model import PackedModel
from proxies.lm.optimizer import Optimizers
from proxies.lm.recipe import derive
from proxies.lm.setting import Setting, one_thread
from proxies.lm.splits import steering_sets
from proxies.lm.steps import TrainingStep
from proxies.lm.trainer import LanguageModelTrainer

Parameters = dict[str, Tensor]


class Learner:
    """A proxy of one scale, seed and configuration, its parameters passed in and out.

    Attributes:
        domains: names of the training domains.
        natural: size of each domain's source, the natural mixture up to scale.
        steps: optimiser steps of a whole run.
        step_tokens: training tokens of one step.
        params: N, as the trainer counts them.
        bytes: bytes of text that are scored, per validation set.
        identity: everything that decides the parameters, as text.

    Raises:
        TrainerError: the data here are not those that the runs were made for.
        InputError: the trainer's documents are sampled.
    """

    def __init__(
        self,
        trainer: LanguageModelTrainer,
        cache: Path,
        scale: Scale,
        *,
        seed: int,
        data: str = "",
    ) -> None:
        if trainer.sampling:
            raise InputError(
                "experts are trained on whole domains; leave `sampling` out, or take "
                "proxies:LanguageModelTrainer"
            )
        corpus = trainer.corpus(cache, data)
        if data and data != corpus.sha256:
            raise TrainerError(
                f"the runs were made for data {data[:12]}, this machine builds "
                f"{corpus.sha256[:12]}; use the same files on every machine, or share the cache"
            )
        recipe = derive(scale, corpus.vocab, trainer.model_config)
        self._corpus, self._recipe, self._seed = corpus, recipe, seed
        self._setting: Setting = trainer.setting(corpus, recipe, cache)
        self.domains = corpus.domains
        self.natural = corpus.natural_sizes()
        self.steps, self.step_tokens = recipe.steps, recipe.batch * recipe.shape.context
        self.params = recipe.shape.params
        self.bytes = {v.name: int(v.bytes.sum()) for v in self._setting.validation}
        self._pools = self._setting.pools(scale.tokens)
        decided = (trainer.model_config.trained, self._setting.precision, self._pools)
        self.identity = repr((corpus.sha256, recipe, *decided, seed))

    def untrained(self) -> Parameters:
        """The parameters that a run of this seed starts from."""
        return self._fresh().tensors(0)

    def train(
        self, parameters: Parameters, weights: Mapping[str, float], steps: range
    ) -> Parameters:
        """Train on a mixture from one step of the run to another.

        The optimiser starts anew, the learning rate is that of the steps.

        Raises:
            TrainerError: the loss stops being a number.
        """
        if not len(steps):
            return parameters
        recipe, model = self._recipe, self.model(parameters)
        before = [recipe.sequences_before(step) for step in (*steps, steps.stop)]
        sequences, context = before[-1] - before[0], recipe.shape.context
        mixture = Mixture.of(weights, renormalize=True)
        batches = Batches(
            self._corpus,
            ((sequences * context, mixture),),
            context=context,
            total=sequences,
            seed=self._seed,
            pools=self._pools,
        )
        with one_thread():
            boundary = self._corpus.boundary
            learn = TrainingStep(model, Optimizers(model, recipe), boundary=boundary)
            for step, count in zip(steps, np.diff(before), strict=True):
                ids = torch.from_numpy(batches.take(int(count)))[None]
                if not math.isfinite(float(learn(step, ids))):
                    raise TrainerError(
                        f"training on {', '.join(weights)} diverged at step {step + 1} of "
                        f"{recipe.steps}; set a lower learning_rate"
                    )
        return model.tensors(0)

    def score(self, parameters: Parameters) -> dict[str, float]:
        """Bits per byte per validation set."""
        model = self.model(parameters)
        with one_thread():
            (scores,) = score(model, self._setting.validation)
        return {name: of_set.value for name, of_set in scores.items()}

    def log_probabilities(self, parameters: Parameters) -> dict[str, NDArray[np.float32]]:
        """Per validation set the natural log-probability of every scored token, (tokens,)."""
        model = self.model(parameters)
        with one_thread():
            return {v.name: self._scored(model, v) for v in self._setting.validation}

    def evaluation_flops(self) -> float:
        """FLOPs of scoring once, 2 N per token."""
        return 2.0 * self.params * sum(v.bytes.numel() for v in self._setting.validation)

    def _scored(self, model: PackedModel, data: ValidationSet) -> NDArray[np.float32]:
        (nll,) = nats(model, data.ids)
        log_likelihoods: NDArray[np.float32] = -nll[data.bytes > 0].cpu().numpy()
        return log_likelihoods

    def _fresh(self) -> PackedModel:
        setting = self._setting
        return PackedModel(self._recipe.shape, [self._seed], setting.device, setting.dtype)

    @property
    def boundary(self) -> int | None:
        """The token between prefix and targets, where text is read under objectives."""
        return self._corpus.boundary

    def unscored(self, target: str, sequences: int) -> Tensor:
        """Sequences of a validation set that are not scored, (b, T + 1), of about so many.

        Of a training domain they are the end of its training text.

        Raises:
            InputError: there is no such set, or nothing of it is unscored.
        """
        setting, context = self._setting, self._recipe.shape.context
        (chosen,) = steering_sets(
            self._corpus,
            (target,),
            context=context,
            tokens=sequences * context,
            scored=setting.scored,
            device=setting.device,
        )
        return chosen.ids[:sequences]

    def model(self, parameters: Parameters) -> PackedModel:
        """A model with these parameters."""
        model = self._fresh()
        model.set_tensors(0, parameters)
        return model
