"""Domains, mixtures of them, and the space of mixtures that is allowed.

Notation:
    m domains; W: (n, m) mixtures, rows on the simplex; lower, upper: (m,) bounds on the weights
    tokens: (m,) unique tokens per domain (NaN where unknown)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt import simplex
from mixopt.errors import InfeasibleError, InputError, did_you_mean
from mixopt.simplex import Array


@dataclass(frozen=True)
class Domain:
    """A named source of training tokens.

    Attributes:
        name: without spaces or commas, so that it can be a column, a metric or an argument.
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
        if not self.name or any(c.isspace() or c in ",;=" for c in self.name):
            raise InputError(
                f"domain name {self.name!r} is empty or has a space, comma, ';' or '='; rename it"
            )
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
        return self.weights[self.domains.index(domain)]

    @property
    def array(self) -> Array:
        """(m,) the weights, in the order of `domains`."""
        return np.array(self.weights)

    def to_dict(self) -> dict[str, float]:
        """Domain to share."""
        return dict(zip(self.domains, self.weights, strict=True))


@dataclass(frozen=True)
class Group:
    """Bounds on the summed weight of several domains."""

    name: str
    domains: tuple[str, ...]
    lower: float = 0.0
    upper: float = 1.0


@dataclass(frozen=True)
class Tie:
    """Domains whose shares keep fixed ratios to each other (Olmix's mixture reuse, 2602.12237)."""

    name: str
    ratios: Mapping[str, float] = field(hash=False)


DomainsLike = Mapping[str, "float | Domain | Mapping[str, Any] | None"] | Iterable["Domain | str"]


@dataclass(frozen=True, init=False)
class MixtureSpace:
    """The domains and the linear constraints on their weights.

    Args:
        domains: name to available tokens (or to None, to a dict of `Domain` fields, to a
            `Domain`); or a list of names or domains.
        bounds: name to (lower, upper) weight.
        groups: bounds on sums of weights.
        ties: groups of domains with frozen ratios.
        budget: tokens of the target run; with it, `epochs` caps every weight at
            `epochs * tokens / budget`.
        epochs: passes allowed over a domain's unique tokens: one number, or name to number.
        min_weight: the smallest weight other than zero that a recommended mixture may hold.

    Raises:
        InputError: an unknown domain, a bound outside [0, 1], a negative count.
        InfeasibleError: no mixture satisfies all constraints; those that conflict are named.

    >>> space = MixtureSpace({"web": 800e9, "code": 120e9, "math": 80e9}, bounds={"web": (0, 0.7)})
    >>> space.names
    ('web', 'code', 'math')
    >>> space.natural.to_dict()["code"]
    0.12
    """

    domains: tuple[Domain, ...]
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)
    groups: tuple[Group, ...] = ()
    ties: tuple[Tie, ...] = ()
    budget: float | None = None
    epochs: float | Mapping[str, float] = field(default=4.0, hash=False)
    min_weight: float = 0.0

    def __init__(
        self,
        domains: DomainsLike,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        *,
        groups: Sequence[Group] = (),
        ties: Sequence[Tie] = (),
        budget: float | None = None,
        epochs: float | Mapping[str, float] = 4.0,
        min_weight: float = 0.0,
    ) -> None:
        set_ = object.__setattr__
        set_(self, "domains", _as_domains(domains))
        set_(self, "bounds", {k: (float(a), float(b)) for k, (a, b) in (bounds or {}).items()})
        set_(self, "groups", tuple(groups))
        set_(self, "ties", tuple(ties))
        set_(self, "budget", budget)
        set_(self, "epochs", epochs)
        set_(self, "min_weight", float(min_weight))
        self._check()

    # -- what it holds ---------------------------------------------------------------------------

    @property
    def dim(self) -> int:
        """Number of domains m."""
        return len(self.domains)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Domain names, in the order of every weight array."""
        return tuple(d.name for d in self.domains)

    @cached_property
    def tokens(self) -> Array:
        """(m,) unique tokens per domain, NaN where unknown."""
        return np.array([np.nan if d.tokens is None else d.tokens for d in self.domains])

    @cached_property
    def prior(self) -> Array:
        """(m,) the natural mixture: priors where given, else token counts, else equal shares."""
        priors = [d.prior for d in self.domains]
        if any(p is not None for p in priors):
            q = np.array([0.0 if p is None else p for p in priors])
        elif np.isfinite(self.tokens).all():
            q = self.tokens
        else:
            q = np.ones(self.dim)
        if q.sum() <= 0:
            raise InputError("priors (or token counts) are all zero; give one above zero")
        return np.asarray(q / q.sum())

    @cached_property
    def caps(self) -> Array:
        """(m,) largest weight under the epoch caps, `epochs * tokens / budget`; 1 without."""
        caps = np.ones(self.dim)
        if self.budget is None:
            return caps
        for i, domain in enumerate(self.domains):
            limit = self.epochs
            passes = limit.get(domain.name) if isinstance(limit, Mapping) else limit
            if passes is not None and domain.tokens is not None:
                caps[i] = min(1.0, passes * domain.tokens / self.budget)
        return caps

    @cached_property
    def lower(self) -> Array:
        """(m,) lower bounds on the weights."""
        return np.array([self.bounds.get(n, (0.0, 1.0))[0] for n in self.names])

    @cached_property
    def upper(self) -> Array:
        """(m,) upper bounds on the weights, epoch caps included."""
        given = np.array([self.bounds.get(n, (0.0, 1.0))[1] for n in self.names])
        return np.asarray(np.minimum(given, self.caps))

    def index(self, names: Iterable[str]) -> list[int]:
        """Positions of domains by name.

        Raises:
            InputError: a name that the space does not hold.
        """
        positions = {n: i for i, n in enumerate(self.names)}
        found = []
        for name in names:
            if name not in positions:
                raise InputError(f"unknown domain {name!r}; {did_you_mean(name, positions)}")
            found.append(positions[name])
        return found

    # -- points ----------------------------------------------------------------------------------

    def mixture(self, weights: ArrayLike | Mapping[str, float]) -> Mixture:
        """A mixture of this space's domains; names that are left out weigh zero.

        Raises:
            InputError: unknown names or weights off the simplex.
        """
        if isinstance(weights, Mapping):
            values = np.zeros(self.dim)
            values[self.index(weights)] = list(weights.values())
        else:
            values = np.asarray(weights, dtype=float)
        if values.shape != (self.dim,):
            raise InputError(f"{values.size} weights for {self.dim} domains; give one for each")
        return Mixture(self.names, tuple(values.tolist()))

    @property
    def natural(self) -> Mixture:
        """The natural mixture, projected (KL) onto the constraints."""
        return self.mixture(self.project(self.prior, metric="kl"))

    @property
    def uniform(self) -> Mixture:
        """The uniform mixture, projected (KL) onto the constraints."""
        return self.mixture(self.project(np.full(self.dim, 1.0 / self.dim), metric="kl"))

    def project(self, V: ArrayLike, metric: Literal["euclidean", "kl"] = "euclidean") -> Array:
        """The nearest allowed mixtures to V (m,) or (n, m), in Euclidean distance or KL(x || v)."""
        project = simplex.project_euclidean if metric == "euclidean" else simplex.project_kl
        return project(V, self.lower, self.upper)

    def round(self, W: ArrayLike, step: float = 2e-4) -> Array:
        """Mixtures W (m,) or (n, m) on a grid of `step`, still within the constraints.

        A row that has no neighbour on the grid within the constraints gets a finer grid, at the
        end none (frozen ratios seldom fit any). Rows outside the constraints stay outside.
        """
        given = simplex.as_simplex(W)
        rows = np.atleast_2d(given)
        rounded, left = rows.copy(), np.arange(len(rows))
        for fine in (step, step / 10, step / 100):
            if not len(left):
                break
            tried = simplex.round_to_grid(rows[left], fine, lower=self.lower, upper=self.upper)
            fits = self.contains(tried, 1e-9)
            rounded[left[fits]] = tried[fits]
            left = left[~fits]
        return np.asarray(rounded.reshape(given.shape))

    def contains(self, W: ArrayLike, tolerance: float = 1e-6) -> NDArray[np.bool_]:
        """(n,) booleans: which rows of W (n, m) satisfy every constraint."""
        w = np.atleast_2d(np.asarray(W, dtype=float))
        inside = (w >= self.lower - tolerance).all(axis=1) & (w <= self.upper + tolerance).all(
            axis=1
        )
        return np.asarray(inside & (np.abs(w.sum(axis=1) - 1.0) <= tolerance))

    def replace(self, **changes: Any) -> "MixtureSpace":
        """The same space with some fields changed."""
        return replace(self, **changes)

    # -- validation ------------------------------------------------------------------------------

    def _check(self) -> None:
        self.index(self.bounds)
        for name, (low, high) in self.bounds.items():
            if not 0.0 <= low <= high <= 1.0:
                raise InputError(
                    f"bounds of {name!r} are ({low}, {high}); give 0 <= lower <= upper <= 1"
                )
        if self.lower.sum() > 1 + 1e-9:
            raise InfeasibleError(
                f"lower bounds add up to {self.lower.sum():.4g}, above 1: "
                f"{_listing(self.names, self.lower, self.lower > 0)}; lower some of them"
            )
        if self.upper.sum() < 1 - 1e-9:
            raise InfeasibleError(
                f"upper bounds and epoch caps add up to {self.upper.sum():.4g}, below 1: "
                f"{_listing(self.names, self.upper, self.upper < 1)}; raise some of them, allow "
                "more epochs, or plan a smaller budget"
            )


def _as_domains(domains: DomainsLike) -> tuple[Domain, ...]:
    if isinstance(domains, Mapping):
        found = [_as_domain(name, value) for name, value in domains.items()]
    else:
        found = [d if isinstance(d, Domain) else Domain(d) for d in domains]
    if not found:
        raise InputError("a mixture space needs at least one domain; none was given")
    names = [d.name for d in found]
    duplicate = next((n for n in names if names.count(n) > 1), None)
    if duplicate:
        raise InputError(f"domain {duplicate!r} is given twice; give every name once")
    return tuple(found)


def _as_domain(name: str, value: "float | Domain | Mapping[str, Any] | None") -> Domain:
    if isinstance(value, Domain):
        return value
    if isinstance(value, Mapping):
        return Domain(name, **value)
    return Domain(name, tokens=None if value is None else float(value))


def _listing(names: Sequence[str], values: Array, mask: NDArray[np.bool_]) -> str:
    shown = [f"{n} {v:.3g}" for n, v, m in zip(names, values, mask, strict=True) if m]
    return ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "")
