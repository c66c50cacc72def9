"""The shape of the epoch-coordinate law: a domain's benefit and harm depend on its epochs.

With E_i = w_i T / N_i epochs of domain i at the target's budget T,

    f(w) = floor + exp(c - sum_i a_i b(E_i) + sum_i h_i harm(E_i)),  a, h >= 0,
    b(E) = 1 - exp(-(rate E)^power),  harm(E) = softplus(log(1 + E) - onset)^2.

Source: the Weibull-softplus law of Marin's mixture work (2026).

Notation:
    W: (n, m) mixtures; E: (n, m) epochs; amplitudes: (2 m,) benefit of each domain, then harm
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from mixopt.errors import InputError
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Shape:
    """What all domains and metrics share: `rate` and `power` of the benefit, `onset` of the harm.

    Raises:
        InputError: a rate or power that is not positive.
    """

    rate: float = 0.5
    power: float = 0.7
    onset: float = 2.0

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("power", self.power)):
            if not value > 0:
                raise InputError(f"{name} is {value}; give a number above 0")

    def benefit(self, E: ArrayLike) -> Array:
        """Share of a domain's benefit that is had after E epochs, in [0, 1]."""
        return np.asarray(-np.expm1(-((self.rate * np.asarray(E, dtype=float)) ** self.power)))

    def harm(self, E: ArrayLike) -> Array:
        """Harm of E epochs, before its amplitude."""
        return np.asarray(np.logaddexp(0.0, np.log1p(np.asarray(E, dtype=float)) - self.onset) ** 2)

    def columns(self, E: Array) -> Array:
        """(n, 2 m) features whose amplitudes are not negative: less benefit, more harm."""
        return np.hstack([-self.benefit(E), self.harm(E)])


def epochs(W: ArrayLike, sizes: ArrayLike, budget: float) -> Array:
    """(n, m) epochs of each domain at mixtures W (n, m).

    Args:
        W: (n, m) weights.
        sizes: (m,) unique tokens of each domain, all known.
        budget: training tokens of the target.

    Raises:
        InputError: sizes of another number of domains, or sizes or a budget that are not positive
            and finite.
    """
    w, N = np.atleast_2d(np.asarray(W, dtype=float)), np.asarray(sizes, dtype=float)
    if N.shape != (w.shape[1],):
        raise InputError(f"{N.size} sizes for {w.shape[1]} domains; give one for each")
    bad = ~(np.isfinite(N) & (N > 0))
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(f"size of domain {i} is {N[i]}; give its unique tokens, above 0")
    if not (np.isfinite(budget) and budget > 0):
        raise InputError(f"budget is {budget}; give the target's training tokens, above 0")
    return np.asarray(w * budget / N)


def amplitudes(X: Array, y: Array, floor: float, ridge: float = 0.0) -> tuple[float, Array]:
    """The constant c and the (p,) amplitudes, none negative, of log(y - floor) on columns X (n, p).

    Non-negative least squares on centred columns, not scaled; the ridge is rows sqrt(ridge) I.

    Raises:
        InputError: a floor that is not below every value.
    """
    if not floor < y.min():
        raise InputError(f"floor is {floor}, and the lowest value {y.min()}; give a lower floor")
    z = np.log(y - floor)
    centre = X.mean(axis=0)
    rows = np.vstack([X - centre, np.sqrt(ridge) * np.eye(X.shape[1])])
    fitted, _ = nnls(rows, np.concatenate([z - z.mean(), np.zeros(X.shape[1])]))
    return float(z.mean() - centre @ fitted), np.asarray(fitted)
