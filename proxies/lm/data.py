"""Which sequence of which domain is trained on when.

Notation:
    m domains; w: (m,) shares; S: sequences of a run, P phases of it

Three rules make runs comparable and quiet. *Systematic draws*: the number of sequences of a domain
is its share of the budget to the rounding, spread evenly over the run, so that a mixture is what it
says and sampling adds no noise. *Common random numbers*: with one seed, the k-th sequence of a
domain is the same in every mixture, and a domain's order does not depend on which others there
are. *One stream*: what comes at a position does not depend on how much follows, so that a run that
continues to more tokens reads what it would have read without the stop.
"""

import itertools
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.runs import Realised
from mixopt.runs.schedule import Phases
from proxies.corpus import Corpus
from proxies.lm.examples import Examples, Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Drawing:
    """How far the drawing of a run is.

    Attributes:
        offsets: (m,) in [0, 1): where in its first interval a domain starts.
        due: (m,) sequences of each domain that are due by now, as a real number.
        drawn: (m,) sequences drawn.
    """

    offsets: Floats
    due: Floats
    drawn: Ints

    @classmethod
    def start(cls, offsets: Floats) -> "Drawing":
        """Nothing is drawn yet."""
        return cls(offsets, np.zeros(len(offsets)), np.zeros(len(offsets), dtype=np.int64))

    def phase(self, weights: Floats, length: int) -> tuple[Ints, "Drawing"]:
        """The domains of the next sequences, and how far the drawing is after them.

        Shares add up to what is due, and the j-th sequence of a domain is due when that reaches
        j + offset. So what comes next depends on nothing that comes later; a new phase goes on
        where the last one stopped, and what it owes a domain of no share stays owed.

        Args:
            weights: (m,) shares that sum to 1.
            length: sequences.

        Returns:
            (length,) domain indices, and the next state. A domain is within 2 of its share of any
            stretch in practice, and within m or so at most; a weight of zero gets none.
        """
        w = np.zeros(len(weights))
        positive = weights > 0
        w[positive] = weights[positive] / weights[positive].sum()
        m = int(positive.sum())
        owed = self.due - self.drawn
        # one more than due for each, and what others keep back, so that the earliest are all there
        more = m + 1 + math.ceil(np.abs(owed[~positive]).sum())
        counts = np.maximum(np.ceil(w * length + owed), 0) + more
        used = np.flatnonzero(w * (length + m) > 1e-9)  # the others are due long after the end
        due = [np.arange(counts[i]) + (self.offsets[i] - owed[i]) for i in used]
        when = np.concatenate([after / w[i] for after, i in zip(due, used, strict=True)])
        which = np.repeat(used, [len(after) for after in due])
        order: Ints = which[np.argsort(when, kind="stable")[:length]]
        drawn = self.drawn + np.bincount(order, minlength=len(w))
        return order, Drawing(self.offsets, self.due + w * length, drawn)


def generator(seed: int, name: str) -> np.random.Generator:
    """The random numbers of a run that are used for something of that name."""
    # crc32 and not hash(): the latter differs between processes
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def spread(count: int) -> NDArray[np.int64]:
    """The numbers below `count` in van der Corput order: any prefix covers the range evenly.

    >>> spread(8).tolist()
    [0, 4, 2, 6, 1, 5, 3, 7]
    """
    bits = max(1, (count - 1).bit_length())
    plain = np.arange(1 << bits, dtype=np.int64)
    reverse = np.zeros_like(plain)
    for bit in range(bits):
        reverse |= ((plain >> bit) & 1) << (bits - 1 - bit)
    return reverse[reverse < count]


def sequence_starts(tokens: int, context: int, seed: int, name: str) -> Iterator[int]:
    """Starts of a domain's sequences, endlessly: each of them once per epoch.

    A run that reads part of a domain reads evenly from all of it, from a random start per epoch:
    against plain shuffling this halves the sd of a loss over seeds where a run reads a tenth of a
    domain (.028 to .014 bits/byte at 64 k tokens).
    """
    draws = generator(seed, f"order/{name}")
    sequences = (tokens - 1) // context
    order = spread(sequences)
    while True:
        shift = int(draws.integers(sequences))
        yield from ((order + shift) % sequences * context).tolist()


def sequence_ends(phases: Phases, context: int, total: int) -> list[int]:
    """(P,) sequences of a run at the end of each phase; the last one goes to the run's own end."""
    ends = [min(total, round(until / context)) for until, _ in phases]
    return [*ends[:-1], total]


class Batches:
    """The sequences of one run, in their order; of each domain the first `pools` tokens are used.

    Args:
        corpus: the data.
        phases: what is drawn until when, in tokens.
        context: T.
        total: S.
        seed: of the run.
        pools: domain to tokens; all there are by default.
        streams: domain to the tokens that are read in place of its own (`proxies.corpus.drawing`).

    Attributes:
        ends: (P,) sequences at the end of each phase.
        counts: (P) per phase, sequences by domain; times `context` = realised tokens. Empty where
            the run ends before the phase.
    """

    def __init__(
        self,
        corpus: Corpus,
        phases: Phases,
        *,
        context: int,
        total: int,
        seed: int,
        pools: Mapping[str, int] | None = None,
        streams: Mapping[str, NDArray[np.integer]] | None = None,
    ) -> None:
        shares = [mixture.to_dict() for _, mixture in phases]
        self._names = sorted({name for w in shares for name, weight in w.items() if weight > 0})
        self.ends = sequence_ends(phases, context, total)
        offsets = np.array([generator(seed, f"phase/{name}").random() for name in self._names])
        self._order, self.counts = self._draw(shares, Drawing.start(offsets))
        pools = pools or corpus.unique_tokens()
        drawn = streams or {}
        self._streams = {
            name: drawn[name] if name in drawn else corpus.train_tokens(name)[: pools[name]]
            for name in self._names
        }
        self._examples, self._seed = Examples(corpus, context, seed), seed
        self._numbered = [self._all_starts(name) for name in self._names]
        self._context, self._position = context, 0

    def _all_starts(self, name: str) -> Iterator[tuple[int, int]]:
        """Number and start of a domain's sequences, endlessly."""
        length = self._examples.stride(name)
        return enumerate(sequence_starts(len(self._streams[name]), length, self._seed, name))

    def _draw(
        self, shares: Sequence[Mapping[str, float]], drawing: Drawing
    ) -> tuple[Ints, list[dict[str, int]]]:
        parts, position = [], 0
        counts: list[dict[str, int]] = []
        for of_phase, end in zip(shares, self.ends, strict=True):
            if end == position:  # the run ends before
                counts.append({})
                continue
            weights = np.array([of_phase.get(name, 0.0) for name in self._names])
            order, drawing = drawing.phase(weights, end - position)
            numbers = np.bincount(order, minlength=len(self._names)).tolist()
            named = zip(self._names, numbers, weights.tolist(), strict=True)
            counts.append({name: n for name, n, weight in named if weight > 0})
            parts.append(order)
            position = end
        return np.concatenate(parts), counts

    def realised(self, batch: int) -> Realised:
        """What the whole run draws, phase by phase.

        Args:
            batch: sequences of the largest step, to which the budget is rounded.
        """
        context, grain = self._context, max(batch, len(self._names) + len(self.ends))
        phases = [
            (end * context, {name: n * context for name, n in counts.items()})
            for end, counts in zip(self.ends, self.counts, strict=True)
            if counts
        ]
        return Realised(tuple(phases), grain * context)

    def skip(self, count: int) -> None:
        """Pass over `count` sequences: those that a run has trained on before it continues."""
        for domain in self._order[self._position : self._position + count]:
            next(self._numbered[domain])
        self._position += count

    def domains(self, count: int) -> list[str]:
        """The domain of each of the next `count` sequences, which stay ahead."""
        row = self._order[self._position : self._position + count]
        return [self._names[domain] for domain in row]

    def places(self, count: int) -> list[tuple[str, int]]:
        """Domain and start of the next `count` sequences, which are then behind."""
        return [(name, start) for name, (_, start) in self._next(count)]

    def _next(self, count: int) -> list[tuple[str, tuple[int, int]]]:
        row = self._order[self._position : self._position + count]
        self._position += count
        return [(self._names[domain], next(self._numbered[domain])) for domain in row]

    def take(self, count: int) -> NDArray[np.int64]:
        """The next `count` sequences, (count, T + 1): inputs are [:, :-1], targets [:, 1:]."""
        streams, read = self._streams, self._examples.read
        rows = [read(name, streams[name], at, k) for name, (k, at) in self._next(count)]
        return np.stack(rows)

    def bearing(self) -> dict[str, int]:
        """Tokens of each domain that bear loss in the whole run."""
        totals = dict.fromkeys(self._names, 0)
        for counts in self.counts:
            for name, number in counts.items():
                totals[name] += number
        return {
            name: self._examples.bearing(
                name,
                self._streams[name],
                ((start, k) for k, start in itertools.islice(self._all_starts(name), number)),
            )
            for name, number in totals.items()
            if number
        }


def losses_by_domain(losses: Floats, domains: Sequence[str]) -> dict[str, float]:
    """Mean loss per domain of sequences of one length; a domain that has none is left out.

    Args:
        losses: (n,) of the sequences, in any unit.
        domains: (n) their domains.
    """
    names, which = np.unique(np.asarray(domains), return_inverse=True)
    sums = np.bincount(which, weights=losses, minlength=len(names))
    means = sums / np.bincount(which, minlength=len(names))
    return dict(zip(names.tolist(), means.tolist(), strict=True))
