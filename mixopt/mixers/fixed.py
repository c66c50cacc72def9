"""No method at all: the mixture stays where the run starts, within what is left of each domain."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.periodic import Learned, Periodic
from mixopt.space.numbers import Within


@dataclass(frozen=True)
class Fixed(Periodic):
    """Stratified sampling where the run starts from the uniform mixture.

    It measures nothing and learns nothing; epoch caps still hold at every moment, which a run
    without a mixer does not promise.

    Args:
        every: steps between looks at what is left.
    """

    every: Annotated[int, Within(1)] = 100

    name: ClassVar[str] = "fixed"

    def needs(self) -> Needs:
        """Nothing."""
        return Needs(frozenset(), self.every)

    def unmeasured(self, setup: Setup, state: State) -> Learned:
        """Back to the start, as far as what is left allows."""
        return Learned(np.array(setup.start), state.memory)
