"""What an exporter is: a declared format and the function that writes it.

What a format can express is *declared*, and checked before it is written
(`mixopt.export.preflight`): what its weights count, the smallest share that it can hold, whether it
repeats a domain, and whether it holds schedules. A framework with two stories has an exporter for
each, told apart by `version`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mixopt.errors import InputError, did_you_mean, shorten
from mixopt.export.facts import Facts
from mixopt.space.short import read_count

DIGITS = 9  # of an exported share
FINEST = 10.0**-DIGITS


class Unit(StrEnum):
    """What a trainer's weight counts; decides how shares of tokens become weights."""

    TOKENS = "tokens"
    SEQUENCES = "sequences of one length"
    EXAMPLES = "examples"
    COUNTS = "number of examples"
    PASSES = "passes over a domain"
    QUOTA = "number of tokens"

    @property
    def relative(self) -> bool:
        """Whether weights are shares that sum to 1, not numbers of something."""
        return self in {Unit.TOKENS, Unit.SEQUENCES, Unit.EXAMPLES}

    @property
    def of_examples(self) -> bool:
        """Whether the mean tokens of an example decide it."""
        return self in {Unit.EXAMPLES, Unit.COUNTS}


class Draws(StrEnum):
    """How a trainer draws by its weights; decides how far realised shares lie from them."""

    RANDOM = "at random"
    BLOCKS = "in turn"
    EXACT = "exactly"


class Repeats(StrEnum):
    """Whether a trainer begins a domain anew when it has been read."""

    ALWAYS = "always"
    OPTION = "as an option says"
    NEVER = "never"


class Schedules(StrEnum):
    """How a mixture that changes during a run is written."""

    NATIVE = "in one file"
    RUNS = "as a list of runs"


class Paths(StrEnum):
    """Whether a format says where the data is."""

    NEEDED = "needed"
    OPTIONAL = "optional"
    UNUSED = "not written"


@dataclass(frozen=True)
class Option:
    """A setting of a format, given as text on the command line or as a value in Python.

    Attributes:
        name: of it.
        help: one line for people, with the unit.
        default: where it is not given.
        kind: of its value; `dict` is from domain to text, on the command line `name.domain=text`;
            `int` reads counts such as 4M.
        choices: of a text, all that it may be.
        least: of a number.
    """

    name: str
    help: str
    default: Any = None
    kind: type = str
    choices: tuple[str, ...] = ()
    least: float | None = None

    def read(self, given: Any) -> Any:
        """The value that was given, checked.

        Raises:
            InputError: it is of another kind, none of the choices, or too small.
        """
        value = self._value(given)
        if self.choices and value not in self.choices:
            raise InputError(
                f"{self.name} is {shorten(repr(given))}; give one of: {', '.join(self.choices)}"
            )
        if self.least is not None and value is not None and value < self.least:
            raise InputError(f"{self.name} is {value}; give {self.least:g} or more")
        return value

    def _value(self, given: Any) -> Any:
        if given is None:
            return None
        wrong = InputError(f"{self.name} is {shorten(repr(given))}; give {_KINDS[self.kind]}")
        if self.kind is dict:
            if not isinstance(given, Mapping):
                raise wrong
            return {str(k): v if isinstance(v, str) else list(v) for k, v in given.items()}
        if self.kind is bool:
            flags = {"true": True, "yes": True, "false": False, "no": False}
            flag = flags.get(str(given).lower())
            if flag is None:
                raise wrong
            return flag
        if self.kind is str:
            return str(given)
        try:
            number = read_count(given)
            number = float(number) if self.kind is float else number
        except (ValueError, TypeError):
            raise wrong from None
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise wrong
        if not math.isfinite(number) or (self.kind is int and not isinstance(number, int)):
            raise wrong
        return number


_KINDS = {
    str: "a text",
    int: "a whole number, such as 2048 or 4M",
    float: "a number",
    bool: "true or false",
    dict: "a mapping from domain to value (on the command line NAME.DOMAIN=VALUE)",
}


@dataclass(frozen=True)
class Stage:
    """A part of the run with one mixture, in the unit of the format.

    Attributes:
        start: tokens of the target run at which it begins.
        until: where it ends; None where the length of the run is not known.
        shares: domain to share of the stage's tokens that the weights give, zeros left out.
        weights: domain to weight, in the unit of the format; counts are whole numbers.
    """

    start: int
    until: int | None
    shares: Mapping[str, float]
    weights: Mapping[str, Any]

    @property
    def tokens(self) -> int | None:
        """Of the stage."""
        return None if self.until is None else self.until - self.start


@dataclass(frozen=True)
class Job:
    """What an exporter writes: everything converted, rounded and checked.

    Attributes:
        stages: in order; one where the mixture does not change.
        facts: of data and run.
        options: of the format, defaults filled in.
        unit: of the weights.
        epochs: domain to passes over it in the whole run, where they are known.
        note: one line on where it comes from.
        provenance: plain JSON values.
        predictions: of the law, plain JSON values.
        name: of the file that is written.
    """

    stages: tuple[Stage, ...]
    facts: Facts
    options: Mapping[str, Any] = field(hash=False)
    unit: Unit = Unit.TOKENS
    epochs: Mapping[str, float] = field(default_factory=dict, hash=False)
    note: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict, hash=False)
    predictions: Mapping[str, Any] = field(default_factory=dict, hash=False)
    name: str = "mixture"

    @property
    def domains(self) -> tuple[str, ...]:
        """Those that some stage draws, in the order of the mixture."""
        return tuple(dict.fromkeys(d for stage in self.stages for d in stage.weights))

    @property
    def weights(self) -> Mapping[str, Any]:
        """Of the first stage; the only one where the format holds one mixture."""
        return self.stages[0].weights

    @property
    def seed(self) -> int:
        """Of whatever the format draws."""
        return self.facts.seed

    @property
    def stem(self) -> str:
        """The name of the file without its ending."""
        return self.name.rpartition(".")[0] or self.name

    def places(self, domain: str) -> list[str]:
        """All paths of a domain; empty where none is given."""
        given = self.facts.paths.get(domain, ())
        return [given] if isinstance(given, str) else [str(path) for path in given]

    def place(self, domain: str) -> str:
        """The one path of a domain; empty where none is given.

        Raises:
            InputError: it has several.
        """
        places = self.places(domain)
        if len(places) > 1:
            raise InputError(
                f"domain {domain!r} has {len(places)} paths, and this format takes one for each "
                "domain; give a folder or a pattern, or split the domain"
            )
        return places[0] if places else ""

    def spread(self, domain: str) -> dict[str, float]:
        """The paths of a domain, with their shares of it: those of their tokens.

        Raises:
            InputError: it has several, and the tokens of one are not known.
        """
        places, tokens = self.places(domain), self.facts.shard_tokens
        if len(places) < 2 or not all(place in tokens for place in places):
            return {self.place(domain): 1.0}
        total = math.fsum(tokens[place] for place in places)
        return {place: tokens[place] / total for place in places if tokens[place]}

    def need(self, option: str, why: str) -> Any:
        """An option, or a fact, without which the format cannot be written.

        Raises:
            InputError: it is not given.
        """
        value = self.options.get(option, getattr(self.facts, option, None))
        if value is None:
            raise InputError(f"{option} is not given, and {why}; give it ({_how(option)})")
        return value

    def steps(self, tokens: int) -> int:
        """Whole optimizer steps nearest to a number of tokens.

        Raises:
            InputError: the tokens of a step are not given.
        """
        batch: int = self.need("batch_tokens", "the ends of stages are counted in steps")
        return (2 * tokens + batch) // (2 * batch)


def _how(option: str) -> str:
    flags = {"batch_tokens", "sequence_length", "tokens"}
    return f"--{option.replace('_', '-')}" if option in flags else f"--set {option}=..."


Written = str | Mapping[str, str]
"""The text of a file; or several, name to text, with the main file under `""`."""


Settled = tuple[Mapping[str, float], Mapping[str, float]]
"""Weights to write, and those that the trainer then draws by."""


def _as_they_are(weights: Mapping[str, float], options: Mapping[str, Any]) -> Settled:  # noqa: ARG001
    return weights, weights


def _no_check(job: Job) -> Iterable[str]:  # noqa: ARG001 - a format without rules of its own
    return ()


@dataclass(frozen=True)
class Exporter:
    """A format of a trainer: what it can express, and the function that writes it.

    Attributes:
        title: the trainer, and what is written for it, in one line.
        write: gives the text of the file, or of several.
        units: what its weights count; of several, the option `unit` chooses, the first by default.
        version: of the trainer whose story it is; empty for formats of our own.
        suffix: of the file.
        options: that it takes.
        grain: smallest difference of two weights that it can hold; or a function of the options.
        grain_remedy: what to do about a domain that is smaller.
        draws: how the trainer draws by the weights.
        repeats: whether it begins a domain anew.
        schedules: how it holds a mixture that changes.
        paths: whether it says where the data is.
        spaces: whether paths and names may hold whitespace.
        settle: from rounded weights (domain to share of the draws) and options to the weights to
            write and those that the trainer draws by, where it rounds them in a way of its own.
        check: its own rules: raises `InputError`, gives warnings.
    """

    title: str
    write: Callable[[Job], Written]
    units: tuple[Unit, ...]
    version: str = ""
    suffix: str = ".json"
    options: tuple[Option, ...] = ()
    grain: float | Callable[[Mapping[str, Any]], float] = FINEST
    grain_remedy: str = ""
    draws: Draws = Draws.RANDOM
    repeats: Repeats = Repeats.ALWAYS
    schedules: Schedules = Schedules.RUNS
    paths: Paths = Paths.NEEDED
    spaces: bool = True
    settle: Callable[[Mapping[str, float], Mapping[str, Any]], Settled] = _as_they_are
    check: Callable[[Job], Iterable[str]] = _no_check

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Its options, with the choice of a unit where it has one."""
        if len(self.units) == 1:
            return self.options
        names = tuple(unit.name.lower() for unit in self.units)
        return (*self.options, Option("unit", "what the weights count", names[0], choices=names))

    def settings(self, given: Mapping[str, Any], what: str) -> dict[str, Any]:
        """All options by name: those given, checked, and the defaults.

        Raises:
            InputError: an unknown option, or a bad value.
        """
        known = {option.name: option for option in self.all_options}
        for name in given:
            if name not in known:
                raise InputError(f"{what} has no option {name!r}; {did_you_mean(name, known)}")
        try:
            return {n: o.read(given[n]) if n in given else o.default for n, o in known.items()}
        except InputError as error:
            raise InputError(f"{what}: {error}") from error

    def unit_of(self, options: Mapping[str, Any]) -> Unit:
        """What the weights count under these options."""
        return Unit[options["unit"].upper()] if len(self.units) > 1 else self.units[0]

    def grain_of(self, options: Mapping[str, Any]) -> float:
        """The smallest difference of two weights under these options."""
        return self.grain(options) if callable(self.grain) else self.grain
