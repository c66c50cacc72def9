"""How well will an answer be known? Said before anything is fitted, or even run.

The sd of a Gaussian process depends on where the runs are and on their noise alone, not on what
comes out. With the smoothness that processes have learned from tables like those of
`mixopt.testing.tables` it says how wide an answer from such runs is: right on average there, and
within a factor of two in half of them, for nothing is known yet of how the objective bends.

Notation:
    W: (n, m) mixtures of the runs; noise: sd of one run, in sds of the objective over mixtures
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixopt.diagnostics.gates import FINE, KNOWN
from mixopt.errors import InputError
from mixopt.laws.base import as_mixtures
from mixopt.laws.features import EPSILON, FeatureMap
from mixopt.laws.processes.kernel import Posterior
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array

TYPICAL_NOISE = (0.1, 0.3)
"""What noise is measured against the spread of the objective, where nobody knows it yet: clean and
ordinary losses of small proxies."""
_LENGTH, _SIGNAL = 1.8, 2.5
"""log of a lengthscale less half of log m, and variance of the process in units of that of the
runs: medians over 108 fits to choosing tables (docs/log/trust.md)."""
_POINTS, _WORSE = 300, 0.9
_Z90 = 1.645


@dataclass(frozen=True)
class Expected:
    """The width to be expected of an answer.

    Attributes:
        runs: how many. noise: of one, in sds of the objective over mixtures.
        half: half of the 90 % interval of the objective at nine mixtures out of ten, at most, in
            sds of the objective over mixtures; where the objective is as smooth as is typical.
    """

    runs: int
    noise: float
    half: float

    @property
    def seeds(self) -> float:
        """`half` in seed sds, as the gate on the value of an answer counts."""
        return self.half / max(self.noise, FINE)

    @property
    def enough(self) -> bool:
        """Whether that gate would hold."""
        return self.seeds <= KNOWN

    @property
    def line(self) -> str:
        """In plain words."""
        return (
            f"with noise of {self.noise:.2g} of the objective's spread over mixtures, {self.runs} "
            f"runs let the value of an answer be known to about +-{self.half:.2g} of that spread "
            f"({self.seeds:.1f} seed sds"
            + (")" if self.enough else f"; an answer is trusted from {KNOWN:.0f} down)")
        )


def expected_width(
    W: Array, space: MixtureSpace, *, noise: float, rng: np.random.Generator
) -> Expected:
    """What runs at mixtures W tell at most, whatever comes out of them.

    Args:
        W: (n, m) mixtures of the runs, those to come included; repeats count.
        space: what is allowed.
        noise: sd of one run, in sds of the objective over mixtures.
        rng: draws the mixtures that are looked at.

    Raises:
        InputError: no two different runs, or a noise that is no number of at least 0.
    """
    W = as_mixtures(W, space.dim)
    if len(np.unique(np.round(W, 9), axis=0)) < 2:
        raise InputError(f"{len(W)} runs at fewer than two mixtures tell nothing; add runs")
    if not (np.isfinite(noise) and noise >= 0):
        raise InputError(f"noise is {noise}; give the sd of one run, at least 0")
    features = FeatureMap.learn(W, "sqrt", EPSILON)
    Z, points = features(W), features(space.sample(_POINTS, rng))
    lengths = np.full(space.dim, _LENGTH + 0.5 * np.log(space.dim))
    log_theta = np.r_[lengths, np.log(_SIGNAL), 2.0 * np.log(max(noise, 1e-3))]
    variance = Posterior.condition(Z, np.zeros(len(Z)), log_theta).moments(points)[1]
    return Expected(len(W), noise, _Z90 * float(np.sqrt(np.quantile(variance, _WORSE))))


def beforehand(
    W: Array, space: MixtureSpace, *, noises: Sequence[float] = TYPICAL_NOISE
) -> list[Expected]:
    """One for every noise that is thinkable; the same whenever it is asked for."""
    return [expected_width(W, space, noise=noise, rng=np.random.default_rng(0)) for noise in noises]
