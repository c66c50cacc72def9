"""From what domains are worth at the end of a run to the last stage to train.

Notation:
    b: (m,) the base; v: (m,) the last stage; q: (m,) its excess over b, in units of what was tried
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from mixopt.diagnostics.domain_values import DomainValues, directions
from mixopt.laws.excess import FittedExcess
from mixopt.proposers import Gain, Surrogate
from mixopt.proposers.stage import Stage
from mixopt.runs.objective import Objective
from mixopt.space.simplex import Array
from mixopt.strategies.base import Problem

_SAME = 1e-6
_SOME = 0.01  # of the tried share: an excess below does not count as one


@dataclass(frozen=True, eq=False)
class TailModel:
    """The values as a law of whole runs, and which last stages are allowed.

    Attributes:
        told: what each domain is worth.
        surrogate: the law; guards are held against the control.
        law: the same as it was fitted.
        stage: what is allowed.
        values: (m,) measured values of the objective, 0 where none is known; sd: (m,) their noise.
    """

    told: DomainValues
    surrogate: Surrogate
    law: FittedExcess
    stage: Stage
    values: Array
    sd: Array

    @classmethod
    def of(
        cls, problem: Problem, objective: Objective, base: Array, told: DomainValues
    ) -> "TailModel":
        """Of the values.

        Args:
            problem: gives the constraints.
            objective: standardised, where it is to be.
            base: (m,) the trunk's mixture.
            told: the values.
        """
        rows, m = problem.space.index(told.domains), problem.space.dim
        known = np.zeros(m, dtype=bool)
        known[rows] = np.isfinite(told.objective)
        change, doubt = np.zeros((2, m, len(told.metrics)))
        change[rows] = np.nan_to_num(told.change(objective))
        doubt[rows] = np.nan_to_num(told.sd)
        noise = doubt.max(axis=0)
        law = FittedExcess(base, told.tail, told.share, told.control, noise, change, doubt, noise)
        sign = dict(zip(told.metrics, directions(objective, told.metrics), strict=True))
        at = dict(zip(told.metrics, told.control, strict=True))
        limits = {
            g.metric: float(sign[g.metric] * at[g.metric] + g.tolerance * abs(at[g.metric]))
            for g in objective.guards
        }
        values, sd = np.zeros((2, m))
        values[rows], sd[rows] = np.nan_to_num(told.objective), np.nan_to_num(told.objective_sd)
        surrogate = Surrogate(law, objective, told.metrics, limits=limits)
        stage = Stage(problem.space, base, told.share, told.tail, known)
        return cls(told, surrogate, law, stage, values, sd)

    def best(self) -> Array:
        """(m,) the last stage of least predicted objective, or the base.

        A schedule is harder to train than one mixture: the base is the answer unless the stage is
        better beyond the noise of the best of so many values.
        """
        v = self.lowest
        return v if self.gain(v).raw > self.luck(v) else self.stage.base

    def luck(self, v: Array) -> float:
        """What the best of as many values may gain by luck alone, 95 % of the time (Bonferroni)."""
        if not self.told.freedom:
            return 0.0
        tried = max(int(self.stage.tried.sum()), 1)
        return float(stdtrit(self.told.freedom, 1.0 - 0.05 / tried)) * self.gain(v).sd

    @cached_property
    def lowest(self) -> Array:
        """(m,) the last stage of least predicted objective by the linear programme."""
        objective, names = self.surrogate.objective, self.told.metrics
        c, level, slope = objective.coefficients(names), self.law.control, self.law.change.T
        used = c != 0
        if objective.reduce == "mean":
            a, B = np.array([level[used] @ c[used]]), (c[used] @ slope[used])[None]
        else:
            units = np.array([objective.scales.get(name, 1.0) for name in names])
            turned = np.sign(c[used]) / units[used]
            a, B = turned * level[used], turned[:, None] * slope[used]
        held = [names.index(g.metric) for g in objective.guards]
        sign = directions(objective, names)[held]
        room = np.array([g.tolerance for g in objective.guards]) * np.abs(level[held])
        q = self.stage.best(a, B, sign[:, None] * slope[held], room)
        return self.stage.mixture(q)

    def gain(self, v: Array) -> Gain:
        """Over the control: as measured, and by the shrunk values."""
        q = self.law.excess(self._whole(v))[0]
        rows = self.stage.space.index(self.told.domains)
        measured = self.law.change.copy()
        turned = directions(self.surrogate.objective, self.told.metrics)
        measured[rows] = np.nan_to_num(-self.told.measured * turned)
        raw = self._gained(replace(self.law, change=measured), v)
        sd = float(np.sqrt(q**2 @ self.sd**2))
        return Gain(raw, sd, self._gained(self.law, v))

    def notes(self, v: Array) -> list[str]:
        """What is to be said of the last stage."""
        told, names = self.told, self.stage.space.names
        lines = told.lines()
        if np.abs(v - self.stage.base).max() <= _SAME:
            lines.append(self._why_base())
        q = self.law.excess(self._whole(v))[0]
        more = [name for name, excess in zip(names, q, strict=True) if excess > _SOME]
        if len(more) > 1:
            lines.append(
                f"the last stage has more of {', '.join(more)}: their values are added up, and "
                "whether they do so only fresh seeds tell"
            )
        if self.surrogate.limits:
            lines.append(
                f"guards ({', '.join(self.surrogate.limits)}) are held against the control"
            )
        if not np.nan_to_num(told.measured).any():
            lines.append(
                "no tail differs from its control at all: the last stage is too short for the "
                "trainer to draw anything of it; raise 'tail'"
            )
        if not told.freedom:
            lines.append("one control has succeeded: noise is unknown, and values are not shrunk")
        return lines

    def _why_base(self) -> str:
        """Why the base is the answer."""
        best, base = self.lowest, self.stage.base
        gain = self.gain(best)
        if np.abs(best - base).max() <= _SAME or gain.raw <= 0:
            return "no last stage is predicted to beat the control: the base is the answer"
        pairs = zip(self.stage.space.names, (best - base).tolist(), strict=True)
        more = ", ".join(name for name, change in pairs if change > _SOME)
        return (
            f"the best last stage (more {more}) is predicted to beat the control by "
            f"{gain.raw:.2g}, no more than luck may ({self.luck(best):.2g}): the base is the "
            "answer; more seeds tell"
        )

    def _gained(self, law: FittedExcess, v: Array) -> float:
        surrogate = replace(self.surrogate, fitted=law)
        both = np.vstack([self._whole(self.stage.base), self._whole(v)])
        before, after = surrogate.moments(both)[0]
        return float(before - after)

    def _whole(self, v: Array) -> Array:
        """(1, m) what a run draws in total."""
        return ((1.0 - self.told.tail) * self.stage.base + self.told.tail * v)[None]
