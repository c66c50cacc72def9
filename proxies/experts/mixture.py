"""Losses of mixtures of experts' probabilities, and the mixture that makes them smallest.

Notation:
    T scored tokens, m experts, k validation sets, n mixtures
    P: (T, m) natural log-probability that each expert gives each token
    W: (n, m) mixtures; lam: (m,) one of them
    loss(lam) = -mean_t log sum_i lam_i exp(P_ti), in nats per token: convex in lam

Token by token, as MDE has it (arXiv 2502.15950). MixMin (arXiv 2502.10510) solves for lam; on
probabilities of whole sequences its mixture turns into a classifier of domains, so tokens it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import InputError, did_you_mean
from mixopt.space import simplex
from mixopt.space.simplex import Array

_TINY = 1e-300
_STEPS = 5000


@dataclass(frozen=True)
class ExpertProbabilities:
    """What every expert makes of every validation set.

    Attributes:
        domains: (m,) the experts' domains.
        log_probs: validation set to P, (T, m).
        bytes: validation set to bytes of text behind its tokens.

    Raises:
        InputError: a shape that does not fit, or a log-probability that is above 0 or no number.
    """

    domains: tuple[str, ...]
    log_probs: Mapping[str, NDArray[np.floating]]
    bytes: Mapping[str, int]

    def __post_init__(self) -> None:
        for name, P in self.log_probs.items():
            if P.ndim != 2 or P.shape[1] != len(self.domains) or not len(P):
                raise InputError(
                    f"log-probabilities of {name!r} have shape {P.shape}; give one row per token "
                    f"and one column for each of {len(self.domains)} domains"
                )
            if np.isnan(P).any() or (P > 1e-4).any():
                raise InputError(
                    f"log-probabilities of {name!r} reach {np.nanmax(P):.4g}, or hold NaN; they "
                    "are natural logarithms of probabilities, at most 0"
                )

    @property
    def sets(self) -> tuple[str, ...]:
        """(k,) names of the validation sets."""
        return tuple(self.log_probs)

    def losses(self, W: ArrayLike) -> Array:
        """(n, k) MDE losses of mixtures in bits per byte; also features for a law.

        At a vertex it is the expert's own loss. By concavity of the logarithm a mixture's loss is
        never above the mixture of the experts' losses.

        Raises:
            InputError: W is off the simplex or has another number of domains.
        """
        rows = np.atleast_2d(simplex.as_simplex(W, what="mixture"))
        if rows.shape[1] != len(self.domains):
            raise InputError(
                f"mixtures have {rows.shape[1]} weights and there are {len(self.domains)} experts; "
                f"give one weight for each of {', '.join(self.domains)}"
            )
        columns = [self._nats(name, rows) / np.log(2) / self.bytes[name] for name in self.sets]
        return np.column_stack(columns)

    def best(
        self,
        target: Mapping[str, float],
        *,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = 1.0,
    ) -> "MixMin":
        """The mixture with the smallest weighted sum of losses in bits per byte.

        Args:
            target: validation set to its weight, >= 0.
            lower: (m,) smallest weights.
            upper: (m,) largest weights.

        Raises:
            InputError: an unknown set, negative weights, or bounds that leave no mixture.
        """
        for name in target:
            if name not in self.log_probs:
                raise InputError(
                    f"unknown validation set {name!r}; {did_you_mean(name, self.sets)}"
                )
        P = np.concatenate([self.log_probs[name] for name in target])
        per_token = [
            np.full(len(self.log_probs[name]), weight / np.log(2) / self.bytes[name])
            for name, weight in target.items()
        ]
        return mixmin(P, np.concatenate(per_token), lower=lower, upper=upper)

    @cached_property
    def _scaled(self) -> dict[str, tuple[Array, Array]]:
        return {name: _scale(P) for name, P in self.log_probs.items()}

    def _nats(self, name: str, W: Array) -> Array:
        Q, top = self._scaled[name]
        return np.asarray(-(np.log(np.maximum(Q @ W.T, _TINY)) + top[:, None]).sum(axis=0))


@dataclass(frozen=True)
class MixMin:
    """The solution of `mixmin`.

    Attributes:
        weights: (m,) the mixture.
        loss: its weighted loss.
        gap: the most by which any allowed mixture could be better (Frank-Wolfe gap).
    """

    weights: Array
    loss: float
    gap: float


def mixmin(
    log_probs: ArrayLike,
    token_weights: ArrayLike | None = None,
    *,
    lower: ArrayLike = 0.0,
    upper: ArrayLike = 1.0,
    tolerance: float = 1e-6,
) -> MixMin:
    """Solve min_lam -sum_t u_t log sum_i lam_i exp(P_ti) by exponentiated gradient.

    Steps that do not lower the loss are halved; it ends when the gap is below `tolerance`.

    Args:
        log_probs: P, (T, m).
        token_weights: u, (T,) >= 0; 1 / T by default.
        lower: (m,) smallest weights.
        upper: (m,) largest weights.
        tolerance: of the loss, in its unit.

    Raises:
        InputError: weights that are negative or all zero, or bounds that leave no mixture.
    """
    Q, top = _scale(np.asarray(log_probs, dtype=float))
    u = np.full(len(Q), 1.0 / len(Q)) if token_weights is None else np.asarray(token_weights, float)
    if u.shape != (len(Q),) or not (u >= 0).all() or not u.sum() > 0:
        raise InputError("token_weights must be one number >= 0 per token, not all of them 0")
    m = Q.shape[1]
    low, high = np.broadcast_to(lower, (m,)), np.broadcast_to(upper, (m,))

    def value(lam: Array) -> tuple[float, Array]:
        mixed = np.maximum(Q @ lam, _TINY)
        return float(-(u * (np.log(mixed) + top)).sum()), -((u / mixed) @ Q)

    lam, step, gap = simplex.project_kl(np.full(m, 1.0 / m), low, high), 1.0 / u.sum(), np.inf
    loss, gradient = value(lam)
    for _ in range(_STEPS):
        gap = float(gradient @ (lam - _cheapest(gradient, low, high)))
        if gap <= tolerance or step < 1e-12:
            break
        shifted = np.maximum(lam, 1e-12) * np.exp(-step * (gradient - gradient.min()))
        new = simplex.project_kl(shifted / shifted.sum(), low, high)
        new_loss, new_gradient = value(new)
        if new_loss <= loss:
            lam, loss, gradient, step = new, new_loss, new_gradient, 1.5 * step
        else:
            step /= 2
    return MixMin(lam, loss, gap)


def _scale(P: NDArray[np.floating]) -> tuple[Array, Array]:
    """exp(P - top) and top, the largest log-probability of each token: nothing underflows."""
    exact = np.asarray(P, dtype=float)
    top = exact.max(axis=1)
    return np.exp(exact - top[:, None]), top


def _cheapest(gradient: Array, lower: Array, upper: Array) -> Array:
    """The allowed mixture with the smallest gradient @ v: fill the cheapest domains first."""
    v, left = lower.astype(float), 1.0 - float(lower.sum())
    for i in np.argsort(gradient):
        more = min(left, float(upper[i] - lower[i]))
        v[i] += more
        left -= more
    return v
