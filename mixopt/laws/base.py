"""What a law is: hyperparameters that learn from runs, and what they have learned.

Notation:
    W: (n, m) mixtures, rows on the simplex; Y: (n, k) metrics
    scale: (n, 2) parameters and tokens of each row, or None where all runs share one scale
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import InputError
from mixopt.space import simplex
from mixopt.space.simplex import Array

Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Metrics at some mixtures, with uncertainty.

    Attributes:
        mean: (n, k).
        sd: (n, k) standard deviation of the *expected* metric at the mixture (what the law does not
            know), seed noise not included.
        noise: (k,) standard deviation of one new run around that expectation.
    """

    mean: Array
    sd: Array
    noise: Array

    @property
    def total_sd(self) -> Array:
        """(n, k) sd of one new run: law uncertainty and noise together."""
        return np.asarray(np.sqrt(self.sd**2 + self.noise**2))


@runtime_checkable
class FittedLaw(Protocol):
    """Learned parameters. Frozen; a JSON round trip gives the same predictions."""

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m).

        A law without a term for the scale predicts at the scale that it was fitted at.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values with `"law"`, the name under which `mixopt.laws` reads them back."""
        ...


@runtime_checkable
class Expects(Protocol):
    """A fitted law that has its mean without the work for its sd: searches ask for nothing else."""

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, up to rounding."""
        ...


@runtime_checkable
class Weighted(Protocol):
    """A fitted law that averages others, with weights per metric."""

    @property
    def members(self) -> Mapping[str, Array]:
        """Name of a law to its weights (k,)."""
        ...


def mean_of(fitted: FittedLaw, W: Array, scale: Array | None = None) -> Array:
    """(n, k) what a law expects at mixtures W (n, m), the quick way where it has one."""
    return fitted.mean(W, scale) if isinstance(fitted, Expects) else fitted.predict(W, scale).mean


@runtime_checkable
class JointFittedLaw(FittedLaw, Protocol):
    """A fitted law that knows how its errors at different mixtures and scales go together."""

    def joint(
        self, A: Array, B: Array, scale_A: Array | None = None, scale_B: Array | None = None
    ) -> Array:
        """(k, a, b) posterior covariance of the expected metrics at A (a, m) with those at B.

        Scales are given as to `predict`. The diagonal of `joint(A, A)` is the square of the sd that
        `predict` reports, up to rounding.
        """
        ...


def joint_of(
    fitted: FittedLaw,
    A: Array,
    B: Array,
    scale_A: Array | None = None,
    scale_B: Array | None = None,
) -> Array:
    """(k, a, b) posterior covariance of the expected metrics at mixtures A with those at B.

    Raises:
        InputError: the law gives variances only.
    """
    if not isinstance(fitted, JointFittedLaw):
        raise InputError(
            f"{type(fitted).__name__} gives no joint posterior; use the law 'gp' (at several "
            "scales 'cokriging') to choose runs"
        )
    return fitted.joint(A, B, scale_A, scale_B)


@runtime_checkable
class HeldOut(Protocol):
    """A fitted law that can say, in closed form, what it predicts for runs that it does not use."""

    @property
    def held_out(self) -> Prediction:
        """(n, k) predictions of the training runs, each made without the runs of its mixture.

        NaN where the run has no such metric. Not in JSON: there only until the law is written.
        """
        ...


@runtime_checkable
class Law(Protocol):
    """Hyperparameters. `fit` learns one set of parameters per metric."""

    @property
    def takes_scales(self) -> bool:
        """Whether runs of several scales can be fitted together, and predicted at each of them.

        Laws that cannot are given one scale, or are wrapped in `correction` (`laws.law_for`).
        """
        ...

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> FittedLaw:
        """Fit to runs; rows whose metric is NaN are left out for that metric.

        Raises:
            InputError: too few runs for any fallback, or shapes that do not agree.
        """
        ...


@runtime_checkable
class Sized(Protocol):
    """A law that counts how often each domain is seen."""

    def sized(self, tokens: Array, budget: float | None) -> Law:
        """The same law with sizes where it was not given any.

        Args:
            tokens: (m,) unique tokens per domain, NaN where unknown.
            budget: training tokens of the target; None where unknown.
        """
        ...


def sizes_known(tokens: Array) -> bool:
    """Whether the unique tokens (m,) of every domain are known, so that epochs can be counted."""
    return tokens.size > 0 and bool((np.isfinite(tokens) & (tokens > 0)).all())


@runtime_checkable
class Averages(Protocol):
    """A law that averages over what it does not know of its own hyperparameters."""

    def plain(self) -> Law:
        """The same without: for laws around it that scale its intervals by held-out runs."""
        ...


def plain(law: Law) -> Law:
    """The law without averaging over its hyperparameters, where it does that."""
    return law.plain() if isinstance(law, Averages) else law


@runtime_checkable
class Tagged(Protocol):
    """A law that needs what the domains' tags say."""

    def tagged(self, domains: Sequence[str], tags: Sequence[Mapping[str, str]]) -> Law:
        """The same law with the tags where it was not given what they say.

        Args:
            domains: (m,) names.
            tags: (m,) facts of each domain.

        Raises:
            InputError: what it needs is not there.
        """
        ...


@runtime_checkable
class Refits(Protocol):
    """A law that fits other runs of the same metrics quickly, from what a fit has learned."""

    def refit(
        self,
        fitted: FittedLaw,
        W: Array,
        Y: Array,
        scale: Array | None = None,
        *,
        rng: np.random.Generator,
    ) -> FittedLaw:
        """Fit to runs, starting from the parameters of `fitted`.

        For cross-validation and for rounds that change the runs a little: the same optimum as that
        of `fit` where the optimum moves a little, in far fewer steps.

        Args:
            fitted: what `fit` of this law returned, for the same domains and metrics.
            W: (n, m) mixtures.
            Y: (n, k) metrics.
            scale: (n, 2) parameters and tokens, or None.
            rng: source of randomness.

        Raises:
            InputError: see `fit`.
        """
        ...


JSON = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Runs:
    """Checked input of a fit.

    Attributes:
        W: (n, m) mixtures, rows sum to exactly 1.
        Y: (n, k) metrics, NaN where missing.
        scale: (n, 2) parameters and tokens, or None where unknown or where all rows share one.
        groups: (n,) number of the distinct mixture of each row: replicates of a mixture (other
            seeds, other scales) must be held out together, or cross-validation leaks.
    """

    W: Array
    Y: Array
    scale: Array | None
    groups: Ints

    @property
    def seen(self) -> Array:
        """(n, k) 1 where a metric was measured, else 0."""
        return np.isfinite(self.Y).astype(float)


def check_runs(W: ArrayLike, Y: ArrayLike, scale: ArrayLike | None = None) -> Runs:
    """Check the input of a fit; every law calls this first.

    Args:
        W: (n, m) mixtures.
        Y: (n, k) or (n,) metrics, NaN where missing.
        scale: (n, 2) parameters and tokens, or None.

    Raises:
        InputError: shapes disagree, weights off the simplex, an infinite metric, a metric that no
            run has, or fewer than two different mixtures.
    """
    weights = np.asarray(W, dtype=float)
    if weights.ndim != 2 or weights.size == 0:
        raise InputError(f"mixtures have the shape {weights.shape}; give (runs, domains)")
    weights = simplex.as_simplex(weights)
    values = np.asarray(Y, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != len(weights) or values.shape[1] == 0:
        raise InputError(
            f"{len(weights)} mixtures and metrics of shape {values.shape}; give (runs, metrics) "
            "with one row for each mixture"
        )
    if np.isinf(values).any():
        row, metric = np.argwhere(np.isinf(values))[0]
        raise InputError(
            f"metric {metric} of run {row} is {values[row, metric]}; a run that diverged has no "
            "metric: leave it out or give NaN"
        )
    empty = ~np.isfinite(values).any(axis=0)
    if empty.any():
        raise InputError(f"no run has metric {int(np.argmax(empty))}; leave that metric out")
    groups = _number(weights)
    if groups.max() == 0:
        raise InputError(
            f"all {len(weights)} runs are at one mixture; a law needs runs at two or more "
            "different mixtures"
        )
    return Runs(weights, values, check_scale(scale, len(weights)), groups)


def _number(weights: Array) -> Ints:
    """(n,) number of the distinct row that each row is, by first appearance."""
    _, first, inverse = np.unique(
        np.round(weights, 9), axis=0, return_index=True, return_inverse=True
    )
    rank = np.argsort(np.argsort(first))
    return np.asarray(rank[np.asarray(inverse).reshape(-1)])


def check_scale(scale: ArrayLike | None, rows: int) -> Array | None:
    """(rows, 2) parameters and tokens as floats, or None where they say nothing.

    A column that is unknown (NaN) everywhere counts as equal everywhere.

    Raises:
        InputError: another shape, numbers that are not positive, or known for some rows only.
    """
    if scale is None:
        return None
    scales = np.asarray(scale, dtype=float)
    if scales.shape == (2,):
        scales = np.tile(scales, (rows, 1))
    if scales.shape != (rows, 2):
        raise InputError(
            f"scale has the shape {scales.shape}; give ({rows}, 2): params, tokens of every run"
        )
    unknown = np.isnan(scales)
    if unknown.all():
        return None
    partly = unknown.any(axis=0) & ~unknown.all(axis=0)
    if partly.any():
        name = ("params", "tokens")[int(np.argmax(partly))]
        row = int(np.argmax(unknown[:, np.argmax(partly)]))
        raise InputError(f"{name} of run {row} is missing and others are known; give all or none")
    filled = np.where(unknown, 1.0, scales)
    if not (np.isfinite(filled) & (filled > 0)).all():
        row = int(np.argmax(~(np.isfinite(filled) & (filled > 0)).all(axis=1)))
        raise InputError(f"scale of run {row} is {scales[row]}; params and tokens must be above 0")
    return filled


def several_scales(scale: Array | None) -> bool:
    """Whether checked scales differ between runs."""
    return scale is not None and len(np.unique(scale, axis=0)) > 1


def one_scale(runs: Runs, law: str) -> Runs:
    """The same runs, for a law that has no term for the scale.

    Raises:
        InputError: the runs are of several scales.
    """
    if several_scales(runs.scale):
        assert runs.scale is not None
        count = len(np.unique(runs.scale, axis=0))
        raise InputError(
            f"the runs have {count} scales and the law {law!r} has no term for the scale; fit one "
            "scale, or use 'auto', or 'correction' around the law"
        )
    return runs


def as_mixtures(W: ArrayLike, domains: int) -> Array:
    """(n, m) mixtures to predict at.

    Raises:
        InputError: another number of domains than the law was fitted to, or missing values.
    """
    weights = np.atleast_2d(np.asarray(W, dtype=float))
    if weights.shape[1] != domains:
        raise InputError(
            f"mixtures of {weights.shape[1]} domains, and the law was fitted to {domains}; give "
            "the weights of the same domains in the same order"
        )
    if not np.isfinite(weights).all():
        row = int(np.argmax(~np.isfinite(weights).all(axis=1)))
        raise InputError(f"weights of mixture {row} have a missing or infinite value")
    return weights


def numbers(values: Any) -> Array:
    """A float array of JSON values; None reads as NaN."""
    return np.array(values, dtype=float)
