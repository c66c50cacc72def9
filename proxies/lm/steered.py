"""The sequences of a run whose mixture is told segment by segment.

The three rules of `proxies.lm.data` hold: what a segment draws goes on from what came before it,
and the k-th sequence of a domain is that of a run without a mixer. So branches of one point read
the same sequences, as far as their mixtures agree.

Notation:
    m domains; T tokens of a sequence
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import InputError
from mixopt.runs import Realised
from proxies.corpus import Corpus
from proxies.lm.data import Drawing, generator, spread
from proxies.lm.examples import Examples, Ints
from proxies.lm.resident import Place


class Sequences:
    """Where the sequences of a domain begin, endlessly: those of `sequence_starts`, by number.

    Args:
        tokens: of the domain.
        context: T.
        seed: of the run.
        name: of the domain.
        end: sequences that reach beyond so many tokens are passed over.

    Raises:
        InputError: no sequence lies before `end`.
    """

    def __init__(self, tokens: int, context: int, seed: int, name: str, end: int) -> None:
        self._context, self._draws = context, generator(seed, f"order/{name}")
        self._spread = spread((tokens - 1) // context)
        self._last = (end - 1) // context
        self._shifts: list[int] = []
        self._epoch, self._starts = -1, np.zeros(0, dtype=np.int64)
        self.count = min(self._last, len(self._spread))
        """Sequences of an epoch."""
        if self.count < 1:
            raise InputError(
                f"domain {name!r} has {tokens} tokens, too few to train on some and steer by others"
                f" in sequences of {context}; add text, or name other targets"
            )

    def __getitem__(self, number: int) -> int:
        """The start of a sequence, counted from 0 over all epochs."""
        epoch, place = divmod(number, self.count)
        if epoch != self._epoch:
            while len(self._shifts) <= epoch:
                self._shifts.append(int(self._draws.integers(len(self._spread))))
            order = (self._spread + self._shifts[epoch]) % len(self._spread)
            self._epoch, self._starts = epoch, order[order < self._last] * self._context
        return int(self._starts[place])


class SteeredBatches:
    """What `proxies.lm.data.Batches` is to a run without a mixer.

    Args:
        corpus: the data.
        names: (m) domains.
        context: T.
        seed: of the run.
        pools: domain to tokens that are drawn from, the first of its stream.
        ends: domain to where its training text ends, if earlier: what follows is steered by.

    Attributes:
        drawing: at the start of the segment.
    """

    def __init__(
        self,
        corpus: Corpus,
        names: tuple[str, ...],
        *,
        context: int,
        seed: int,
        pools: Mapping[str, int],
        ends: Mapping[str, int],
    ) -> None:
        self._names, self._context = names, context
        self._streams = {name: corpus.train_tokens(name)[: pools[name]] for name in names}
        self._examples = Examples(corpus, context, seed)
        self._sequences = [
            Sequences(
                pools[name],
                self._examples.stride(name),
                seed,
                name,
                min(pools[name], ends.get(name, pools[name])),
            )
            for name in names
        ]
        offsets = np.array([generator(seed, f"phase/{name}").random() for name in names])
        self.go_to(Drawing.start(offsets))

    def go_to(self, drawing: Drawing) -> None:
        """Draw from there: a branch is over, or a run continues."""
        self.drawing = self._after = drawing
        self._order: Ints = np.zeros(0, dtype=np.int64)
        self._position, self._next = 0, drawing.drawn.copy()

    def turn(self, weights: ArrayLike, length: int) -> None:
        """Begin a segment: `length` sequences by (m,) shares; the last one is behind."""
        self.drawing = self._after
        self._order, self._after = self.drawing.phase(np.asarray(weights, dtype=float), length)
        self._position, self._next = 0, self.drawing.drawn.copy()

    def end(self) -> None:
        """The segment is behind."""
        self.go_to(self._after)

    def at(self, due: ArrayLike, drawn: ArrayLike) -> Drawing:
        """The drawing of a record; see `Drawing`."""
        offsets = self.drawing.offsets
        return Drawing(offsets, np.array(due, dtype=float), np.array(drawn, dtype=np.int64))

    def skip(self, count: int) -> None:
        """Pass over sequences of the segment that were trained on before the run was stopped."""
        row = self._order[self._position : self._position + count]
        self._next += np.bincount(row, minlength=len(self._names))
        self._position += count

    def which(self, count: int) -> Ints:
        """(count,) numbers of the domains of the next sequences, which stay ahead."""
        return self._order[self._position : self._position + count]

    def places(self, count: int) -> list[Place]:
        """Domain and start of the next `count` sequences, which are then behind."""
        return [(name, start) for name, start, _ in self._numbered(count)]

    def take(self, count: int) -> NDArray[np.int64]:
        """The next `count` sequences, (count, T + 1)."""
        return self._read(self._numbered(count))

    def ahead(self, domain: int, count: int) -> NDArray[np.int64]:
        """The next sequences of one domain, (count, T + 1), which stay ahead."""
        first, sequences = int(self._next[domain]), self._sequences[domain]
        name = self._names[domain]
        return self._read([(name, sequences[k], k) for k in range(first, first + count)])

    def realised(self, batch: int) -> Realised:
        """What was drawn so far, as one phase; see `Batches.realised`."""
        counts = dict(zip(self._names, self._next.tolist(), strict=True))
        tokens = {name: count * self._context for name, count in counts.items() if count}
        return Realised.whole(tokens, max(batch, len(self._names) + 1) * self._context)

    def _advance(self, count: int) -> Ints:
        row = self.which(count)
        self._position += count
        return row

    def bearing(self) -> dict[str, int]:
        """Tokens of each domain that bear loss, in what was drawn so far."""
        drawn = zip(self._names, self._sequences, self._next.tolist(), strict=True)
        return {
            name: sum(
                self._examples.bearing(name, self._streams[name], sequences[k], k)
                for k in range(count)
            )
            for name, sequences, count in drawn
            if count
        }

    def _numbered(self, count: int) -> list[tuple[str, int, int]]:
        """Domain, start and number of the next sequences, which are then behind."""
        return [self._place(domain) for domain in self._advance(count).tolist()]

    def _place(self, domain: int) -> tuple[str, int, int]:
        number = int(self._next[domain])
        self._next[domain] += 1
        return self._names[domain], self._sequences[domain][number], number

    def _read(self, places: list[tuple[str, int, int]]) -> NDArray[np.int64]:
        streams, read = self._streams, self._examples.read
        return np.stack([read(name, streams[name], start, k)[0] for name, start, k in places])
