"""One dial: everything about a proxy that is not data follows from its scale.

Each rule stands beside its source; `LanguageModelConfig` overrides any of them.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mixopt.errors import InputError
from mixopt.runs import Scale
from mixopt.space.numbers import check_number
from proxies.lm.model import Shape

WIDTHS = (*range(32, 256, 32), *range(256, 4097, 128))
DEPTH_PER_WIDTH = 1 / 32
DEPTHS = (2 / 3, 3 / 2)  # times the width's own depth: how far it may go to meet the parameters
TINY_WIDTH = 128
CONTEXTS = (64, 128, 256)  # by width
BIGRAMS = 32_768
MIN_BATCH_TOKENS = 1024
GROWTH_TOKENS = 2**21  # tokens after which the batch doubles for the first time
REDUCED = 0.1  # learning rates of `lr_mode: reduced`
DECAY = 0.6  # share of a run, at its end, in which the learning rates fall to zero


RUNTIME = frozenset({"pack", "continue_to", "branch_at", "checkpoint_seconds", "device", "ranks"})
"""The settings of `LanguageModelConfig` that change no metric beyond rounding."""


@dataclass(frozen=True)
class LanguageModelConfig:
    """How proxies are trained; None means: by the rules of `derive`.

    Attributes:
        width: d, a multiple of 32.
        depth: number of blocks.
        context: tokens per sequence.
        batch: sequences per step.
        bigrams: rows of the hashed bigram table, 0 for none.
        learning_rate: factor on all learning rates of the recipe.
        decay: share of a run, at its end, in which the rates fall linearly to zero.
        evaluation_tokens: tokens of each validation set that are scored.
        lr_mode: `reduced` trains at a tenth of the rates, for campaigns that only rank mixtures.
        curve_points: scores before the last one, at the highest powers of 2 below the token budget.
        pack: runs stacked into one model at most; None: by what pays (`proxies.lm.packing`).
        continue_to: tokens of the highest rung that a run may be continued to. Shorter runs leave
            a checkpoint behind for it, about 12 bytes a parameter, tables included; 0: none.
        branch_at: tokens at which other runs part from a run, by other mixtures. Every run leaves a
            checkpoint there, or where its rates begin to fall if that is sooner; 0: none.
        checkpoint_seconds: how often a run under way is saved; one that finishes sooner never is.
        precision: of the matrix products; auto takes bfloat16 where the processor has it.
        device: cpu, cuda, or auto (cuda where there is one).
        ranks: processes that share every batch of a pack, one GPU each; for models too slow for
            one. Without the bigram table (width 160 and up, or `bigrams: 0`).
    """

    width: int | None = None
    depth: int | None = None
    context: int | None = None
    batch: int | None = None
    bigrams: int | None = None
    learning_rate: float = 1.0
    decay: float = DECAY
    lr_mode: Literal["full", "reduced"] = "full"
    evaluation_tokens: int = 4096
    curve_points: int = 2
    pack: int | None = None
    continue_to: int = 0
    branch_at: int = 0
    checkpoint_seconds: float = 120.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    ranks: int = 1

    def __post_init__(self) -> None:
        self._check_counts()
        if self.width is not None and self.width % 32:
            raise InputError(f"width is {self.width}; give a multiple of 32 (the smallest head)")
        if self.bigrams is not None and not (_whole(self.bigrams) and self.bigrams >= 0):
            raise InputError(f"bigrams is {self.bigrams!r}; give a whole number, 0 for none")
        if not (isinstance(self.learning_rate, int | float) and self.learning_rate > 0):
            raise InputError(
                f"learning_rate is {self.learning_rate!r}; it is a factor on the recipe's rates, "
                "give a number above 0"
            )
        check_number("decay", self.decay, least=0.0, most=1.0, open=True)
        if not (_whole(self.evaluation_tokens) and self.evaluation_tokens > 0):
            raise InputError(
                f"evaluation_tokens is {self.evaluation_tokens!r}; give a whole number above 0"
            )
        if not (_whole(self.curve_points) and 0 <= self.curve_points <= 20):
            raise InputError(f"curve_points is {self.curve_points!r}; give 0 to 20")
        if not (isinstance(self.checkpoint_seconds, int | float) and self.checkpoint_seconds >= 0):
            raise InputError(
                f"checkpoint_seconds is {self.checkpoint_seconds!r}; give seconds, 0 for every step"
            )
        _check_choice("lr_mode", self.lr_mode, ("full", "reduced"))
        _check_choice("precision", self.precision, ("auto", "float32", "bfloat16"))
        _check_choice("device", self.device, ("cpu", "cuda", "auto"))

    def _check_counts(self) -> None:
        for name in ("width", "depth", "context", "batch", "pack", "ranks"):
            value = getattr(self, name)
            if value is not None and not (_whole(value) and value > 0):
                raise InputError(f"{name} is {value!r}; give a whole number above 0, or leave it")
        for name, what in (
            ("continue_to", "the tokens of the highest rung"),
            ("branch_at", "the tokens at which runs part"),
        ):
            value = getattr(self, name)
            if not (_whole(value) and value >= 0):
                raise InputError(f"{name} is {value!r}; give {what}, or 0")

    @property
    def trained(self) -> dict[str, Any]:
        """The settings that decide what is trained: all but `RUNTIME`."""
        return {k: v for k, v in asdict(self).items() if k not in RUNTIME}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; choose one of {', '.join(allowed)}")


@dataclass(frozen=True)
class Recipe:
    """A fully decided training run, mixture and seed aside.

    What happens up to a step depends on the step alone until the rate begins to fall: runs of one
    model, mixture and seed with different token budgets share this *trunk*, and a longer run can
    continue where the shorter one left it.

    Attributes:
        shape: of the model.
        stages: (steps, sequences per step), in the order in which they are trained.
        rate_embedding: peak AdamW rate of the embedding and bigram tables.
        rate_head: peak AdamW rate of the output head.
        rate_matrix: peak Muon rate of the block matrices.
        warmup: steps in which the rates rise.
        decay: share of the steps, at the end, in which they fall to zero.
    """

    shape: Shape
    stages: tuple[tuple[int, int], ...]
    rate_embedding: float
    rate_head: float
    rate_matrix: float
    warmup: int
    momentum: float = 0.85
    decay: float = DECAY

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return sum(steps for steps, _ in self.stages)

    @property
    def batch(self) -> int:
        """Sequences of the first step."""
        return self.stages[0][1]

    @property
    def largest_batch(self) -> int:
        """Sequences of the largest step."""
        return max(batch for _, batch in self.stages)

    @property
    def sequences(self) -> int:
        """Training sequences."""
        return self.sequences_before(self.steps)

    @property
    def tokens(self) -> int:
        """Training tokens, the scale's budget rounded to whole batches."""
        return self.sequences * self.shape.context

    @property
    def flops(self) -> float:
        """Training FLOPs, 6 N D with N of `Shape.params`."""
        return 6.0 * self.shape.params * self.tokens

    @property
    def branch(self) -> int:
        """The step at which the rates begin to fall: the end of the trunk."""
        return self.steps - math.ceil(self.decay * self.steps)

    def sequences_before(self, step: int) -> int:
        """Sequences trained on before a step (counted from 0)."""
        before = 0
        for steps, batch in self.stages:
            taken = min(step, steps)
            before += taken * batch
            step -= taken
        return before

    def steps_within(self, sequences: int) -> int:
        """The most steps that train on no more than so many sequences."""
        within = 0
        for steps, batch in self.stages:
            taken = min(steps, sequences // batch)
            within += taken
            sequences -= taken * batch
            if taken < steps:
                break
        return within

    def steps_of_batch(self, step: int) -> int:
        """Steps from one on, itself included, that have its batch."""
        for steps, _ in self.stages:
            if step < steps:
                return steps - step
            step -= steps
        return 0

    def rate_factor(self, step: int) -> float:
        """Learning-rate factor of a step.

        Linear warm-up; from step 64 a slow fall with the steps behind; at the end, on top of it,
        linear to zero.
        The fall over most of the run is the best use of a small budget (arXiv 2502.15938); that it
        does not begin with the run is what lets runs continue (arXiv 2405.18392).
        """
        factor = min(1.0, (step + 1) / self.warmup) * math.pow(64 / max(64, step), 0.25)
        left = (self.steps - step) / (self.steps - self.branch)
        return factor * min(1.0, left)


def derive(scale: Scale, vocab: int, config: LanguageModelConfig) -> Recipe:
    """The recipe of a scale.

    * depth = width / 32, heads of 64 (of 32 where the width is no multiple of 64): aspect ratios of
      small language models (arXiv 2001.08361 finds the loss flat around them); the width is the one
      whose N = 12 d^2 L + V d is nearest to `scale.params` on a log scale, and the depth then goes
      by up to a half to meet it. From 256 widths are multiples of 128, as GPUs like them.
    * context 64, 128 from width 128, 256 from width 256: attention scores stay under 15 % of cost.
    * 1024 tokens a step up to 2 M tokens, then twice as many each time the tokens behind have grown
      fourfold, as the critical batch grows with them (arXiv 2410.21676).
    * Muon's update has unit scale by construction (arXiv 2409.20325), so its rate does not move
      with width; the head's does, as 1 / d (arXiv 2203.03466). Values measured at width 64, 64 to
      256 steps; `lr_mode: reduced` takes a tenth (arXiv 2512.24503).

    Args:
        scale: target parameters (matrix parameters, see `Shape.params`) and tokens.
        vocab: V.
        config: overrides.
    """
    shape = _nearest(scale.params, vocab, config)
    width = shape.width
    factor = config.learning_rate * (REDUCED if config.lr_mode == "reduced" else 1.0)
    return Recipe(
        shape=shape,
        stages=_stages(scale.tokens, shape.context, config.batch),
        rate_embedding=0.09 * factor,
        rate_head=0.018 * factor * 64 / width,
        rate_matrix=0.018 * factor,
        warmup=max(1, width // 16),
        decay=config.decay,
    )


def _stages(tokens: int, context: int, batch: int | None) -> tuple[tuple[int, int], ...]:
    """(steps, batch) until the budget is spent; a fixed batch if one is given."""
    size = batch or max(1, MIN_BATCH_TOKENS // context)
    size = max(1, min(size, tokens // context))
    stages: list[tuple[int, int]] = []
    end, left = GROWTH_TOKENS, tokens
    while batch is None and left > end:
        steps = end // (size * context)
        stages.append((steps, size))
        left -= steps * size * context
        end, size = end * 3 if len(stages) == 1 else end * 4, size * 2
    steps = max(0 if stages else 1, round(left / (size * context)))
    return (*stages, (steps, size)) if steps else tuple(stages)


def _nearest(params: int, vocab: int, config: LanguageModelConfig) -> Shape:
    """The shape whose parameters are nearest to those asked for."""
    if config.width:
        return _shape(vocab, config.width, config)
    shapes = (_shape(vocab, width, config) for width in WIDTHS)
    shape = min(shapes, key=lambda s: abs(math.log(s.params / params)))
    if config.depth:
        return shape
    low, high = (shape.width * DEPTH_PER_WIDTH * factor for factor in DEPTHS)
    fitting = round((params - vocab * shape.width) / (12 * shape.width**2))
    return replace(shape, depth=max(1, math.ceil(low), min(math.floor(high), fitting)))


def _shape(vocab: int, width: int, config: LanguageModelConfig) -> Shape:
    small, middle, large = CONTEXTS
    context = config.context or (small if width < 128 else middle if width < 256 else large)
    bigrams = config.bigrams if config.bigrams is not None else BIGRAMS * (width <= TINY_WIDTH)
    return Shape(
        vocab=vocab,
        width=width,
        depth=config.depth or max(1, round(width * DEPTH_PER_WIDTH)),
        heads=width // (32 if width % 64 else 64),
        context=context,
        bigrams=bigrams,
    )
