"""What tiers of domains are worth: the predicted cost of leaving one out, or of a smaller bound.

A tier is the domains that share a tag (a licence, a quality) or a group with bounds. Its price is
asked of the surrogate that made the answer: the best mixture under the changed bound is searched,
and compared with the recommended one, errors that both share left out where the law can tell.

References:
    licence tiers as bounds on their sum: MixtureVitae 2509.25531
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mixopt.errors import InfeasibleError, InputError, did_you_mean
from mixopt.laws.base import JointFittedLaw
from mixopt.proposers.optimum import optimum
from mixopt.proposers.recommend import Gain, gain, independent_gain
from mixopt.proposers.surrogate import Surrogate
from mixopt.space import Group, Mixture, MixtureSpace
from mixopt.space.simplex import Array
from mixopt.threads import one_blas_thread

Change = Literal["without", "half", "free", "cap"]
MOST_TIERS = 8
"""Tiers that an answer asks for; what is more is counted, the largest shares go first."""
_BINDS = 1e-3  # of the whole mixture: a bound so near holds the answer back
LEAST = 1e-6
"""Share up to which a tier is not in the answer."""
_STARTS = 32  # of the best runs, moved into the changed constraints
_KEPT = 1e-3  # relative violation of a guard that counts as kept


@dataclass(frozen=True)
class Tier:
    """Domains that are priced together.

    Attributes:
        name: `tag=value`, or the name of a group.
        domains: its members.
        lower: bound on their sum, where a group says so.
        upper: likewise.
        group: name of the group that bounds them; empty where none does.
        also: other tags whose domains are the same, as `tag=value`.
    """

    name: str
    domains: tuple[str, ...]
    lower: float = 0.0
    upper: float = 1.0
    group: str = ""
    also: tuple[str, ...] = ()

    @property
    def names(self) -> str:
        """Every name of these domains, its own first."""
        return ", ".join((self.name, *self.also))


@dataclass(frozen=True)
class Price:
    """What one change of one tier's bound costs.

    Attributes:
        tier: that is changed.
        change: `"without"` (nothing of it), `"half"` (half of what the answer takes), `"free"` (its
            own bounds dropped), `"cap"` (a largest share that somebody asked for).
        share: of the tier in the answer.
        allowed: the largest share of the tier under the change.
        mixture: the best one then; None where there is none.
        cost: the predicted objective of that mixture less that of the answer: above zero the change
            costs, below it wins. NaN where there is no mixture.
        sd: of that difference.
        reason: why there is no mixture, or which guards it is predicted to break; else empty.
    """

    tier: Tier
    change: Change
    share: float
    allowed: float
    mixture: Mixture | None
    cost: float
    sd: float
    reason: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        """The cost, 90 % of the time."""
        return Gain(self.cost, self.sd, self.cost).interval

    def widened(self, factor: float) -> "Price":
        """The same with its sd times a factor; see `Recommendation.widened`."""
        return replace(self, sd=self.sd * factor)


@dataclass(frozen=True)
class Prices:
    """Prices of every tier that was asked for.

    Attributes:
        rows: tiers of the largest share first, `without` before `half` before `free`.
        unasked: tiers beyond the most that are asked for, by name.
        reason: why nothing has a price, where that is so.
    """

    rows: tuple[Price, ...] = ()
    unasked: tuple[str, ...] = ()
    reason: str = ""

    def widened(self, factor: float) -> "Prices":
        """The same with every sd times a factor."""
        return replace(self, rows=tuple(row.widened(factor) for row in self.rows))


def tiers_of(space: MixtureSpace) -> tuple[Tier, ...]:
    """Groups with bounds, and every value of a tag that some domains have and others have not.

    A value whose domains are those of a group, or of another tag, is the same tier, under its name
    too.
    """
    tiers = [Tier(g.name, g.domains, g.lower, g.upper, g.name) for g in space.groups]
    first = {frozenset(t.domains): i for i, t in reversed(list(enumerate(tiers)))}
    members: dict[tuple[str, str], list[str]] = {}
    for domain in space.domains:
        for tag, value in domain.tags.items():
            members.setdefault((tag, value), []).append(domain.name)
    for (tag, value), names in members.items():
        if len(names) == space.dim:
            continue
        place = first.setdefault(frozenset(names), len(tiers))
        name = f"{tag}={value}"
        if place == len(tiers):
            tiers.append(Tier(name, tuple(names)))
        else:
            tiers[place] = replace(tiers[place], also=(*tiers[place].also, name))
    return tuple(tiers)


def tier_named(space: MixtureSpace, name: str) -> Tier:
    """A tier by its name: that of a group, or `tag=value`.

    Raises:
        InputError: there is none of that name, or every domain belongs to it.
    """
    if "=" not in name:
        group = next((g for g in space.groups if g.name == name), None)
        if group is None:
            known = [t.name for t in tiers_of(space)]
            raise InputError(f"unknown tier {name!r}; {did_you_mean(name, known)}")
        return Tier(name, group.domains, group.lower, group.upper, name)
    tag, _, value = name.partition("=")
    names = tuple(d.name for d in space.domains if d.tags.get(tag) == value)
    if not names:
        known = sorted({f"{k}={v}" for d in space.domains for k, v in d.tags.items()})
        raise InputError(f"no domain has the tag {name!r}; {did_you_mean(name, known)}")
    if len(names) == space.dim:
        raise InputError(f"every domain has the tag {name!r}; leave one out that some have not")
    same = next((t for t in tiers_of(space) if set(t.domains) == set(names)), None)
    also = () if same is None else tuple(n for n in (same.name, *same.also) if n != name)
    return Tier(name, names, also=also)


@one_blas_thread
def prices(
    surrogate: Surrogate,
    space: MixtureSpace,
    answer: Array,
    *,
    W: Array,
    rng: np.random.Generator,
) -> Prices:
    """What it costs to leave out, or to halve, each tier of an answer, and to free a bound one.

    A tier that the answer does not take costs nothing to leave out, and is not searched for.

    Args:
        surrogate: that made the answer.
        space: its constraints.
        answer: (m,) the recommended mixture.
        W: (k, m) mixtures observed; searches begin at the best of them as well.
        rng: source of randomness.
    """
    tiers = sorted(tiers_of(space), key=lambda t: -_share(space, answer, t))
    asked, rest = tiers[:MOST_TIERS], tiers[MOST_TIERS:]

    def look(tier: Tier, change: Change) -> Price:
        return price(surrogate, space, answer, tier, change, W=W, rng=rng)

    rows = [look(t, c) for t in asked for c in _changes(t, _share(space, answer, t))]
    return Prices(tuple(rows), tuple(t.names for t in rest))


def price(
    surrogate: Surrogate,
    space: MixtureSpace,
    answer: Array,
    tier: Tier,
    change: Change | float,
    *,
    W: Array,
    rng: np.random.Generator,
) -> Price:
    """The price of one change.

    Args:
        surrogate: that made the answer.
        space: its constraints.
        answer: (m,) the recommended mixture.
        tier: whose bound is changed.
        change: see `Price`; or the largest share that the tier may have.
        W: (k, m) mixtures observed.
        rng: source of randomness.

    Raises:
        InputError: a largest share outside [0, 1].
    """
    share = _share(space, answer, tier)
    named, upper = _upper(change, share)
    if not 0.0 <= upper <= 1.0:
        raise InputError(f"the largest share of {tier.name!r} is {upper}; give a number 0 to 1")
    if named == "without" and share <= LEAST:
        return Price(tier, named, share, 0.0, space.mixture(answer), 0.0, 0.0)
    try:
        changed = _changed(space, tier, upper)
        best = _best(surrogate, changed, answer, W, rng)
    except InfeasibleError as error:
        return Price(tier, named, share, upper, None, np.nan, np.nan, str(error))
    told = _difference(surrogate, answer, best)
    reason = "; ".join(_broken(surrogate, best))
    return Price(tier, named, share, upper, space.mixture(best), told.raw, told.sd, reason)


def _share(space: MixtureSpace, w: Array, tier: Tier) -> float:
    return float(w[space.index(tier.domains)].sum())


def _changes(tier: Tier, share: float) -> list[Change]:
    """What is asked of a tier: to leave it out, to halve it, to free it where its bounds bind."""
    bound = share > tier.upper - _BINDS or share < tier.lower + _BINDS
    changes: list[Change] = ["without"]
    if share > LEAST:
        changes.append("half")
    if tier.group and bound:
        changes.append("free")
    return changes


def _upper(change: Change | float, share: float) -> tuple[Change, float]:
    if change == "without":
        return "without", 0.0
    if change == "half":
        return "half", share / 2
    if change == "free":
        return "free", 1.0
    return "cap", float(change)


def _changed(space: MixtureSpace, tier: Tier, upper: float) -> MixtureSpace:
    """The space with another largest share of a tier, in place of the bounds of its group.

    Raises:
        InfeasibleError: no mixture is left.
    """
    groups = [g for g in space.groups if g.name != tier.group]
    if upper >= 1.0:
        return space.replace(groups=tuple(groups))
    if upper > 0.0:
        return space.replace(groups=(*groups, Group(tier.name, tier.domains, 0.0, upper)))
    lower = {name: space.bounds.get(name, (0.0, 1.0))[0] for name in tier.domains}
    held = [f"{name} >= {low:.4g}" for name, low in lower.items() if low > 0]
    if held:
        raise InfeasibleError(
            f"{tier.name!r} cannot be left out: bounds want {', '.join(held)}; lower them to 0"
        )
    bounds = {**space.bounds, **dict.fromkeys(tier.domains, (0.0, 0.0))}
    return space.replace(groups=tuple(groups), bounds=bounds)


def _best(
    surrogate: Surrogate, space: MixtureSpace, answer: Array, W: Array, rng: np.random.Generator
) -> Array:
    """The best mixture of the changed space; the one nearest to the answer is a start as well."""
    near = space.project(answer, metric="kl")
    if space.polytope.single:
        return near
    seen = W[np.argsort(surrogate.value(W), kind="stable")[:_STARTS]]
    starts = np.vstack([near, space.project(seen, metric="kl")])
    best = space.round(optimum(surrogate, space, W=starts, rng=rng))
    return best if surrogate.value(best[None])[0] <= surrogate.value(near[None])[0] else near


def _difference(surrogate: Surrogate, answer: Array, best: Array) -> Gain:
    if isinstance(surrogate.fitted, JointFittedLaw):
        return gain(surrogate, answer, best)
    return independent_gain(surrogate, answer, best)


def _broken(surrogate: Surrogate, w: Array) -> Iterator[str]:
    """Guards that a mixture is predicted to break, in words."""
    if not surrogate.limits:
        return
    over = surrogate.over(surrogate.predict(w[None]))[0]
    for metric, by in zip(surrogate.limits, over, strict=True):
        if by > _KEPT:
            yield f"{metric} is then predicted {100 * by:.2g} % beyond its guard"
