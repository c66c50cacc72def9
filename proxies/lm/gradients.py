"""Products of domains' gradients, and how noisy they are.

Notation:
    m domains, n targets; b sequences of a look at one of them, in P parts
    g: mean gradient of a set, over the parameters of a scope, (D,) or sketched, (r,)

Gradients are those of the loss in nats a token by the parameters as they stand, before any
optimiser: matrices, tables and head alike. They are taken of sequences that come next (of domains)
or are steered by (targets), so that a domain has one even where nothing of it was drawn.

A look costs a backward pass per domain and target. It takes all that fits into a tenth of what
training took since the last one, between a share of one batch and a whole batch each.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mixopt.space.simplex import Array
from proxies.lm.model import PackedModel
from proxies.lm.steps import pack_loss

SKETCH = 4096
"""r: entries of a sketch; an inner product is right to |g| |h| / sqrt(r)."""
PARTS = 4
"""P: of the sequences of a domain, between which the noise of its gradient is measured."""
BUDGET = 0.1
"""Share of a period's training that a look may cost."""


def sequences_of_look(every: int, batch: int, sets: int, sequences: int = 2**62) -> int:
    """b: sequences of each of so many sets in one look.

    Args:
        every: steps of a period.
        batch: sequences of a step.
        sets: domains and targets.
        sequences: that there are at most.
    """
    least, affordable = -(-batch // sets), int(BUDGET * every * batch / sets)
    return max(1, min(max(least, min(affordable, batch)), sequences))


@dataclass(frozen=True)
class Gradient:
    """The mean gradient of a set.

    Attributes:
        vector: (D,) or (r,) float32.
        square: its squared norm in the scope (a sketch's is that of what it is a sketch of).
    """

    vector: Tensor
    square: float


class Gradients:
    """Gradients of a model's loss, of one scope.

    Args:
        model: one run.
        scope: `"full"`: all parameters; `"last"`: the last matrix before the head, that out of the
            last block; `"head"`: the output head; `"sketch"`: a count sketch of all parameters,
            with signs and places that are the same in every run.
    """

    def __init__(self, model: PackedModel, scope: str) -> None:
        self._model, self._scope = model, scope
        self._sketches: dict[str, tuple[Tensor, Tensor]] = {}

    def of(self, ids: Tensor) -> Gradient:
        """Of the mean loss over sequences, (b, T + 1); the model stays as it is."""
        model = self._model
        try:
            pack_loss(model, ids[None]).sum().backward()  # type: ignore[no-untyped-call]
            parts = {name: grad.flatten().float() for name, grad in self._parts()}
        finally:
            for leaf in model.leaves.values():
                leaf.grad = None
        square = math.fsum(float(part @ part) for part in parts.values())
        if self._scope == "sketch":
            return Gradient(self._sketched(parts), square)
        return Gradient(torch.cat(list(parts.values())), square)

    def noise(self, ids: Tensor, parts: int = PARTS) -> tuple[float, float]:
        """Squared norm of the gradient, and trace of the covariance of one sequence's.

        Both without bias (of the gradients of `parts` equal parts, as the pair of batches of arXiv
        1812.06162), so that either may come out negative.

        Args:
            ids: (b, T + 1), b at least `parts`; what does not divide is left out.
            parts: P, 2 or more.
        """
        size = len(ids) // parts
        mean, squares = None, 0.0
        for part in torch.split(ids[: size * parts], size):
            gradient = self.of(part)
            squares += float(gradient.vector.double().square().sum())
            mean = gradient.vector if mean is None else mean.add_(gradient.vector)
        assert mean is not None
        whole = float(mean.double().square().sum()) / parts**2
        spread = (squares - parts * whole) / (parts - 1)
        return whole - spread / parts, spread * size

    def _parts(self) -> list[tuple[str, Tensor]]:
        model = self._model
        if self._scope == "head":
            names = ["head"]
        elif self._scope == "last":
            names = [f"down.{model.shape.depth - 1}"]
        else:
            names = list(model.leaves)
        parts = [(n, g) for n in names if (g := model.leaves[n].grad) is not None]
        if self._scope in {"full", "sketch"} and model.bigram is not None:
            parts.append(("bigram", model.bigram.gradient()))
        return parts

    def _sketched(self, parts: dict[str, Tensor]) -> Tensor:
        """(r,): every entry is added to a place of its own, with a sign of its own."""
        sketch = torch.zeros(SKETCH, device=self._model.device)
        for name, part in parts.items():
            if name not in self._sketches:
                draws = torch.Generator().manual_seed(zlib.crc32(f"sketch/{name}".encode()))
                drawn = torch.randint(0, 2 * SKETCH, (len(part),), generator=draws)
                places, signs = drawn // 2, (2 * (drawn % 2) - 1).float()
                self._sketches[name] = places.to(part.device), signs.to(part.device)
            places, signs = self._sketches[name]
            sketch.index_add_(0, places, part * signs)
        return sketch


def products(rows: Sequence[Gradient], columns: Sequence[Gradient], clip: float) -> Array:
    """Inner products, (rows, columns), each gradient clipped to a norm first."""
    if not rows or not columns:
        return np.zeros((len(rows), len(columns)))
    left, right = (torch.stack([g.vector for g in group]) for group in (rows, columns))
    dots = (left @ right.T).cpu().double().numpy()
    by_row, by_column = (np.array([_shrunk(g, clip) for g in group]) for group in (rows, columns))
    return np.asarray(dots * by_row[:, None] * by_column)


def _shrunk(gradient: Gradient, clip: float) -> float:
    norm = math.sqrt(gradient.square)
    return 1.0 if norm <= clip else clip / norm
