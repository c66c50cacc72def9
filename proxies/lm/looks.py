"""Looks at the models of a pack, for their mixers: held-out losses, gradients, their noise.

Notation:
    K runs of a pack; m domains, n targets; b sequences of T tokens of a look; N: parameters
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from mixopt.space.simplex import Array
from proxies.lm.evaluate import nats
from proxies.lm.examples import mean_loss
from proxies.lm.gradients import PARTS, Gradients, products, sequences_of_look
from proxies.lm.mixing import Member
from proxies.lm.model import PackedModel
from proxies.lm.setting import Setting

_NOISE = frozenset({"grad_sq", "grad_var"})
_PRODUCTS = frozenset({"gram", "gram_target"})


class Looks:
    """What is read off the models of a pack as they stand, and what that cost.

    Args:
        setting: of the runs.
        model: K runs.
        members: (K) the runs, with the same mixer.

    Attributes:
        flops: of all looks so far, of each run.
    """

    def __init__(self, setting: Setting, model: PackedModel, members: Sequence[Member]) -> None:
        self._setting, self._model, self._members = setting, model, members
        self._mixed = members[0].mixed
        self._boundary = setting.corpus.boundary
        self._gradients = Gradients(model, self._mixed.needs.scope, self._boundary)
        self.flops = 0.0

    def values(self, wanted: frozenset[str], step: int, batch: int) -> list[dict[str, Array]]:
        """(K) the signals that are wanted, by name; those of steps that are behind are left out.

        Args:
            wanted: names of signals.
            step: of the run, which draws what is looked at.
            batch: sequences of a step, by which a look is sized.
        """
        values: list[dict[str, Array]] = [{} for _ in self._members]
        if "heldout" in wanted:
            for of_run, losses in zip(values, self._heldout(), strict=True):
                of_run["heldout"] = losses
        if wanted & _NOISE:
            self._measure_noise(values, batch)
        if wanted & _PRODUCTS:
            self._measure_products(values, step, batch, targets="gram_target" in wanted)
        return values

    def _heldout(self) -> Array:
        """(K, n) mean nats a token of the targets."""
        targets = self._mixed.targets
        ids = torch.cat([of.ids for of in targets])
        losses = nats(self._model, ids)
        self._count(2.0, sum(of.tokens for of in targets))
        if self._boundary is not None:  # a sequence under an objective has fewer that bear loss
            losses = mean_loss(losses.double(), ids, self._boundary)[..., None]
        parts = torch.split(losses, [len(of.ids) for of in targets], dim=1)
        return torch.stack([part.double().mean((1, 2)) for part in parts], dim=1).cpu().numpy()

    def _measure_noise(self, values: list[dict[str, Array]], batch: int) -> None:
        looks = list(self._at_domains(max(PARTS, self._size(batch))))
        pairs = self._gradients.noise(looks)
        for of_run, (squares, traces) in zip(values, pairs.transpose(1, 2, 0), strict=True):
            of_run |= {"grad_sq": squares, "grad_var": traces}

    def _measure_products(
        self, values: list[dict[str, Array]], step: int, batch: int, *, targets: bool
    ) -> None:
        size, clip = self._size(batch), self._mixed.needs.clip
        looks = list(self._at_domains(size))
        domains = len(looks)
        looks += self._at_targets(step, size) if targets else ()
        gradients = self._gradients.of(looks)
        ours, theirs = gradients[:domains], gradients[domains:]
        for k, of_run in enumerate(values):
            of_domains, of_targets = ([row[k] for row in rows] for rows in (ours, theirs))
            of_run["gram"] = products(of_domains, of_domains, clip)
            of_run["gram_target"] = products(of_domains, of_targets, clip)

    def _at_domains(self, size: int) -> Iterator[Tensor]:
        """Of each domain what comes next, (K, b, T + 1)."""
        for domain in range(len(self._mixed.setup.start)):
            rows = [member.batches.ahead(domain, size) for member in self._members]
            yield self._looked(torch.from_numpy(np.stack(rows)))

    def _at_targets(self, step: int, most: int) -> Iterator[Tensor]:
        """Of each target some of what it is steered by, (K, b, T + 1), others at each step."""
        draws = [member.setup.rng("look", step) for member in self._members]
        for of in self._mixed.targets:
            size = min(len(of.ids), most)
            some = [np.sort(rng.choice(len(of.ids), size, replace=False)) for rng in draws]
            yield self._looked(of.ids[torch.from_numpy(np.stack(some)).to(of.ids.device)])

    def _size(self, batch: int) -> int:
        sets = len(self._mixed.setup.start) + len(self._mixed.targets)
        return sequences_of_look(self._mixed.needs.every, batch, sets)

    def _looked(self, ids: Tensor) -> Tensor:
        self._count(6.0, ids.shape[1] * (ids.shape[2] - 1))
        return ids.to(self._setting.device)

    def _count(self, per_parameter: float, tokens: int) -> None:
        self.flops += per_parameter * self._setting.recipe.shape.params * tokens
