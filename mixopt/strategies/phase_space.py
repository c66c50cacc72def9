"""Runs of two phases as points of one simplex, and what the constraints of a space say of them.

Bounds, groups and ties hold in every phase; epoch caps hold for the mean, since what a domain can
give is used up over the whole run.

A point is [first, last, mean] / 3. So a process on the roots of shares sees the roots of both
phases and of the mean, which is how Marin's two-phase search describes a schedule; the switch is in
the mean. A run whose mixture does not change is one point, wherever it would switch.

Notation:
    n runs, m domains; first, last: (n, m) mixtures before and after the switch
    s: (n,) share of a run's tokens before it; mean = s first + (1 - s) last
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from mixopt.proposers.search import cloud
from mixopt.runs import Observation, RunSpec, Schedule
from mixopt.runs.schedule import Phases, phase_arrays
from mixopt.space import Domain, Group, Mixture, MixtureSpace, Order, Tie, simplex
from mixopt.space.simplex import Array

_SAME = 1e-9  # shares that differ by less are one mixture, as in a run's identity
_TOLERANCE = 1e-7


@dataclass(frozen=True, eq=False)
class Plans:
    """Runs of two phases, or of one where both are the same.

    Attributes:
        first: (n, m) mixtures before the switch. last: (n, m) after it.
        switch: (n,) share of the tokens before it.
    """

    first: Array
    last: Array
    switch: Array

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def constant(cls, W: Array) -> "Plans":
        """Of mixtures W (n, m) that do not change."""
        return cls(W, W, np.ones(len(W)))

    @classmethod
    def of(cls, runs: Sequence[Phases], domains: Sequence[str]) -> "Plans":
        """Of the phases of runs, two at most."""
        if not runs:
            return cls.constant(np.empty((0, len(domains))))
        weights, ends = phase_arrays(runs, domains)
        return cls(weights[:, 0], weights[:, -1], ends[:, 0] / ends[:, -1])

    @classmethod
    def joined(cls, parts: Sequence["Plans"]) -> "Plans":
        """One after another."""
        return cls(
            np.vstack([p.first for p in parts]),
            np.vstack([p.last for p in parts]),
            np.concatenate([p.switch for p in parts]),
        )

    @property
    def mean(self) -> Array:
        """(n, m) what each run draws in total."""
        s = self.switch[:, None]
        return np.asarray(s * self.first + (1.0 - s) * self.last)

    @property
    def points(self) -> Array:
        """(n, 3m) points, rows on the simplex."""
        return np.hstack([self.first, self.last, self.mean]) / 3.0

    @property
    def changes(self) -> NDArray[np.bool_]:
        """(n,) booleans: whether the mixture changes on the way."""
        apart = np.abs(self.first - self.last).max(axis=1, initial=0.0) > _SAME
        return np.asarray(apart & (self.switch < 1.0))

    @property
    def early(self) -> Array:
        """(n, m) share of each domain's tokens before the switch; the switch for unused domains."""
        mean, s = self.mean, self.switch[:, None]
        used = mean > _SAME
        return np.where(used, s * self.first / np.where(used, mean, 1.0), s)

    def take(self, rows: Sequence[int] | NDArray[np.integer | np.bool_]) -> "Plans":
        """Those at integer positions, or where a mask holds."""
        picked = np.asarray(rows)
        return Plans(self.first[picked], self.last[picked], self.switch[picked])

    def plan(self, row: int, space: MixtureSpace, tokens: int) -> Mixture | Schedule:
        """One of them for a run of so many tokens: a mixture where it does not change."""
        first, last = (space.mixture(W[row]) for W in (self.first, self.last))
        if not self.changes[row] or tokens < 2:
            return space.mixture(self.mean[row])
        until = min(max(round(float(self.switch[row]) * tokens), 1), tokens - 1)
        return Schedule(((until, first), (tokens, last)))


@dataclass(frozen=True)
class PhaseSpace:
    """Schedules of two phases that are allowed.

    Attributes:
        space: the mixtures.
        switches: shares of a run at which its mixture may change, increasing.
    """

    space: MixtureSpace
    switches: tuple[float, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(3m,) names of a point's coordinates."""
        blocks = ("first", "last", "mean")
        return tuple(f"{block}/{name}" for block in blocks for name in self.space.names)

    @cached_property
    def simplex(self) -> MixtureSpace:
        """The points as one space, for what looks at names and natural mixture alone."""
        natural = Plans.constant(self.space.natural.array[None]).points[0]
        pairs = zip(self.names, natural.tolist(), strict=True)
        return MixtureSpace([Domain(name, prior=share) for name, share in pairs])

    @cached_property
    def each(self) -> MixtureSpace:
        """What a phase may draw: all constraints but the epoch caps."""
        return self.space.replace(budget=None)

    def point(self, plans: Plans) -> Mixture:
        """The first of them as a mixture of a point's coordinates."""
        return Mixture(self.names, tuple(simplex.as_simplex(plans.points[:1])[0].tolist()))

    def contains(self, plans: Plans) -> NDArray[np.bool_]:
        """(n,) booleans: phases and means that satisfy every constraint."""
        phases = self.each.contains(plans.first, _TOLERANCE)
        phases &= self.each.contains(plans.last, _TOLERANCE)
        return np.asarray(phases & self.space.contains(plans.mean, _TOLERANCE))

    def within(self, plans: Plans, *, nearest: bool = True) -> Plans:
        """The same, each moved into the constraints at its switch where it is outside.

        To the nearest (KL) plan there; or, where any will do, as far towards a constant mixture
        as the epoch caps ask for, which is many times faster.
        """
        first, last = plans.first.copy(), plans.last.copy()
        for W in (first, last):
            outside = ~self.each.contains(W, _TOLERANCE)
            if outside.any():
                W[outside] = self.each.project(W[outside], metric="kl")
        if not nearest:
            first, last = self._blended(Plans(first, last, plans.switch))
        over = ~self.space.contains(Plans(first, last, plans.switch).mean, _TOLERANCE)
        for s in np.unique(plans.switch[over]):
            rows = over & (plans.switch == s)
            first[rows], last[rows] = self._capped(first[rows], last[rows], float(s))
        return Plans(first, last, plans.switch)

    def rounded(self, plans: Plans) -> Plans:
        """On a grid of 2e-4 where the constraints leave room for that."""
        near = Plans(self.each.round(plans.first), self.each.round(plans.last), plans.switch)
        fits = self.contains(near)[:, None]
        return Plans(
            np.where(fits, near.first, plans.first),
            np.where(fits, near.last, plans.last),
            plans.switch,
        )

    def spread(self, n: int, rng: np.random.Generator, around: Array) -> Plans:
        """About n of all kinds: phases apart from each other, and a third that do not change.

        Args:
            n: how many.
            rng: source of randomness.
            around: (k, m) mixtures that some phases are near.
        """
        one, other = (cloud(self.each, n, rng, around=around) for _ in range(2))
        rows = rng.permutation(len(one))[:n], rng.permutation(len(other))[:n]
        plans = Plans(one[rows[0]], other[rows[1]], rng.choice(self.switches, size=len(rows[0])))
        plans = _some_constant(plans, np.arange(len(plans)) % 3 == 0)
        return self.rounded(self.within(plans, nearest=False))

    def near(self, around: Plans, n: int, rng: np.random.Generator) -> Plans:
        """About n near those given: one phase or both moved, the switch moved, or neither apart."""
        plans = around.take(rng.integers(len(around), size=n))
        moved = []
        for W in (plans.first, plans.last):
            strength = np.exp(rng.uniform(np.log(10.0), np.log(3000.0), size=(n, 1)))
            drawn = simplex.dirichlet(strength * W + 0.05, rng)
            moved.append(np.where(rng.random((n, 1)) < 0.7, drawn, W))
        grid = np.array(self.switches)
        place = np.abs(plans.switch[:, None] - grid).argmin(axis=1)
        dice = rng.random(n)
        place = place + np.where(dice < 0.4, rng.integers(-3, 4, size=n), 0)
        place = np.where(dice > 0.95, rng.integers(len(grid), size=n), place)
        switch = grid[np.clip(place, 0, len(grid) - 1)]
        # What matters most is the mean: half of those whose switch moves keep theirs.
        keep = (rng.random(n) < 0.5) & (switch != plans.switch)
        first = _first_for(plans.mean, moved[1], switch)
        made = Plans(np.where(keep[:, None], first, moved[0]), moved[1], switch)
        made = _some_constant(made, rng.random(n) < 0.1)
        return self.rounded(self.within(made, nearest=False))

    @cached_property
    def _inside(self) -> Array:
        """(m,) a mixture well within the constraints."""
        return np.asarray(self.space.sample(64, np.random.default_rng(0)).mean(axis=0))

    def _blended(self, plans: Plans) -> tuple[Array, Array]:
        """Both phases, moved towards one constant mixture until the mean keeps the epoch caps.

        What holds in each phase holds for what is between it and that mixture too.
        """
        mean, cap, inside = plans.mean, self.space.caps, self._inside
        over = np.maximum(mean - cap, 0.0)
        room = np.maximum(over + np.maximum(cap - inside, 0.0), 1e-12)
        far = (over / room).max(axis=1, keepdims=True)
        far = np.where(far > 0.0, np.minimum(far + 1e-9, 1.0), 0.0)
        first, last = ((1.0 - far) * W + far * inside for W in (plans.first, plans.last))
        return first, last

    def _capped(self, first: Array, last: Array, s: float) -> tuple[Array, Array]:
        if not 0.0 < s < 1.0:  # one phase has all tokens: it is the mean
            W = self.space.project(s * first + (1.0 - s) * last, metric="kl")
            return W, W
        shares = np.hstack([s * first, (1.0 - s) * last])
        moved = _tokens_by_phase(self.space, s).project(shares, metric="kl")
        m = self.space.dim
        return moved[:, :m] / s, moved[:, m:] / (1.0 - s)


def _first_for(mean: Array, last: Array, switch: Array) -> Array:
    """(n, m) the first phase that gives a mean with a last one; the nearest where none does."""
    s = switch[:, None]
    first = np.maximum(mean - (1.0 - s) * last, 0.0) + 1e-12
    return np.asarray(first / first.sum(axis=1, keepdims=True))


def _some_constant(plans: Plans, rows: NDArray[np.bool_]) -> Plans:
    """The same, those at `rows` without a change: their mean from start to end."""
    mean, at = plans.mean, rows[:, None]
    return Plans(np.where(at, mean, plans.first), np.where(at, mean, plans.last), plans.switch)


@lru_cache(maxsize=64)
def _tokens_by_phase(space: MixtureSpace, s: float) -> MixtureSpace:
    """Shares of a run's tokens by phase and domain, at a switch: a space of 2m shares."""
    bounds: dict[str, tuple[float, float]] = {}
    groups: list[Group] = []
    ties: list[Tie | Order] = []
    for phase, length in (("first", s), ("last", 1.0 - s)):
        groups.append(Group(phase, tuple(f"{phase}/{d}" for d in space.names), length, length))
        bounds |= {f"{phase}/{d}": (length * a, length * b) for d, (a, b) in space.bounds.items()}
        groups += [
            Group(
                f"{phase}/{g.name}",
                tuple(f"{phase}/{d}" for d in g.domains),
                length * g.lower,
                length * g.upper,
            )
            for g in space.groups
        ]
        ties += [
            Tie(f"{phase}/{t.name}", {f"{phase}/{d}": r for d, r in t.ratios.items()})
            for t in space.frozen
        ]
        ties += [
            Order(
                f"{phase}/{o.name}",
                tuple(f"{phase}/{d}" for d in o.domains),
                o.sizes or tuple(space.prior[space.index(o.domains)].tolist()),
            )
            for o in space.orders
        ]
    groups += [
        Group(f"epochs/{d}", (f"first/{d}", f"last/{d}"), 0.0, float(cap))
        for d, cap in zip(space.names, space.caps, strict=True)
        if cap < 1.0
    ]
    names = [f"{phase}/{d}" for phase in ("first", "last") for d in space.names]
    return MixtureSpace(names, bounds, groups=groups, ties=ties)


def has_two_phases(spec: RunSpec) -> bool:
    """Whether a run can be one of `Plans`: no mixer, two phases at most."""
    return spec.mixer is None and len(spec.phases) <= 2


def seen_plans(runs: Sequence[Observation], W: Array, domains: Sequence[str]) -> Plans:
    """What runs drew, phase by phase: what was asked for, where they drew that to their grain.

    Args:
        runs: that succeeded, of two phases at most.
        W: (n, m) the mixtures that they saw in total, see `runs.run_table.seen_mixtures`.
        domains: (m,) names.
    """
    asked = Plans.of([o.spec.phases for o in runs], domains)
    off = np.abs(asked.mean - W).max(axis=1, initial=0.0) > 1e-6
    phases = [_drawn(o) if other else o.spec.phases for o, other in zip(runs, off, strict=True)]
    return Plans.of(phases, domains)


def _drawn(seen: Observation) -> Phases:
    if seen.realised is None or len(seen.realised.phases) != len(seen.spec.phases):
        return seen.spec.phases
    return tuple(
        (until, Mixture.of({d: n / sum(tokens.values()) for d, n in tokens.items()}))
        for until, tokens in seen.realised.phases
    )
