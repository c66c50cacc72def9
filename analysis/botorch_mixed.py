"""Mixture and knobs by BoTorch's alternating optimiser, over one of our fitted laws.

Notation:
    x: (m + q,) a mixture, then one coordinate a knob: a number's share of its range, or the place
    of a choice among its options; p: (.,) the same point as one of the joint simplex
    (`mixopt.runs.knobs`)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.models.model import Model
from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating
from torch import Tensor

from mixopt.proposers.botorch import ConditionedLaw, LawModel, arguments
from mixopt.proposers.surrogate import Surrogate
from mixopt.runs.knobs import Choice, SearchSpace, Value
from mixopt.space.simplex import Array

__all__ = ["MixedModel", "propose_mixed"]


class MixedModel(Model):  # type: ignore[misc]
    """A law over mixture and knobs as a BoTorch model over x.

    Args:
        law: over points of the joint simplex.
        joint: the space.
    """

    def __init__(self, law: LawModel | ConditionedLaw, joint: SearchSpace) -> None:
        super().__init__()
        self.law, self.joint = law, joint

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return self.law.num_outputs

    @property
    def batch_shape(self) -> torch.Size:
        """Of the model itself: none."""
        return torch.Size([])

    def points(self, X: Tensor) -> Tensor:
        """(... x p) points of the joint simplex, with gradients in mixture and numbers."""
        m = self.joint.space.dim
        blocks = [X[..., :m]]
        for place, knob in enumerate(self.joint.knobs, start=m):
            x = X[..., place]
            if isinstance(knob, Choice):
                options = torch.arange(knob.width, dtype=X.dtype)
                blocks.append((x.round().unsqueeze(-1) == options).to(X))
            else:
                blocks.append(torch.stack([x, 1.0 - x], dim=-1))
        return torch.cat(blocks, dim=-1) / (1 + len(self.joint.knobs))

    def believing(self, X: Tensor) -> "MixedModel":
        """The model after runs at X (n x (m + q)) that came out as it expects; none: itself."""
        if not len(X):
            return self
        P = self.points(X)
        Y = self.law.posterior(P[:, None]).mean[:, 0]
        return MixedModel(self.law.condition_on_observations(P, Y), self.joint)

    def posterior(self, X: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The joint posterior at X; see `LawModel.posterior`."""
        return self.law.posterior(self.points(X), *args, **kwargs)


def propose_mixed(
    surrogate: Surrogate,
    joint: SearchSpace,
    n: int,
    *,
    runs: Array,
    rng: np.random.Generator,
    options: Mapping[str, int] | None = None,
) -> list[tuple[Array, dict[str, Value]]]:
    """Mixtures with values of the knobs to train next, by expected improvement.

    One after the other, those before it taken to come out as expected: numbers and mixture by
    gradients, choices by local search, in turn. (Noisy improvement of a whole batch over all runs
    takes the joint posterior at each step, and its gradient by differences: minutes a round.)

    Args:
        surrogate: a law over the joint simplex with a joint posterior.
        joint: mixtures and knobs.
        n: how many.
        runs: (r, p) points that have been run.
        rng: source of randomness.
        options: of the optimiser: `raw_samples`, `num_restarts`, `maxiter_alternating`.
    """
    given = {"raw_samples": 32, "num_restarts": 2, "maxiter_alternating": 8} | dict(options or {})
    made, choices = _search(joint)
    law, chosen = LawModel(surrogate), torch.empty((0, made["bounds"].shape[1]))
    best = law.posterior(torch.as_tensor(runs)[:, None]).mean.max()
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**31)))
        for _ in range(n):
            model = MixedModel(law, joint).believing(chosen)
            X, _ = optimize_acqf_mixed_alternating(
                LogExpectedImprovement(model, best),
                cat_dims=choices,
                q=1,
                raw_samples=given["raw_samples"],
                num_restarts=given["num_restarts"],
                options={
                    "maxiter_alternating": given["maxiter_alternating"],
                    "initialization_strategy": "random",
                },
                **made,
            )
            chosen = torch.cat([chosen, X.detach()])
    x, m = chosen.numpy(), joint.space.dim
    W = joint.space.round(np.clip(x[:, :m], 0.0, None) / x[:, :m].sum(axis=1, keepdims=True))
    return [(w, _values(joint, row[m:])) for w, row in zip(W, x, strict=True)]


def _search(joint: SearchSpace) -> tuple[dict[str, Any], dict[int, list[float]]]:
    """Bounds and constraints of x, and the places of its choices."""
    made, m = arguments(joint.space), joint.space.dim
    top = [float(k.width - 1) if isinstance(k, Choice) else 1.0 for k in joint.knobs]
    more = torch.tensor([[0.0] * len(top), top], dtype=torch.double)
    made["bounds"] = torch.cat([made["bounds"], more], dim=1)
    choices = {
        m + i: [float(v) for v in range(k.width)]
        for i, k in enumerate(joint.knobs)
        if isinstance(k, Choice)
    }
    return made, choices


def _values(joint: SearchSpace, x: Array) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for knob, number in zip(joint.knobs, x, strict=True):
        if isinstance(knob, Choice):
            values[knob.name] = knob.options[round(float(number))]
        else:
            values[knob.name] = knob.decode(np.array([number, 1.0 - number]))
    return values
