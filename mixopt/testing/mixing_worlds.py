"""Worlds for mixers whose answers are known in closed form (METHODS-ONLINE, section G).

Notation:
    m domains, n targets; w: (m,) weights that act; A: (n, m) what a step on j takes off loss k
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mixopt.space.simplex import Array

TARGET = (0.5, 0.3, 0.2)


@dataclass
class Decrements:
    """LD: every step lowers the losses by A w. Greedy optimum: all on the largest column sum.

    Aioli finds A times its probe steps; Skill-It's graph is steps A_ji / L_j at the start.

    Args:
        A: (n, m).
        losses: (n,) at the start.
        noise: sd of every look.
        seed: of the noise.
    """

    A: Array
    losses: Array
    noise: float = 0.0
    seed: int = 0
    looks: int = 0

    def train(self, sampling: Array, loss_weight: Array, steps: int) -> None:
        """L <- L - steps A (w)."""
        self.losses = self.losses - steps * (self.A @ (sampling * loss_weight))

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        """Losses as `heldout`, and as `train_loss` where domains are the targets."""
        self.looks += 1
        rng = np.random.default_rng([self.seed, self.looks])
        seen = self.losses + self.noise * rng.standard_normal(len(self.losses))
        return dict.fromkeys(wanted & {"heldout", "train_loss"}, seen)


@dataclass
class Quadratic:
    """Q3: theta in R^3, losses |theta - e_i|^2 / 2, one target |theta - t|^2 / 2; gradient descent.

    The unique optimum is w = t, where theta = t and the target's loss is 0.

    Args:
        goal: t.
        rate: of gradient descent.
    """

    goal: tuple[float, ...] = TARGET
    rate: float = 0.1
    theta: Array = field(default_factory=lambda: np.zeros(3))

    def train(self, sampling: Array, loss_weight: Array, steps: int) -> None:
        """Gradient descent on the weighted losses."""
        w = sampling * loss_weight
        for _ in range(steps):
            self.theta = self.theta - self.rate * (w @ (self.theta - np.eye(3)))

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        """Exact gradients and losses."""
        gradients = self.theta - np.eye(3)
        target = self.theta - np.array(self.goal)
        values = {
            "gram": gradients @ gradients.T,
            "gram_target": (gradients @ target)[:, None],
            "heldout": np.array([0.5 * float(target @ target)]),
            "train_loss": 0.5 * (gradients**2).sum(axis=1),
            "grad_sq": (gradients**2).sum(axis=1),
            "grad_var": np.zeros(3),
        }
        return {name: values[name] for name in wanted}


@dataclass
class Powers:
    """PL: L_k = E_k + B_k n_k^-alpha of the domain's own tokens; nothing transfers.

    Args:
        amplitude: B (m,). exponent: alpha. floor: E, or one for each domain.
        counts: (m,) n at the start.
    """

    amplitude: Array
    exponent: float = 0.5
    floor: float | Array = 1.0
    counts: Array = field(default_factory=lambda: np.ones(3))

    def train(self, sampling: Array, loss_weight: Array, steps: int) -> None:
        """Every step is one token, divided by the weights."""
        self.counts = self.counts + steps * sampling * loss_weight

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        """Losses, as trained on and held out."""
        losses = self.floor + self.amplitude * self.counts**-self.exponent
        return dict.fromkeys(wanted & {"heldout", "train_loss"}, losses)

    @property
    def optimum(self) -> Array:
        """(m,) shares with the lowest sum of losses: in proportion to B^(1 / (1 + alpha))."""
        w = self.amplitude ** (1.0 / (1.0 + self.exponent))
        return np.asarray(w / w.sum())


@dataclass
class Game:
    """DRO: the excess of domain i is max(a_i - w_i, 0): equal excess at w_1 = 1/2 + (a_1 - a_2)/2.

    Args:
        needs: a (m,).
    """

    needs: Array = field(default_factory=lambda: np.array([0.6, 0.4]))
    weights: Array = field(default_factory=lambda: np.array([0.5, 0.5]))

    def train(self, sampling: Array, loss_weight: Array, steps: int) -> None:
        """The model has what it was given last."""
        del steps
        self.weights = sampling * loss_weight

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        """Excess by domain."""
        return dict.fromkeys(wanted, np.maximum(self.needs - self.weights, 0.0))


@dataclass
class Routers:
    """MoE: fixed router loads.

    Args:
        load: (m, e).
    """

    load: Array

    def train(self, sampling: Array, loss_weight: Array, steps: int) -> None:
        """Routers do not learn."""

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        """The loads."""
        return dict.fromkeys(wanted, self.load)


def reward_in(low: float, high: float, full: int = 600) -> Callable[[float], float]:
    """A task of one coordinate for a teacher: the reward grows with visits to [low, high]."""
    visits = 0

    def reward(x: float) -> float:
        nonlocal visits
        if not low <= x <= high:
            return 0.0
        visits += 1
        return min(visits / full, 1.0)

    return reward
