"""A small decoder-only transformer that learns most per token, K of them in one.

Notation:
    K runs of a pack; B sequences of T tokens each; n = B T; d: width; h: heads of size c = d / h
    V: vocabulary; R: rows of the bigram table
    x: (K, n, d) residual stream; ids: (K, B, T) int64 tokens; weights: (K, out, in)

Every parameter has a leading dimension for the runs, also when there is one: no second model. No
operation mixes runs, so that what happens to one (a diverged run turns into NaN) stays in it.

What is in the model and why, measured at d = 64, 64 k to 256 k tokens: RMSNorm without gains;
rotary positions; output projections of every block at zero, so that the network starts as a bigram
model and deepens as it learns; unit-sd embeddings, as the normalised stream expects; ReLU^2; a
hashed table of bigram embeddings beside the token embeddings, which saves the first layer the work
of finding the previous token.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from proxies.lm.embedding import SharedRows, SparseTable
from proxies.lm.functions import (
    attention,
    norm,
    product,
    relu_squared,
    rotate,
    split_product,
)

BIGRAM_PRIME = 1_000_003
KINDS = ("qkv", "mix", "up", "down")
SHARPNESS = 1.5  # attention scores of normalised queries and keys are bounded; widen them


@dataclass(frozen=True)
class Shape:
    """What decides the parameters of a model.

    Attributes:
        vocab: V.
        width: d, a multiple of `heads`.
        depth: blocks.
        heads: h.
        context: T, the longest sequence.
        bigrams: R, rows of the hashed bigram table; 0 leaves it out.
    """

    vocab: int
    width: int
    depth: int
    heads: int
    context: int
    bigrams: int

    @property
    def params(self) -> int:
        """Parameters that are multiplied with every token: 12 d^2 per block plus the head V d.

        Embedding rows are looked up, not multiplied, and do not count; 6 N D with this N is the
        training cost without attention scores (10 to 15 % at these lengths).
        """
        return 12 * self.width**2 * self.depth + self.vocab * self.width


class PackedModel:
    """K transformers of one shape; run k draws its initial values from `seeds[k]` alone.

    Args:
        shape: of each.
        seeds: one per run.
        device: where they live.
        dtype: of matrix products and activations; parameters are float32.

    Attributes:
        parameters: name to (K, ...) float32.
        stacks: kind to all block matrices of it, (L, K, out, in); the parameters are views of it.
        factors: the same in `dtype`, as the products take them; see `refresh`.
        leaves: name to what the loss is differentiated by: (K, ...) parameters, or for block
            matrices their factors.
        bigram: table of bigram embeddings, if there is one. rows: where they are read.
        halves: a block before and after its attention, as training computes it; `HALVES` or what a
            compiler made of them.
    """

    def __init__(
        self, shape: Shape, seeds: Sequence[int], device: torch.device, dtype: torch.dtype
    ) -> None:
        self.shape, self.runs, self.dtype, self.device = shape, len(seeds), dtype, device
        self.halves: Halves = HALVES
        drawn = {seed: _initial(shape, seed, device) for seed in dict.fromkeys(seeds)}
        values = {
            name: torch.stack([drawn[seed][name] for seed in seeds]) for name in drawn[seeds[0]]
        }
        self.stacks = {
            kind: torch.stack([values.pop(f"{kind}.{i}") for i in range(shape.depth)])
            for kind in KINDS
        }
        self.factors = {kind: stack.to(dtype) for kind, stack in self.stacks.items()}
        self.parameters = {name: tensor.requires_grad_() for name, tensor in values.items()}
        self.leaves = dict(self.parameters)
        for kind in KINDS:
            for layer in range(shape.depth):
                self.parameters[f"{kind}.{layer}"] = self.stacks[kind][layer]
                self.leaves[f"{kind}.{layer}"] = self.factors[kind][layer].detach().requires_grad_()
        self.bigram = (
            SparseTable(self.runs, shape.bigrams, shape.width, device) if shape.bigrams else None
        )
        self.rows: SparseTable | SharedRows | None = self.bigram
        size = shape.width // shape.heads
        rate = 10_000 ** (-torch.arange(0, size, 2) / size)
        angle = torch.outer(torch.arange(shape.context), rate)[:, None]
        self._cos = torch.cat((angle.cos(), angle.cos()), dim=-1).to(device, dtype)
        self._sin = torch.cat((-angle.sin(), angle.sin()), dim=-1).to(device, dtype)
        above = torch.full((shape.context, shape.context), float("-inf")).triu(1)
        self._mask = above.to(device, dtype)
        self._offset = torch.arange(self.runs, device=device)[:, None, None]

    @property
    def compiled(self) -> bool:
        """Whether training uses compiled blocks."""
        return self.halves is not HALVES

    def tensors(self, run: int) -> dict[str, Tensor]:
        """The parameters of one run, by name, the bigram table as a whole among them."""
        tensors = {name: tensor.detach()[run] for name, tensor in self.parameters.items()}
        if self.bigram is not None:
            rows = torch.arange(self.shape.bigrams, device=self.device)
            tensors["bigram"] = self.bigram.lookup(rows + run * self.shape.bigrams)
        return {name: tensor.cpu().clone() for name, tensor in tensors.items()}

    @torch.no_grad()
    def set_tensors(self, run: int, values: Mapping[str, Tensor]) -> None:
        """Give one run the parameters that `tensors` returned; before the first training step."""
        for name, tensor in self.parameters.items():
            tensor[run] = values[name].to(tensor.device)
        self.refresh()
        if self.bigram is not None:
            self.bigram.put(run, values["bigram"])

    def refresh(self) -> None:
        """Make the factors follow the parameters, which were changed by hand."""
        for kind, factor in self.factors.items():
            factor.copy_(self.stacks[kind])

    def head(self) -> Tensor:
        """The output head, (K, V, d), in the precision of the products."""
        return self.parameters["head"].to(self.dtype)

    def features(self, ids: Tensor, *, training: bool) -> Tensor:
        """The normalised residual stream before the head, (K, n, d).

        Args:
            ids: (K, B, T); T may be shorter than the context.
            training: keep what the update of the bigram table needs.
        """
        d = self.shape.width
        x = F.embedding(
            ids + self._offset * self.shape.vocab, self.parameters["embedding"].flatten(0, 1)
        ).view(self.runs, -1, d)
        if self.rows is not None:
            index = self._bigram_index(ids, self.rows.rows)
            looked_up = self.rows.read(index) if training else self.rows.lookup(index)
            x = x + looked_up.view(self.runs, -1, d)
        x = norm(x, self.dtype)
        length = ids.shape[2]
        cos, sin, mask = self._cos[:length], self._sin[:length], self._mask[:length, :length]
        before, after = self.halves if training else HALVES
        for layer in range(self.shape.depth):
            qkv, mix, up, down = (self.leaves[f"{kind}.{layer}"] for kind in KINDS)
            q, k, v = before(x, qkv, cos, sin, self.shape.heads)
            x = after(x, attention(q, k, v, mask, SHARPNESS), mix, up, down)
        return norm(x, self.dtype)

    def _bigram_index(self, ids: Tensor, rows: int) -> Tensor:
        previous = F.pad(ids[..., :-1], (1, 0))
        hashed = (previous * BIGRAM_PRIME + ids * 8191) % rows
        return (hashed + self._offset * rows).flatten()


class Copies(PackedModel):
    """Several copies of the runs of a model, for gradients of several sets in one pass.

    Run c K + k is copy c of run k. They are never trained, and follow the model by `follow`.

    Args:
        model: K runs.
        times: copies of each.
    """

    def __init__(self, model: PackedModel, times: int) -> None:
        bare = replace(model.shape, bigrams=0)
        super().__init__(bare, [0] * (model.runs * times), model.device, model.dtype)
        self._of, self._times = model, times
        self.rows = None if model.bigram is None else SharedRows(model.bigram)

    @torch.no_grad()
    def follow(self) -> None:
        """Take the parameters of the model as they stand."""
        for name, tensor in self.parameters.items():
            of = self._of.parameters[name]
            tensor.view(self._times, *of.shape).copy_(of)
        self.refresh()


def before_attention(
    x: Tensor, qkv: Tensor, cos: Tensor, sin: Tensor, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a block, (K B, T, h, c) each.

    Args:
        x: (K, n, d) residual stream.
        qkv: (K, 3 d, d).
        cos: of the rotary positions, (T, 1, c).
        sin: of the same, negative in its first half.
        heads: h.
    """
    length, size = len(cos), x.shape[2] // heads
    qk, v = split_product(norm(x, x.dtype), qkv, 2 * x.shape[2])
    qk = rotate(norm(qk.view(-1, length, 2 * heads, size), x.dtype), cos, sin)
    q, k = qk.chunk(2, dim=2)
    return q, k, v.view(-1, length, heads, size)


def after_attention(x: Tensor, mixed: Tensor, mix: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """The residual stream after a block, (K, n, d).

    Args:
        x: (K, n, d) before it.
        mixed: (K B, T, d), what attention gave.
        mix: (K, d, d).
        up: (K, 4 d, d).
        down: (K, d, 4 d).
    """
    x = x + product(mixed.view(x.shape), mix)
    return x + product(relu_squared(product(norm(x, x.dtype), up)), down)


Halves = tuple[Callable[..., tuple[Tensor, Tensor, Tensor]], Callable[..., Tensor]]
HALVES: Halves = (before_attention, after_attention)


def _initial(shape: Shape, seed: int, device: torch.device) -> dict[str, Tensor]:
    """Initial parameters of one run, the same on every device."""
    d, vocab, generator = shape.width, shape.vocab, torch.Generator().manual_seed(seed)

    def normal(*size: int, sd: float) -> Tensor:
        return torch.randn(*size, generator=generator) * sd

    values = {"embedding": normal(vocab, d, sd=1.0), "head": torch.zeros(vocab, d)}
    for layer in range(shape.depth):
        values[f"qkv.{layer}"] = normal(3 * d, d, sd=d**-0.5)
    for layer in range(shape.depth):
        values[f"up.{layer}"] = normal(4 * d, d, sd=d**-0.5)
        values[f"mix.{layer}"] = torch.zeros(d, d)
        values[f"down.{layer}"] = torch.zeros(d, 4 * d)
    return {name: tensor.to(device) for name, tensor in values.items()}
