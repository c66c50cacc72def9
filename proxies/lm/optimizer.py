"""Muon for the block matrices, AdamW for tables and head, all runs of a pack at once.

Notation:
    K runs, L blocks; G: (L * K, rows, columns) gradients of the matrices of one kind
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from proxies.lm.model import KINDS, PackedModel
from proxies.lm.recipe import Recipe

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
    # The first step takes the matrices to norm 1, in its small factors.
    scale = 1.0 / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for step in range(NEWTON_SCHULZ_STEPS):
        gram = torch.bmm(x.transpose(1, 2), x) if tall else torch.bmm(x, x.transpose(1, 2))
        gram = gram * scale.square() if step == 0 else gram
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        factor = factor * scale if step == 0 else factor
        x = torch.bmm(x, factor) if tall else torch.bmm(factor, x)
    return x


def nesterov(velocity: Tensor, gradients: Sequence[Tensor], momentum: float) -> Tensor:
    """The step that momentum proposes, (L, ...) bfloat16; the velocity is updated in place.

    Args:
        velocity: (L, ...) float32.
        gradients: L of any precision.
        momentum: of the velocity.
    """
    exact = torch.stack(list(gradients)).float()
    velocity.lerp_(exact, 1 - momentum)
    return torch.lerp(exact, velocity, momentum).bfloat16()


def descend(matrices: Tensor, factors: Tensor, update: Tensor, rate: Tensor, scale: float) -> None:
    """Matrices minus rate * scale * update, and the same in the factors' precision; in place."""
    matrices.addcmul_(update, rate, value=-scale)
    if factors is not matrices:
        factors.copy_(matrices)


class Optimizers:
    """The optimisers of a packed model; one schedule for all of it.

    A step is `set_rates`, on the host, and `step`, which reads the rates where the model lives: so
    that a GPU can record it once and replay it.
    """

    def __init__(self, model: PackedModel, recipe: Recipe) -> None:
        self._model, self.recipe = model, recipe
        self._embedding, self._head, self._matrix = torch.zeros(3, device=model.device).unbind()
        embedding, head = model.parameters["embedding"], model.parameters["head"]
        self._dense = {"embedding": embedding, "head": head}
        self._adam = torch.optim.AdamW(
            [
                {"params": [embedding], "lr": self._embedding},
                {"params": [head], "lr": self._head},
            ],
            betas=BETAS,
            eps=1e-10,
            weight_decay=0.0,
            fused=True,
            capturable=model.device.type == "cuda",
        )
        for tensor in self._dense.values():
            self._adam.state[tensor] = {
                "step": torch.zeros((), device=tensor.device),
                "exp_avg": torch.zeros_like(tensor, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(tensor, requires_grad=False),
            }
        if model.bigram is not None:
            model.bigram.reserve(recipe.steps)
        self._velocity = {kind: torch.zeros_like(model.stacks[kind]) for kind in KINDS}

    def set_rates(self, number: int) -> None:
        """Take the learning rates of a step, counted from 0."""
        recipe, factor = self.recipe, self.recipe.rate_factor(number)
        self._embedding.fill_(recipe.rate_embedding * factor)
        self._head.fill_(recipe.rate_head * factor)
        self._matrix.fill_(recipe.rate_matrix * factor)

    def step(self) -> None:
        """Update the model with the gradients at hand, and drop them."""
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        if self._model.bigram is not None:
            self._model.bigram.step(self._embedding, BETAS)
        for kind in KINDS:
            self._muon(kind)

    @torch.no_grad()
    def _muon(self, kind: str) -> None:
        """Momentum (Nesterov), orthogonalised; every layer and run of one kind in one batch."""
        model = self._model
        leaves = [model.leaves[f"{kind}.{layer}"] for layer in range(model.shape.depth)]
        gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
        step = nesterov(self._velocity[kind], gradients, self.recipe.momentum)
        for leaf in leaves:
            leaf.grad = None
        update = orthogonalized(step.flatten(0, 1)).view_as(step)
        scale = max(1.0, step.shape[2] / step.shape[3]) ** 0.5
        descend(model.stacks[kind], model.factors[kind], update, self._matrix, scale)

    def state(self, run: int) -> dict[str, Tensor]:
        """Everything of one run that training changes, by name; see `load`."""
        tensors = {name: p.detach()[run] for name, p in self._model.parameters.items()}
        for name, tensor in self._dense.items():
            moments = self._adam.state[tensor]
            tensors[f"adam.m.{name}"] = moments["exp_avg"][run]
            tensors[f"adam.v.{name}"] = moments["exp_avg_sq"][run]
            tensors[f"adam.step.{name}"] = moments["step"].clone()
        for kind, velocity in self._velocity.items():
            tensors[f"muon.{kind}"] = velocity[:, run]
        if self._model.bigram is not None:
            tensors |= {f"bigram.{k}": v for k, v in self._model.bigram.state(run).items()}
        return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}

    @torch.no_grad()
    def load(self, run: int, state: Mapping[str, Tensor]) -> None:
        """Put one run back to where `state` was taken. All runs of a pack are at one step."""
        for name, parameter in self._model.parameters.items():
            parameter[run] = state[name].to(parameter.device)
        self._model.refresh()
        for name, tensor in self._dense.items():
            moments = self._adam.state[tensor]
            moments["exp_avg"][run] = state[f"adam.m.{name}"].to(tensor.device)
            moments["exp_avg_sq"][run] = state[f"adam.v.{name}"].to(tensor.device)
            moments["step"].copy_(state[f"adam.step.{name}"])
        for kind, velocity in self._velocity.items():
            velocity[:, run] = state[f"muon.{kind}"].to(velocity.device)
        if self._model.bigram is not None:
            prefix = "bigram."
            rows = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
            self._model.bigram.load(run, rows)
