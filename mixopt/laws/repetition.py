"""Repetition: data that is seen again is worth less (2305.16264), inside any law.

`effective` gives the tokens that D tokens drawn from U unique ones are worth,

    D' = U + U R (1 - exp(-(D / U - 1) / R)) for D > U,  R = 15.39 repeats,

and `Repeated` hands a law of mixtures the effective shares D'_i / sum D'_i, together with the
total that is left as the tokens of the scale. `data_constrained` is the published loss
itself.

Notation:
    W: (n, m) mixtures; tokens U: (m,) unique per domain; D: (n,) training tokens
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import InputError
from mixopt.laws import as_law, fitted_law
from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Law,
    Prediction,
    as_mixtures,
    check_runs,
    check_scale,
    mean_of,
)
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array

REPEATS = 15.387756
_REPEATS_N = 5.309743
_LN_A, _LN_B, _LN_E, _ALPHA = 6.255414, 7.3049974, 0.6254804, 0.3526596


def effective(drawn: ArrayLike, unique: ArrayLike, repeats: float = REPEATS) -> Array:
    """Tokens that `drawn` tokens out of `unique` ones are worth; NaN unique means plenty.

    Args:
        drawn: training tokens of a domain, any shape.
        unique: its unique tokens, above 0, of a shape that broadcasts.
        repeats: R, after which repeating has lost most of its worth.

    Raises:
        InputError: unique tokens that are not positive.
    """
    d, u = np.broadcast_arrays(np.asarray(drawn, dtype=float), np.asarray(unique, dtype=float))
    if (u <= 0).any():
        raise InputError(f"{u.min()} unique tokens; give a number above 0, or NaN where unknown")
    again = np.maximum(d / u - 1.0, 0.0)
    worth = np.minimum(d, u) + u * repeats * -np.expm1(-again / repeats)
    return np.asarray(np.where(np.isnan(u), d, worth))


def data_constrained(params: float, tokens: float, unique: float) -> float:
    """Loss of a model of `params` parameters on `tokens` tokens out of `unique` ones (nats).

    >>> round(data_constrained(6.34e9, 242e9, 25e9), 6)
    2.225644
    """
    a, b, e = np.exp([_LN_A, _LN_B, _LN_E])
    g = ((_ALPHA * a) / (_ALPHA * b)) ** (1 / (2 * _ALPHA))
    u_d = min(unique, tokens)
    best = (u_d * g) * g
    u_n = min(params, best)
    extra = max(params / u_n - 1.0, 0.0)
    n = u_n + u_n * _REPEATS_N * -np.expm1(-extra / _REPEATS_N)
    d = float(effective(tokens, u_d))
    return float(e + a / n**_ALPHA + b / d**_ALPHA)


@dataclass(frozen=True)
class Repeated:
    """A law that sees effective shares instead of drawn ones.

    Args:
        base: name of the law, or the law; with runs of several budgets it needs a term for scale.
        tokens: (m,) unique tokens per domain; None leaves the shares as they are. Where the law is
            named in a sweep, a study or `mixopt fit`, those of a space with a budget are taken.
        repeats: R of `effective`.
        budget: training tokens where the runs do not say; likewise.
    """

    base: "str | Law" = "log-linear"
    tokens: Sequence[float] | None = None
    repeats: float = REPEATS
    budget: float | None = None

    @property
    def takes_scales(self) -> bool:
        """Whether its law does."""
        return as_law(self.base).takes_scales

    def sized(self, tokens: Array, budget: float | None) -> "Repeated":
        """The same law with tokens and budget where it was not given any.

        Without a budget nothing is repeated, and the law stays as it is.
        """
        at = budget if self.budget is None else self.budget
        if at is None or (self.tokens is None and not np.isfinite(tokens).any()):
            return self
        own = tuple(tokens.tolist()) if self.tokens is None else self.tokens
        return replace(self, tokens=own, budget=at)

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedRepeated":
        """Fit the base law to effective shares.

        Raises:
            InputError: see `check_runs`; unique tokens of another number of domains.
        """
        runs = check_runs(W, Y, scale)
        m = runs.W.shape[1]
        tokens = np.full(m, np.nan) if self.tokens is None else np.asarray(self.tokens, dtype=float)
        if tokens.shape != (m,):
            raise InputError(f"{tokens.size} token counts for {m} domains; give one for each")
        budget = float(self.budget or np.nan)
        worth, at = _worth(runs.W, runs.scale, tokens, self.repeats, budget)
        base = as_law(self.base)
        return FittedRepeated(base.fit(worth, runs.Y, at, rng=rng), tokens, self.repeats, budget)


@dataclass(frozen=True, eq=False, repr=False)
class FittedRepeated(Shown):
    """The base law fitted to effective shares, and what makes them."""

    base: FittedLaw
    tokens: Array
    repeats: float
    budget: float

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) drawn for the tokens of `scale`."""
        w = as_mixtures(W, self.tokens.size)
        worth, at = _worth(w, check_scale(scale, len(w)), self.tokens, self.repeats, self.budget)
        return self.base.predict(worth, at)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        w = as_mixtures(W, self.tokens.size)
        worth, at = _worth(w, check_scale(scale, len(w)), self.tokens, self.repeats, self.budget)
        return mean_of(self.base, worth, at)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "repeated",
            "base": self.base.to_dict(),
            "tokens": [None if np.isnan(t) else t for t in self.tokens.tolist()],
            "repeats": self.repeats,
            "budget": None if np.isnan(self.budget) else self.budget,
        }


def read(values: JSON) -> FittedRepeated:
    """The fitted law that `to_dict` wrote."""
    budget = values["budget"]
    return FittedRepeated(
        fitted_law(values["base"]),
        np.array(values["tokens"], dtype=float),
        float(values["repeats"]),
        float("nan") if budget is None else float(budget),
    )


def _worth(
    W: Array, scale: Array | None, tokens: Array, repeats: float, budget: float
) -> tuple[Array, Array | None]:
    """Effective shares (n, m), and the scale with tokens cut to what they are worth."""
    if np.isnan(tokens).all():
        return W, scale
    D = np.full(len(W), budget) if scale is None else scale[:, 1]
    if np.isnan(D).any():
        raise InputError(
            "the runs do not say how many tokens they trained on; give their scale, or `budget`"
        )
    worth = effective(W * D[:, None], tokens, repeats)
    total = worth.sum(axis=1)
    if scale is None:
        return worth / total[:, None], None
    # One law of mixtures at one budget: what is wasted shows in the shares, not as a new scale.
    kept = scale if np.ptp(scale[:, 1]) == 0 else np.column_stack([scale[:, 0], total])
    return worth / total[:, None], kept
