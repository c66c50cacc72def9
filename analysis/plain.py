"""The plain trainer that the proxies are measured against: stock PyTorch, one run at a time.

The same network and the same optimisers as `proxies.lm`, so that the losses agree, written the way
one writes them first: modules, float32, scaled_dot_product_attention, cross_entropy, the optimisers
of torch.optim as they come.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxies.lm.model import BIGRAM_PRIME, SHARPNESS, PackedModel, Shape
from proxies.lm.optimizer import BETAS, NEWTON_SCHULZ_STEPS
from proxies.lm.recipe import Recipe


class PlainBlock(nn.Module):
    """Attention and feed-forward layer, without biases."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d, self.heads = shape.width, shape.heads
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.mix = nn.Linear(d, d, bias=False)
        self.up = nn.Linear(d, 4 * d, bias=False)
        self.down = nn.Linear(4 * d, d, bias=False)
        size = d // shape.heads
        rate = 10_000 ** (-torch.arange(0, size, 2) / size)
        angle = torch.outer(torch.arange(shape.context), rate)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, (B, T, d)."""
        x = x + self.mix(self._attend(_norm(x)))
        out: Tensor = x + self.down(F.relu(self.up(_norm(x))).square())
        return out

    def _attend(self, x: Tensor) -> Tensor:
        batch, length, d = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        q, k = self._rotate(_norm(q)), self._rotate(_norm(k))
        scale = SHARPNESS * (d // self.heads) ** -0.5
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        return mixed.transpose(1, 2).reshape(batch, length, d)

    def _rotate(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[2]], self.sin[: x.shape[2]]
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class PlainModel(nn.Module):
    """The network of `proxies.lm.model`, one run."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.bigram = nn.Embedding(max(1, shape.bigrams), shape.width)
        self.blocks = nn.ModuleList(PlainBlock(shape) for _ in range(shape.depth))
        self.head = nn.Linear(shape.width, shape.vocab, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits, (B, T, V)."""
        previous = F.pad(ids[:, :-1], (1, 0))
        hashed = (previous * BIGRAM_PRIME + ids * 8191) % self.bigram.num_embeddings
        x = _norm(self.embedding(ids) + self.bigram(hashed))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(_norm(x))
        return logits

    @torch.no_grad()
    def copy_from(self, model: PackedModel) -> None:
        """Take the initial values of the first run of a packed model."""
        values = {name: tensor[0] for name, tensor in model.parameters.items()}
        self.embedding.weight.copy_(values["embedding"])
        self.bigram.weight.zero_()
        self.head.weight.copy_(values["head"])
        for layer, block in enumerate(self.blocks):
            for kind in ("qkv", "mix", "up", "down"):
                block.get_submodule(kind).get_parameter("weight").copy_(values[f"{kind}.{layer}"])


def _norm(x: Tensor) -> Tensor:
    normed: Tensor = F.rms_norm(x, (x.shape[-1],), eps=1e-6)
    return normed


class PlainTrainer:
    """One run: a model and its optimisers."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        start = PackedModel(recipe.shape, [0], device, torch.float32)
        self.model, self.recipe = PlainModel(recipe.shape).to(device), recipe
        self.model.copy_from(start)
        tables = [self.model.embedding.weight, self.model.bigram.weight]
        self._adam = torch.optim.AdamW(
            [
                {"params": tables, "lr": recipe.rate_embedding},
                {"params": [self.model.head.weight], "lr": recipe.rate_head},
            ],
            betas=BETAS,
            eps=1e-10,
            weight_decay=0.0,
        )
        matrices = [p for block in self.model.blocks for p in block.parameters()]
        self._muon = torch.optim.Muon(
            matrices,
            lr=recipe.rate_matrix,
            momentum=recipe.momentum,
            weight_decay=0.0,
            ns_steps=NEWTON_SCHULZ_STEPS,
        )
        groups = self._adam.param_groups + self._muon.param_groups
        self._groups = [(group, float(group["lr"])) for group in groups]

    def step(self, number: int, ids: Tensor) -> Tensor:
        """Train on ids (B, T + 1); the mean loss in nats."""
        loss = self.loss(ids)
        loss.backward()  # type: ignore[no-untyped-call]
        for group, rate in self._groups:
            group["lr"] = rate * self.recipe.rate_factor(number)
        for optimizer in (self._adam, self._muon):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def loss(self, ids: Tensor) -> Tensor:
        """The mean loss on ids (B, T + 1)."""
        logits = self.model(ids[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
