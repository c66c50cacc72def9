"""`LanguageModelTrainer`: proxy language models behind mixopt's Trainer port."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from mixopt.errors import InputError, TrainerError, did_you_mean
from mixopt.ports import Report, TrainerInfo, ignore_report
from mixopt.runs import Observation, RunSpec
from mixopt.space import Domain
from proxies.corpus import Corpus, CorpusConfig, find_corpus, load_corpus
from proxies.lm.evaluate import validation_sets
from proxies.lm.recipe import LanguageModelConfig, Recipe, derive
from proxies.lm.train import Setting, one_thread, train_run

UNIT = "bits/byte"

_CORPUS_KEYS = frozenset(field.name for field in fields(CorpusConfig))
_MODEL_KEYS = frozenset(field.name for field in fields(LanguageModelConfig))


class LanguageModelTrainer:
    """Trains small transformers on mixtures of text domains, on one thread each.

    Named `"proxies:LanguageModelTrainer"` in a spec. Its configuration is that of `CorpusConfig`
    and `LanguageModelConfig` side by side, all of it optional:

    >>> trainer = LanguageModelTrainer(vocab=512, context=32)
    >>> LanguageModelTrainer(vocabulary=512)
    Traceback (most recent call last):
    mixopt.errors.InputError: unknown trainer setting 'vocabulary'; known: batch, ...

    Raises:
        InputError: a setting is unknown or breaks its rule.
    """

    def __init__(self, **config: Any) -> None:
        for key in config:
            if key not in _CORPUS_KEYS | _MODEL_KEYS:
                known = did_you_mean(key, _CORPUS_KEYS | _MODEL_KEYS)
                raise InputError(f"unknown trainer setting {key!r}; {known}")
        self.corpus_config = CorpusConfig(**{k: v for k, v in config.items() if k in _CORPUS_KEYS})
        self.model_config = LanguageModelConfig(
            **{k: v for k, v in config.items() if k in _MODEL_KEYS}
        )
        self._corpora: dict[Path, Corpus] = {}

    def corpus(self, cache: Path, data: str = "") -> Corpus:
        """The corpus under `cache`, built if it is not there yet.

        Args:
            cache: folder of corpora.
            data: hash of the corpus that is wanted; one that is there already is taken as it is.
        """
        if cache not in self._corpora:
            found = find_corpus(cache, data) if data else None
            self._corpora[cache] = found or load_corpus(self.corpus_config, cache)
        return self._corpora[cache]

    def prepare(self, cache: Path) -> TrainerInfo:
        """Build or find the corpus; see `mixopt.ports.Trainer`.

        A domain's prior is its estimated size before the cap, so that the natural mixture is that
        of the sources and not of the caps.

        Raises:
            InputError: a domain's text is missing, empty or shorter than a sequence.
        """
        corpus = self.corpus(cache)
        corpus.require_context(self.model_config.context or 64)
        train = corpus.manifest["train"]
        domains = tuple(
            Domain(name, tokens=entry["tokens"], prior=entry["available_bytes"])
            for name, entry in train.items()
        )
        notes = {
            "corpus": str(corpus.path.name),
            "sources": corpus.manifest["sources"],
            "vocab": corpus.vocab,
            "training_bytes": {name: entry["bytes"] for name, entry in train.items()},
        }
        return TrainerInfo(
            domains=domains,
            metrics=corpus.validation_sets,
            unit=UNIT,
            data=corpus.sha256,
            warnings=corpus.warnings,
            notes=notes,
        )

    def train(
        self, specs: Sequence[RunSpec], cache: Path, report: Report = ignore_report
    ) -> list[Observation]:
        """Train runs of one scale one after another; see `mixopt.ports.Trainer`.

        Raises:
            InputError: the specs are of several scales, or a domain is shorter than a sequence.
            TrainerError: the data here are not the data that the specs were made for.
        """
        if not specs:
            return []
        if len({spec.scale for spec in specs}) > 1:
            raise InputError("a pack holds runs of several scales; send one scale at a time")
        corpus = self.corpus(cache, specs[0].data)
        for spec in specs:
            if spec.data and spec.data != corpus.sha256:
                raise TrainerError(
                    f"run {spec.run_id} was made for data {spec.data[:12]}, this machine builds "
                    f"{corpus.sha256[:12]}; use the same package versions and files on every "
                    "machine, or share the cache folder"
                )
        with one_thread():
            setting = self._setting(corpus, derive(specs[0].scale, corpus.vocab, self.model_config))
            return [_train_safely(setting, spec, report) for spec in specs]

    def _setting(self, corpus: Corpus, recipe: Recipe) -> Setting:
        config = self.model_config
        context = recipe.shape.context
        corpus.require_context(context)
        device = _device(config.device)
        steps = (recipe.steps // 2**k for k in range(1, config.curve_points + 1))
        low_precision = config.precision == "bfloat16" or (
            config.precision == "auto" and _has_fast_bfloat16(device)
        )
        return Setting(
            corpus=corpus,
            recipe=recipe,
            validation=validation_sets(corpus, context, config.evaluation_tokens, device),
            device=device,
            low_precision=low_precision,
            curve=frozenset(step for step in steps if step > 0),
        )


def _train_safely(setting: Setting, spec: RunSpec, report: Report) -> Observation:
    """One run; what goes wrong in it stays in it."""
    missing = [n for n, w in spec.mixture.to_dict().items() if w > 0]
    missing = [name for name in missing if name not in setting.corpus.domains]
    if missing:
        known = did_you_mean(missing[0], setting.corpus.domains)
        return Observation.failure(spec, f"there is no domain {missing[0]!r}; {known}")
    try:
        return train_run(setting, spec, report)
    except (RuntimeError, ValueError, ArithmeticError, MemoryError) as error:
        return Observation.failure(spec, f"{type(error).__name__}: {error}")


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device is 'cuda' and torch sees no GPU here; set device to 'cpu' or 'auto'"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _has_fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # newer than the oldest torch we take
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
