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

import heapq
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixopt.runs import Realised
from mixopt.runs.schedule import Phases
from proxies.corpus import Corpus
from proxies.lm.examples import Examples, Ints

Floats = NDArray[np.float64]

_FEW = 128  # sequences; so many are quicker taken one by one than sorted


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
        positive = weights > 0
        m = int(np.count_nonzero(positive))
        if m == len(weights):
            w = weights / weights.sum()
        else:
            w = np.zeros(len(weights))
            w[positive] = weights[positive] / weights[positive].sum()
        used = np.flatnonzero(w * (length + m) > 1e-9)  # others are due long after the end
        order = self._merged(w, used, length) if length <= _FEW else self._sorted(w, used, length)
        drawn = self.drawn + np.bincount(order, minlength=len(w))
        return order, Drawing(self.offsets, self.due + w * length, drawn)

    def _merged(self, w: Floats, used: Ints, length: int) -> Ints:
        """(length,) domain indices: again and again the domain whose next sequence is due first."""
        shares, starts = w.tolist(), (self.offsets - (self.due - self.drawn)).tolist()
        ahead = [(starts[i] / shares[i], i, 0) for i in used.tolist()]
        heapq.heapify(ahead)
        order = []
        for _ in range(length):
            _, i, j = ahead[0]
            order.append(i)
            heapq.heapreplace(ahead, ((j + 1 + starts[i]) / shares[i], i, j + 1))
        return np.array(order, dtype=np.int64)

    def _sorted(self, w: Floats, used: Ints, length: int) -> Ints:
        """The same, of a long phase."""
        owed = self.due - self.drawn
        # one more than due for each, and what others keep back, so that the earliest are all there
        more = int((w > 0).sum()) + 1 + math.ceil(np.abs(owed[w == 0]).sum())
        counts = np.maximum(np.ceil(w * length + owed), 0) + more
        due = [np.arange(counts[i]) + (self.offsets[i] - owed[i]) for i in used]
        when = np.concatenate([after / w[i] for after, i in zip(due, used, strict=True)])
        which = np.repeat(used, [len(after) for after in due])
        return which[np.argsort(when, kind="stable")[:length]]


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


def sequence_starts(
    tokens: int, context: int, seed: int, name: str, *, what: str = "order"
) -> Iterator[int]:
    """Starts of a domain's sequences, endlessly: each of them once per epoch.

    A run that reads part of a domain reads evenly from all of it, from a random start per epoch:
    against plain shuffling this halves the sd of a loss over seeds where a run reads a tenth of a
    domain (.028 to .014 bits/byte at 64 k tokens). Another name than `order` gives other shifts.
    """
    draws = generator(seed, f"{what}/{name}")
    sequences = (tokens - 1) // context
    order = spread(sequences)
    while True:
        shift = int(draws.integers(sequences))
        yield from ((order + shift) % sequences * context).tolist()


def sequence_ends(phases: Phases, context: int, total: int) -> list[int]:
    """(P,) sequences of a run at the end of each phase; the last one goes to the run's own end."""
    ends = [min(total, round(until / context)) for until, _ in phases]
    return [*ends[:-1], total]


class Carried(Protocol):
    """Texts that some sequences of a run carry; see `proxies.lm.injecting.Placed`."""

    def piece(self, number: int) -> Ints | None:
        """What the sequence of that number begins with, a token that is no target first."""
        ...

    def tokens(self, first: int, end: int) -> Mapping[int, tuple[str, int]]:
        """Sequences from `first` to before `end` that carry some: of what, and how many targets."""
        ...


@dataclass(frozen=True)
class Turn:
    """Where a run stops to read what another run reads.

    Attributes:
        at: sequences that it shares with the other.
        seed: of the order in which it goes on through every domain.
    """

    at: int
    seed: int


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
        # of domains under objectives, tokens with loss in what is behind
        self._bearing = {name: 0 for name in self._names if name in self._examples}
        self._carried: Carried | None = None
        self._turn: Turn | None = None

    def otherwise(self, carried: Carried | None, turn: Turn | None) -> "Batches":
        """The same, where something else is read; to be said before anything is.

        Args:
            carried: texts that are put in place of what stood there.
            turn: where another order begins; None: nowhere.
        """
        self._carried, self._turn = carried, turn
        return self

    def _all_starts(self, name: str, turn: Turn | None = None) -> Iterator[tuple[int, int]]:
        """Number and start of a domain's sequences, endlessly."""
        what, seed = ("order", self._seed) if turn is None else ("turn", turn.seed)
        length, tokens = self._examples.stride(name), len(self._streams[name])
        return enumerate(sequence_starts(tokens, length, seed, name, what=what))

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
        phases, begin = [], 0
        injected: Counter[str] = Counter()
        for end, counts in zip(self.ends, self.counts, strict=True):
            if counts:
                drawn = {name: n * context for name, n in counts.items()}
                for name, (text, tokens) in self._injected(begin, end):
                    drawn[name] -= tokens
                    injected[text] += tokens
                phases.append((end * context, drawn))
            begin = end
        return Realised(tuple(phases), grain * context + injected.total(), dict(injected))

    def _injected(self, first: int, end: int) -> Iterator[tuple[str, tuple[str, int]]]:
        """Domain of the sequences that carry a text, with its name and tokens."""
        carried = {} if self._carried is None else self._carried.tokens(first, end)
        for number, text in carried.items():
            yield self._names[self._order[number]], text

    def skip(self, count: int) -> None:
        """Pass over `count` sequences: those that a run has trained on before it continues."""
        self._passed(count)

    def domains(self, count: int) -> list[str]:
        """The domain of each of the next `count` sequences, which stay ahead."""
        row = self._order[self._position : self._position + count]
        return [self._names[domain] for domain in row]

    def places(self, count: int) -> list[tuple[str, int]]:
        """Domain and start of the next `count` sequences, which are then behind."""
        return [(name, start) for name, (_, start) in self._passed(count)]

    def _next(self, count: int) -> list[tuple[str, tuple[int, int]]]:
        drawn = []
        for domain in self._order[self._position : self._position + count]:
            if self._turn is not None and self._position == self._turn.at:
                self._numbered = [self._all_starts(name, self._turn) for name in self._names]
            drawn.append((self._names[domain], next(self._numbered[domain])))
            self._position += 1
        return drawn

    def take(self, count: int) -> NDArray[np.int64]:
        """The next `count` sequences, (count, T + 1): inputs are [:, :-1], targets [:, 1:]."""
        rows, first = [], self._position
        for position, (name, (k, at)) in enumerate(self._next(count), start=first):
            ids, bearing = self._row(position, name, k, at)
            rows.append(ids)
            if name in self._bearing:
                self._bearing[name] += bearing
        return np.stack(rows)

    def _row(self, position: int, name: str, number: int, start: int) -> tuple[Ints, int]:
        """A sequence of the run, and how many tokens of its domain bear loss."""
        piece = None if self._carried is None else self._carried.piece(position)
        if piece is None:
            return self._examples.read(name, self._streams[name], start, number)
        return self._examples.behind(piece, name, self._streams[name], start, number)

    def bearing(self) -> dict[str, int]:
        """Tokens of each domain that bear loss in the whole run, once all of it is behind.

        What sequences carry is of no domain.
        """
        totals: Counter[str] = Counter()
        for counts in self.counts:
            totals.update({name: n * self._context for name, n in counts.items()})
        for name, (_, tokens) in self._injected(0, len(self._order)):
            totals[name] -= tokens
        return {name: self._bearing.get(name, totals[name]) for name in self._names if totals[name]}

    def _passed(self, count: int) -> list[tuple[str, tuple[int, int]]]:
        """The next sequences, which are not read here."""
        first, drawn = self._position, self._next(count)
        if self._bearing:
            for position, (name, (k, at)) in enumerate(drawn, start=first):
                if name not in self._bearing:
                    continue
                if self._carried is not None and self._carried.piece(position) is not None:
                    self._bearing[name] += self._row(position, name, k, at)[1]
                else:
                    stream = self._streams[name]
                    self._bearing[name] += self._examples.bearing(name, stream, at, k)
        return drawn


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
