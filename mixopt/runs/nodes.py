"""A pack that several machines train together: how many they are, and which of them this is.

An executor that reserves several machines for a pack calls the trainer on each of them with the
same runs; the trainer reads its place from the environment and joins the others.
"""

import os
from collections.abc import MutableMapping
from dataclasses import dataclass, replace

_COUNT, _INDEX, _ADDRESS = "MIXOPT_NODES", "MIXOPT_NODE", "MIXOPT_NODE_ADDRESS"


@dataclass(frozen=True)
class Nodes:
    """The machines of a pack.

    Attributes:
        count: how many.
        index: which of them this is; the first reports and answers.
        address: `host:port` of the first, where the others meet it; empty for one alone.
    """

    count: int = 1
    index: int = 0
    address: str = ""

    @classmethod
    def here(cls) -> "Nodes":
        """As an executor has announced it in the environment; one alone elsewhere."""
        environment = os.environ
        return cls(
            int(environment.get(_COUNT, "1")),
            int(environment.get(_INDEX, "0")),
            environment.get(_ADDRESS, ""),
        )

    @property
    def first(self) -> bool:
        """Whether this machine reports and answers for the pack."""
        return self.index == 0

    def at(self, address: str) -> "Nodes":
        """The same, meeting there; one alone meets nobody."""
        return replace(self, address=address) if self.count > 1 else self

    def announce(self, environment: MutableMapping[str, str]) -> None:
        """Tell the trainer, which reads it with `here`; a worker may have had another pack."""
        environment[_COUNT], environment[_INDEX] = str(self.count), str(self.index)
        environment[_ADDRESS] = self.address
