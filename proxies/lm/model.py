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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from proxies.lm.functions import attention, norm, relu_squared, rotate
from proxies.lm.table import SparseTable

BIGRAM_PRIME = 1_000_003
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
    """

    def __init__(
        self, shape: Shape, seeds: Sequence[int], device: torch.device, dtype: torch.dtype
    ) -> None:
        self.shape, self.runs, self.dtype, self.device = shape, len(seeds), dtype, device
        drawn = [_initial(shape, torch.Generator().manual_seed(seed)) for seed in seeds]
        self.parameters: dict[str, Tensor] = {
            name: torch.stack([values[name] for values in drawn]).to(device).requires_grad_()
            for name in drawn[0]
        }
        self.bigram = (
            SparseTable(self.runs, shape.bigrams, shape.width, device) if shape.bigrams else None
        )
        size = shape.width // shape.heads
        rate = 10_000 ** (-torch.arange(0, size, 2) / size)
        angle = torch.outer(torch.arange(shape.context), rate)[:, None]
        self._cos = torch.cat((angle.cos(), angle.cos()), dim=-1).to(device, dtype)
        self._sin = torch.cat((-angle.sin(), angle.sin()), dim=-1).to(device, dtype)
        above = torch.full((shape.context, shape.context), float("-inf")).triu(1)
        self._mask = above.to(device, dtype)
        self._offset = torch.arange(self.runs, device=device)[:, None, None]

    def tensors(self, run: int) -> dict[str, Tensor]:
        """The parameters of one run, by name, the bigram table as a whole among them."""
        found = {name: tensor.detach()[run] for name, tensor in self.parameters.items()}
        if self.bigram is not None:
            rows = torch.arange(self.shape.bigrams, device=self.device)
            found["bigram"] = self.bigram.lookup(rows + run * self.shape.bigrams)
        return {name: tensor.cpu().clone() for name, tensor in found.items()}

    @torch.no_grad()
    def set_tensors(self, run: int, values: Mapping[str, Tensor]) -> None:
        """Give one run the parameters that `tensors` returned; before the first training step."""
        for name, tensor in self.parameters.items():
            tensor[run] = values[name].to(tensor.device)
        if self.bigram is not None:
            self.bigram.put(run, values["bigram"])

    def matrices(self, kind: str) -> list[Tensor]:
        """The block matrices of one kind (`qkv`, `mix`, `up`, `down`), layer by layer."""
        return [self.parameters[f"{kind}.{layer}"] for layer in range(self.shape.depth)]

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
        if self.bigram is not None:
            rows = self._bigram_rows(ids)
            looked_up = self.bigram.read(rows) if training else self.bigram.lookup(rows)
            x = x + looked_up.view(self.runs, -1, d)
        x = norm(x, self.dtype)
        for layer in range(self.shape.depth):
            x = x + self._attend(x, layer, ids.shape[2])
            hidden = relu_squared(self._product(norm(x, self.dtype), f"up.{layer}"))
            x = x + self._product(hidden, f"down.{layer}")
        return norm(x, self.dtype)

    def _attend(self, x: Tensor, layer: int, length: int) -> Tensor:
        shape, (runs, tokens, d) = self.shape, x.shape
        heads = shape.heads
        weights = self.parameters[f"qkv.{layer}"].to(self.dtype).transpose(1, 2)
        normed = norm(x, self.dtype)
        # two products: what is normalised and rotated lies in one piece
        qk = torch.bmm(normed, weights[..., : 2 * d]).view(-1, length, 2 * heads, d // heads)
        v = torch.bmm(normed, weights[..., 2 * d :]).view(-1, length, heads, d // heads)
        qk = rotate(norm(qk, self.dtype), self._cos[:length], self._sin[:length])
        q, k = qk.chunk(2, dim=2)
        mixed = attention(q, k, v, self._mask[:length, :length], SHARPNESS)
        return self._product(mixed.view(runs, tokens, d), f"mix.{layer}")

    def _product(self, x: Tensor, name: str) -> Tensor:
        return torch.bmm(x, self.parameters[name].to(self.dtype).transpose(1, 2))

    def _bigram_rows(self, ids: Tensor) -> Tensor:
        previous = F.pad(ids[..., :-1], (1, 0))
        hashed = (previous * BIGRAM_PRIME + ids * 8191) % self.shape.bigrams
        return (hashed + self._offset * self.shape.bigrams).flatten()


def _initial(shape: Shape, generator: torch.Generator) -> dict[str, Tensor]:
    """Initial parameters of one run."""
    d, vocab = shape.width, shape.vocab

    def normal(*size: int, sd: float) -> Tensor:
        return torch.randn(*size, generator=generator) * sd

    values = {"embedding": normal(vocab, d, sd=1.0), "head": torch.zeros(vocab, d)}
    for layer in range(shape.depth):
        values[f"qkv.{layer}"] = normal(3 * d, d, sd=d**-0.5)
    for layer in range(shape.depth):
        values[f"up.{layer}"] = normal(4 * d, d, sd=d**-0.5)
        values[f"mix.{layer}"] = torch.zeros(d, d)
        values[f"down.{layer}"] = torch.zeros(d, 4 * d)
    return values
