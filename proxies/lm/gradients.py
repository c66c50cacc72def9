"""Products of domains' gradients, and how noisy they are.

Notation:
    K runs of a pack; m domains, n targets; b sequences of a look at one of them, in P parts
    g: mean gradient of a set, over the parameters of a scope, (D,) or sketched, (r,)

Gradients are those of the loss in nats a token by the parameters as they stand, before any
optimiser: matrices, tables and head alike. They are taken of sequences that come next (of domains)
or are steered by (targets), so that a domain has one even where nothing of it was drawn.

A look costs a backward pass over some of each domain and target, side by side through copies of the
model. It takes all that fits into a tenth of what training took since the last one, between a share
of one batch and a whole batch each.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mixopt.space.simplex import Array
from proxies.lm.model import Copies, PackedModel
from proxies.lm.packing import sequences_at_once
from proxies.lm.steps import pack_loss, token_weights

SKETCH = 4096
"""r: entries of a sketch; an inner product is right to |g| |h| / sqrt(r)."""
PARTS = 4
"""P: of the sequences of a domain, between which the noise of its gradient is measured."""
COPIED = 2**26
"""Parameters of copies side by side: 1 GB with their gradients."""
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
        vector: (D,) or (r,) float32, without the rows of the bigram table.
        square: its squared norm in the scope, rows included (a sketch's is that of what it is a
            sketch of).
        rows: (u,) of the bigram table that have one, each once; none beside a sketch.
        of_rows: (u, d) their gradients.
    """

    vector: Tensor
    square: float
    rows: Tensor
    of_rows: Tensor


class Gradients:
    """Gradients of the losses of a pack's runs, of one scope.

    Args:
        model: K runs; no operation mixes them, so that one backward pass gives all their gradients.
        scope: `"full"`: all parameters; `"last"`: the last matrix before the head, that out of the
            last block; `"head"`: the output head; `"sketch"`: a count sketch of all parameters,
            with signs and places that are the same in every run.
        boundary: see `proxies.lm.steps.token_weights`.
    """

    def __init__(self, model: PackedModel, scope: str, boundary: int | None = None) -> None:
        self._model, self._scope, self._boundary = model, scope, boundary
        self._copies: dict[int, Copies] = {}

    def of(self, sets: Sequence[Tensor]) -> list[list[Gradient]]:
        """Of the mean losses over sets of sequences; the model stands as it did.

        Sets of one size go through copies of the model side by side: small batches one after
        another are half as fast.

        Args:
            sets: (S) times (K, b, T + 1).

        Returns:
            (S) times (K).
        """
        gradients: list[list[Gradient]] = []
        while len(gradients) < len(sets):
            rest = sets[len(gradients) :]
            shape = rest[0].shape
            most = self._at_once(shape[1])
            alike = next((i for i, ids in enumerate(rest) if ids.shape != shape), len(rest))
            gradients += self._side_by_side(torch.stack(list(rest[: min(alike, most)])))
        return gradients

    def _at_once(self, sequences: int) -> int:
        """Sets of so many sequences that fit side by side."""
        model = self._model
        fitting = sequences_at_once(model.shape, model.runs, model.device) // sequences
        return max(1, min(fitting, COPIED // (model.runs * model.shape.params)))

    def _side_by_side(self, ids: Tensor) -> list[list[Gradient]]:
        """(S) times (K), of (S, K, b, T + 1)."""
        times, runs = ids.shape[:2]
        model = self._model
        if times > 1:
            if times not in self._copies:
                self._copies[times] = Copies(self._model, times)
            self._copies[times].follow()
            model = self._copies[times]
        try:
            every = ids.flatten(0, 1)
            weights = token_weights(every, self._boundary)
            pack_loss(model, every, weights=weights).sum().backward()  # type: ignore[no-untyped-call]
            parts = {name: grad.float() for name, grad in self._parts(model)}
            rows, of_rows = self._of_rows(model)
        finally:
            for leaf in model.leaves.values():
                leaf.grad = None
        size = self._model.shape.bigrams
        owner = rows // max(1, size)
        each = [
            self._of_run(
                {name: part[run].flatten() for name, part in parts.items()},
                rows[owner == run] - run * size,
                of_rows[owner == run],
            )
            for run in range(times * runs)
        ]
        return [each[first : first + runs] for first in range(0, len(each), runs)]

    def _of_run(self, parts: dict[str, Tensor], rows: Tensor, of_rows: Tensor) -> Gradient:
        flat = of_rows.flatten()
        square = math.fsum(float(part @ part) for part in [*parts.values(), flat])
        if self._scope == "sketch":
            sketch = self._sketched(parts, rows, of_rows)
            return Gradient(sketch, square, rows[:0], of_rows[:0])
        return Gradient(torch.cat(list(parts.values())), square, rows, of_rows)

    def noise(self, sets: Sequence[Tensor], parts: int = PARTS) -> Array:
        """(S, K, 2) squared norm of the gradient, and trace of the covariance of one sequence's.

        Both without bias (from products between the gradients of `parts` equal parts; two of them
        are the pair of batches of arXiv 1812.06162), so that either may come out negative.

        Args:
            sets: (S) times (K, b, T + 1), b at least `parts`; what does not divide is left out.
            parts: P, 2 or more.
        """
        sizes = [ids.shape[1] // parts for ids in sets]
        pieces = [
            piece
            for ids, size in zip(sets, sizes, strict=True)
            for piece in torch.split(ids[:, : size * parts], size, dim=1)
        ]
        gradients = self.of(pieces)
        of_sets = [gradients[at : at + parts] for at in range(0, len(gradients), parts)]
        return np.array(
            [
                [_noise(of_run, size) for of_run in zip(*of_set, strict=True)]
                for of_set, size in zip(of_sets, sizes, strict=True)
            ]
        )

    def _parts(self, model: PackedModel) -> list[tuple[str, Tensor]]:
        if self._scope == "head":
            names = ["head"]
        elif self._scope == "last":
            names = [f"down.{model.shape.depth - 1}"]
        else:
            names = list(model.leaves)
        return [(n, g) for n in names if (g := model.leaves[n].grad) is not None]

    def _of_rows(self, model: PackedModel) -> tuple[Tensor, Tensor]:
        device = model.device
        if model.rows is None or self._scope in {"head", "last"}:
            return torch.zeros(0, dtype=torch.int64, device=device), torch.zeros(
                0, 1, device=device
            )
        return model.rows.gradient()

    def _sketched(self, parts: dict[str, Tensor], rows: Tensor, of_rows: Tensor) -> Tensor:
        """(r,): every entry is added to a place of its own, with a sign of its own."""
        sketch = torch.zeros(SKETCH, device=self._model.device)
        for name, part in parts.items():
            places, signs = _hashes(name, len(part), self._model.device)
            sketch.index_add_(0, places, part * signs)
        if len(rows):
            width = of_rows.shape[1]
            size = self._model.shape.bigrams * width
            places, signs = _hashes("bigram", size, self._model.device)
            chosen = places.view(-1, width)[rows].flatten()
            signed = signs.view(-1, width)[rows] * of_rows
            sketch.index_add_(0, chosen, signed.flatten())
        return sketch


@lru_cache(maxsize=64)  # drawn once for all runs of a process: they are the same in every one
def _hashes(name: str, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Place and sign of every entry of a parameter, (size,)."""
    draws = torch.Generator().manual_seed(zlib.crc32(f"sketch/{name}".encode()))
    drawn = torch.randint(0, 2 * SKETCH, (size,), generator=draws, dtype=torch.int32)
    places, signs = drawn // 2, (2 * (drawn % 2) - 1).float()
    return places.to(device), signs.to(device)


def _noise(gradients: Sequence[Gradient], size: int) -> tuple[float, float]:
    """See `Gradients.noise`; of parts of `size` sequences."""
    parts = len(gradients)
    gram = products(gradients, gradients, math.inf)
    trace, whole = float(np.trace(gram)), float(gram.sum())
    between = (whole - trace) / (parts * (parts - 1))
    return between, (trace / parts - between) * size


def products(left: Sequence[Gradient], right: Sequence[Gradient], clip: float) -> Array:
    """Inner products, (left, right), each gradient clipped to a norm first."""
    if not left or not right:
        return np.zeros((len(left), len(right)))
    one, other = (torch.stack([g.vector for g in group]) for group in (left, right))
    dots = (one @ other.T).cpu().double().numpy() + _of_tables(left, right)
    by_row, by_column = (np.array([_shrunk(g, clip) for g in group]) for group in (left, right))
    return np.asarray(dots * by_row[:, None] * by_column)


def _of_tables(left: Sequence[Gradient], right: Sequence[Gradient]) -> Array:
    """The part of the inner products that rows of the bigram table have."""
    every = torch.unique(torch.cat([g.rows for g in [*left, *right]]))
    one, other = (torch.stack([_on(every, g).flatten() for g in group]) for group in (left, right))
    return np.asarray((one @ other.T).cpu().double().numpy())


def _on(rows: Tensor, gradient: Gradient) -> Tensor:
    """(rows, d) of a gradient that has some of them."""
    dense = gradient.of_rows.new_zeros(len(rows), gradient.of_rows.shape[1])
    dense[torch.searchsorted(rows, gradient.rows)] = gradient.of_rows
    return dense


def _shrunk(gradient: Gradient, clip: float) -> float:
    norm = math.sqrt(gradient.square)
    return 1.0 if norm <= clip else clip / norm
