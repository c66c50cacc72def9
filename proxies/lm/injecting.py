"""Injected texts in a run: which of its sequences carry one, and what a model has learnt of them.

The texts of an injection are put at the beginning of sequences, in place of what stood there: the
budget holds, and all else that a run reads is what it would read without them. No sequence carries
two. The places are spread evenly, every repetition passes over all documents in an order of its
own, and all of it follows from the seed and from *all* injections of a configuration, active or
not: with one alone a run reads it where a run with all of them does.

Notation:
    S sequences of T tokens of a run, n of them carry a piece; D: tokens of the run
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mixopt.errors import InputError, did_you_mean
from mixopt.runs import RunSpec
from mixopt.space.numbers import Within, check_value
from proxies.corpus import Corpus
from proxies.corpus.injected import injected_documents
from proxies.corpus.injections import Injection, metrics_of
from proxies.lm.data import generator
from proxies.lm.examples import Examples, Ints
from proxies.lm.multiple_choice import (
    NegativeLogLikelihood,
    Questions,
    answer_nats,
    questions_of,
)
from proxies.lm.recipe import Recipe

MOST_EACH, MOST_TOGETHER = 0.005, 0.02
"""Of a run's tokens. The ten experiments of 2509.23383 take 1.8 % together; larger shares are
mixtures, and belong among the domains."""

INJECT, SHARED_START, INJECT_OVER = "inject", "shared_start", "inject_over"
"""Settings of runs that inject some of what there is, from where others stood, over how much."""


@dataclass(frozen=True)
class SharedStart:
    """A run that begins as another one, without injections, and goes on by itself.

    Attributes:
        tokens: up to where it is the other run.
        seed: of the other run: of the model, and of what is read by then.
    """

    tokens: int
    seed: int


@dataclass(frozen=True)
class Injecting:
    """What a trainer's configuration says of injections.

    Attributes:
        repetitions: of every injection, by name.
        active: those that a run reads.
        start: where its runs part from another; None: they are runs from start to end.
        over: tokens, counted from the beginning of a run, over which the places are spread, however
            long the run is; 0: over each run's own. A shorter run reads what lies in its part.
    """

    repetitions: Mapping[str, int] = field(default_factory=dict, hash=False)
    active: tuple[str, ...] = ()
    start: SharedStart | None = None
    over: int = 0

    @classmethod
    def of(cls, made: Mapping[str, Injection], config: Mapping[str, Any]) -> "Injecting":
        """From the settings `injections`, and those of `INJECT` and the next of a configuration.

        Raises:
            InputError: an unknown injection, or a start or a number of tokens of another form.
        """
        inject, start, over = (config.get(key) for key in (INJECT, SHARED_START, INJECT_OVER))
        for setting, value in ((INJECT, inject), (SHARED_START, start), (INJECT_OVER, over)):
            if value is not None and not made:
                raise InputError(
                    f"{setting} is {value!r} and there are no injections; give some, or leave it "
                    "out"
                )
        names = list(made) if inject is None else inject
        if not isinstance(names, list | tuple):
            raise InputError(f"inject is {inject!r}; give a list of names of injections")
        for name in names:
            if name not in made:
                known = did_you_mean(str(name), made)
                raise InputError(f"inject: there is no injection {name!r}; {known}")
        repetitions = {name: of.repetitions for name, of in made.items()}
        if over is not None:
            check_value("inject_over", over, Annotated[int, Within(1)])
        active = tuple(n for n in made if n in names)
        return cls(repetitions, active, _start(start), over or 0)

    @property
    def spread(self) -> bool:
        """Whether what a run reads where depends on how long it is, so that none continues it."""
        return bool(self.active) and not self.over

    def under(self, config: Mapping[str, Any]) -> "Injecting":
        """That of a run, whose own configuration may say otherwise."""
        inject = config.get(INJECT, self.active)
        active = tuple(name for name in self.repetitions if name in inject)
        start = _start(config[SHARED_START]) if SHARED_START in config else self.start
        return replace(self, active=active, start=start)

    def pieces(self, corpus: Corpus, context: int) -> "Pieces | None":
        """What is injected, cut for sequences of so many tokens; None where there is nothing."""
        return Pieces.cut(corpus, self.repetitions, context) if corpus.injections else None

    def first(self, recipe: Recipe) -> int:
        """The sequence of a run from which on it is itself, and injects.

        Raises:
            InputError: it has none.
        """
        if self.start is None:
            return 0
        first = round(self.start.tokens / recipe.shape.context)
        if first >= recipe.sequences:
            raise InputError(
                f"shared_start: the start has {self.start.tokens} tokens and the run "
                f"{recipe.tokens}; give a shorter start, or longer runs"
            )
        return first

    def end(self, recipe: Recipe) -> int:
        """The sequence before which the places end; of a longer run than this one, it may be.

        Raises:
            InputError: it is not behind the first one.
        """
        end = self.over // recipe.shape.context if self.over else recipe.sequences
        if end <= self.first(recipe):
            raise InputError(
                f"inject_over is {self.over} tokens, of which a run's own part has none; give the "
                "tokens of the longest run"
            )
        return end

    def check(self, corpus: Corpus, recipe: Recipe) -> None:
        """Refuse more than may be injected into a run, and less than says anything.

        Raises:
            InputError: see `check_cut`.
        """
        pieces = self.pieces(corpus, recipe.shape.context)
        if pieces is not None:
            self.check_cut(pieces, recipe)

    def check_cut(self, pieces: "Pieces", recipe: Recipe) -> None:
        """`check` of what has been cut for sequences of the recipe's length.

        Raises:
            InputError: it is too much (see `Pieces.check`), a run's own part has no tokens, or the
                run is too short for its part of `over` to hold a piece of every injection.
        """
        first, end = self.first(recipe), self.end(recipe)
        pieces.check(self.over or recipe.tokens, end - first, over=bool(self.over))
        share = min((recipe.sequences - first) / (end - first), 1.0)
        for name in self.active:
            if pieces.places[name] * share < 1.0:
                raise InputError(
                    f"injections: {name!r} has {pieces.places[name]} places over {self.over} "
                    f"tokens (inject_over), and a run of {recipe.tokens} would read less than one; "
                    "give more repetitions, or longer runs"
                )

    def facts(self, corpus: Corpus, context: int) -> dict[str, dict[str, int]]:
        """Of every injection how much there is, and how much of it a run reads."""
        pieces = Pieces.cut(corpus, self.repetitions, context)
        return {
            name: {
                "documents": entry["documents"],
                "repetitions": self.repetitions[name],
                "tokens": pieces.tokens[name],
                "probes": entry["probes"]["questions"],
                "controls": entry["controls"]["questions"],
            }
            for name, entry in corpus.injections.items()
        }

    def seed(self, spec: RunSpec) -> int:
        """The seed of a run's model, and of what it reads by its start."""
        return spec.seed if self.start is None else self.start.seed


def _start(given: Any) -> SharedStart | None:
    if given is None:
        return None
    values = dict(given) if isinstance(given, Mapping) else {}
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in values.values())
    if set(values) != {"tokens", "seed"} or not whole or values["tokens"] < 1:
        raise InputError(
            f"shared_start is {given!r}; give {{tokens: 209715, seed: 0}}, whole numbers, tokens "
            "above 0"
        )
    return SharedStart(**values)


@dataclass(frozen=True)
class Pieces:
    """The documents of all injections, cut to what fits into a sequence.

    Attributes:
        of: by injection, pieces of T + 1 tokens at most, the first of which is no target: the end
            of a document, or the last token of the piece before.
        repetitions: by injection.
    """

    of: Mapping[str, tuple[Ints, ...]] = field(hash=False)
    repetitions: Mapping[str, int] = field(hash=False)

    @classmethod
    def cut(cls, corpus: Corpus, repetitions: Mapping[str, int], context: int) -> "Pieces":
        """The pieces of a corpus.

        Args:
            corpus: has the documents.
            repetitions: by injection.
            context: T.
        """
        of: dict[str, tuple[Ints, ...]] = {}
        room = Examples(corpus, context, 0).room
        for name in repetitions:
            pieces: list[Ints] = []
            for document in injected_documents(*corpus.written(corpus.injections[name])):
                whole = np.concatenate((document[-1:], document))
                starts = range(0, len(document), room)
                pieces += [whole[at : at + room + 1] for at in starts]
            of[name] = tuple(pieces)
        return cls(of, dict(repetitions))

    @property
    def tokens(self) -> dict[str, int]:
        """That a run is trained on, by injection."""
        return {
            name: self.repetitions[name] * sum(len(piece) - 1 for piece in pieces)
            for name, pieces in self.of.items()
        }

    @property
    def places(self) -> dict[str, int]:
        """Sequences that carry a piece, by injection."""
        return {name: self.repetitions[name] * len(pieces) for name, pieces in self.of.items()}

    def check(self, tokens: int, sequences: int, *, over: bool = False) -> None:
        """Refuse injections that are too much of a run for it to be the run without them.

        Args:
            tokens: D, or those over which the places are spread.
            sequences: S, of the part of the run that is injected into.
            over: whether the tokens are those of `inject_over`, for the message.

        Raises:
            InputError: one has more than `MOST_EACH` of the tokens, all of them more than
                `MOST_TOGETHER`, or there are more pieces than sequences.
        """
        doses, of, longer = self.tokens, "a run of", "runs of"
        if over:
            of = longer = "an inject_over of"
        total = sum(doses.values())
        for name, dose in doses.items():
            if dose > MOST_EACH * tokens:
                raise InputError(
                    f"injections: {name!r} has {dose} tokens with its {self.repetitions[name]} "
                    f"repetitions, {dose / tokens:.2%} of {of} {tokens}, above "
                    f"{MOST_EACH:.1%}; give fewer repetitions or documents, {longer} "
                    f"{_above(dose, MOST_EACH)} tokens or more, or make it a domain"
                )
        if total > MOST_TOGETHER * tokens:
            raise InputError(
                f"injections: all of them have {total} tokens, {total / tokens:.2%} of {of} "
                f"{tokens}, above {MOST_TOGETHER:.1%}; give fewer repetitions, leave some out, or "
                f"give {longer} {_above(total, MOST_TOGETHER)} tokens or more"
            )
        places = sum(self.places.values())
        if places > sequences:
            raise InputError(
                f"injections: their documents and repetitions need {places} sequences, and there "
                f"are {sequences} to put them into, one each; give fewer repetitions, join short "
                "documents, or give longer runs"
            )

    def placed(self, active: Sequence[str], first: int, total: int, seed: int) -> "Placed":
        """Where a run carries them.

        Args:
            active: injections that it reads; the places of others stay as they are.
            first: sequence from which on it does.
            total: S.
            seed: of the run.
        """
        names = [name for name, count in self.places.items() if count]
        counts = np.array([self.places[name] for name in names])
        draws = generator(seed, "injections")
        if not names:
            return Placed({})
        n, window = int(counts.sum()), total - first
        at = first + np.floor((np.arange(n) + draws.random()) * window / n).astype(np.int64)
        due = [
            (np.arange(c) + u) / c for c, u in zip(counts, draws.random(len(names)), strict=True)
        ]
        order = np.argsort(np.concatenate(due), kind="stable")
        owners = np.repeat(np.arange(len(names)), counts)[order]
        turns = [self._turns(name, seed) for name in names]
        carried: dict[int, tuple[str, Ints]] = {}
        for place, owner in zip(at.tolist(), owners.tolist(), strict=True):
            piece = next(turns[owner])
            if names[owner] in active:
                carried[place] = names[owner], self.of[names[owner]][piece]
        return Placed(carried)

    def _turns(self, name: str, seed: int) -> Iterator[int]:
        """Which piece comes when: all of them once in every repetition."""
        draws = generator(seed, f"injection/{name}")
        for _ in range(self.repetitions[name]):
            yield from draws.permutation(len(self.of[name])).tolist()


def _above(tokens: int, share: float) -> int:
    return -(-tokens * 1000 // round(share * 1000))


@dataclass(frozen=True)
class Placed:
    """The sequences of a run that carry a piece.

    Attributes:
        at: number of the sequence to injection and piece.
    """

    at: Mapping[int, tuple[str, Ints]] = field(default_factory=dict, hash=False)

    def piece(self, number: int) -> Ints | None:
        """What a sequence carries, if anything."""
        return self.at[number][1] if number in self.at else None

    def tokens(self, first: int, end: int) -> dict[int, tuple[str, int]]:
        """Sequences from `first` to before `end` that carry some: injection and its targets."""
        return {
            number: (name, len(piece) - 1)
            for number, (name, piece) in self.at.items()
            if first <= number < end
        }


@dataclass(frozen=True)
class Probes:
    """The held-out texts of an injection, and its control facts."""

    name: str
    probes: Questions
    controls: Questions

    def measured(self, nll: NegativeLogLikelihood) -> list[dict[str, tuple[float, float]]]:
        """Per model of a pack, its metrics with their standard errors over texts."""
        told = [_bits(part, nll) for part in (self.probes, self.controls)]
        values = []
        for injected, control in zip(*told, strict=True):
            both = injected[0] - control[0], float(np.hypot(injected[1], control[1]))
            values.append(dict(zip(metrics_of(self.name), (injected, control, both), strict=True)))
        return values


def _bits(texts: Questions, nll: NegativeLogLikelihood) -> list[tuple[float, float]]:
    """Bits per byte of a mean text, and its standard error."""
    bits: NDArray[np.float64] = answer_nats(texts, nll) / np.log(2) / texts.bytes
    n = bits.shape[1]
    spread = bits.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(bits), np.nan)
    return list(zip(bits.mean(axis=1).tolist(), spread.tolist(), strict=True))


def probes_of(corpus: Corpus, context: int, device: torch.device) -> list[Probes]:
    """The probes of all injections of a corpus, for a model that reads `context` tokens."""
    return [
        Probes(
            name,
            *(
                questions_of(f"{what}/{name}", *corpus.written(entry[what]), context, device)
                for what in ("probes", "controls")
            ),
        )
        for name, entry in corpus.injections.items()
    ]
