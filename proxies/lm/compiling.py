"""The blocks of a model compiled for a GPU, where that pays and where it is right.

A block moves ten times the bytes that its matrix products need; a compiler (`torch.compile`) joins
its elementwise operations into few. Attention stays outside, as a kernel of its own. Compiling
takes longer than a short run, so that it is done for long ones, on the way. A compiler's mistake
would pass for a bad mixture: what it made is used only if its gradients are those of the model.
(torch 2.11 gave rotary positions no gradient once compiled, for an operation in place in the
forward pass of their autograd function; losses on random tokens did not show it.)
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from proxies.lm.model import HALVES, PackedModel

SECONDS = 25.0  # that compiling for one batch size takes, with a new recording; H200: 10 to 20
SAVED = 0.3  # of the time of a step; H200: .28 (14.5M, 1024 tokens a step) to .48 (.92M)
MOST_OFF = 0.05  # of a gradient; bfloat16 alone makes .01 to .02, what was once compiled wrong .85


def pays(seconds: float, steps: int) -> bool:
    """Whether compiling saves more than it costs.

    Args:
        seconds: of a step as it is.
        steps: that are left with this batch.
    """
    return seconds * steps * SAVED > SECONDS


def compile_blocks(model: PackedModel) -> None:
    """Train with compiled blocks from now on."""
    torch.compiler.reset()  # else packs of ever new sizes in one process reach a limit
    before, after = HALVES
    model.halves = (
        torch.compile(before, dynamic=False, fullgraph=True),
        torch.compile(after, dynamic=False, fullgraph=True),
    )


def disagreement(ours: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> float:
    """The largest distance of two gradients of one matrix and run, as a share of its norm.

    Infinite where only one of them is a number, and where a gradient is zero: that shows nothing.

    Args:
        ours: name to (K, out, in).
        exact: the same names; a run that is no number in both (it has diverged) does not count.
    """
    worst = 0.0
    for name, gradient in exact.items():
        reference, mine = (g.float().flatten(1) for g in (gradient, ours[name]))
        norms = reference.norm(dim=1)
        diverged = ~norms.isfinite() & ~mine.norm(dim=1).isfinite()
        share = ((mine - reference).norm(dim=1) / norms).nan_to_num(nan=math.inf)
        worst = max(worst, float(share.masked_fill(diverged, 0.0).max()))
    return worst
