"""`LanguageModelTrainer`: proxy language models behind mixopt's Trainer port."""

import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from mixopt.errors import InputError, TrainerError, did_you_mean
from mixopt.ports import Capabilities, Report, TrainerInfo, ignore_report, refusal
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.document_rule import ScoredDocuments
from mixopt.runs.document_sampling import EVERY, samplers_of
from mixopt.runs.nodes import Nodes
from mixopt.space import Domain
from proxies.corpus import Corpus, CorpusConfig, find_corpus, load_corpus
from proxies.corpus.drawing import documents_of
from proxies.corpus.injections import metrics_of
from proxies.corpus.repetition import RepetitionMatch
from proxies.lm.devices import device_of, has_fast_bfloat16
from proxies.lm.distributed import train_on_ranks
from proxies.lm.evaluate import validation_sets
from proxies.lm.halving import by_mixer, train_halving
from proxies.lm.injecting import INJECT, INJECT_OVER, SHARED_START, Injecting, probes_of
from proxies.lm.mixed import train_mixed
from proxies.lm.mixing import OFFERED
from proxies.lm.multiple_choice import question_sets
from proxies.lm.packing import pack_size
from proxies.lm.ranks import Ranks
from proxies.lm.recipe import (
    CONTEXTS,
    MIN_BATCH_TOKENS,
    RUNTIME,
    LanguageModelConfig,
    Recipe,
    derive,
)
from proxies.lm.resident import Resident, room_for_tokens
from proxies.lm.setting import Setting, curve_steps, one_thread
from proxies.lm.train import train_pack

_log = logging.getLogger(__name__)

_CORPUS_KEYS = frozenset(field.name for field in fields(CorpusConfig))
_MODEL_KEYS = frozenset(field.name for field in fields(LanguageModelConfig))
_OWN_KEYS = frozenset({"match_repetition", "sampling", INJECT, SHARED_START, INJECT_OVER})
_KEYS = _CORPUS_KEYS | _MODEL_KEYS | _OWN_KEYS


class LanguageModelTrainer:
    """Trains small transformers on mixtures of text domains, a pack of them on one thread.

    Named `"proxies:LanguageModelTrainer"` in a spec. Its settings are those of `CorpusConfig`
    and `LanguageModelConfig` side by side, all of them optional, `match_repetition` (see
    `proxies.corpus.repetition.RepetitionMatch`), `sampling`, how often documents of each domain are
    read by their quality (`mixopt.runs.document_sampling`), `inject`, `inject_over` and
    `shared_start` (see `proxies.lm.injecting`); those of `RUNTIME` say how, not what:

    >>> trainer = LanguageModelTrainer(vocab=512, context=32)
    >>> LanguageModelTrainer(vocabulary=512)
    Traceback (most recent call last):
    mixopt.errors.InputError: unknown trainer setting 'vocabulary'; known: batch, ... mean 'vocab'?

    Raises:
        InputError: a setting is unknown or breaks its rule.
    """

    capabilities = Capabilities(
        runtime=RUNTIME,
        packs=True,
        continues=True,
        branches=True,
        decays=True,
        injects=True,
        matches_repetition=True,
        schedules=True,
        mixing=OFFERED,
        nodes=True,
    )

    def __init__(self, **config: Any) -> None:
        for key in config:
            if key not in _KEYS:
                known = did_you_mean(key, _KEYS)
                raise InputError(f"unknown trainer setting {key!r}; {known}")
        self.corpus_config = CorpusConfig(**{k: v for k, v in config.items() if k in _CORPUS_KEYS})
        self.model_config = LanguageModelConfig(
            **{k: v for k, v in config.items() if k in _MODEL_KEYS}
        )
        self.repetition = RepetitionMatch.of(config.get("match_repetition"))
        self.sampling = samplers_of(config.get("sampling"))
        self._check_sampling()
        self.injecting = Injecting.of(self.corpus_config.made_injections(), config)
        if self.injecting.repetitions:  # whose places are known before a run begins
            continues = bool(self.injecting.over)  # else they are spread over all of a run
            self.capabilities = replace(self.capabilities, continues=continues, mixing=None)
        self._config = dict(config)
        self._corpora: dict[Path, Corpus] = {}
        self._residents: dict[Path, Resident | None] = {}

    def _check_sampling(self) -> None:
        scores = self.corpus_config.scores
        if self.sampling and not scores:
            raise InputError(
                "sampling ranks documents by their quality, and none of them is scored; give "
                "scores, like {edu: high}, or leave sampling out"
            )
        for name, sampler in self.sampling.items():
            try:
                sampler.weights(tuple(scores or ()))
            except InputError as error:
                raise InputError(f"sampling.{name}: {error}") from error

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return device_of(self.model_config.device)

    def corpus(self, cache: Path, data: str = "") -> Corpus:
        """The corpus under `cache`, built if it is not there yet.

        Args:
            cache: folder of corpora.
            data: hash of the corpus that is wanted; one that is there already is taken as it is.
        """
        if cache not in self._corpora:
            existing = find_corpus(cache, data) if data else None
            self._corpora[cache] = existing or load_corpus(self.corpus_config, cache)
        return self._corpora[cache]

    def prepare(self, cache: Path) -> TrainerInfo:
        """Build or find the corpus; see `mixopt.ports.Trainer`.

        A domain's prior and tokens are its estimated size before the cap, so that the natural
        mixture and the caps on epochs are those of the sources.

        Raises:
            InputError: a domain's text is missing, empty or shorter than a sequence.
        """
        corpus = self.corpus(cache)
        shortest, longest = (self.model_config.context or c for c in (min(CONTEXTS), max(CONTEXTS)))
        corpus.require_context(shortest)
        corpus.require_objectives(longest)
        train = corpus.manifest["train"]
        if self.repetition is not None:
            self.repetition.check(corpus.domains)
        odd = next((n for n in self.sampling if n not in (EVERY, *corpus.domains)), None)
        if odd is not None:
            known = did_you_mean(odd, corpus.domains)
            raise InputError(f"sampling: there is no domain {odd!r}; {known}")
        available = corpus.available_tokens()
        domains = tuple(
            Domain(name, tokens=available[name], prior=size, tags=corpus.tags(name))
            for name, size in corpus.natural_sizes().items()
        )
        notes = {
            "corpus": str(corpus.path.name),
            "sources": corpus.manifest["sources"],
            "vocab": corpus.vocab,
            "training_bytes": {name: entry["bytes"] for name, entry in train.items()},
            "training_tokens": corpus.unique_tokens(),
            "training_documents": {name: entry["documents"] for name, entry in train.items()},
        }
        if corpus.shards:
            held_out = corpus.manifest["validation"].items()
            notes |= {"shards": corpus.shards}
            notes |= {"shared_id": {name: entry["shared"] for name, entry in held_out}}
        if corpus.injections:
            notes |= {"injections": self.injecting.facts(corpus, longest)}
        return TrainerInfo(
            domains=domains,
            metrics=(
                *corpus.validation_sets,
                *corpus.question_metrics,
                *(metric for name in corpus.injections for metric in metrics_of(name)),
            ),
            unit=corpus.unit,
            data=corpus.sha256,
            warnings=corpus.warnings + corpus.small_domains(MIN_BATCH_TOKENS),
            notes=notes,
        )

    def scored_documents(self, cache: Path, data: str) -> dict[str, ScoredDocuments]:
        """The documents of every domain with their scores, of the corpus of that hash.

        Raises:
            InputError: no document is scored.
        """
        return documents_of(self.corpus(cache, data), self.corpus_config.scorer())

    def check_scale(self, scale: Scale, cache: Path) -> None:
        """Refuse a scale at which more would be injected than may be; `prepare` has been there.

        Raises:
            InputError: it would.
        """
        corpus = self.corpus(cache)
        self.injecting.check(corpus, derive(scale, corpus.vocab, self.model_config))

    def train(
        self, specs: Sequence[RunSpec], cache: Path, report: Report = ignore_report
    ) -> list[Observation]:
        """Train runs of one scale, several at a time; see `mixopt.ports.Trainer`.

        As many are stacked into one model as pays on this machine (`preferred_pack`), and as its
        memory holds: where it does not, the pack is halved. A run's numbers do not depend on it.

        Raises:
            InputError: the specs are of several scales, or a domain is shorter than a sequence.
            TrainerError: the data here are not the data that the specs were made for.
        """
        return self.train_here(specs, cache, report, None)

    def train_here(
        self, specs: Sequence[RunSpec], cache: Path, report: Report, ranks: Ranks | None
    ) -> list[Observation]:
        """`train`, as one of several ranks that all call this; None starts the ranks if need be."""
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
            recipe = derive(specs[0].scale, corpus.vocab, self.model_config)
            self._check_ranks(recipe)
            setting = replace(self.setting(corpus, recipe, cache), ranks=ranks or Ranks())
            observations = {spec.run_id: self._refused(setting, spec) for spec in specs}
            good = [spec for spec in specs if observations[spec.run_id] is None]
            mixed = [spec for spec in good if spec.mixer is not None]
            for seen in self._train_mixed(setting, mixed, report):
                observations[seen.run_id] = seen
            good = [spec for spec in good if spec.mixer is None]
            # Several machines must cut a pack alike; the executor has sent what one of them likes.
            size = self._pack_size(recipe) if Nodes.here().count == 1 else len(specs)
            pieces = max(1, -(-len(good) // size))
            for piece in range(pieces):
                for seen in self._train_piece(setting, good[piece::pieces], report, ranks):
                    observations[seen.run_id] = seen
        return [seen for seen in map(observations.get, (spec.run_id for spec in specs)) if seen]

    def _refused(self, setting: Setting, spec: RunSpec) -> Observation | None:
        """A failed observation for a run that cannot be trained here."""
        if spec.mixer is not None and self.injecting.repetitions:
            return Observation.failure(
                spec,
                "what is injected stands in sequences that are known before a run begins, and "
                f"mixer {spec.mixer.name!r} decides during it what they are; leave out the mixer, "
                "or the injections",
            )
        if reason := refusal(self, spec):
            return Observation.failure(spec, reason)
        if spec.mixer is not None and setting.sampling:
            return Observation.failure(
                spec, "a run with a mixer reads whole domains; leave its mixer or `sampling` out"
            )
        try:
            setting.check_injected()
        except InputError as error:
            return Observation.failure(spec, str(error))
        used = [name for name, weight in spec.mixture.to_dict().items() if weight > 0]
        missing = [name for name in used if name not in setting.corpus.domains]
        if not missing:
            return None
        known = did_you_mean(missing[0], setting.corpus.domains)
        return Observation.failure(spec, f"there is no domain {missing[0]!r}; {known}")

    def _train_mixed(
        self, setting: Setting, specs: Sequence[RunSpec], report: Report
    ) -> list[Observation]:
        """Runs with mixers; those that have the same one side by side."""
        ranks = self.model_config.ranks * Nodes.here().count
        if ranks > 1:
            return [Observation.failure(spec, _shared_mixer(spec, ranks)) for spec in specs]
        size, seen = self._pack_size(setting.recipe), []
        for group in by_mixer(specs):
            pieces = -(-len(group) // size)
            for piece in range(pieces):
                seen += train_halving(
                    setting.device,
                    group[piece::pieces],
                    lambda part: train_mixed(setting, part, report),
                )
        return seen

    def _train_piece(
        self, setting: Setting, specs: list[RunSpec], report: Report, ranks: Ranks | None
    ) -> list[Observation]:
        if ranks is not None:  # what fails on one rank fails on all: whoever started them decides
            return train_pack(setting, specs, report) if specs else []

        def on_ranks(part: Sequence[RunSpec]) -> list[Observation]:
            return train_on_ranks(
                self.model_config.ranks,
                part,
                config={**self._config, "pack": len(part)},
                cache=setting.cache,
                report=report,
            )

        if Nodes.here().count > 1:  # what fails here leaves the other machines waiting
            return on_ranks(specs) if specs else []
        if self.model_config.ranks == 1:
            return train_halving(
                setting.device, specs, lambda part: train_pack(setting, part, report)
            )
        return train_halving(setting.device, specs, on_ranks)

    def _check_ranks(self, recipe: Recipe) -> None:
        ranks = self.model_config.ranks * Nodes.here().count
        if ranks > 1 and recipe.shape.bigrams:
            raise InputError(
                f"ranks is {ranks} and the model of width {recipe.shape.width} "
                "has a bigram table, which lives in one process; set bigrams: 0, or ranks: 1 "
                "(models this small are faster in packs)"
            )

    def preferred_pack(self, scale: Scale, cache: Path) -> int:
        """How many runs of a scale to send at once: more than that are trained in turns.

        Args:
            scale: of the runs.
            cache: folder of corpora; `prepare` has been there.
        """
        return self._pack_size(derive(scale, self.corpus(cache).vocab, self.model_config))

    def steps_of(self, scale: Scale, cache: Path) -> int:
        """Of a run at a scale; `prepare` has been there."""
        return derive(scale, self.corpus(cache).vocab, self.model_config).steps

    def forget(self, specs: Sequence[RunSpec], cache: Path) -> None:
        """Delete the checkpoints of runs that will not be continued.

        Runs below `continue_to`, and all with `branch_at`, leave one each; call it with them when a
        sweep has ended.

        Args:
            specs: finished runs, of any scales.
            cache: folder of corpora and checkpoints.
        """
        settings: dict[tuple[Scale, str], Setting] = {}
        for spec in specs:
            key = (spec.scale, spec.data)
            if key not in settings:
                corpus = self.corpus(cache, spec.data)
                recipe = derive(spec.scale, corpus.vocab, self.model_config)
                settings[key] = self.setting(corpus, recipe, cache)
            # a run may have injected other texts than this trainer would
            injecting = self.injecting.under(spec.config)
            replace(settings[key], injecting=injecting).checkpoints(spec).finish(keep_trunk=False)

    def _pack_size(self, recipe: Recipe) -> int:
        return self.model_config.pack or pack_size(recipe, device_of(self.model_config.device))

    def _resident(self, corpus: Corpus, device: torch.device) -> Resident | None:
        if corpus.path not in self._residents:
            self._residents[corpus.path] = Resident.of(corpus, device, room_for_tokens(device))
        return self._residents[corpus.path]

    def setting(self, corpus: Corpus, recipe: Recipe, cache: Path) -> Setting:
        """What all runs of a recipe share, on this machine.

        Args:
            corpus: the data.
            recipe: of a scale; see `proxies.lm.recipe.derive`.
            cache: folder of corpora and checkpoints.

        Raises:
            InputError: a domain is shorter than a sequence, or there is no such device here.
        """
        config = self.model_config
        context = recipe.shape.context
        corpus.require_context(context)
        device = device_of(config.device)
        low_precision = config.precision == "bfloat16" or (
            config.precision == "auto" and has_fast_bfloat16(device)
        )
        return Setting(
            corpus=corpus,
            recipe=recipe,
            validation=validation_sets(corpus, context, config.evaluation_tokens, device),
            device=device,
            dtype=torch.bfloat16 if low_precision else torch.float32,
            curve=curve_steps(recipe, config.curve_points),
            cache=cache,
            continue_to=config.continue_to,
            branch_at=config.branch_at,
            checkpoint_seconds=config.checkpoint_seconds,
            questions=question_sets(corpus, context, device),
            repetition=self.repetition,
            # sampled documents are streams of each run's own, which are read on the host
            resident=None if self.sampling else self._resident(corpus, device),
            sampling=self.sampling,
            injecting=self.injecting,
            pieces=self.injecting.pieces(corpus, context),
            probes=probes_of(corpus, context, device),
            scored=tuple((c, config.evaluation_tokens) for c in sorted({context, *CONTEXTS}))
            if config.context is None
            else ((context, config.evaluation_tokens),),
        )


def _shared_mixer(spec: RunSpec, ranks: int) -> str:
    return (
        f"mixer {spec.mixer.name if spec.mixer else ''!r} mixes a run of one process, and "
        f"{ranks} ranks would share this one; set ranks: 1 on one machine"
    )
