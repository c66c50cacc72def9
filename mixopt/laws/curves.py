"""Learning curves: what a run will reach, from what it has reached.

    L(D) = E + A (D / D_last)^-alpha

Fitted per run by least squares with a weak prior on alpha (METHODS 8.1). Only points of one
learning-rate phase may be extrapolated (constant, or the stable phase of WSD): the middle of a
cosine schedule says nothing of its end.

Notation:
    D: (n,) tokens, increasing; y: (n,) metric; theta = [E, log A, log alpha]
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import InputError
from mixopt.space.simplex import Array

_ALPHA, _ALPHA_SD = 0.5, 0.7  # of the prior on log alpha
_STEPS = 100


@dataclass(frozen=True)
class LearningCurveFit:
    """E + A (D / reference)^-alpha with the residual sd.

    Attributes:
        floor: E. amplitude: A, negative where the metric rises. exponent: alpha.
        reference: tokens of the last point. noise: residual sd. doubt: sd of log alpha.
    """

    floor: float
    amplitude: float
    exponent: float
    reference: float
    noise: float
    doubt: float

    def predict(self, tokens: ArrayLike) -> tuple[Array, Array]:
        """Mean and sd of the metric at token counts, any shape."""
        x = np.asarray(tokens, dtype=float) / self.reference
        mean = self.floor + self.amplitude * x**-self.exponent
        faster = self.exponent * np.exp(self.doubt)
        # Another exponent through the last point, its level refitted to the same slope there.
        ratio = self.exponent / faster
        other = self.floor + self.amplitude * (1 - ratio * (1 - x**-faster))
        return np.asarray(mean), np.sqrt(self.noise**2 + (other - mean) ** 2)


def fit_curve(tokens: ArrayLike, values: ArrayLike) -> LearningCurveFit:
    """Fit one run's curve.

    Args:
        tokens: (n,) increasing token counts, above 0.
        values: (n,) the metric.

    Raises:
        InputError: fewer than 4 points, or tokens that do not increase.
    """
    D, y = np.asarray(tokens, dtype=float), np.asarray(values, dtype=float)
    seen = np.isfinite(y)
    D, y = D[seen], y[seen]
    if D.size < 4:
        raise InputError(f"{D.size} points of the curve; give 4 or more to extrapolate it")
    if not (D[0] > 0 and (np.diff(D) > 0).all()):
        raise InputError("token counts of the curve do not increase from above 0; sort them")
    x = np.log(D / D[-1])
    unit = max(float(np.ptp(y)), 1e-12)
    best = (np.inf, _ALPHA, 0.0, 0.0)
    # Two of three parameters are linear: a fine grid over the third cannot miss.
    for alpha in np.exp(np.log(_ALPHA) + _ALPHA_SD * np.linspace(-3, 3, _STEPS)):
        X = np.column_stack([np.ones_like(x), np.exp(-alpha * x)])
        floor, amplitude = np.linalg.lstsq(X, y, rcond=None)[0]
        miss = float(((y - X @ [floor, amplitude]) ** 2).sum()) / unit**2
        prior = 1e-4 * (np.log(alpha / _ALPHA) / _ALPHA_SD) ** 2
        if miss + prior < best[0]:
            best = (miss + prior, float(alpha), float(floor), float(amplitude))
    _, alpha, floor, amplitude = best
    noise = float(np.sqrt(((y - floor - amplitude * np.exp(-alpha * x)) ** 2).sum() / (D.size - 3)))
    by_alpha = amplitude * np.exp(-alpha * x) * alpha * x
    told = float(by_alpha @ by_alpha) / max(noise, 1e-9 * unit) ** 2
    return LearningCurveFit(
        floor, amplitude, alpha, float(D[-1]), noise, float(1 / np.sqrt(told + _ALPHA_SD**-2))
    )
