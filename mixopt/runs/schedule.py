"""What a run draws and when: a schedule of mixtures, or a method that changes them on the way.

Notation:
    P phases, m domains; phase p ends at `ends[p]` tokens and draws by `weights[p]`
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.space import Mixture, html
from mixopt.space.simplex import Array

Phases = tuple[tuple[int, Mixture], ...]
"""(tokens of the run at the end of the phase, its mixture), in order."""


@dataclass(frozen=True)
class Schedule:
    """Mixtures over a run, piecewise constant; boundaries in tokens.

    Boundaries are tokens and not shares of a run, so that a longer run can share a beginning. The
    last one is the end: it equals the tokens of the run's scale (`RunSpec` checks it). A trainer
    that rounds its budget to whole batches draws by the last phase to its own end.

    There is one form of each schedule: neighbouring phases of one mixture are one phase, and all
    phases name the same domains, those of the first phase first. Mixtures that agree to nine digits
    are one mixture, as in `RunSpec.run_id`.

    >>> web, code = Mixture.of({"web": 1.0}), Mixture.of({"code": 1.0})
    >>> Schedule(((600, web), (1000, code))).mean.to_dict()
    {'web': 0.6, 'code': 0.4}

    Attributes:
        phases: `(until_tokens, mixture)`, in order.

    Raises:
        InputError: no phase, or boundaries that are no whole numbers or do not increase from 0.
    """

    phases: Phases

    def _repr_html_(self) -> str:
        rows = [[f"{until:_}", html.in_words(mixture.to_dict())] for until, mixture in self.phases]
        return html.table(["until tokens", "mixture"], rows, f"{len(rows)} phases")

    def __post_init__(self) -> None:
        given = tuple(self.phases)
        if not given:
            raise InputError("a schedule has no phases; give at least one (until_tokens, mixture)")
        before = 0
        for number, (until, mixture) in enumerate(given, start=1):
            if not isinstance(mixture, Mixture):
                raise InputError(
                    f"phase {number} of a schedule holds {mixture!r}; give a Mixture "
                    "(Mixture.of makes one from shares by name)"
                )
            if isinstance(until, bool) or not np.isfinite(until) or int(until) != until:
                raise InputError(
                    f"phase {number} of a schedule ends at {until!r}; give a whole number of tokens"
                )
            if until <= before:
                raise InputError(
                    f"phase {number} of a schedule ends at {until} tokens and begins at {before}; "
                    "give boundaries in tokens since the start of the run, each above the last"
                )
            before = until
        names = tuple(dict.fromkeys(d for _, mixture in given for d in mixture.domains))
        merged: list[tuple[int, Mixture]] = []
        for until, mixture in given:
            if merged and shares_of(merged[-1][1]) == shares_of(mixture):
                merged[-1] = (int(until), merged[-1][1])
            else:
                merged.append((int(until), _over(names, mixture)))
        object.__setattr__(self, "phases", tuple(merged))

    @classmethod
    def constant(cls, mixture: Mixture, tokens: int) -> "Schedule":
        """One mixture from start to end."""
        return cls(((tokens, mixture),))

    @property
    def tokens(self) -> int:
        """Where it ends."""
        return self.phases[-1][0]

    @property
    def domains(self) -> tuple[str, ...]:
        """(m,) the domains of every phase."""
        return self.phases[0][1].domains

    @property
    def ends(self) -> NDArray[np.int64]:
        """(P,) tokens at the end of each phase."""
        return np.array([until for until, _ in self.phases], dtype=np.int64)

    @property
    def weights(self) -> Array:
        """(P, m) shares of each phase, in the order of `domains`."""
        return np.array([mixture.weights for _, mixture in self.phases])

    @property
    def mean(self) -> Mixture:
        """The mixture that the run sees in total: the phases' mixtures by their tokens."""
        if len(self.phases) == 1:
            return self.phases[0][1]
        lengths = np.diff(self.ends, prepend=0)
        return Mixture(self.domains, tuple((lengths @ self.weights / self.tokens).tolist()))

    def at(self, tokens: int) -> Mixture:
        """The mixture by which a run draws that has `tokens` tokens behind it.

        Raises:
            InputError: the schedule has ended by then.
        """
        if not 0 <= tokens < self.tokens:
            raise InputError(
                f"a schedule of {self.tokens} tokens says nothing at {tokens}; ask from 0 to "
                f"{self.tokens - 1}"
            )
        return next(mixture for until, mixture in self.phases if tokens < until)

    def until(self, tokens: int) -> "Schedule":
        """Its beginning: runs whose beginnings are equal are the same run up to there.

        Raises:
            InputError: there is no such beginning.
        """
        if not 0 < tokens <= self.tokens:
            raise InputError(
                f"a schedule of {self.tokens} tokens has no beginning of {tokens}; give 1 to "
                f"{self.tokens}"
            )
        kept = [(min(until, tokens), mixture) for until, mixture in self.phases]
        last = next(i for i, (until, _) in enumerate(kept) if until == tokens)
        return Schedule(tuple(kept[: last + 1]))

    def stretched(self, tokens: int) -> "Schedule":
        """The same phases in the same shares of a run of another length; ends in whole tokens.

        Raises:
            InputError: the run is too short to hold every phase.
        """
        if tokens < len(self.phases):
            raise InputError(
                f"a run of {tokens} tokens cannot hold {len(self.phases)} phases; give one token "
                "for each at least"
            )
        made: list[tuple[int, Mixture]] = []
        for number, (until, mixture) in enumerate(self.phases):
            least = made[-1][0] + 1 if made else 1
            most = tokens - (len(self.phases) - 1 - number)
            made.append((min(max(round(until * tokens / self.tokens), least), most), mixture))
        return Schedule(tuple(made))

    def coarsened(self, most: int) -> "Schedule":
        """The same in at most so many phases of one length, each with the mean of its part.

        A schedule of no more phases stays as it is; so does the mean of every one.
        """
        if len(self.phases) <= most:
            return self
        ends = [max(1, round(self.tokens * k / most)) for k in range(1, most + 1)]
        begin = np.r_[0, self.ends[:-1]]
        phases, before = [], 0
        for end in ends:
            inside = np.clip(np.minimum(self.ends, end) - np.maximum(begin, before), 0, None)
            if end > before:
                mean = inside @ self.weights / inside.sum()
                phases.append((end, Mixture(self.domains, tuple(mean.tolist()))))
            before = end
        return Schedule(tuple(phases))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `Schedule.from_dict` reads them back."""
        phases = [{"until": until, "mixture": mixture.to_dict()} for until, mixture in self.phases]
        return {"phases": phases}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Schedule":
        """The schedule that `to_dict` wrote.

        Raises:
            InputError: the values are of another form.
        """
        try:
            phases = [(p["until"], Mixture.of(p["mixture"])) for p in values["phases"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"cannot read a schedule ({type(error).__name__}: {error}); give {{'phases': "
                "[{'until': tokens, 'mixture': {domain: share}}, ...]}"
            ) from error
        return cls(tuple(phases))


@dataclass(frozen=True)
class MixerSpec:
    """Which online method changes the mixture inside a run, and how it is set.

    >>> MixerSpec("aioli", {"every": 64}).name
    'aioli'

    All of it is part of what a run is: with other bounds, or other targets, it is another run.

    Attributes:
        name: of the method, or `"module:attribute"`.
        settings: plain JSON values.
        space: the constraints that hold inside the run, as `mixopt.space.plain.to_dict` writes
            them; empty: the simplex over the domains of the run's mixture.
        targets: metric to its weight in what the method steers by; empty: the metrics that the
            trainer has for the training domains, alike.

    Raises:
        InputError: no name, or settings that are no JSON values.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    space: Mapping[str, Any] = field(default_factory=dict, hash=False)
    targets: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("a mixer has no name; name a method, or give no mixer")
        try:
            json.dumps(self.to_dict(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"settings of the mixer {self.name!r} are no JSON values ({error}); give numbers, "
                "texts, lists and objects"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `MixerSpec(**values)` reads them back."""
        more = {"space": dict(self.space), "targets": dict(self.targets)}
        whole = {"name": self.name, "settings": dict(self.settings)}
        return whole | {name: part for name, part in more.items() if part}


def phase_arrays(runs: Iterable[Phases], domains: Sequence[str]) -> tuple[Array, NDArray[np.int64]]:
    """The phases of several runs as arrays, for laws with a term for them.

    A run with fewer phases than another has its last one repeated, with no tokens in it.

    Args:
        runs: phases of n runs, e.g. `spec.phases`.
        domains: (m,) names, in the order of the columns.

    Returns:
        weights: (n, P, m).
        ends: (n, P) tokens.

    Raises:
        InputError: a phase gives weight to a domain that is not named.
    """
    listed = list(runs)
    longest = max(map(len, listed), default=0)
    weights = np.zeros((len(listed), longest, len(domains)))
    ends = np.zeros((len(listed), longest), dtype=np.int64)
    known = set(domains)
    for i, phases in enumerate(listed):
        for p in range(longest):
            until, mixture = phases[min(p, len(phases) - 1)]
            shares = mixture.to_dict()
            other = next((d for d, w in shares.items() if w > 0 and d not in known), None)
            if other is not None:
                raise InputError(
                    f"phase {p + 1} of run {i} gives weight to {other!r}, which is none of "
                    f"{', '.join(domains)}; name it too, or leave the run out"
                )
            weights[i, p] = [shares.get(d, 0.0) for d in domains]
            ends[i, p] = until
    return weights, ends


# -- identity ------------------------------------------------------------------------------------


def shares_of(mixture: Mixture) -> dict[str, str]:
    """The form in which a mixture enters identities.

    Weights that differ in the 10th digit are the same run; zero shares are left out, so a run keeps
    its identity when a domain that it never used joins the space.
    """
    return {d: f"{w:.9f}" for d, w in sorted(mixture.to_dict().items()) if w > 0}


def plan_identity(
    phases: Sequence[tuple[int | None, Mixture]], mixer: MixerSpec | None = None
) -> dict[str, Any]:
    """What a run draws, in the form in which it enters identities.

    Args:
        phases: in order; the end of a lone phase does not count. None: an end that is left open.
        mixer: changes the mixture on the way.
    """
    of_phases = [[until, shares_of(mixture)] for until, mixture in phases]
    plan = {"schedule": of_phases} if len(phases) > 1 else {"mixture": of_phases[0][1]}
    return plan | ({} if mixer is None else {"mixer": mixer.to_dict()})


def digest(identity: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of plain JSON values, the same on any machine."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _over(names: tuple[str, ...], mixture: Mixture) -> Mixture:
    if mixture.domains == names:
        return mixture
    shares = mixture.to_dict()
    return Mixture(names, tuple(shares.get(d, 0.0) for d in names))
