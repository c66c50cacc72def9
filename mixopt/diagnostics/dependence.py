"""Do experiments that share a run interfere? Each alone from one checkpoint, none, all together.

After continual-pretraining dependence testing (2509.23383): experiments are independent where the
outcome of each, with another one's data alone, is that without any, and with all data together is
that with its own alone. n experiments take n + 2 kinds of runs and not one for every pair of them.
What is tested, and how, is ours: a pooled noise with Student's quantiles (a noise per experiment
from three seeds, with normal ones, flags an additive world in 44 to 94 % of cases) and Holm's
correction over all ordered pairs.

Notation:
    n experiments; s seeds of the base; Y_ij: outcome of i in the run with the data of j alone
    Y_i0: mean outcome of i over the seeds of the base; sigma: sd of an outcome over seeds
    z_ij = (Y_ij - Y_i0) / (sigma sqrt(1 + 1/s)) with n(s - 1) degrees of freedom
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import nctdtrinc, ndtri, stdtr, stdtrit

from mixopt.errors import InputError
from mixopt.space.simplex import Array

LEVEL = 0.05
POWER = 0.8
"""With which an effect of the size that is reported as detectable would be found."""
UNSEEN = "pairs alone are looked at: what three experiments do together stays unseen"
_UNLIKE = 2.0  # times the pooled noise, from which on that of one experiment is worth a word
_KNOWN = np.inf


@dataclass(frozen=True, eq=False)
class Dependence:
    """What the runs say of every ordered pair.

    Attributes:
        names: (n,) of the experiments.
        base: (n,) Y_i0.
        alone: (n, n) Y_ij: rows are outcomes, columns data; NaN where a run failed.
        joint: (n,) outcomes with all data together.
        sd: (n,) sigma as it was used.
        own_sd: (n,) over the seeds of the base, each experiment by itself.
        seeds: s.
        freedom: degrees of freedom; infinite for a noise that was known.
        level: of each of the two families of tests.
    """

    names: tuple[str, ...]
    base: Array
    alone: Array
    joint: Array
    sd: Array
    own_sd: Array
    seeds: int
    freedom: float
    level: float

    @property
    def effect(self) -> Array:
        """(n, n) Y_ij - Y_i0: what the data of j change in the outcome of i."""
        return np.asarray(self.alone - self.base[:, None])

    @cached_property
    def z(self) -> Array:
        """(n, n) see the notation; on the diagonal that of the experiment itself."""
        return np.asarray(self.effect / (self.sd[:, None] * self._wide))

    @cached_property
    def flagged(self) -> NDArray[np.bool_]:
        """(n, n) whether j changes what i shows, beyond chance at `level` for all pairs together.

        By Holm's correction; the diagonal is never.
        """
        others = ~np.eye(len(self.names), dtype=bool)
        flags = np.zeros(others.shape, dtype=bool)
        flags[others] = holm(two_sided(self.z[others], self.freedom), self.level)
        return flags

    @cached_property
    def joint_z(self) -> Array:
        """(n,) of the outcome with all data against that with the own alone."""
        return np.asarray((self.joint - np.diag(self.alone)) / (self.sd * np.sqrt(2.0)))

    @cached_property
    def joint_flagged(self) -> NDArray[np.bool_]:
        """(n,) whether they differ, by Holm's correction over n."""
        return holm(two_sided(self.joint_z, self.freedom), self.level)

    @property
    def detectable(self) -> Array:
        """(n,) the smallest effect on an experiment that would be found with `POWER`.

        In the unit of the outcomes, at the strictest step of Holm's correction.
        """
        n = len(self.names)
        return np.asarray(self.sd * self._wide * _found(self.freedom, self.level / (n * (n - 1))))

    @property
    def _wide(self) -> float:
        return float(np.sqrt(1.0 + 1.0 / self.seeds))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Positions (i, j) of the flagged pairs, the strongest first."""
        flags = [(int(i), int(j)) for i, j in np.argwhere(self.flagged)]
        return sorted(flags, key=lambda ij: -abs(self.z[ij]))

    @property
    def headline(self) -> str:
        """What the runs say, in one sentence."""
        named = ", ".join(f"{self.names[j]} in {self.names[i]}" for i, j in self.pairs)
        if named:
            return f"They interfere: {named}. Run these apart."
        if self.joint_flagged.any():
            together = ", ".join(self.names[i] for i in np.flatnonzero(self.joint_flagged))
            return f"No pair interferes, and all together change what {together} shows."
        if not np.isfinite(self.z).all():
            return "Runs failed: of some pairs nothing is known, and no other one interferes."
        return (
            f"No two of the {len(self.names)} experiments interfere beyond chance: they may share "
            f"a run, as far as effects of {np.nanmax(self.detectable):.2g} or more go."
        )

    @property
    def independent(self) -> bool:
        """Whether no pair is flagged, nor the joint run of any experiment."""
        return not self.flagged.any() and not self.joint_flagged.any()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values for programs; a missing number is None."""
        n = range(len(self.names))
        return {
            "independent": self.independent,
            "level": self.level,
            "seeds": self.seeds,
            "freedom": _plain(self.freedom),
            "unseen": UNSEEN,
            "experiments": {
                name: {
                    "base": _plain(self.base[i]),
                    "sd": _plain(self.sd[i]),
                    "own_sd": _plain(self.own_sd[i]),
                    "detectable": _plain(self.detectable[i]),
                    "joint": _plain(self.joint[i]),
                    "joint_z": _plain(self.joint_z[i]),
                    "joint_differs": bool(self.joint_flagged[i]),
                    "under": {
                        self.names[j]: {
                            "outcome": _plain(self.alone[i, j]),
                            "effect": _plain(self.effect[i, j]),
                            "z": _plain(self.z[i, j]),
                            "flagged": bool(self.flagged[i, j]),
                        }
                        for j in n
                    },
                }
                for i, name in enumerate(self.names)
            },
        }

    def lines(self) -> list[str]:
        """In plain words: who interferes, what could have been seen, what could not."""
        lines = [
            f"{self.names[j]} changes what {self.names[i]} shows by {self.effect[i, j]:+.3g} "
            f"(z {self.z[i, j]:.1f})"
            for i, j in self.pairs
        ]
        pairs = len(self.names) * (len(self.names) - 1)
        if not lines:
            lines.append(f"none of the {pairs} ordered pairs interferes beyond chance")
        lines += [
            f"{self.names[i]} is {self.joint[i] - self.alone[i, i]:+.3g} off what it shows alone "
            f"where all are together (z {self.joint_z[i]:.1f})"
            for i in np.flatnonzero(self.joint_flagged)
        ]
        if np.isfinite(self.detectable).any():
            low, high = np.nanmin(self.detectable), np.nanmax(self.detectable)
            size = f"{low:.2g}" if np.isclose(low, high) else f"{low:.2g} to {high:.2g}"
            lines.append(
                f"an effect of {size} would be seen in {100 * POWER:.0f} % of cases, of smaller "
                "ones nothing is known; more seeds of the base, or larger doses, show smaller ones"
            )
        return [*lines, *self._doubts(), UNSEEN]

    def _doubts(self) -> list[str]:
        lines = []
        mute = [
            name
            for i, name in enumerate(self.names)
            if np.isfinite(self.effect[i, i]) and abs(self.effect[i, i]) < self.detectable[i]
        ]
        if mute:
            lines.append(
                f"{', '.join(mute)} by itself moves its own outcome by less than could be found: "
                "that it disturbs nobody, or nobody it, says little"
            )
        missing = [name for j, name in enumerate(self.names) if np.isnan(self.alone[:, j]).any()]
        if missing:
            lines.append(f"runs with {', '.join(missing)} failed: nothing is known of their pairs")
        loud = [
            name for i, name in enumerate(self.names) if self.own_sd[i] > _UNLIKE * self.sd[i] > 0
        ]
        if loud:
            lines.append(
                f"{', '.join(loud)} is noisier than the others, and the noise of all was used: "
                "what is flagged there may be chance"
            )
        return lines


def dependence(
    names: Sequence[str],
    *,
    base: Array,
    alone: Array,
    joint: Array,
    sd: Array | float | None = None,
    level: float = LEVEL,
) -> Dependence:
    """Test every ordered pair of experiments for interference.

    Args:
        names: (n,) of the experiments, two or more.
        base: (s, n) outcomes of every experiment in runs without any, two seeds or more; NaN where
            a run failed.
        alone: (n, n) Y_ij, NaN where a run failed.
        joint: (n,) outcomes with all data, NaN where that run failed.
        sd: sigma, (n,) or one for all, where it is known; else it is pooled over the experiments.
        level: of all pairs together, and of all joint outcomes together.

    Raises:
        InputError: shapes that do not agree, fewer than two experiments, or no noise.
    """
    Y0, Y = np.asarray(base, dtype=float), np.asarray(alone, dtype=float)
    J, n = np.asarray(joint, dtype=float), len(names)
    if Y0.shape[1:] != (n,) or Y.shape != (n, n) or J.shape != (n,) or n < 2:
        raise InputError(
            f"base of shape {Y0.shape}, alone of {Y.shape} and joint of {J.shape} for {n} "
            "experiments; give (s, n), (n, n) and (n,), of two experiments or more"
        )
    if not 0 < level < 1:
        raise InputError(f"level is {level}; give a number between 0 and 1, such as {LEVEL}")
    Y0 = Y0[np.isfinite(Y0).all(axis=1)]
    s = len(Y0)
    if s < 1 or (s < 2 and sd is None):
        raise InputError(
            f"the base has {s} runs that succeeded; noise is known from two or more: give more "
            "seeds, or the sd"
        )
    own = Y0.std(axis=0, ddof=1) if s > 1 else np.full(n, np.nan)
    if sd is None:
        freedom = float(n * (s - 1))
        sigma = np.full(n, np.sqrt(np.square(Y0 - Y0.mean(axis=0)).sum() / freedom))
    else:
        freedom, sigma = _KNOWN, np.broadcast_to(np.asarray(sd, dtype=float), (n,)).copy()
    if not (np.isfinite(sigma).all() and (sigma > 0).all()):
        raise InputError(
            "the runs of the base agree to the last digit, or the sd is no number above 0; give "
            "seeds that differ"
        )
    return Dependence(tuple(names), Y0.mean(axis=0), Y, J, sigma, own, s, freedom, level)


def two_sided(z: Array, freedom: float) -> Array:
    """P-values of statistics that are Student's, normal where `freedom` is infinite; NaN stays."""
    given = np.asarray(z, dtype=float)
    # of the normal distribution at 1e9 degrees of freedom, to twelve digits
    return np.asarray(2.0 * stdtr(min(freedom, 1e9), -np.abs(given)))


def holm(p: Array, level: float) -> NDArray[np.bool_]:
    """Which hypotheses are rejected at a level for all of them together (Holm 1979).

    Args:
        p: p-values in any shape; NaN was not tested, and does not count.
        level: chance that any is rejected that holds.
    """
    flat = np.ravel(p)
    rejected = np.zeros(flat.shape, dtype=bool)
    tested = np.flatnonzero(np.isfinite(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    passed = flat[order] <= level / np.arange(len(order), 0, -1)
    count = len(order) if passed.all() else int(np.argmin(passed))
    rejected[order[:count]] = True
    return rejected.reshape(np.shape(p))


@cache
def _found(freedom: float, level: float) -> float:
    """How many sd of an estimate an effect must have to be found with `POWER`."""
    if not np.isfinite(freedom):
        return float(ndtri(1.0 - level / 2.0) + ndtri(POWER))
    edge = float(stdtrit(freedom, 1.0 - level / 2.0))
    return float(nctdtrinc(freedom, 1.0 - POWER, edge))


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
