"""`FineTuneTrainer`: supervised fine-tuning of a Hugging Face model on instruction sets."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from mixopt.errors import InputError, TrainerError, did_you_mean
from mixopt.lazy import require
from mixopt.ports import Capabilities, Report, TrainerInfo, ignore_report, refusal
from mixopt.runs import Observation, Realised, RunSpec
from mixopt.space import Domain
from mixopt.space.numbers import check_number
from proxies.finetune.mixing import OFFERED, Steering, steering_of
from proxies.finetune.run import Result, Settings, fine_tune, own_random_state
from proxies.finetune.sets import Paths, SetConfig, Sets, load_sets

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_CHOICES = {"device": ("cpu", "cuda", "auto"), "precision": tuple(_DTYPES)}


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (arXiv 2106.09685), in the terms of `peft.LoraConfig`.

    Attributes:
        rank: of the update of each matrix.
        alpha: its scale is alpha / rank.
        dropout: on the adapters' input.
        targets: names of modules, or `"all-linear"`.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: str | Sequence[str] = "all-linear"


@dataclass(frozen=True)
class FineTuneTrainer:
    """Fine-tunes a causal language model; domains are instruction sets, metrics their losses.

    Named `"proxies.finetune:FineTuneTrainer"` in a spec. A set's rows are JSON objects with
    `prompt` and `completion`, with `messages` (written by the model's chat template; the last turn
    is learned), or with `text`. Shares are shares of training tokens, prompts included; the loss is
    that of completions alone. A run ends at its scale's tokens, whatever epochs that takes;
    `scale.params` only names the scale, the size is the model's.

    Attributes:
        model: folder (or hub name) of model and tokenizer; weights must be safetensors.
        domains: per set a file or folder of .jsonl, .json, .parquet or .arrow, a mapping with
            `path` and `encoding`, or a list of these (see `proxies.corpus.sources.Source`).
        validation: per metric the same; by default a part of every set is held out by content.
        revision: of a model on the hub.
        lora: fields of `Lora` to train adapters; None trains all parameters.
        learning_rate: peak; rises over 3 % of the tokens, then falls linearly to zero.
        batch: examples per step.
        max_length: tokens of an example; the rest is cut off.
        validation_fraction: share of each set that is held out.
        evaluation_examples: examples of every validation set that are scored.
        curve_points: scores before the last one, at 1/2, 1/4, ... of the tokens.
        device: cpu, cuda, or auto.
        precision: of the forward and backward pass; parameters are float32.

    Raises:
        InputError: a setting breaks its rule.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        runtime=frozenset({"device"}), schedules=True, mixing=OFFERED
    )

    model: str
    domains: Paths
    validation: Paths | None = None
    revision: str | None = None
    lora: Mapping[str, Any] | None = None
    learning_rate: float = 2e-5
    batch: int = 8
    max_length: int = 1024
    validation_fraction: float = 0.05
    evaluation_examples: int = 256
    curve_points: int = 2
    device: Literal["cpu", "cuda", "auto"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if not self.domains:
            raise InputError("domains is empty; name at least one instruction set")
        for name in ("batch", "max_length", "evaluation_examples", "curve_points"):
            check_number(name, getattr(self, name), least=float(name != "curve_points"))
        check_number("learning_rate", self.learning_rate, least=0.0, open=True)
        check_number("validation_fraction", self.validation_fraction, least=1e-6, most=0.99)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}; {did_you_mean('', choices)}")
        known = [field.name for field in fields(Lora)]
        for key in self.lora or {}:
            if key not in known:
                raise InputError(f"lora has no setting {key!r}; {did_you_mean(key, known)}")

    def prepare(self, cache: Path) -> TrainerInfo:
        """Read and tokenise the sets, or find them; see `mixopt.ports.Trainer`.

        Raises:
            InputError: model or sets are missing, empty, or have rows of no known form.
            MissingDependencyError: transformers, or with `lora` peft, is not installed.
        """
        if self.lora is not None:
            require("peft")
        sets = self._sets(cache)
        return TrainerInfo(
            domains=tuple(
                Domain(n, tokens=len(examples.ids)) for n, examples in sets.train.items()
            ),
            metrics=tuple(sets.validation),
            unit="nats/token",
            data=sets.data,
            warnings=sets.warnings,
            notes={"model": self.model, "examples": {n: len(f) for n, f in sets.train.items()}},
        )

    def train(
        self, specs: Sequence[RunSpec], cache: Path, report: Report = ignore_report
    ) -> list[Observation]:
        """Fine-tune for every spec, one after another; see `mixopt.ports.Trainer`.

        Raises:
            TrainerError: the sets here are not those that the specs were made for.
        """
        sets = self._sets(cache)
        for spec in specs:
            if spec.data and spec.data != sets.data:
                raise TrainerError(
                    f"run {spec.run_id} was made for data {spec.data[:12]}, here is "
                    f"{sets.data[:12]}; use the same model and files on every machine"
                )
        return [self._train(spec, sets, report) for spec in specs]

    def _train(self, spec: RunSpec, sets: Sets, report: Report) -> Observation:
        if reason := refusal(self, spec):
            return Observation.failure(spec, reason)
        shares = spec.mixture.to_dict()
        unknown = [d for d, w in shares.items() if w > 0 and d not in sets.train]
        if unknown:
            known = did_you_mean(unknown[0], sets.train)
            return Observation.failure(spec, f"there is no set {unknown[0]!r}; {known}")
        started, device = time.perf_counter(), self._device()
        try:
            steering = steering_of(
                spec, self.batch, sets.train, sets.validation, self.evaluation_examples
            )
            with own_random_state(spec.seed, device):
                with _quiet():
                    model = self._load().to(device)
                tuned = fine_tune(
                    model,
                    self._settings(device),
                    spec=spec,
                    train=sets.train,
                    validation=self._scored(sets),
                    report=report,
                    steering=steering,
                )
        except (RuntimeError, ValueError, MemoryError) as error:  # out of memory is one of them
            seconds = time.perf_counter() - started
            return Observation.failure(spec, f"{type(error).__name__}: {error}", seconds=seconds)
        grain = self.batch * self.max_length
        seen = _observation(spec, tuned, model, grain, time.perf_counter() - started)
        return seen if steering is None else _steered(seen, steering)

    def _load(self) -> Any:
        """The model in its first state, with adapters if they are wanted."""
        model = require("transformers").AutoModelForCausalLM.from_pretrained(
            self.model, revision=self.revision, use_safetensors=True, dtype=torch.float32
        )
        if self.lora is None:
            return model
        lora, peft = Lora(**self.lora), require("peft")
        everywhere = isinstance(lora.targets, str)
        adapters = peft.LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.targets if everywhere else list(lora.targets),
            task_type="CAUSAL_LM",
        )
        return peft.get_peft_model(model, adapters)

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            tokenizer = require("transformers").AutoTokenizer.from_pretrained(
                self.model, revision=self.revision
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"model: no tokenizer of {self.model!r} can be loaded ({error}); name a folder "
                "that save_pretrained wrote, or a model on the hub that this machine can reach"
            ) from error
        if tokenizer.eos_token_id is None:
            raise InputError(
                f"model: the tokenizer of {self.model!r} has no end-of-text token; set eos_token "
                "in its tokenizer_config.json"
            )
        return tokenizer

    def _sets(self, cache: Path) -> Sets:
        config = SetConfig(
            domains=self.domains,
            validation=self.validation,
            validation_fraction=self.validation_fraction,
            max_length=self.max_length,
            model=self.model,
            revision=self.revision,
        )
        return load_sets(config, self._tokenizer, cache)

    def _scored(self, sets: Sets) -> dict[str, Any]:
        return {
            n: examples.take(self.evaluation_examples) for n, examples in sets.validation.items()
        }

    def _settings(self, device: torch.device) -> Settings:
        pad = self._tokenizer.pad_token_id
        return Settings(
            batch=self.batch,
            learning_rate=self.learning_rate,
            curve_points=self.curve_points,
            device=device,
            dtype=_DTYPES[self.precision],
            pad=self._tokenizer.eos_token_id if pad is None else pad,
        )

    def _device(self) -> torch.device:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device is 'cuda' and torch sees no GPU here; set it to cpu or auto")
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")


def _steered(seen: Observation, steering: Steering) -> Observation:
    """The observation with the mixer's record, and what its looks cost."""
    look = 2.0 * float(seen.info["params"])
    if not steering.session.state.trace:
        return seen
    kept = {"mixer": steering.record(seen.flops, look)}
    return replace(seen, flops=seen.flops + look * steering.looked, info={**seen.info, **kept})


@contextmanager
def _quiet() -> Iterator[None]:
    """No bar and no advice to developers for each of hundreds of models that are loaded."""
    bars = require("transformers").utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _observation(
    spec: RunSpec, tuned: Result, model: Any, grain: int, seconds: float
) -> Observation:
    phases, done = [], 0
    for of_phase in tuned.tokens:
        done += sum(of_phase.values())
        phases.append((done, of_phase))
    params = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    # forward and backward to activations for all parameters, to weights for the trained ones
    flops = done * (4.0 * params + 2.0 * trained)
    facts: dict[str, Any] = {
        "curve": tuple(tuned.curve),
        "flops": flops,
        "seconds": seconds,
        "realised": Realised(tuple(phases), grain) if phases else None,
        "info": {"params": params, "trained_params": trained, "steps": tuned.steps},
    }
    if tuned.diverged:
        return Observation.failure(spec, f"{tuned.diverged}: the run diverged", **facts)
    return Observation.of(spec, tuned.metrics, **facts)
