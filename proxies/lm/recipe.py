"""One dial: everything about a proxy that is not data follows from its scale.

Each rule stands beside its source; `LanguageModelConfig` overrides any of them.
"""

import math
from dataclasses import dataclass
from typing import Literal

from mixopt.errors import InputError
from mixopt.runs import Scale
from proxies.lm.model import Shape

WIDTHS = range(32, 4097, 32)
DEPTH_PER_WIDTH = 1 / 32
TINY_WIDTH = 128
BIGRAMS = 32_768
MIN_BATCH_TOKENS = 1024


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
        evaluation_tokens: tokens of each validation set that are scored.
        curve_points: scores before the last one, at 1/2, 1/4, ... of the token budget.
        precision: of the matrix products; auto takes bfloat16 where the processor has it.
        device: cpu, cuda, or auto (cuda where there is one).
    """

    width: int | None = None
    depth: int | None = None
    context: int | None = None
    batch: int | None = None
    bigrams: int | None = None
    learning_rate: float = 1.0
    evaluation_tokens: int = 4096
    curve_points: int = 2
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["cpu", "cuda", "auto"] = "cpu"

    def __post_init__(self) -> None:
        for name in ("width", "depth", "context", "batch"):
            value = getattr(self, name)
            if value is not None and not (_whole(value) and value > 0):
                raise InputError(f"{name} is {value!r}; give a whole number above 0, or leave it")
        if self.width is not None and self.width % 32:
            raise InputError(f"width is {self.width}; give a multiple of 32 (the smallest head)")
        if self.bigrams is not None and not (_whole(self.bigrams) and self.bigrams >= 0):
            raise InputError(f"bigrams is {self.bigrams!r}; give a whole number, 0 for none")
        if not (isinstance(self.learning_rate, int | float) and self.learning_rate > 0):
            raise InputError(
                f"learning_rate is {self.learning_rate!r}; it is a factor on the recipe's rates, "
                "give a number above 0"
            )
        if not (_whole(self.evaluation_tokens) and self.evaluation_tokens > 0):
            raise InputError(
                f"evaluation_tokens is {self.evaluation_tokens!r}; give a whole number above 0"
            )
        if not (_whole(self.curve_points) and 0 <= self.curve_points <= 20):
            raise InputError(f"curve_points is {self.curve_points!r}; give 0 to 20")
        _check_choice("precision", self.precision, ("auto", "float32", "bfloat16"))
        _check_choice("device", self.device, ("cpu", "cuda", "auto"))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; choose one of {', '.join(allowed)}")


@dataclass(frozen=True)
class Recipe:
    """A fully decided training run, mixture and seed aside.

    Attributes:
        shape: of the model.
        batch: sequences per step.
        steps: optimiser steps.
        rate_embedding: peak AdamW rate of the embedding and bigram tables.
        rate_head: peak AdamW rate of the output head.
        rate_matrix: peak Muon rate of the block matrices.
    """

    shape: Shape
    batch: int
    steps: int
    rate_embedding: float
    rate_head: float
    rate_matrix: float
    momentum: float = 0.85
    warmup: float = 0.05

    @property
    def tokens(self) -> int:
        """Training tokens, the scale's budget rounded to whole batches."""
        return self.steps * self.batch * self.shape.context

    @property
    def flops(self) -> float:
        """Training FLOPs, 6 N D with N of `Shape.params`."""
        return 6.0 * self.shape.params * self.tokens

    def rate_factor(self, step: int) -> float:
        """Learning-rate factor of a step: linear warm-up, then linear to zero.

        A decay over the whole run is the best use of a small budget (arXiv 2502.15938).
        """
        rise = (step + 1) / max(1.0, self.warmup * self.steps)
        return min(1.0, rise) * (1 - step / self.steps)


def derive(scale: Scale, vocab: int, config: LanguageModelConfig) -> Recipe:
    """The recipe of a scale.

    * depth = width / 32, heads of 32 below width 128 and of 64 from there: aspect ratios of small
      language models (arXiv 2001.08361 finds the loss flat around them); the width is the one
      whose N = 12 d^2 L + V d is nearest to `scale.params` on a log scale.
    * context 64, 128 from width 128, 256 from width 256: attention scores stay under 15 % of cost.
    * 1024 tokens a step up to 1 M tokens, then growing with the root of the budget, as the
      critical batch grows with tokens (arXiv 2410.21676).
    * Muon's update has unit scale by construction (arXiv 2409.20325), so its rate does not move
      with width; the head's does, as 1 / d (arXiv 2203.03466). All fall with the fourth root of
      the number of steps. Values measured at width 64, 64 to 256 steps.

    Args:
        scale: target parameters (matrix parameters, see `Shape.params`) and tokens.
        vocab: V.
        config: overrides.
    """
    width = config.width or min(
        WIDTHS, key=lambda d: abs(math.log(_shape(vocab, d, config).params / scale.params))
    )
    shape = _shape(vocab, width, config)
    growth = max(0.0, math.log2(scale.tokens / 2**20)) / 2
    batch = config.batch or max(1, MIN_BATCH_TOKENS * 2 ** round(growth) // shape.context)
    batch = max(1, min(batch, scale.tokens // shape.context))
    steps = max(1, round(scale.tokens / (batch * shape.context)))
    factor = config.learning_rate * (64 / max(64, steps)) ** 0.25
    return Recipe(
        shape=shape,
        batch=batch,
        steps=steps,
        rate_embedding=0.15 * factor,
        rate_head=0.03 * factor * 64 / width,
        rate_matrix=0.03 * factor,
    )


def _shape(vocab: int, width: int, config: LanguageModelConfig) -> Shape:
    context = config.context or (64 if width < 128 else 128 if width < 256 else 256)
    bigrams = config.bigrams if config.bigrams is not None else BIGRAMS * (width <= TINY_WIDTH)
    return Shape(
        vocab=vocab,
        width=width,
        depth=config.depth or max(1, round(width * DEPTH_PER_WIDTH)),
        heads=width // (32 if width < 128 or width % 64 else 64),
        context=context,
        bigrams=bigrams,
    )
