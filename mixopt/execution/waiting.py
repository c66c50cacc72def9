"""Runs that wait for a slot, taken pack by pack in the order in which they were asked for."""

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence

from mixopt.runs import RunSpec, Scale

_Key = tuple[Scale, str]


class Waiting:
    """A queue of runs. A pack shares scale and configuration: others go out apart."""

    def __init__(self) -> None:
        self._groups: dict[_Key, deque[tuple[int, RunSpec]]] = defaultdict(deque)
        self._heads: list[tuple[int, _Key]] = []  # a heap: (number of a group's first run, group)
        self._added = self._taken = 0

    def __len__(self) -> int:
        return self._added - self._taken

    def __iter__(self) -> Iterator[RunSpec]:
        """All of them, oldest first."""
        numbered = sorted(
            (pair for group in self._groups.values() for pair in group), key=lambda pair: pair[0]
        )
        return (spec for _, spec in numbered)

    def add(self, spec: RunSpec) -> None:
        """One more run, at the end."""
        key = spec.pack_key
        group = self._groups[key]
        if not group:
            heapq.heappush(self._heads, (self._added, key))
        group.append((self._added, spec))
        self._added += 1

    @property
    def scale(self) -> Scale:
        """Of the oldest run.

        Raises:
            IndexError: nothing waits.
        """
        return self._heads[0][1][0]

    def take(self, free: int, slots: int, most: int) -> Sequence[RunSpec]:
        """The next pack: the oldest run and others like it.

        Packs are no larger than it takes to keep all slots equally busy: 40 runs in packs of at
        most 8 on 2 slots go out in 6 packs, not in 5 of which the last leaves a slot idle.

        Args:
            free: slots that are free now.
            slots: all of them.
            most: runs of this scale in a pack.

        Raises:
            IndexError: nothing waits.
        """
        _, key = heapq.heappop(self._heads)
        group = self._groups[key]
        size = _size(len(group), free, slots, most)
        pack = [group.popleft()[1] for _ in range(size)]
        if group:
            heapq.heappush(self._heads, (group[0][0], key))
        else:
            del self._groups[key]
        self._taken += size
        return pack


def pack_sizes(groups: Iterable[int], slots: int, most: int) -> list[int]:
    """Sizes of the packs in which runs go out that are asked for at once, by `Waiting.take`.

    >>> pack_sizes([40], slots=2, most=8), pack_sizes([3, 1], slots=2, most=8)
    ([7, 7, 6, 7, 5, 8], [2, 1, 1])

    Args:
        groups: numbers of runs that may share a pack, in the order in which they are asked for.
        slots: packs at once; all are free at the start, then one at a time.
        most: runs in a pack.
    """
    sizes: list[int] = []
    for group in groups:
        left = group
        while left > 0:
            size = _size(left, max(slots - len(sizes), 1), slots, most)
            sizes.append(size)
            left -= size
    return sizes


def _size(left: int, free: int, slots: int, most: int) -> int:
    """Of the next pack of a group; see `Waiting.take`."""
    later = math.ceil(max(left - free * most, 0) / (slots * most))
    return math.ceil(left / (free + slots * later))
