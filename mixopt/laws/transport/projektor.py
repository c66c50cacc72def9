"""Projektor: transport to what is scored as a feature, projected over two scales of data.

    f(p) = (b0 + sum b1_i p_i + b2_i p_i^2) S(p) + c0 + sum c1_i p_i + c2_i p_i^2     (2307.02460)
    f(p; N) = [ln(N / N0) f1(p) - ln(N / N1) f0(p)] / ln(N1 / N0)

S is the distance of a mixture's documents from those that are scored (`TransportCosts`). Of the
published code two faults are not here: it has no term for pure squares and none for the last
domain, and climbs by the gradient of N0, whatever N is asked for. Documents stand in for its
labelled pictures: S is of embeddings alone.

Notation:
    P: (n, m) mixtures; Y: (n, k) metrics; N0 < N1: tokens of the runs; Z: (n, q) features
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mixopt.errors import InputError
from mixopt.laws import law
from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Prediction,
    Runs,
    as_mixtures,
    check_runs,
    check_scale,
    numbers,
    several_scales,
)
from mixopt.laws.linear import LinearFit, fit_linear
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.laws.transport.costs import TransportCosts, read_costs
from mixopt.space.simplex import Array

RIDGES = (1e-6, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
"""Penalties compared by leave-one-out error; the first is least squares, as published."""
_OF_FEW = 1.0
"""The least one where runs are not more than features, 4 m: with a smaller one the fit goes through
all of them, and what it says of a run left out is rounding error."""


def projection(N: float | Array, N0: float, N1: float) -> tuple[Array, Array]:
    """Factors of f1 and f0 at N tokens, linear in ln N.

    >>> [round(float(c), 6) for c in projection(3000, 1000, 1500)]
    [2.709511, -1.709511]
    """
    at, span = np.asarray(N, dtype=float), np.log(N1 / N0)
    return np.log(at / N0) / span, -np.log(at / N1) / span


@dataclass(frozen=True)
class Projektor:
    """Hyperparameters.

    Args:
        costs: of the domains, or the file that `mixopt transport` wrote.
        ridges: see `RIDGES`.

    Raises:
        InputError: no costs, or a file that holds none.
    """

    costs: "TransportCosts | str | Path | None" = None
    ridges: tuple[float, ...] = RIDGES

    takes_scales: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.costs is None:
            raise InputError(
                "the law 'projektor' needs transport costs, which embeddings of documents tell; "
                "measure them with 'mixopt transport SPEC' and name the file: "
                "law: {use: projektor, costs: transport.json}"
            )
        if not isinstance(self.costs, TransportCosts):
            object.__setattr__(self, "costs", read_costs(self.costs))

    @property
    def _known(self) -> TransportCosts:
        assert isinstance(self.costs, TransportCosts)
        return self.costs

    def tagged(self, domains: Sequence[str], tags: Sequence[Mapping[str, str]]) -> "Projektor":
        """The same, its costs in the order of the domains.

        Raises:
            InputError: one has no costs.
        """
        del tags
        return replace(self, costs=self._known.ordered(domains))

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> FittedLaw:
        """Fit every metric, once for each of two numbers of tokens; deterministic.

        Runs of other sets of scales are fitted inside `correction`.

        Raises:
            InputError: see `check_runs`; or mixtures of other domains than the costs are of.
        """
        runs = check_runs(W, Y, scale)
        m = len(self._known.domains)
        if runs.W.shape[1] != m:
            raise InputError(
                f"transport costs are of {m} domains, and mixtures of {runs.W.shape[1]}; measure "
                "them for these domains"
            )
        if not several_scales(runs.scale):
            fitted = self._one(runs, np.ones(len(runs.W), dtype=bool))
            return FittedProjektor(self._known.quadratic, (fitted,), ())
        assert runs.scale is not None
        tokens = np.unique(runs.scale[:, 1])
        if len(tokens) == 2 and len(np.unique(runs.scale[:, 0])) == 1:
            at = [runs.scale[:, 1] == n for n in tokens]
            if all(_enough(runs, rows) for rows in at):
                parts = tuple(self._one(runs, rows) for rows in at)
                return FittedProjektor(self._known.quadratic, parts, tuple(tokens.tolist()))
        return law("correction", base=self).fit(runs.W, runs.Y, runs.scale, rng=rng)

    def _one(self, runs: Runs, at: Any) -> "Part":
        """The fit to the runs of one scale."""
        W, Y, groups = runs.W[at], runs.Y[at], runs.groups[at]
        raw, standard = features(W, self._known.quadratic), Standard.learn(Y)
        spread = raw.std(axis=0)
        center, spread = raw.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)
        Z, T, seen = (raw - center) / spread, standard.forward(Y), np.isfinite(Y)
        fits = []
        for j, rows in enumerate(seen.T):
            few = len(np.unique(groups[rows])) <= Z.shape[1] + 1
            ridges = tuple(r for r in self.ridges if r >= _OF_FEW) if few else ()
            fits.append(fit_linear(Z[rows], T[rows, j], ridges or self.ridges, groups[rows]))
        return Part(center, spread, standard, tuple(fits))


def features(W: Array, quadratic: Array) -> Array:
    """(n, 4 m) columns S p, S p^2, p, p^2 of mixtures W (n, m).

    S itself is the sum of the first m, and the last share is 1 less the others: the penalty
    parts what is told twice.
    """
    S = ((W @ quadratic) * W).sum(axis=1, keepdims=True)
    return np.hstack([S * W, S * W**2, W, W**2])


def _enough(runs: Runs, rows: Any) -> bool:
    """Whether every metric has runs at two mixtures there."""
    return len(np.unique(runs.groups[rows])) > 1 and bool(
        np.isfinite(runs.Y[rows]).any(axis=0).all()
    )


@dataclass(frozen=True, eq=False)
class Part:
    """What was learned from the runs of one scale: units of features (q,), metrics, and fits."""

    center: Array
    spread: Array
    standard: Standard
    fits: tuple[LinearFit, ...]

    def moments(self, raw: Array) -> tuple[Array, Array, Array]:
        """(n, k) mean and variance at features (n, q), in the units of the metrics; (k,) noise."""
        Z = (raw - self.center) / self.spread
        mean, variance = (
            np.column_stack(x) for x in zip(*(f.moments(Z) for f in self.fits), strict=True)
        )
        told = self.standard.prediction(
            mean, np.sqrt(variance), np.array([f.noise for f in self.fits])
        )
        return told.mean, told.sd**2, told.noise

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "center": self.center.tolist(),
            "spread": self.spread.tolist(),
            "standard": self.standard.to_dict(),
            "fits": [f.to_dict() for f in self.fits],
        }

    @classmethod
    def read(cls, values: JSON) -> "Part":
        """What `to_dict` wrote."""
        return cls(
            numbers(values["center"]),
            numbers(values["spread"]),
            Standard.read(values["standard"]),
            tuple(LinearFit.read(f) for f in values["fits"]),
        )


@dataclass(frozen=True, eq=False, repr=False)
class FittedProjektor(Shown):
    """Costs (m, m), a part for each scale, and their tokens: (N0, N1), or () of a single one."""

    quadratic: Array
    parts: tuple[Part, ...]
    tokens: tuple[float, ...]

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m), projected to the tokens of `scale`; at N1 without one."""
        raw = features(as_mixtures(W, len(self.quadratic)), self.quadratic)
        told = [part.moments(raw) for part in self.parts]
        if not self.tokens:
            ((mean, variance, noise),) = told
            return Prediction(mean, np.sqrt(variance), noise)
        at = check_scale(scale, len(raw))
        N0, N1 = self.tokens
        c1, c0 = projection(np.full(len(raw), N1) if at is None else at[:, 1], N0, N1)
        (f0, v0, _), (f1, v1, noise) = told
        mean = c1[:, None] * f1 + c0[:, None] * f0
        sd = np.sqrt(c1[:, None] ** 2 * v1 + c0[:, None] ** 2 * v0)
        return Prediction(mean, sd, noise)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "projektor",
            "quadratic": self.quadratic.tolist(),
            "parts": [part.to_dict() for part in self.parts],
            "tokens": list(self.tokens),
        }


def read(values: JSON) -> FittedProjektor:
    """The fitted law that `to_dict` wrote."""
    return FittedProjektor(
        numbers(values["quadratic"]),
        tuple(Part.read(part) for part in values["parts"]),
        tuple(float(n) for n in values["tokens"]),
    )
