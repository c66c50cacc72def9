"""QuaDMix's sampler (2504.16511): how often each document of a domain is read, by its quality.

Notation:
    n documents of a domain, N scores of each, the smaller the better
    sizes: (n,) tokens; alpha: (N,) weights of the scores, summing to 1
    r: (n,) rank: the share of the domain's tokens that is better, 0 (the best) to 1
    S(r) = (2 / (1 + exp(-lambda (omega - r))))^eta + epsilon up to r = omega, epsilon behind it

The third-party text of the paper leaves open whether eta is an exponent or a factor, and whether
epsilon is added: it is an exponent, and added. So S falls from at most 2^eta + epsilon to
1 + epsilon at omega, and jumps to epsilon there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import InputError, did_you_mean
from mixopt.space.numbers import check_number
from mixopt.space.simplex import Array

Ints = NDArray[np.int64]

EVERY = "*"
"""The key of a `sampling` table for all domains that have no entry of their own."""

_FAR = 40.0  # 2 / (1 + exp(-t)) is 2 from here on, to the last bit
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_MOST_COPIES = 4.0  # exponent: 2^4 copies of the best


@dataclass(frozen=True)
class Sampler:
    """Parameters of one domain. By default every document is read once.

    >>> round(Sampler(500, 0.05, 0.5, 5e-4).mean, 6)
    0.070146

    Attributes:
        sharpness: lambda, of the rise at the cut; no matter where `exponent` is 0.
        cut: omega, the share of the domain's tokens above the cut.
        exponent: eta; the best are read 2^eta times.
        floor: epsilon, how often what is below the cut is read.
        scores: alpha, weights of the scores by name, up to scale; equal ones where it is empty.

    Raises:
        InputError: a number breaks its rule.
    """

    sharpness: float = 100.0
    cut: float = 1.0
    exponent: float = 0.0
    floor: float = 0.0
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_number("sharpness", self.sharpness, least=0)
        check_number("cut", self.cut, least=0, most=1)
        check_number("exponent", self.exponent, least=0, most=_MOST_COPIES)
        check_number("floor", self.floor, least=0, most=1)
        if not isinstance(self.scores, Mapping):
            raise InputError(f"scores is {self.scores!r}; give weights by name, like {{edu: 1}}")
        for name, weight in self.scores.items():
            check_number(f"scores.{name}", weight, least=0)
        if self.scores and sum(self.scores.values()) <= 0:
            raise InputError("scores weigh nothing; give one of them a weight above 0")

    def expected(self, ranks: Array) -> Array:
        """S(r): how often documents of ranks (n,) are read on average."""
        r = np.asarray(ranks, dtype=float)
        rise = _rise(self.sharpness * (self.cut - r), self.exponent)
        return np.asarray(np.where(r <= self.cut, rise, 0.0) + self.floor)

    @property
    def mean(self) -> float:
        """Tokens read over those there are: the integral of S over all ranks."""
        return float(means(self.sharpness, self.cut, self.exponent, self.floor))

    def weights(self, names: Sequence[str]) -> Array:
        """(N,) alpha, in the order of the names.

        Raises:
            InputError: it weighs a score that is none of them.
        """
        odd = next((name for name in self.scores if name not in names), None)
        if odd is not None:
            raise InputError(f"scores.{odd} is no score of the data; {did_you_mean(odd, names)}")
        given = np.array([float(self.scores.get(name, 0.0)) for name in names])
        alpha = given if self.scores else np.ones(len(names))
        return np.asarray(alpha / alpha.sum())


def _rise(t: Array, exponent: float | Array) -> Array:
    return np.asarray((2.0 / (1.0 + np.exp(-np.clip(t, -_FAR, None)))) ** exponent)


def means(sharpness: ArrayLike, cut: ArrayLike, exponent: ArrayLike, floor: ArrayLike) -> Array:
    """(...) tokens read over those there are, of many samplers; see `Sampler`.

    With t = lambda (omega - r) the integral runs over t from 0 to lambda omega, and all that is
    missing of 2^eta is missing near 0.
    """
    given = np.broadcast_arrays(sharpness, cut, exponent, floor)
    rate, omega, eta, epsilon = (np.asarray(values, dtype=float) for values in given)
    top = rate * omega
    near = np.minimum(top, _FAR)
    most = 2.0**eta
    lost = np.zeros(np.shape(top))  # on average over t from 0 to near
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        lost += 0.5 * weight * (most - _rise(0.5 * near * (node + 1.0), eta))
    share = _FAR / np.maximum(top, _FAR)  # near over top, which may be 0 or as good as 0
    return np.asarray(omega * (most - share * lost) + epsilon)


_FIELDS = tuple(f.name for f in fields(Sampler))


def samplers_of(given: Any, what: str = "sampling") -> dict[str, Sampler]:
    """The samplers of a configuration, by domain; `*` for those that have none of their own.

    A domain's own entry changes what it names of that of `*`.

    Args:
        given: e.g. `{"*": {cut: 0.3}, web: {cut: 0.1, exponent: 0.5}}`; None for no sampling.
        what: the setting's name, for messages.

    Raises:
        InputError: another form, an unknown field, or a number that breaks its rule.
    """
    if given is None:
        return {}
    form = "{web: {cut: 0.3, floor: 0.01}}"
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"{what} is {given!r}; give the sampler of each domain, like {form}")
    for name, entry in given.items():
        if not isinstance(entry, Mapping):
            raise InputError(f"{what}.{name} is {entry!r}; give its parameters, like {form}")
        odd = next((key for key in entry if key not in _FIELDS), None)
        if odd is not None:
            raise InputError(f"{what}.{name} has {odd!r}; {did_you_mean(str(odd), _FIELDS)}")
    every = given.get(EVERY, {})
    made = {}
    for name, entry in given.items():
        try:
            made[str(name)] = Sampler(**{**every, **entry})
        except InputError as error:
            raise InputError(f"{what}.{name}: {error}") from error
    return made


def sampler_for(samplers: Mapping[str, Sampler], domain: str) -> Sampler | None:
    """The sampler of a domain: its own, that of `*`, or None."""
    return samplers.get(domain, samplers.get(EVERY))


def tied_ranks(values: Array, sizes: NDArray[Any]) -> Array:
    """(n,) tokens of smaller values, as a share; equal ones share the middle of theirs."""
    _, group = np.unique(values, return_inverse=True)
    own = np.bincount(group, weights=sizes)
    before = np.cumsum(own) - own
    return np.asarray(((before + own / 2) / max(1.0, own.sum()))[group])


def ranks(scores: Array, sizes: NDArray[Any], alpha: Array) -> Array:
    """(n,) ranks of documents by their merged quality, q = sum_n alpha_n sigma_n(q_n).

    sigma ranks each score by itself, so that their units do not matter. Documents of equal quality
    are ranked in the order in which they are given, so that a coarse score is cut where it says.

    Args:
        scores: (n, N), the smaller the better; all there.
        sizes: (n,) tokens of the documents.
        alpha: (N,) weights of the scores.
    """
    each = np.stack([tied_ranks(column, sizes) for column in scores.T], axis=1)
    # sums of equal ranks may differ in the last bit
    order = np.argsort(np.round(each @ alpha, 12), kind="stable")
    placed = np.asarray(sizes, dtype=float)[order]
    out = np.empty(len(sizes))
    out[order] = (np.cumsum(placed) - placed / 2) / max(1.0, placed.sum())
    return out


def copies(expected: Array, rng: np.random.Generator) -> Ints:
    """(n,) times that each document is read: the whole part of S, and one more by chance.

    One number is drawn for each document whatever its S is, so that with one seed a document that
    is read by some parameters is read by all that expect more of it.
    """
    whole = np.floor(expected)
    made: Ints = (whole + (rng.random(len(expected)) < expected - whole)).astype(np.int64)
    return made


def shares(sizes: ArrayLike, read: ArrayLike) -> Array:
    """(..., m) share of each domain in what is read: its size times the mean of its S.

    >>> same = Sampler(500, 0.05, 0.5, 5e-4)
    >>> shares([1, 3], [same.mean, same.mean]).tolist()
    [0.25, 0.75]

    Args:
        sizes: (m,) of the domains, in any unit.
        read: (..., m) tokens read over those there are; see `means`.

    Raises:
        InputError: nothing is read of any domain.
    """
    taken = np.asarray(sizes, dtype=float) * np.asarray(read, dtype=float)
    most = taken.max(axis=-1, keepdims=True)
    if not (most > 0).all():
        raise InputError("nothing is read of any domain; raise a cut or a floor above 0")
    taken = taken / most  # however small they are
    return np.asarray(taken / taken.sum(axis=-1, keepdims=True))
