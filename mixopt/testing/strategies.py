"""Hypothesis strategies: mixtures, feasible spaces with constraints, run tables."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mixopt.space import Domain, Group, MixtureSpace, Order, Tie, simplex
from mixopt.space.simplex import Array

Draw = Callable[[st.SearchStrategy[Any]], Any]


def generators() -> st.SearchStrategy[np.random.Generator]:
    """Random generators; examples shrink towards seed 0."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


@st.composite
def mixtures(draw: Draw, m: int, *, rows: int | None = None) -> Array:
    """One mixture (m,), or `rows` of them (rows, m): dense, sparse, and nearly one-hot."""
    rng = draw(generators())
    strength = draw(st.sampled_from([0.05, 0.3, 1.0, 10.0]))
    W = simplex.dirichlet(np.full((rows or 1, m), strength), rng)
    W = np.where(draw(st.sampled_from([0.0, 1e-3])) > W, 0.0, W)
    W = W / W.sum(axis=1, keepdims=True)
    return np.asarray(W if rows else W[0])


@st.composite
def points(draw: Draw, m: int, *, rows: int = 4) -> Array:
    """Arbitrary real points (rows, m), far from the simplex too."""
    rng = draw(generators())
    return np.asarray(draw(st.sampled_from([0.1, 1.0, 30.0])) * rng.standard_normal((rows, m)))


@st.composite
def spaces(draw: Draw, *, most: int = 8, groups: bool = True, ties: bool = True) -> MixtureSpace:
    """Feasible spaces of 2 to `most` domains, built around a mixture that they allow.

    Bounds, epoch caps, overlapping groups, ties and an order come and go; some hold with equality.
    """
    m = draw(st.integers(2, most))
    rng = draw(generators())
    inside = simplex.dirichlet(np.ones((1, m)), rng)[0]
    names = [f"d{i}" for i in range(m)]
    tied = bool(ties and m > 2 and draw(st.booleans()))
    bounds = {
        name: (
            float(rng.choice([0.0, 0.5, 1.0], p=[0.6, 0.3, 0.1]) * w),
            float(min(1.0, w * rng.choice([1.2, 3.0, 1e3]))),
        )
        for name, w in zip(names, inside, strict=True)
        if rng.random() < 0.5
    }
    drawn_groups = []
    for g in range(draw(st.integers(0, 3)) if groups else 0):
        held = rng.random(m) < 0.5
        if held.any() and not held.all():
            at = float(inside[held].sum())
            low, high = rng.choice([0.0, 0.02, 0.3], size=2) * (rng.random(2) < 0.8)
            members = tuple(n for n, h in zip(names, held, strict=True) if h)
            low, high = max(0.0, at - low), min(1.0, at + high)
            drawn_groups.append(Group(f"g{g}", members, float(low), float(high)))
    frozen = (
        (Tie("tie", {names[0]: float(inside[0]), names[1]: float(inside[1])}),)
        if tied and min(inside[:2]) > 1e-3
        else ()
    )
    tokens = inside * rng.uniform(0.6, 5.0, size=m) * 1e9
    capped = draw(st.booleans())
    falling = np.argsort(tokens / inside, kind="stable")[: draw(st.integers(2, m))]
    ordered = bool(groups and draw(st.booleans()))
    return MixtureSpace(
        [Domain(n, tokens=float(t)) for n, t in zip(names, tokens, strict=True)],
        bounds,
        groups=drawn_groups,
        ties=[*frozen, *([Order("tiers", tuple(names[i] for i in falling))] if ordered else [])],
        budget=1e9 if capped else None,
        epochs=2.0,
    )
