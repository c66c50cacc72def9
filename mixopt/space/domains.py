"""The nouns of a mixture space: domains, mixtures of them, groups and ties.

Notation:
    m domains; weights: shares of training tokens, non-negative, summing to 1
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.space import html, simplex
from mixopt.space.short import read_count
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Domain:
    """A named source of training tokens.

    >>> Domain("code", tokens=120e9, tags={"licence": "mit"}).name
    'code'

    Attributes:
        name: one line of text, without '=' (which stands between a name and its value on the
            command line) and without spaces around it; "Wikipedia (en)" is one.
        tokens: unique tokens available; None if unknown.
        prior: weight in the natural mixture, up to scale; None means `tokens`, else equal.
        tags: facts to constrain by, e.g. {"licence": "mit", "language": "en"}.
        parent: the source that this domain is a topic of, in hierarchical spaces.
    """

    name: str
    tokens: float | None = None
    prior: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    parent: str | None = None

    def __post_init__(self) -> None:
        if self.name != self.name.strip() or not self.name.isprintable() or not self.name:
            raise InputError(
                f"domain name {self.name!r} is empty, has spaces around it or holds a line break "
                "or another control character; rename it"
            )
        if "=" in self.name:
            raise InputError(f"domain name {self.name!r} holds '='; rename it")
        for what, value in (("tokens", self.tokens), ("prior", self.prior)):
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise InputError(f"domain {self.name!r}: {what} is {value}; give a number >= 0")
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy cannot be copied to a worker
        return Domain, (self.name, self.tokens, self.prior, dict(self.tags), self.parent)


@dataclass(frozen=True)
class Mixture:
    """One validated point on the simplex: the share of training tokens per domain.

    >>> Mixture.of({"web": 0.75, "code": 0.25})["code"]
    0.25
    """

    domains: tuple[str, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.domains) != len(self.weights) or not self.domains:
            raise InputError(
                f"{len(self.domains)} domains and {len(self.weights)} weights; give one for each"
            )
        duplicate = next((d for d in self.domains if self.domains.count(d) > 1), None)
        if duplicate:
            raise InputError(f"domain {duplicate!r} is given twice; merge its weights")
        exact = simplex.as_simplex(self.weights, what="mixture")
        object.__setattr__(self, "weights", tuple(float(w) for w in exact))

    @classmethod
    def of(cls, weights: Mapping[str, float], *, renormalize: bool = False) -> "Mixture":
        """A mixture from shares by name; `renormalize` accepts any positive sum."""
        values = np.array(list(weights.values()), dtype=float)
        if renormalize:
            values = simplex.as_simplex(values, renormalize=True, what="mixture")
        return cls(tuple(weights), tuple(values.tolist()))

    def __getitem__(self, domain: str) -> float:
        if domain not in self.domains:
            raise InputError(f"unknown domain {domain!r}; {did_you_mean(domain, self.domains)}")
        return self.weights[self.domains.index(domain)]

    @property
    def array(self) -> Array:
        """(m,) the weights, in the order of `domains`."""
        return np.array(self.weights)

    def to_dict(self) -> dict[str, float]:
        """Domain to share."""
        return dict(zip(self.domains, self.weights, strict=True))

    def _repr_html_(self) -> str:
        return html.shares(self.to_dict())


@dataclass(frozen=True)
class Group:
    """Bounds on the summed weight of several domains.

    >>> Group("wikipedia", ("wiki-en", "wiki-fr"), upper=0.1).upper
    0.1

    Raises:
        InputError: no domain, a domain named twice, or bounds outside 0 <= lower <= upper <= 1.
    """

    name: str
    domains: tuple[str, ...]
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", tuple(self.domains))
        if not self.domains:
            raise InputError(f"group {self.name!r} holds no domain; name at least one")
        twice = next((d for d in self.domains if self.domains.count(d) > 1), None)
        if twice:
            raise InputError(f"group {self.name!r} names {twice!r} twice; name it once")
        if not 0.0 <= self.lower <= self.upper <= 1.0:
            raise InputError(
                f"bounds of group {self.name!r} are ({self.lower}, {self.upper}); "
                "give 0 <= lower <= upper <= 1"
            )


@dataclass(frozen=True)
class Tie:
    """Domains whose shares keep fixed ratios to each other (Olmix's mixture reuse, 2602.12237).

    >>> Tie("wikipedia", {"wiki-en": 3, "wiki-fr": 1}).ratios["wiki-en"]
    0.75

    Raises:
        InputError: fewer than two domains, or a ratio that is not above zero.
    """

    name: str
    ratios: Mapping[str, float] = field(hash=False)

    def __post_init__(self) -> None:
        if len(self.ratios) < 2:
            raise InputError(f"tie {self.name!r} holds {len(self.ratios)} domain; tie at least two")
        for domain, ratio in self.ratios.items():
            if not (np.isfinite(ratio) and ratio > 0):
                raise InputError(
                    f"tie {self.name!r}: ratio of {domain!r} is {ratio}; give a number above 0, "
                    "and bound a domain that shall have no weight to (0, 0) instead"
                )
        total = sum(self.ratios.values())
        object.__setattr__(self, "ratios", {d: r / total for d, r in self.ratios.items()})

    @classmethod
    def frozen(cls, name: str, mixture: Mixture, domains: Iterable[str]) -> "Tie":
        """The ratios that `domains` have in a mixture, e.g. an earlier recommendation."""
        return cls(name, {d: mixture[d] for d in domains})


@dataclass(frozen=True)
class Order:
    """Domains of falling quality: none is read more often than one before it.

    How often a domain is read is its share over its size; so the shares of tiers of equal quality
    may be in proportion to their sizes.

    >>> Order("crawl", ("crawl-q1", "crawl-q2", "crawl-q3")).domains[0]
    'crawl-q1'

    Attributes:
        name: of it.
        domains: the best first.
        sizes: of them, up to scale; those of the natural mixture where it is empty.

    Raises:
        InputError: fewer than two domains, one of them twice, or sizes that are no such.
    """

    name: str
    domains: tuple[str, ...]
    sizes: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", tuple(self.domains))
        object.__setattr__(self, "sizes", tuple(float(size) for size in self.sizes))
        if len(self.domains) < 2:
            raise InputError(
                f"order {self.name!r} holds {len(self.domains)} domain; give two or more, the best "
                "first"
            )
        twice = next((d for d in self.domains if self.domains.count(d) > 1), None)
        if twice:
            raise InputError(f"order {self.name!r} names {twice!r} twice; name it once")
        if self.sizes and len(self.sizes) != len(self.domains):
            raise InputError(
                f"order {self.name!r} has {len(self.domains)} domains and {len(self.sizes)} sizes; "
                "give one for each"
            )
        for domain, size in zip(self.domains, self.sizes, strict=False):
            if not (np.isfinite(size) and size > 0):
                raise InputError(
                    f"order {self.name!r}: the size of {domain!r} is {size}; give a number above "
                    "0, or leave the domain out of it"
                )

    def rows(self, place: Mapping[str, int], prior: Array) -> Array:
        """(d - 1, m) rows that are at least 0 where the order is kept, and never above 1.

        Args:
            place: domain to its position.
            prior: (m,) sizes where it has none of its own.
        """
        at = [place[d] for d in self.domains]
        sizes = np.array(self.sizes) if self.sizes else prior[at]
        out = np.zeros((len(at) - 1, len(prior)))
        for row, (i, j) in enumerate(pairwise(range(len(at)))):
            whole = sizes[i] + sizes[j]
            out[row, at[i]], out[row, at[j]] = sizes[j] / whole, -sizes[i] / whole
        return out


def groups_by_tag(
    domains: Iterable[Domain], tag: str, limits: Mapping[str, tuple[float, float]]
) -> tuple[Group, ...]:
    """One group per value of a tag that has limits.

    >>> spaces = [Domain("a", tags={"lang": "en"}), Domain("b", tags={"lang": "fr"})]
    >>> groups_by_tag(spaces, "lang", {"fr": (0.1, 0.3)})
    (Group(name='lang=fr', domains=('b',), lower=0.1, upper=0.3),)

    Raises:
        InputError: a value that no domain has; the known ones are listed.
    """
    members: dict[str, list[str]] = {}
    for domain in domains:
        if tag in domain.tags:
            members.setdefault(domain.tags[tag], []).append(domain.name)
    return _groups(members, limits, f"tag {tag!r}", f"{tag}=")


def groups_by_parent(
    domains: Iterable[Domain], limits: Mapping[str, tuple[float, float]]
) -> tuple[Group, ...]:
    """One group per source (parent) that has limits: bounds on sources of hierarchical spaces.

    Raises:
        InputError: a source that no domain has; the known ones are listed.
    """
    members: dict[str, list[str]] = {}
    for domain in domains:
        members.setdefault(domain.parent or domain.name, []).append(domain.name)
    return _groups(members, limits, "parent", "")


def _groups(
    members: Mapping[str, list[str]],
    limits: Mapping[str, tuple[float, float]],
    what: str,
    prefix: str,
) -> tuple[Group, ...]:
    for value in limits:
        if value not in members:
            raise InputError(f"no domain has {what} {value!r}; {did_you_mean(value, members)}")
    return tuple(
        Group(f"{prefix}{value}", tuple(members[value]), *limits[value]) for value in limits
    )


DomainsLike = (
    Mapping[str, "float | str | Domain | Mapping[str, Any] | None"] | Iterable["Domain | str"]
)


def as_domains(domains: DomainsLike) -> tuple[Domain, ...]:
    """Domains from any of the forms that a space takes.

    Raises:
        InputError: none is given, or a name twice.
    """
    if isinstance(domains, Mapping):
        converted = [_as_domain(name, value) for name, value in domains.items()]
    else:
        converted = [d if isinstance(d, Domain) else Domain(d) for d in domains]
    if not converted:
        raise InputError("a mixture space needs at least one domain; none was given")
    counts = Counter(d.name for d in converted)
    duplicate = next((name for name, count in counts.items() if count > 1), None)
    if duplicate:
        raise InputError(f"domain {duplicate!r} is given twice; give every name once")
    return tuple(converted)


def _as_domain(name: str, value: "float | str | Domain | Mapping[str, Any] | None") -> Domain:
    if isinstance(value, Domain):
        return value
    if isinstance(value, Mapping):
        return Domain(name, **{**value, "tokens": _tokens(name, value.get("tokens"))})
    return Domain(name, tokens=_tokens(name, value))


def _tokens(name: str, value: float | str | None) -> float | None:
    try:
        return None if value is None else float(read_count(value))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"domain {name!r} has {value!r} for its tokens; give a number, such as 80e9 or 80B"
        ) from error
