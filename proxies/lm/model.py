"""A small decoder-only transformer that learns most per token at a few hundred thousand tokens.

Notation:
    B sequences of T tokens; d: width; h: heads of size c = d / h; V: vocabulary
    x: (B, T, d) residual stream; ids: (B, T) int64 tokens

What is in it and why, measured at d = 64, 64 k to 256 k tokens: RMSNorm without gains; rotary
positions; output projections of every block at zero, so that the network starts as a bigram model
and deepens as it learns; unit-sd embeddings, as the normalised stream expects; ReLU^2
(arXiv 2109.08668); attention written out, because the fused CPU kernel is slower at these sizes; a
hashed table of bigram embeddings beside the token embeddings, which saves the first layer the work
of finding the previous token.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
        bigrams: rows of the hashed bigram table; 0 leaves it out.
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


class LanguageModel(nn.Module):
    """The transformer; all initial values come from the generator passed in."""

    cos: Tensor
    sin: Tensor
    mask: Tensor

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        d, vocab = shape.width, shape.vocab

        def normal(*size: int, sd: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*size, generator=generator) * sd)

        self.embedding = normal(vocab, d, sd=1.0)
        self.bigram = nn.Parameter(torch.zeros(shape.bigrams, d)) if shape.bigrams else None
        self.head = nn.Parameter(torch.zeros(vocab, d))
        sd = d**-0.5
        self.qkv = nn.ParameterList(normal(3 * d, d, sd=sd) for _ in range(shape.depth))
        self.mix = nn.ParameterList(nn.Parameter(torch.zeros(d, d)) for _ in range(shape.depth))
        self.up = nn.ParameterList(normal(4 * d, d, sd=sd) for _ in range(shape.depth))
        self.down = nn.ParameterList(
            nn.Parameter(torch.zeros(d, 4 * d)) for _ in range(shape.depth)
        )
        size = d // shape.heads
        rate = 10_000 ** (-torch.arange(0, size, 2) / size)
        angle = torch.outer(torch.arange(shape.context), rate)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        above = torch.full((shape.context, shape.context), float("-inf")).triu(1)
        self.register_buffer("mask", above, persistent=False)

    def matrices(self) -> list[nn.Parameter]:
        """The block matrices, which Muon updates."""
        return [*self.qkv, *self.mix, *self.up, *self.down]

    def features(self, ids: Tensor) -> Tensor:
        """The normalised residual stream before the head, (B, T, d)."""
        x = F.embedding(ids, self.embedding)
        if self.bigram is not None:
            previous = F.pad(ids[:, :-1], (1, 0))
            hashed = (previous * BIGRAM_PRIME + ids * 8191) % self.shape.bigrams
            x = x + F.embedding(hashed, self.bigram)
        x = _norm(x)
        for layer in range(self.shape.depth):
            x = x + self._attention(_norm(x), layer)
            hidden = F.relu(_norm(x) @ self.up[layer].t()).square()
            x = x + hidden @ self.down[layer].t()
        return _norm(x)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the next token, (B, T, V)."""
        return self.features(ids) @ self.head.t()

    def _attention(self, x: Tensor, layer: int) -> Tensor:
        batch, length, d = x.shape
        heads = self.shape.heads
        q, k, v = (
            part.view(batch, length, heads, d // heads).transpose(1, 2)
            for part in (x @ self.qkv[layer].t()).chunk(3, dim=-1)
        )
        q, k = self._rotate(_norm(q)), self._rotate(_norm(k))
        scores = q @ k.transpose(-1, -2) * ((d // heads) ** -0.5 * SHARPNESS)
        weights = (scores + self.mask[:length, :length]).softmax(-1)
        mixed = (weights.to(v.dtype) @ v).transpose(1, 2).reshape(batch, length, d)
        out: Tensor = mixed @ self.mix[layer].t()
        return out

    def _rotate(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[2]].to(x.dtype), self.sin[: x.shape[2]].to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def _norm(x: Tensor) -> Tensor:
    normed: Tensor = F.rms_norm(x, (x.shape[-1],))
    return normed
