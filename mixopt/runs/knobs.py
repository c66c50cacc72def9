"""Hyperparameters that are searched together with the mixture, and the space of both.

A mixture and its knobs are one point of a larger simplex: the mixture is one block of it, and every
knob another, (u, 1 - u) for a number at the share u of its range, and a corner for a choice. All
blocks weigh the same. So laws, kernels and distances made for mixtures hold for both at once.

Notation:
    W: (n, m) mixtures; P: (n, p) points of both, rows on the simplex; q: knobs
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.space import Domain, MixtureSpace, simplex
from mixopt.space.simplex import Array

Value = float | int | str | bool
"""What a knob is set to: a plain JSON value."""


class Knob(Protocol):
    """A hyperparameter with a range. Its name is a key of the trainer's configuration."""

    @property
    def name(self) -> str:
        """The key; dots lead into nested keys (`"optimizer.lr"`), but not within double quotes."""
        ...

    @property
    def width(self) -> int:
        """Coordinates of its block."""
        ...

    def encode(self, value: Value) -> Array:
        """(width,) coordinates on the simplex.

        Raises:
            InputError: the value is out of range.
        """
        ...

    def decode(self, block: Array) -> Value:
        """The value at (the nearest to) coordinates (width,)."""
        ...

    def spread(self, n: int, rng: np.random.Generator) -> list[Value]:
        """Values (n) that cover the range evenly, in random order."""
        ...

    @property
    def middle(self) -> Value:
        """Where to begin."""
        ...


@dataclass(frozen=True)
class Continuous:
    """A number between `low` and `high`; with `log`, evenly spread over magnitudes.

    Raises:
        InputError: an empty range, or a `log` range that does not begin above 0.
    """

    name: str
    low: float
    high: float
    log: bool = False
    width: int = 2

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise InputError(
                f"knob {self.name!r} goes from {self.low} to {self.high}; give low < high"
            )
        if self.log and self.low <= 0:
            raise InputError(
                f"knob {self.name!r} is on a log scale from {self.low}; give a low above 0"
            )

    @property
    def middle(self) -> Value:
        """Half way, geometrically on a log scale."""
        return self._at(0.5)

    def encode(self, value: Value) -> Array:
        """(2,) share of the range, and the rest."""
        if isinstance(value, str | bool) or not self.low <= value <= self.high:
            raise InputError(
                f"knob {self.name!r} is {value!r}; give a number from {self.low} to {self.high}"
            )
        if self.log:
            u = float(np.log(value / self.low) / np.log(self.high / self.low))
        else:
            u = float((value - self.low) / (self.high - self.low))
        return np.array([u, 1.0 - u])

    def decode(self, block: Array) -> Value:
        """Three significant digits of the number, within the range."""
        return self._at(float(block[0] / max(block.sum(), 1e-300)))

    def spread(self, n: int, rng: np.random.Generator) -> list[Value]:
        """One number in every nth part of the range."""
        shares = (rng.permutation(n) + rng.random(n)) / n
        return [self._at(float(u)) for u in shares]

    def _at(self, u: float) -> float:
        if self.log:
            value = float(np.exp(np.log(self.low) + u * np.log(self.high / self.low)))
        else:
            value = self.low + u * (self.high - self.low)
        return float(min(max(float(f"{value:.3g}"), self.low), self.high))


@dataclass(frozen=True)
class Choice:
    """One of several values without an order.

    Raises:
        InputError: fewer than two options, or one twice.
    """

    name: str
    options: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        if len(self.options) < 2 or len(set(map(repr, self.options))) < len(self.options):
            raise InputError(
                f"knob {self.name!r} has the options {list(self.options)}; give two or more, "
                "each once"
            )

    @property
    def width(self) -> int:
        """One coordinate per option."""
        return len(self.options)

    @property
    def middle(self) -> Value:
        """The first option."""
        return self.options[0]

    def encode(self, value: Value) -> Array:
        """(options,) a corner of the simplex."""
        if value not in self.options:
            known = did_you_mean(str(value), [str(option) for option in self.options])
            raise InputError(f"knob {self.name!r} is {value!r}; {known}")
        return np.asarray(np.eye(len(self.options))[self.options.index(value)])

    def decode(self, block: Array) -> Value:
        """The option of the largest coordinate."""
        return self.options[int(np.argmax(block))]

    def spread(self, n: int, rng: np.random.Generator) -> list[Value]:
        """Every option as often as any other, give or take one."""
        order = np.concatenate([rng.permutation(len(self.options)) for _ in range(n)])[:n]
        return [self.options[int(i)] for i in order]


@dataclass(frozen=True)
class SearchSpace:
    """Mixtures and knobs as points of one simplex.

    Attributes:
        space: the mixtures. knobs: what else is searched.

    Raises:
        InputError: two knobs of one name.
    """

    space: MixtureSpace
    knobs: tuple[Knob, ...]

    def __post_init__(self) -> None:
        names = [knob.name for knob in self.knobs]
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise InputError(f"knob {twice!r} is there twice; give it once")

    @property
    def simplex(self) -> MixtureSpace:
        """Both as one space of shares, for what looks at names and natural mixture alone."""
        share = 1.0 / (1 + len(self.knobs))
        own = [
            Domain(name, prior=share * float(w))
            for name, w in zip(self.space.names, self.space.prior, strict=True)
        ]
        more = [
            Domain(f"{knob.name}[{i}]", prior=share * float(u))
            for knob in self.knobs
            for i, u in enumerate(knob.encode(knob.middle))
        ]
        return MixtureSpace([*own, *more])

    def join(self, W: Array, values: Sequence[Mapping[str, Value]]) -> Array:
        """(n, p) points of mixtures W (n, m), each with its values by knob name."""
        blocks = [
            np.array([knob.encode(v[knob.name]) for v in values]).reshape(len(W), knob.width)
            for knob in self.knobs
        ]
        return np.hstack([W, *blocks]) / (1 + len(self.knobs))

    def split(self, P: Array) -> tuple[Array, list[dict[str, Value]]]:
        """Mixtures (n, m) and values by knob name of points P (n, p)."""
        m = self.space.dim
        W = P[:, :m] * (1 + len(self.knobs))
        values: list[dict[str, Value]] = [{} for _ in P]
        start = m
        for knob in self.knobs:
            for row, decoded in zip(P[:, start : start + knob.width], values, strict=True):
                decoded[knob.name] = knob.decode(row)
            start += knob.width
        return W, values

    def spread(self, n: int, rng: np.random.Generator) -> list[dict[str, Value]]:
        """Values (n) of all knobs, each knob's range evenly covered (a Latin hypercube)."""
        columns = {knob.name: knob.spread(n, rng) for knob in self.knobs}
        return [{name: column[i] for name, column in columns.items()} for i in range(n)]

    def near(self, P: Array, n: int, rng: np.random.Generator) -> list[dict[str, Value]]:
        """Values (n) near those of random rows of P: a knob stays, moves a little, or jumps."""
        _, values = self.split(P[rng.integers(len(P), size=n)])
        jumps = self.spread(n, rng)
        neighbours = []
        for old, far in zip(values, jumps, strict=True):
            new = dict(old)
            for knob in self.knobs:
                dice = rng.random()
                if dice < 0.15:
                    new[knob.name] = far[knob.name]
                elif dice < 0.7:
                    width = rng.choice([3.0, 30.0, 300.0])
                    block = simplex.dirichlet(width * knob.encode(old[knob.name])[None] + 0.02, rng)
                    new[knob.name] = knob.decode(block[0])
            neighbours.append(new)
        return neighbours


def set_knobs(config: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """A copy of a trainer's configuration with knobs set; dots lead into nested keys."""
    made: dict[str, Any] = dict(config)
    for name, value in values.items():
        *path, last = _steps(name)
        inner = made
        for key in path:
            inner[key] = dict(inner.get(key) or {})
            inner = inner[key]
        inner[last] = value
    return made


def read_knobs(config: Mapping[str, Any], knobs: Sequence[Knob]) -> dict[str, Value] | None:
    """What knobs are set to in a configuration; None where one is not set."""
    if not all(is_set(config, knob.name) for knob in knobs):
        return None
    return {knob.name: _look(config, knob.name) for knob in knobs}


def is_set(config: Mapping[str, Any], name: str) -> bool:
    """Whether a configuration sets a knob of that name."""
    return _look(config, name) is not None


_STEP = re.compile(r'"([^"]*)"|([^."]+)')


def _steps(name: str) -> list[str]:
    """The keys that a name leads through.

    >>> _steps('sampling."web.en".cut')
    ['sampling', 'web.en', 'cut']
    """
    return [inside or plain for inside, plain in _STEP.findall(name)] or [name]


def quoted(key: str) -> str:
    """A key as one step of a knob's name: in double quotes where it has a dot.

    Raises:
        InputError: it has a double quote, which no name of a knob can hold.
    """
    if '"' in key:
        raise InputError(f"{key!r} has a double quote, so that no knob can name it; rename it")
    return f'"{key}"' if "." in key else key


def _look(config: Mapping[str, Any], name: str) -> Any:
    inner: Any = config
    for key in _steps(name):
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    return inner
