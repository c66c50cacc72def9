"""What a reader of a layout gives: shards, whose documents are read by their number.

A *shard* is a file of tokens (with its index, where the layout has one). Its *units* are what is
drawn: documents where the layout knows them, samples or windows of the stream where it does not. A
unit is read as one array of ids, which may hold several documents, each ended by the token that
ends documents.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[Any]
"""(n,) token ids of one unit, in the shard's own integers."""
Ints = NDArray[np.int64]


class TokenShard(Protocol):
    """One shard of a domain, open for reading.

    Attributes:
        label: its name relative to the source; it decides what is drawn, not where the shard lies.
        place: where it is: what a trainer's configuration calls it.
        stamp: what changes when it does: its size, and the time of its last change.
        units: how many there are.
        exact: whether `tokens` is a count; False: an estimate from some of its units.
        whole: whether reading one unit reads most of the shard.
        end: the id that ends documents within its units; None: nobody said one.
    """

    label: str
    place: str
    stamp: str
    units: int
    exact: bool
    whole: bool
    end: int | None

    @property
    def tokens(self) -> int:
        """All of them, from the index or the file's size."""
        ...

    def read(self, units: Ints) -> Iterator[Ids]:
        """Units by number, ascending, one array each.

        Raises:
            InputError: the shard holds something else than its index says.
        """
        ...


Reader = Callable[..., Sequence[TokenShard]]
"""From a path, and settings by keyword (`end`, others as a layout needs them), to the shards."""
