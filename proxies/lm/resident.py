"""All training tokens of a corpus on the device, so that a batch is gathered there.

Reading a batch of a small model from files and copying it costs a GPU more than training on it.
Proxy corpora are small (2 bytes a token): where they fit, only the places of sequences are sent.

Notation:
    K runs of a pack; B sequences of T tokens per run and step
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from proxies.corpus import Corpus

Place = tuple[str, int]
"""A domain, and where in its stream a sequence starts."""

SHARE = 0.1
"""Of the device's free memory, what tokens may take."""


@dataclass(frozen=True)
class Resident:
    """The streams of all domains, one after the other, in one tensor.

    Attributes:
        tokens: (n,) signed integers of the shards' width; `mask` makes them unsigned again.
        offsets: domain to where its stream begins.
        mask: the largest value of that width.
    """

    tokens: Tensor
    offsets: Mapping[str, int]
    mask: int

    @classmethod
    def of(cls, corpus: Corpus, device: torch.device, room: float) -> "Resident | None":
        """The tokens on a device; None where they take more than `room` bytes.

        Also where a domain has an objective, or something is injected: those sequences are made on
        the host.
        """
        if corpus.derived or corpus.injections:
            return None
        streams = {name: corpus.train_tokens(name) for name in corpus.domains}
        kind = next(iter(streams.values())).dtype
        if sum(stream.nbytes for stream in streams.values()) > room:
            return None
        signed = np.dtype(f"i{kind.itemsize}")
        parts = [torch.from_numpy(np.array(s).view(signed)).to(device) for s in streams.values()]
        begins = np.cumsum([0, *(len(s) for s in streams.values())])[:-1]
        offsets = dict(zip(streams, begins.tolist(), strict=True))
        return cls(torch.cat(parts), offsets, (1 << 8 * kind.itemsize) - 1)

    def sequences(self, places: Sequence[Sequence[Place]], context: int) -> Tensor:
        """(K, B, T + 1) int64 token ids on the device.

        Args:
            places: of B sequences for each of K runs.
            context: T.
        """
        starts = np.array([[self.offsets[d] + start for d, start in row] for row in places])
        first = torch.from_numpy(starts).to(self.tokens.device, non_blocking=True)
        index = first[..., None] + torch.arange(context + 1, device=self.tokens.device)
        return self.tokens[index].long() & self.mask


def room_for_tokens(device: torch.device) -> float:
    """Bytes that tokens may take on a device; none on a CPU, which reads the files as fast."""
    if device.type != "cuda":
        return 0.0
    free, _ = torch.cuda.mem_get_info(device)
    return SHARE * free
