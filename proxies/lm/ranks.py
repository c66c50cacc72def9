"""One pack trained by several processes, each on its share of every batch.

Notation:
    B sequences of a step; rank r of `world` takes those from `share(B)`
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is; alone by default, when nothing is exchanged.

    All ranks hold the whole model and take the same steps: gradients are summed over the ranks
    before the optimiser, so that the numbers are those of one process up to the order of sums (and,
    for block matrices in bfloat16, the rounding of the parts).
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process scores, saves and reports."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This rank's part of `count` sequences; empty where there are more ranks than those."""
        return slice(count * self.rank // self.world, count * (self.rank + 1) // self.world)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its sum over the ranks; one that is missing counts as zero."""
        if self.world == 1:
            return
        waiting = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            waiting.append(dist.all_reduce(parameter.grad, async_op=True))
        for work in waiting:
            work.wait()

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the ranks, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.world > 1:
            dist.barrier()
