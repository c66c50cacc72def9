"""Muon for the block matrices, AdamW for tables and head, all runs of a pack at once.

Notation:
    K runs, L blocks; G: (L * K, rows, columns) gradients of the matrices of one kind
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from proxies.lm.model import PackedModel
from proxies.lm.recipe import Recipe

KINDS = ("qkv", "mix", "up", "down")
NEWTON_SCHULZ_STEPS = 3  # 5, the usual number, costs more and gains nothing at these widths
NEWTON_SCHULZ = (
    3.4445,
    -4.7750,
    2.0315,
)  # steepest at zero; https://kellerjordan.github.io/posts/muon
BETAS = (0.9, 0.98)


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors and singular values near 1, by Newton-Schulz.

    Args:
        matrices: (n, rows, columns), each treated by itself.

    Returns:
        (n, rows, columns) bfloat16.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if tall else x


class Optimizers:
    """The optimisers of a packed model; one schedule for all of it."""

    def __init__(self, model: PackedModel, recipe: Recipe) -> None:
        self._model, self._recipe = model, recipe
        embedding, head = model.parameters["embedding"], model.parameters["head"]
        self._dense = {"embedding": embedding, "head": head}
        self._adam = torch.optim.AdamW(
            [
                {"params": [embedding], "lr": recipe.rate_embedding},
                {"params": [head], "lr": recipe.rate_head},
            ],
            betas=BETAS,
            eps=1e-10,
            weight_decay=0.0,
            fused=True,
        )
        for tensor in self._dense.values():
            self._adam.state[tensor] = {
                "step": torch.zeros((), device=tensor.device),
                "exp_avg": torch.zeros_like(tensor, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(tensor, requires_grad=False),
            }
        self._velocity = {kind: torch.cat(model.matrices(kind)).detach() * 0 for kind in KINDS}

    def step(self, number: int) -> None:
        """Update the model with the gradients at hand, and drop them."""
        factor = self._recipe.rate_factor(number)
        rates = (self._recipe.rate_embedding, self._recipe.rate_head)
        for group, rate in zip(self._adam.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        if self._model.bigram is not None:
            self._model.bigram.step(self._recipe.rate_embedding * factor, BETAS)
        for kind in KINDS:
            self._muon(kind, self._recipe.rate_matrix * factor)

    @torch.no_grad()
    def _muon(self, kind: str, rate: float) -> None:
        """Momentum (Nesterov), orthogonalised; every layer and run of one kind in one batch."""
        matrices = self._model.matrices(kind)
        gradients = torch.cat([m.grad for m in matrices if m.grad is not None])
        velocity, momentum = self._velocity[kind], self._recipe.momentum
        velocity.lerp_(gradients, 1 - momentum)
        updates = orthogonalized(gradients.lerp_(velocity, momentum))
        scale = max(1.0, updates.shape[1] / updates.shape[2]) ** 0.5
        for matrix, update in zip(matrices, torch.split(updates, self._model.runs), strict=True):
            matrix.add_(update, alpha=-rate * scale)
            matrix.grad = None

    def state(self, run: int) -> dict[str, Tensor]:
        """Everything of one run that training changes, by name; see `load`."""
        found = {name: p.detach()[run] for name, p in self._model.parameters.items()}
        for name, tensor in self._dense.items():
            moments = self._adam.state[tensor]
            found[f"adam.m.{name}"] = moments["exp_avg"][run]
            found[f"adam.v.{name}"] = moments["exp_avg_sq"][run]
            found[f"adam.step.{name}"] = moments["step"].clone()
        for kind, velocity in self._velocity.items():
            found[f"muon.{kind}"] = velocity[run :: self._model.runs]
        if self._model.bigram is not None:
            found |= {f"bigram.{k}": v for k, v in self._model.bigram.state(run).items()}
        return {name: tensor.cpu().contiguous() for name, tensor in found.items()}

    @torch.no_grad()
    def load(self, run: int, state: Mapping[str, Tensor]) -> None:
        """Put one run back to where `state` was taken. All runs of a pack are at one step."""
        for name, parameter in self._model.parameters.items():
            parameter[run] = state[name].to(parameter.device)
        for name, tensor in self._dense.items():
            moments = self._adam.state[tensor]
            moments["exp_avg"][run] = state[f"adam.m.{name}"].to(tensor.device)
            moments["exp_avg_sq"][run] = state[f"adam.v.{name}"].to(tensor.device)
            moments["step"].copy_(state[f"adam.step.{name}"])
        for kind, velocity in self._velocity.items():
            velocity[run :: self._model.runs] = state[f"muon.{kind}"].to(velocity.device)
        if self._model.bigram is not None:
            prefix = "bigram."
            rows = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
            self._model.bigram.load(run, rows)
