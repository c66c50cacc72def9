"""The space of mixtures that is allowed: domains and the linear constraints on their weights.

Notation:
    m domains; W: (n, m) mixtures, rows on the simplex; lower, upper: (m,) bounds on the weights
    tokens: (m,) unique tokens per domain (NaN where unknown)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import InfeasibleError, InputError, did_you_mean
from mixopt.space import checks, feasibility, html, sampling, simplex
from mixopt.space.constraints import Polytope
from mixopt.space.domains import (
    Domain,
    DomainsLike,
    Group,
    Mixture,
    Order,
    Tie,
    as_domains,
    groups_by_parent,
    groups_by_tag,
)
from mixopt.space.embedding import Changes, Embedded, embed
from mixopt.space.feasibility import Rule
from mixopt.space.rules import rules_of, rules_of_orders
from mixopt.space.simplex import Array

__all__ = [
    "Changes",
    "Domain",
    "Embedded",
    "Group",
    "Mixture",
    "MixtureSpace",
    "Order",
    "Tie",
    "groups_by_parent",
    "groups_by_tag",
]


@dataclass(frozen=True, init=False)
class MixtureSpace:
    """The domains and the linear constraints on their weights.

    Args:
        domains: name to available tokens (or to None, to a dict of `Domain` fields, to a
            `Domain`); or a list of names or domains.
        bounds: name to (lower, upper) weight.
        groups: bounds on sums of weights.
        ties: domains with frozen ratios (`Tie`), or of falling quality (`Order`), none of which is
            read more often than one before it.
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
    >>> round(space.natural["code"], 3)  # what web may not have goes to the others
    0.18
    """

    domains: tuple[Domain, ...]
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)
    groups: tuple[Group, ...] = ()
    ties: tuple[Tie | Order, ...] = ()
    budget: float | None = None
    epochs: float | Mapping[str, float] = field(default=4.0, hash=False)
    min_weight: float = 0.0

    def __init__(
        self,
        domains: DomainsLike,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        *,
        groups: Sequence[Group] = (),
        ties: Sequence[Tie | Order] = (),
        budget: float | None = None,
        epochs: float | Mapping[str, float] = 4.0,
        min_weight: float = 0.0,
    ) -> None:
        set_ = object.__setattr__
        set_(self, "domains", as_domains(domains))
        set_(self, "bounds", checks.as_bounds(bounds or {}))
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

    @property
    def frozen(self) -> tuple[Tie, ...]:
        """The ties of fixed ratios."""
        return tuple(tie for tie in self.ties if isinstance(tie, Tie))

    @property
    def orders(self) -> tuple[Order, ...]:
        """The ties of falling quality."""
        return tuple(tie for tie in self.ties if isinstance(tie, Order))

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

    @property
    def knows_prior(self) -> bool:
        """Whether there is a natural mixture: priors were given, or every token count is known."""
        return any(d.prior is not None for d in self.domains) or bool(
            np.isfinite(self.tokens).all()
        )

    @property
    def prior_name(self) -> str:
        """What `prior` is: `"natural"`, or `"uniform"` where nothing says what is natural."""
        return "natural" if self.knows_prior else "uniform"

    @cached_property
    def passes(self) -> Array:
        """(m,) largest number of passes over each domain's unique tokens; inf without a cap."""
        if not isinstance(self.epochs, Mapping):
            return np.full(self.dim, float(self.epochs))
        passes = np.full(self.dim, float(self.epochs.get("*", np.inf)))
        for key, limit in self.epochs.items():  # classes first, so that a name overrules them
            tag, equals, value = key.partition("=")
            if equals:
                passes[[d.tags.get(tag) == value for d in self.domains]] = limit
        for i, name in enumerate(self.names):
            passes[i] = self.epochs.get(name, passes[i])
        return passes

    @cached_property
    def caps(self) -> Array:
        """(m,) largest weight under the epoch caps, `epochs * tokens / budget`; 1 without."""
        if self.budget is None:
            return np.ones(self.dim)
        with np.errstate(invalid="ignore"):
            caps = self.passes * self.tokens / self.budget
        return np.where(np.isfinite(caps), np.minimum(caps, 1.0), 1.0)

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
        indices = []
        for name in names:
            if name not in positions:
                raise InputError(f"unknown domain {name!r}; {did_you_mean(name, positions)}")
            indices.append(positions[name])
        return indices

    # -- points ----------------------------------------------------------------------------------

    def mixture(
        self, weights: ArrayLike | Mapping[str, float], *, renormalize: bool = False
    ) -> Mixture:
        """A mixture of this space's domains; names that are left out weigh zero.

        `renormalize` accepts weights of any positive sum.

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
        return Mixture.of(dict(zip(self.names, values, strict=True)), renormalize=renormalize)

    @property
    def natural(self) -> Mixture:
        """The natural mixture, projected (KL) onto the constraints."""
        return self.mixture(self.project(self.prior, metric="kl"))

    @property
    def uniform(self) -> Mixture:
        """The uniform mixture, projected (KL) onto the constraints."""
        return self.mixture(self.project(np.full(self.dim, 1.0 / self.dim), metric="kl"))

    def project(self, V: ArrayLike, metric: Literal["euclidean", "kl"] = "euclidean") -> Array:
        """The nearest allowed mixtures to V (m,) or (n, m), in Euclidean distance or KL(x || v).

        Exact to 1e-8 for every constraint; with KL a weight of zero stays zero unless the
        constraints need it.
        """
        given = np.asarray(V, dtype=float)
        if given.shape[-1:] != (self.dim,) or not np.isfinite(given).all():
            raise InputError(
                f"cannot project an array of shape {given.shape} (or with missing values) onto a "
                f"space of {self.dim} domains; give finite rows of {self.dim}"
            )
        return self.polytope.project(np.atleast_2d(given), metric).reshape(given.shape)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """(n, m) mixtures, uniform over what the constraints allow."""
        return sampling.uniform(self.polytope, n, rng)

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
        return np.asarray(self.polytope.excess(w) <= tolerance)

    def violations(self, weights: ArrayLike | Mapping[str, float]) -> list[str]:
        """Every constraint that one mixture breaks, in words; empty if it is allowed.

        >>> MixtureSpace(["a", "b"], bounds={"a": (0, 0.6)}).violations({"a": 0.75, "b": 0.25})
        ['a <= 0.6 is broken by 0.15']
        """
        w = self.mixture(weights).array
        broken = ((rule, rule.broken(w)) for rule in self.rules)
        return [f"{rule.text} is broken by {size:.3g}" for rule, size in broken if size > 1e-6]

    def sparsify(self, weights: ArrayLike, threshold: float | None = None) -> Array:
        """(m,) the mixture without its weights below a threshold, nearest (KL) within constraints.

        Every weight of the result is zero or at least the threshold. Domains with a lower bound
        stay; others are taken back, largest first, where the constraints cannot be met without.

        Args:
            weights: (m,) a mixture.
            threshold: smallest weight to keep; `min_weight` if left out.
        """
        limit = self.min_weight if threshold is None else threshold
        w = simplex.as_simplex(weights, what="mixture")
        held = (w >= limit) | (self.lower > 0)
        back = [i for i in np.argsort(-w, kind="stable") if not held[i]]
        for taken in range(len(back) + 1):
            held[back[:taken]] = True
            smaller = self.polytope.restrict(
                np.where(held, np.minimum(limit, self.upper), 0.0), np.where(held, 1.0, 0.0)
            )
            if smaller.feasible:
                return np.asarray(smaller.project(np.maximum(w, 1e-9 * held)[None], "kl")[0])
        return np.asarray(self.project(w, metric="kl"))

    def embed(
        self,
        W: ArrayLike,
        old: "MixtureSpace | Sequence[Domain | str]",
        changes: Changes | None = None,
    ) -> Embedded:
        """Mixtures over an older set of domains as mixtures over this one.

        Domains added have weight 0. Runs on domains that were removed, split without a known
        ratio, or merged out of their natural ratio are refused, each with the reason. Splits and
        merges are seen by `parent` names, or told through `changes`.
        """
        domains = old.domains if isinstance(old, MixtureSpace) else as_domains(old)
        return embed(W, domains, self.domains, ties=self.frozen, changes=changes)

    def shares(self, weights: ArrayLike, tag: str | None = None) -> dict[str, float]:
        """Summed weight per source (`parent`) or value of a tag; domains without one by name."""
        w = self.mixture(weights).array
        total: dict[str, float] = {}
        for domain, weight in zip(self.domains, w, strict=True):
            key = (domain.parent if tag is None else domain.tags.get(tag)) or domain.name
            total[key] = total.get(key, 0.0) + float(weight)
        return total

    def replace(self, **changes: Any) -> "MixtureSpace":
        """The same space with some fields changed."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        prior = dict(zip(self.names, self.prior.tolist(), strict=True))
        rules = f"; {'; '.join(rule.text for rule in self.rules)}" if self.rules else ""
        return (
            f"<MixtureSpace of {self.dim} domains, {self.prior_name} {html.in_words(prior)}{rules}>"
        )

    def _repr_html_(self) -> str:
        limits = dict(zip(self.names, zip(self.lower, self.upper, strict=True), strict=True))
        prior = dict(zip(self.names, self.prior.tolist(), strict=True))
        known = {d.name: d.tokens for d in self.domains if d.tokens is not None}
        rules = [rule.text for rule in self.rules]
        return html.space(prior, limits, known, rules, self.prior_name)

    # -- constraints -----------------------------------------------------------------------------

    @cached_property
    def polytope(self) -> Polytope:
        """The constraints as arrays."""
        A = np.zeros((len(self.groups), self.dim))
        for row, group in zip(A, self.groups, strict=True):
            row[self.index(group.domains)] = 1.0
        place = {name: i for i, name in enumerate(self.names)}
        falling = [order.rows(place, self.prior) for order in self.orders]
        pairs = sum(map(len, falling))
        return Polytope(
            self.lower,
            self.upper,
            np.vstack([A, *falling]),
            np.array([*(g.lower for g in self.groups), *np.zeros(pairs)]),
            np.array([*(g.upper for g in self.groups), *np.ones(pairs)]),
            tuple((tuple(self.index(t.ratios)), tuple(t.ratios.values())) for t in self.frozen),
        )

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Every constraint beyond the simplex itself, with its words."""
        caps = {}
        for i in np.flatnonzero(self.caps < 1.0):
            name, tokens = self.names[i], self.tokens[i]
            passes = f"{self.passes[i]:.4g} epochs of {tokens:.4g} tokens"
            caps[name] = (float(self.caps[i]), f"{passes} in a budget of {self.budget:.4g}")
        of_all = rules_of(self.names, self.bounds, caps, self.groups, self.frozen)
        return (*of_all, *rules_of_orders(self.names, self.prior, self.orders))

    def _check(self) -> None:
        self.index(self.bounds)
        checks.check_bounds(self.bounds)
        limits = self.epochs if isinstance(self.epochs, Mapping) else {"*": self.epochs}
        self.index(key for key in limits if "=" not in key and key != "*")
        checks.check_budget(self.budget, limits, self.domains)
        for tie in self.frozen:
            self.index(tie.ratios)
        checks.check_ties(self.frozen)
        for order in self.orders:
            self.index(order.domains)
        checks.check_orders(self.orders, dict(zip(self.names, self.prior.tolist(), strict=True)))
        if not 0.0 <= self.min_weight <= 1.0:
            raise InputError(f"min_weight is {self.min_weight}; give a share from 0 to 1")
        feasibility.check_sums(self.names, self.lower, self.upper, self.budget)
        if not self.polytope.feasible:
            conflict = feasibility.conflict(self.rules, self.dim)
            raise InfeasibleError(feasibility.explain(conflict, self.dim))
