"""What laws predict for runs that they were not shown, and what that says of them.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; E: (l, n, k) held-out errors of l laws, NaN where missing
    weights: (l, k) of the laws per metric, columns sum to 1
"""

import numpy as np

from mixopt.laws import progress
from mixopt.laws.base import FittedLaw, HeldOut, Law, Prediction, Refits, Runs
from mixopt.laws.folds import group_folds
from mixopt.space.simplex import Array

CLOSED_FORM = 200
"""Runs (and five for each domain) from which closed-form leave-one-out is honest enough: below, the
hyperparameters have seen the held-out run and few runs make that count, so laws are fitted again.
"""
POOL = 50.0
"""Runs' worth of belief that laws err in a metric as they do in all; 10 to 100 are alike."""
_FEW_METRICS = 5.0
_STEPS = 400


def held_out(
    law: Law, fitted: FittedLaw, runs: Runs, *, folds: int, rng: np.random.Generator
) -> Prediction:
    """(n, k) predictions of the runs, each made without the runs of its mixture.

    Raises:
        InputError: so few runs that the law cannot be fitted without some of them.
    """
    n, m = runs.W.shape
    if n > max(CLOSED_FORM, 5 * m) and isinstance(fitted, HeldOut):
        return fitted.held_out
    return refit_folds(law, runs, folds=folds, rng=rng, start=fitted)


def refit_folds(
    law: Law,
    runs: Runs,
    *,
    folds: int,
    rng: np.random.Generator,
    start: FittedLaw | None = None,
) -> Prediction:
    """(n, k) predictions of each fold by the law fitted to the others; mixtures are not split.

    Args:
        law: what is fitted.
        runs: to hold out.
        folds: how many.
        rng: draws the folds.
        start: the law fitted to all runs, for laws that start from there (`Refits`).

    Raises:
        InputError: the law cannot be fitted to the rest of some fold.
    """
    fold = group_folds(runs.groups, folds, rng)
    mean, sd, noise = np.full((3, *runs.Y.shape), np.nan)
    for number in np.unique(fold):
        out = fold == number
        scale = None if runs.scale is None else runs.scale[~out]
        # A metric that the rest lacks cannot be predicted, and must not stop the others.
        known = np.isfinite(runs.Y[~out]).any(axis=0)
        if not known.any():
            continue
        rest = (runs.W[~out], runs.Y[~out][:, known], scale)
        with progress.within(f"fold {number + 1} of {fold.max() + 1}"):
            if start is not None and known.all() and isinstance(law, Refits):
                fitted = law.refit(start, *rest, rng=rng)
            else:
                fitted = law.fit(*rest, rng=rng)
        predicted = fitted.predict(runs.W[out], None if runs.scale is None else runs.scale[out])
        rows = np.ix_(out, known)
        mean[rows], sd[rows] = predicted.mean, predicted.sd
        noise[rows] = predicted.noise
    return Prediction(mean, sd, np.sqrt(np.nanmean(noise**2, axis=0)))


def stacking_weights(errors: Array, shrink: float, floor: Array, *, pool: float = POOL) -> Array:
    """(l, k) weights of least held-out squared error per metric, on the simplex.

    The moments of a metric's errors are averaged with those of all metrics: few held-out runs of
    one metric do not tell which law is best, those of many metrics do.

    Args:
        errors: (l, n, k) held-out errors, NaN where missing.
        shrink: times the best law's squared error, is added to every law's own: laws that are
            about as good are drawn to equal weights, poor laws stay out.
        floor: (k,) squared error that no law avoids where it is used (another scale): added too,
            so that fitting a proxy better than the proxy is right earns no weight.
        pool: runs' worth of belief that a metric is as all others are, where there are many.
    """
    laws, _, metrics = errors.shape
    seen = np.isfinite(errors).all(axis=0)
    count = seen.sum(axis=0)
    E = np.where(seen, errors, 0.0)
    moments = np.einsum("ink,jnk->kij", E, E) / np.maximum(count, 1)[:, None, None]
    best = np.einsum("kii->ki", moments).min(axis=1)
    known = (count > 0) & (best > 0)
    weights = np.full((laws, metrics), 1.0 / laws)
    if not known.any():
        return weights
    moments, best, count = moments[known] / best[known, None, None], best[known], count[known]
    # A few metrics say little of how alike metrics are.
    others = len(best) - 1
    belief = pool * others / (others + _FEW_METRICS)
    share = (count / (count + belief))[:, None, None]
    moments = share * moments + (1.0 - share) * moments.mean(axis=0)
    moments += (shrink + floor[known] / best)[:, None, None] * np.eye(laws)
    weights[:, known] = _simplex_minimum(moments).T
    return weights


def _simplex_minimum(C: Array) -> Array:
    """(k, l) the minima of w'Cw over the simplex for C (k, l, l), by exponentiated gradient."""
    w = np.full(C.shape[:2], 1.0 / C.shape[1])
    for _ in range(_STEPS):
        gradient = (C @ w[..., None])[..., 0]
        above = gradient - gradient.min(axis=1, keepdims=True)
        step = 0.5 / np.maximum(above.max(axis=1, keepdims=True), 1.0)
        w = w * np.exp(-step * above)
        w /= w.sum(axis=1, keepdims=True)
    return w


def sd_factors(truth: Array, predicted: Prediction, *, strength: float = 30.0) -> Array:
    """(k,) factors that make 90 % intervals cover 90 % of held-out runs, shrunk to 1.

    Args:
        truth: (n, k) metrics, NaN where missing.
        predicted: (n, k) held-out predictions.
        strength: runs' worth of belief that the law's own sd is right.
    """
    factors = np.ones(truth.shape[1])
    for j in range(truth.shape[1]):
        z = np.abs(truth[:, j] - predicted.mean[:, j]) / np.maximum(
            predicted.total_sd[:, j], 1e-300
        )
        z = z[np.isfinite(z)]
        if z.size < 5 or not z.any():
            continue
        ratio = np.quantile(z, 0.9) / 1.645
        share = z.size / (z.size + strength)
        factors[j] = float(np.clip(np.exp(share * np.log(max(ratio, 1e-3))), 0.5, 4.0))
    return factors
