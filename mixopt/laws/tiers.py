"""Tiers: few clean and much noisy data (after Ambient, 2411.02780, 2506.10038).

    L = E + B (sum_q v_q N_q)^-beta + A N^-alpha,    1 = v_1 >= v_2 >= ... >= 0

N_q are the tokens of tier q, the cleanest first: a token of a noisier tier is worth v_q clean ones,
and never more than one of the tier above. Domains of one tier count alike. The last term, of the
parameters, is there only where they vary; with one number of tokens, only shares count.

Notation:
    S: (n, T) shares of tiers; M: (m, T) which domain is in which tier; T tiers
    theta = [E, log B, log beta, log A, log alpha, z (T - 1)], v_q = prod_{r < q} sigmoid(z_r)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mixopt.errors import InputError
from mixopt.laws.base import JSON, FittedLaw, Prediction, as_mixtures, check_runs
from mixopt.laws.constants import Constants
from mixopt.laws.parametric import (
    FittedParametric,
    Formula,
    Inputs,
    Parametric,
    read_parametric,
)
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array

TAG = "tier"
"""Tag of a domain that says its tier: 1 is the cleanest."""
_FLOOR = 1e-4  # worth of a mixture of which nothing is worth anything
_CAUTION = (
    "orders of magnitude: runs of one length hardly tell a worth from the exponent of the curve, "
    "and no tier can be worth more than the one above it"
)
_NAMED = 3  # domains of a tier that are named
_FIXED = 5  # E, log B, log beta, log A, log alpha


def worth(values: Array) -> Array:
    """(..., T) worth of a token of each tier, from z (..., T - 1): 1 first, then never rising."""
    kept = np.cumprod(_sigmoid(np.asarray(values, dtype=float)), axis=-1)
    return np.concatenate([np.ones((*kept.shape[:-1], 1)), kept], axis=-1)


def effective(tokens: Sequence[float], worths: Sequence[float]) -> float:
    """Clean tokens that tokens of all tiers are worth: sum v_q N_q.

    >>> effective((1, 9), (1, 0.5))
    5.5

    Raises:
        InputError: lengths that differ, a tier worth more than the one above it, a first tier that
            is not worth 1, or something below zero.
    """
    n, v = np.asarray(tokens, dtype=float), np.asarray(worths, dtype=float)
    if n.shape != v.shape or n.ndim != 1 or not len(n):
        raise InputError(f"{n.size} tiers of tokens and {v.size} worths; give one for each tier")
    if v[0] != 1.0 or (np.diff(v) > 0).any() or (v < 0).any() or (n < 0).any():
        raise InputError(
            f"tokens {n.tolist()} and worths {v.tolist()}; give tokens >= 0 and worths that begin "
            "with 1, never rise and stay >= 0"
        )
    return float(n @ v)


def tiers_by_tag(domains: Sequence[str], tags: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
    """(m,) tier of each domain, counted from 1, as its tag `tier` says.

    Raises:
        InputError: a domain without the tag, a tier that is no whole number from 1, a gap between
            tiers, or one tier alone.
    """
    tiers = []
    for name, facts in zip(domains, tags, strict=True):
        text = facts.get(TAG)
        if text is None:
            raise InputError(
                f"the law 'tiers' needs the tier of every domain, and {name!r} has none; give it "
                f"under space.domains: {{{name}: {{tags: {{{TAG}: 1}}}}}} (1 is the cleanest)"
            )
        if not (text.isascii() and text.isdigit() and int(text) >= 1):
            raise InputError(
                f"domain {name!r} has the tier {text!r}; give a whole number from 1, the cleanest"
            )
        tiers.append(int(text))
    return _checked(tiers)


def _checked(tiers: Sequence[int]) -> tuple[int, ...]:
    known = set(tiers)
    missing = sorted(set(range(1, max(known, default=1) + 1)) - known)
    if missing:
        raise InputError(
            f"no domain is of tier {missing[0]}, and some are of tier {max(known)}; number the "
            "tiers 1, 2, ... without a gap"
        )
    if len(known) < 2:
        raise InputError(
            "all domains are of one tier, so that a tier says nothing; give a noisier one tier "
            "2, or use another law"
        )
    return tuple(tiers)


@dataclass(frozen=True)
class Tiers:
    """Hyperparameters.

    Attributes:
        tiers: (m,) tier of each domain, counted from 1 (the cleanest); a space's tags `tier` give
            them where they are left out.
    """

    tiers: tuple[int, ...] = ()
    takes_scales: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", _checked(self.tiers) if self.tiers else ())

    def tagged(self, domains: Sequence[str], tags: Sequence[Mapping[str, str]]) -> "Tiers":
        """The same with the tiers of a space's tags, where it was given none.

        Raises:
            InputError: see `tiers_by_tag`.
        """
        return self if self.tiers else replace(self, tiers=tiers_by_tag(domains, tags))

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedTiers":
        """Fit every metric; deterministic.

        Raises:
            InputError: no tiers, of another number of domains, or runs in which their shares are
                the same; see also `check_runs`.
        """
        S = self._shares(W, Y, scale)
        fitted = _PARAMETRIC.fit(S, Y, scale, rng=rng)
        return FittedTiers(self.tiers, fitted)

    def refit(
        self,
        fitted: FittedLaw,
        W: Array,
        Y: Array,
        scale: Array | None = None,
        *,
        rng: np.random.Generator,
    ) -> "FittedTiers":
        """Fit to runs, starting from what `fitted` knows; see `Refits`.

        Raises:
            InputError: see `fit`.
        """
        assert isinstance(fitted, FittedTiers)
        S = self._shares(W, Y, scale)
        return FittedTiers(self.tiers, _PARAMETRIC.refit(fitted.inner, S, Y, scale, rng=rng))

    def _shares(self, W: Array, Y: Array, scale: Array | None) -> Array:
        runs = check_runs(W, Y, scale)
        if not self.tiers:
            raise InputError(
                "the law 'tiers' was not told the tier of any domain; give domains the tag "
                f"{TAG!r} (1 is the cleanest), or tiers=(1, 2, ...) in Python"
            )
        S = _summed(runs.W, self.tiers)
        if np.ptp(S, axis=0).max() < 1e-9 and runs.scale is None:
            raise InputError(
                "every run has the same share of each tier, so that their worth cannot be told; "
                "use runs that differ, or another law"
            )
        return S


@dataclass(frozen=True, eq=False, repr=False)
class FittedTiers(Shown):
    """What was learned: the tier of each domain, and a formula of their sums per metric."""

    tiers: tuple[int, ...]
    inner: FittedParametric

    @property
    def held_out(self) -> Prediction | None:
        """See `HeldOut`; runs of the same tier shares are left out together."""
        return self.inner.held_out

    @property
    def worths(self) -> Array:
        """(k, T) what a token of each tier is worth in clean ones, by metric."""
        return np.array([worth(theta[_FIXED:]) for theta in self.inner.theta])

    def constants(self, domains: Sequence[str]) -> Constants:
        """The worths, each tier with its domains; see `HasConstants`."""
        members = [
            [name for name, t in zip(domains, self.tiers, strict=True) if t == tier + 1]
            for tier in range(self.worths.shape[1])
        ]
        names = tuple(f"tier {i + 1}: {_few(names)}" for i, names in enumerate(members))
        title = "What a token is worth in tokens of tier 1"
        return Constants(title, names, self.worths, _CAUTION)

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) and scales (n, 2) or (2,); the reference without one."""
        return self.inner.predict(_summed(as_mixtures(W, len(self.tiers)), self.tiers), scale)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        return self.inner.mean(_summed(as_mixtures(W, len(self.tiers)), self.tiers), scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"law": "tiers", "tiers": list(self.tiers), "inner": self.inner.to_dict()}


def read(values: JSON) -> FittedTiers:
    """The fitted law that `to_dict` wrote."""
    tiers = tuple(int(t) for t in values["tiers"])
    return FittedTiers(tiers, read_parametric(values["inner"], FORMULAS))


def _few(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    rest = len(names) - _NAMED
    return ", ".join([*names[:_NAMED], *([f"{rest} more"] if rest > 0 else [])])


def _summed(W: Array, tiers: Sequence[int]) -> Array:
    """(n, T) shares of the tiers.

    Raises:
        InputError: mixtures of another number of domains.
    """
    if W.shape[1] != len(tiers):
        raise InputError(
            f"{len(tiers)} tiers were given, and mixtures have {W.shape[1]} domains; give the tier "
            "of each domain"
        )
    return np.asarray(W @ np.eye(max(tiers))[np.array(tiers) - 1])


def _sigmoid(z: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -30, 30))))


def _tiers(theta: Array, at: Inputs) -> tuple[Array, Array]:
    z = theta[..., _FIXED:]
    v, s = worth(z), _sigmoid(z)
    level, log_b, log_beta, log_a, log_alpha = np.moveaxis(theta, -1, 0)[:_FIXED, ..., None]
    total = v @ at.W.T + _FLOOR
    beta = np.exp(np.clip(log_beta, -4, 2))
    log_n = np.log(total) + (at.D if at.varies[1] else 0.0)
    value = np.exp(np.clip(log_b - beta * log_n, -30, 20))
    J = np.zeros((*total.shape, theta.shape[-1]))
    J[..., 0], J[..., 1], J[..., 2] = 1.0, value, -value * beta * log_n
    # v_q falls with every z before it: d v_q / d z_r = v_q (1 - s_r) for r < q.
    for r in range(z.shape[-1]):
        by = v[..., r + 1 :] @ at.W[:, r + 1 :].T * (1.0 - s[..., r, None])
        J[..., _FIXED + r] = -value * beta * by / total
    f = level + value
    if at.varies[0]:
        alpha = np.exp(np.clip(log_alpha, -4, 2))
        size = np.exp(np.clip(log_a - alpha * at.N, -30, 10))
        f, J[..., 3], J[..., 4] = f + size, size, -size * alpha * at.N
    return f, J


def _center(at: Inputs) -> Array:
    """A mixture term of about one sd; a token of each tier is worth half of one above it."""
    return np.concatenate([[-1.0, -0.5, -1.0, -0.5, -1.0], np.zeros(at.W.shape[1] - 1)])


FORMULAS = {"tiers": Formula(_tiers, _center)}
_PARAMETRIC = Parametric("tiers", FORMULAS["tiers"], takes_scales=True)
