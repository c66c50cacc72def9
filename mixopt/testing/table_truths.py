"""What the mixture does to the metrics of known tables: smooth truths, and those that mislead."""

from collections.abc import Callable, Mapping

import numpy as np

from mixopt.space import simplex
from mixopt.space.simplex import Array
from mixopt.testing.worlds import make_world

Rng = np.random.Generator


Truth = Callable[[Array], Array]
"""Mixtures (n, m) to metrics (n, k) without noise."""


def _bowl(m: int, rng: Rng) -> tuple[Truth, Array]:
    """A quadratic around an optimum inside the simplex."""
    centre, a = rng.dirichlet(np.full(m, 4.0)), rng.uniform(0.5, 1.5, m)
    return (lambda W: (a * (W - centre) ** 2).sum(axis=1, keepdims=True)), centre


def _power(m: int, rng: Rng) -> tuple[Truth, Array]:
    """One metric per domain, a power law of its own share."""
    s, g, p = 0.02 + 0.05 * rng.random(m), 0.5 + rng.random(m), 0.15 + 0.25 * rng.random(m)
    return (lambda W: (s + g * W) ** -p), np.full(m, 1 / m)


def _world(kind: str) -> Callable[[int, Rng], tuple[Truth, Array]]:
    def made(m: int, rng: Rng) -> tuple[Truth, Array]:
        world = make_world(m, 3, seed=int(rng.integers(2**31)), kind=kind)
        return world.truth, np.full(m, 1 / m)

    return made


def _nothing(m: int, rng: Rng) -> tuple[Truth, Array]:
    del rng
    return (lambda W: np.zeros((len(W), 1))), np.full(m, 1 / m)


def _hidden(m: int, rng: Rng) -> tuple[Truth, Array]:
    """A bowl, and a deeper valley elsewhere that the runs keep away from."""
    bowl, centre = _bowl(m, rng)
    away = rng.dirichlet(np.ones(m), 200)
    valley = away[np.argmax(simplex.hellinger_distance(away, centre[None])[:, 0])]
    valley = 0.8 * valley + 0.2 / m
    depth = 3.0 * float(bowl(random_mixtures(m, 256, rng)).std())
    return (lambda W: bowl(W) - depth * bump(W, valley, 0.15)), valley


def _two_valleys(m: int, rng: Rng) -> tuple[Truth, Array]:
    """A wide valley and a deeper, narrower one."""
    wide = rng.dirichlet(np.full(m, 3.0))
    away = rng.dirichlet(np.full(m, 3.0), 64)
    deep = away[np.argmax(simplex.hellinger_distance(away, wide[None])[:, 0])]
    return (lambda W: -(bump(W, wide, 0.3) + 1.4 * bump(W, deep, 0.16))), deep


def _narrow(m: int, rng: Rng) -> tuple[Truth, Array]:
    """A cone: smooth laws round its tip off."""
    centre = rng.dirichlet(np.full(m, 4.0))
    return (lambda W: np.hypot(simplex.hellinger_distance(W, centre[None]), 0.03)), centre


def bump(W: Array, centre: Array, width: float) -> Array:
    """(n,) from 1 at the centre to 0 far from it, by Hellinger distance."""
    d = simplex.hellinger_distance(W, centre[None])
    return np.asarray(np.exp(-0.5 * (d / width) ** 2))


TRUTHS: Mapping[str, Callable[[int, Rng], tuple[Truth, Array]]] = {
    "bowl": _bowl,
    "power": _power,
    "helped": _world("plain"),
    "interactions": _world("interactions"),
    "nothing": _nothing,
    "hidden": _hidden,
    "two-valleys": _two_valleys,
    "narrow": _narrow,
}
"""Name to a maker of the truth, and of the mixture where something is special about it."""


def random_mixtures(m: int, n: int, rng: Rng) -> Array:
    """RegMix-like random mixtures: of all strengths."""
    strength = np.exp(rng.uniform(np.log(0.3), np.log(5.0), size=(n, 1)))
    return simplex.dirichlet(strength * np.ones(m), rng)
