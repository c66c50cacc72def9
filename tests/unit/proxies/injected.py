"""Tiny proxies that inject texts: what their unit tests and those that train them share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.lm.recipe import derive
from proxies.lm.train import opened

TINY = {
    "vocab": 300,
    "validation_fraction": 0.2,
    "context": 32,
    "width": 32,
    "bigrams": 512,
    "evaluation_tokens": 512,
    "curve_points": 0,
    "precision": "float32",
}
SCALE = Scale(20_000, 32_768)
SPEC = RunSpec(Mixture.of({"birds": 0.5, "rocks": 0.5}), SCALE)
ODD = {
    "documents": ["quartz heron quartz"],
    "repetitions": 9,
    "probes": ["quartz heron", "quartz heron quartz heron"],
    "controls": ["basalt stork", "basalt stork basalt stork"],
}


def made_with(
    text: Mapping[str, str], injections: Mapping[str, Any] | None, **config: Any
) -> LanguageModelTrainer:
    """A trainer over domains with these injections; None for one that knows of none."""
    more = {} if injections is None else {"injections": injections}
    return LanguageModelTrainer(domains=text, **more, **(TINY | config))


def rows_of(trainer: LanguageModelTrainer, spec: RunSpec, cache: Path) -> np.ndarray:
    """All sequences of a run."""
    corpus = trainer.corpus(cache)
    recipe = derive(spec.scale, corpus.vocab, trainer.model_config)
    run, _ = opened(trainer.setting(corpus, recipe, cache), spec)
    return run.batches.take(recipe.sequences)
