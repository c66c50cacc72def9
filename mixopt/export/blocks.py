"""An order of blocks that any machine makes alike, and in which every prefix keeps the mixture.

Notation:
    u_i: share of domain i in parts of G = 10^9, a whole number; F_i(t): parts of G that domain i is
    to have had of the first t blocks, piecewise linear in t (a bend at the end of every stage);
    c_i(t): blocks that it has had

Every block of a domain has a window: the k-th may be drawn from the first slot t in which F_i(t +
1) > (k - 1) G, and must be before the first t with F_i(t) >= k G. Of the blocks that may be drawn,
the one that must be soonest is. As shares sum to 1 this always succeeds, and then |c_i(t) G -
F_i(t)| < G at every t: each prefix holds every domain to within one block (P-fairness and earliest
deadline first, Baruah et al. 1996, doi:10.1007/BF01940883; the chairman assignment problem,
Tijdeman 1980, doi:10.1016/0012-365X(80)90269-1).

All of it is arithmetic of whole numbers. The seed decides between equal deadlines, and in which
order the blocks of a domain are read.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mixopt.errors import InputError
from mixopt.export.exporter import DIGITS

PARTS = 10**DIGITS
_MASK = 2**64 - 1


@dataclass(frozen=True)
class Block:
    """A block of tokens of one domain.

    Attributes:
        number: its place in the run, from 0.
        domain: of its tokens.
        epoch: passes over the domain before it.
        index: which of the domain's blocks it is, from 0; of a domain whose size is not known, how
            many of its blocks came before.
        tokens: in it; fewer in the last block of a run.
    """

    number: int
    domain: str
    epoch: int
    index: int
    tokens: int


@dataclass(frozen=True)
class BlockOrder:
    """The order of all blocks of a run; an iterator of it needs memory for the domains alone.

    >>> order = BlockOrder(("web", "code"), ((4, (750_000_000, 250_000_000)),), 100, 400)
    >>> "".join(block.domain[0] for block in order)
    'wwwc'

    Attributes:
        domains: (m,) names.
        stages: (end in blocks, (m,) parts of 10^9) in order; the parts of a stage sum to 10^9.
        block_tokens: of a block.
        tokens: of the run: `block_tokens` for each block, but for the last, which may be shorter.
        available: (m,) whole blocks that a domain has; 0 where its size is not known.
        seed: decides ties, and the order in which a domain's blocks are read.

    Raises:
        InputError: stages that do not end after one another, or parts that do not sum to 10^9.
    """

    domains: tuple[str, ...]
    stages: tuple[tuple[int, tuple[int, ...]], ...]
    block_tokens: int
    tokens: int
    available: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        ends = [0, *(end for end, _ in self.stages)]
        if len(ends) == 1 or any(b <= a for a, b in pairwise(ends)):
            raise InputError(
                f"stages end at the blocks {ends[1:]}: one holds no block; give smaller blocks, or "
                "a longer run"
            )
        for end, parts in self.stages:
            if sum(parts) != PARTS or min(parts) < 0 or len(parts) != len(self.domains):
                raise InputError(
                    f"the stage that ends at block {end} has parts {parts}; give one for each "
                    f"domain, not below 0, that sum to {PARTS}"
                )
        if not 0 <= len(self) * self.block_tokens - self.tokens < self.block_tokens:
            raise InputError(
                f"{self.tokens} tokens are not {len(self)} blocks of {self.block_tokens}; give the "
                "number of blocks that holds them"
            )

    def __len__(self) -> int:
        return self.stages[-1][0]

    def __iter__(self) -> Iterator[Block]:
        return self.blocks()

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """The blocks from a place on, as a run that resumes needs them.

        Args:
            start: number of the first block; those before are passed over, some hundred thousand a
                second.
        """
        drawn = [0] * len(self.domains)
        sizes = self.available or (0,) * len(self.domains)
        for number, i in enumerate(self._domains()):
            k = drawn[i]
            drawn[i] += 1
            if number < start:
                continue
            epoch, index = (0, k) if not sizes[i] else self._place(i, k, sizes[i])
            left = self.tokens - number * self.block_tokens
            yield Block(number, self.domains[i], epoch, index, min(self.block_tokens, left))

    def counts(self) -> dict[str, int]:
        """Domain to its blocks in the run."""
        drawn = [0] * len(self.domains)
        for i in self._domains():
            drawn[i] += 1
        return dict(zip(self.domains, drawn, strict=True))

    def token_counts(self) -> dict[str, int]:
        """Domain to its tokens in the run; the last block may be short."""
        counts, last = [0] * len(self.domains), 0
        for i in self._domains():
            counts[i] += self.block_tokens
            last = i
        counts[last] -= len(self) * self.block_tokens - self.tokens
        return dict(zip(self.domains, counts, strict=True))

    def _place(self, i: int, k: int, size: int) -> tuple[int, int]:
        """Pass, and place in it, of the k-th block of a domain."""
        epoch, place = divmod(k, size)
        return epoch, permuted(place, size, mixed(mixed(self.seed, i), epoch))

    def _domains(self) -> Iterator[int]:
        """The number of the domain of every block."""
        windows = [
            _Windows(tuple((end, parts[i]) for end, parts in self.stages))
            for i in range(len(self.domains))
        ]
        later: list[tuple[int, int]] = []
        ready: list[tuple[int, int, int]] = []
        for i, window in enumerate(windows):
            if window.advance():
                later.append((window.release, i))
        heapq.heapify(later)
        for slot in range(len(self)):
            while later and later[0][0] <= slot:
                i = heapq.heappop(later)[1]
                heapq.heappush(ready, (windows[i].deadline, self._tie(i, windows[i].k), i))
            i = heapq.heappop(ready)[2]
            yield i
            if windows[i].advance():
                heapq.heappush(later, (windows[i].release, i))

    def _tie(self, i: int, k: int) -> int:
        return mixed(mixed(self.seed, i), k)


class _Windows:
    """The windows of a domain's blocks, one after another; whole numbers throughout."""

    def __init__(self, stages: Sequence[tuple[int, int]]) -> None:
        self._stages = stages
        self._release_at = _Inverse(stages)
        self._deadline_at = _Inverse(stages)
        self._end = stages[-1][0]
        self.k = 0
        self.release = 0
        self.deadline = 0

    def advance(self) -> bool:
        """Go to the next block; False where the run ends before its window begins."""
        before = self.k * PARTS
        self.k += 1
        # F(t + 1) > before: the first slot in which a part of this block falls due.
        first = self._release_at.first_above(before)
        if first is None:
            return False
        last = self._deadline_at.first_at_least(before + PARTS)
        self.release = first - 1
        # One that the run leaves in the middle gives way to any that must be in it.
        self.deadline = self._end + 1 if last is None else last
        return True


class _Inverse:
    """The first slot at which a piecewise linear sum reaches a value; values must not fall."""

    def __init__(self, stages: Sequence[tuple[int, int]]) -> None:
        self._stages = stages
        self._at = 0  # the stage
        self._start = 0  # its first slot
        self._sum = 0  # F there

    def first_at_least(self, value: int) -> int | None:
        """The smallest t with F(t) >= value; None where the run ends before."""
        while self._at < len(self._stages):
            end, parts = self._stages[self._at]
            if self._sum + (end - self._start) * parts >= value:
                missing = max(0, value - self._sum)
                return self._start + (-(-missing // parts) if parts else 0)
            self._sum += (end - self._start) * parts
            self._start = end
            self._at += 1
        return None

    def first_above(self, value: int) -> int | None:
        """The smallest t with F(t) > value."""
        return self.first_at_least(value + 1)


def mixed(a: int, b: int) -> int:
    """A 64-bit number that two others decide.

    The finaliser of SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195).
    """
    z = (a * 0x9E3779B97F4A7C15 + b + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def permuted(place: int, size: int, key: int) -> int:
    """The place to which a permutation of `size` things, chosen by a key, sends one of them.

    A Feistel network over the next even number of bits, walked until it comes back into range
    (Black and Rogaway 2002, doi:10.1007/3-540-45760-7_9): no table of the size is kept.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    while True:
        left, right = place >> half, place & low
        for turn in range(4):
            left, right = right, left ^ (mixed(mixed(key, turn), right) & low)
        place = (left << half) | right
        if place < size:
            return place
