"""What became of earlier promotions: predicted against measured, and what the next one learns.

Notation:
    share: measured gain / predicted gain; 1 where the prediction came true
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import stats

from mixopt.diagnostics.gates import Gate, Level
from mixopt.diagnostics.trust import Trust
from mixopt.errors import InputError
from mixopt.evidence.numbers import number
from mixopt.evidence.stored import plain, restored

REALISED = 0.5
"""Least mean share of the predicted gain that earlier promotions realised: below it, half of what
is predicted here is not to be expected either."""

FORMAT = 1
"""Of a record; those of another format are left aside, and counted."""

Where = Literal["promotion", "large run"]


@dataclass(frozen=True)
class Past:
    """One promotion, as it turned out.

    Attributes:
        study: name of the sweep.
        where: measured by the runs of the promotion, or by the large run.
        params, tokens: scale at which it was measured; 0 where it was not said.
        baseline: over which the gain is; empty where none was trained.
        predicted: gain that the study's model had predicted, in units of its objective.
        measured: gain; NaN where no baseline was trained.
        low, high: interval of the measured gain; NaN without one.
        rank: Spearman's correlation of predicted and measured values of all plans; NaN of fewer
            than three.
        plans: that have both.
        version: of the registered model; empty where nothing was registered.
    """

    study: str
    where: Where
    params: int
    tokens: int
    baseline: str
    predicted: float
    measured: float
    low: float = float("nan")
    high: float = float("nan")
    rank: float = float("nan")
    plans: int = 0
    version: str = ""

    @property
    def share(self) -> float:
        """Measured gain / predicted gain; NaN where no gain was predicted or measured."""
        return self.measured / self.predicted if self.predicted > 0 else float("nan")

    @property
    def optimism(self) -> float:
        """Predicted minus measured gain, in units of the study's objective."""
        return self.predicted - self.measured

    @property
    def line(self) -> str:
        """For people."""
        version = f" version {self.version}" if self.version else ""
        told = f"{self.study}{version} ({self.where}): "
        if not self.baseline:
            return f"{told}no baseline beside it, so that its gain is not known"
        told += (
            f"predicted {number(self.predicted)}, measured {number(self.measured)} over "
            f"{self.baseline}"
        )
        if np.isfinite(self.rank):
            told += f"; rank correlation {self.rank:.2f} over {self.plans} plans"
        return told

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        values: dict[str, Any] = {"format": FORMAT, **plain(self)}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Past":
        """What `to_dict` wrote.

        Raises:
            InputError: the values have another form.
        """
        fields = dict(values)
        form = fields.pop("format", None)
        if form != FORMAT:
            raise InputError(f"a record of format {form}; this mixopt reads {FORMAT}")
        made: Past = restored(cls, fields)
        return made

    def of_version(self, version: str) -> "Past":
        """The same, with the version that was registered."""
        return replace(self, version=version)


def latest(past: Sequence[Past]) -> tuple[Past, ...]:
    """One for each study that says something: the large run before the promotion, the last first.

    Args:
        past: in the order in which they came in.
    """
    kept: dict[str, Past] = {}
    for one in past:
        before = kept.get(one.study)
        if not np.isfinite(one.share):
            continue
        if before is None or one.where == "large run" or before.where == "promotion":
            kept[one.study] = one
    return tuple(kept.values())


def realised(past: Sequence[Past]) -> float:
    """Mean share of the predicted gain that earlier studies realised; NaN without one."""
    shares = [one.share for one in latest(past)]
    return float(np.mean(shares)) if shares else float("nan")


def past_promotions(past: Sequence[Past]) -> Gate:
    """Did what was predicted before come true?

    One study alone lowers no trust, whatever became of it: it is said. From two on it counts.
    """
    known = latest(past)
    if not known:
        why = "no promotion of another study is in this registry"
        return Gate.unmeasured("past promotions", why, None, allows="trust")
    shares = np.array([one.share for one in known])
    value, half = float(shares.mean()), float("nan")
    if len(known) > 1:
        t = float(stats.t.ppf(0.95, len(known) - 1))
        half = t * float(shares.std(ddof=1)) / float(np.sqrt(len(known)))
    good = value >= REALISED
    ranks = [one.rank for one in known if np.isfinite(one.rank)]
    told = (
        f"{len(known)} earlier stud{'y' if len(known) == 1 else 'ies'} realised "
        f"{100 * value:.0f} % of the gain that had been predicted"
    )
    if ranks:
        told += f", their plans were ranked with rho {float(np.mean(ranks)):.2f}"
    allows: Level = "trust" if good or len(known) < 2 else "ranking only"
    return Gate(
        "past promotions", "yes" if good else "no", told,
        value, value - half, value + half, REALISED, allows,
    )  # fmt: skip


def learned(verdict: Trust, past: Sequence[Past]) -> Trust:
    """A verdict in the light of what became of earlier promotions."""
    return verdict.also(past_promotions(past))


def read_past(values: Sequence[Mapping[str, Any]]) -> tuple[tuple[Past, ...], int]:
    """Records that were kept as plain JSON, and how many of another form were left aside.

    A registry is shared by people with several versions of mixopt: what one of them wrote must not
    keep another from working.
    """
    known, odd = [], 0
    for one in values:
        try:
            known.append(Past.from_dict(one))
        except (InputError, KeyError, TypeError, ValueError):
            odd += 1
    return tuple(known), odd
