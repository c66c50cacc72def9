"""What a domain is worth at the end of training: differences to a control, less their noise.

A value is how much better a run is whose last stage has more of a domain than the run of the same
seed whose last stage has none, metric by metric. Values are shrunk towards 0, per metric, by
V / (V + v): V is the mean square of the values beyond their noise, v the variance of that noise.

Notation:
    m domains, k metrics; C seeds of the control, S of every domain: the first S of the control
    D: (m, k) values; above 0 is better, also of metrics to be maximised
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit

from mixopt.errors import InputError
from mixopt.runs.objective import Objective
from mixopt.space.simplex import Array

Told = Literal["better", "worse", "within noise", "unknown"]


@dataclass(frozen=True, eq=False)
class DomainValues:
    """Values of domains, for each metric and for the objective.

    Attributes:
        domains: (m,), metrics: (k,) names.
        control: (k,) mean of the control's runs.
        measured: (m, k) D, NaN where no run succeeded.
        sd: (m, k) of the noise of `measured`; NaN where no two runs tell.
        shrunk: (m, k) D less its noise.
        objective: (m,) D of the objective, in its unit.
        objective_sd: (m,) of its noise.
        objective_shrunk: (m,) the objective of the shrunk metrics.
        freedom: degrees of freedom behind `sd`.
        share: x, of the domain in the last stage.
        tail: share of a run that the last stage takes.
    """

    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    control: Array
    measured: Array
    sd: Array
    shrunk: Array
    objective: Array
    objective_sd: Array
    objective_shrunk: Array
    freedom: int
    share: float
    tail: float

    @property
    def half_width(self) -> Array:
        """(m,) half of the 90 % interval of the objective's values (t); NaN where unknown."""
        if self.freedom < 1:
            return np.full(len(self.domains), np.nan)
        return np.asarray(stdtrit(self.freedom, 0.95) * self.objective_sd)

    @property
    def told(self) -> tuple[Told, ...]:
        """(m,) what the runs say of each domain's value for the objective, at 90 %."""
        pairs = zip(self.objective.tolist(), self.half_width.tolist(), strict=True)
        return tuple(_told(value, half) for value, half in pairs)

    @property
    def order(self) -> list[int]:
        """(m,) positions of the domains, the most valuable first; those without a value last."""
        return [int(i) for i in np.argsort(-self.objective_shrunk, kind="stable")]

    def change(self, objective: Objective) -> Array:
        """(m, k) what each shrunk value means for the metric itself."""
        return -self.shrunk * directions(objective, self.metrics)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values for programs, domain by domain; a missing number is None."""
        return {
            "share": self.share,
            "tail": self.tail,
            "control": dict(zip(self.metrics, map(_plain, self.control), strict=True)),
            "domains": {
                name: {
                    "objective": {
                        "measured": _plain(self.objective[i]),
                        "shrunk": _plain(self.objective_shrunk[i]),
                        "sd": _plain(self.objective_sd[i]),
                        "told": self.told[i],
                    },
                    "metrics": {
                        metric: {
                            "measured": _plain(self.measured[i, j]),
                            "shrunk": _plain(self.shrunk[i, j]),
                            "sd": _plain(self.sd[i, j]),
                        }
                        for j, metric in enumerate(self.metrics)
                    },
                }
                for i, name in enumerate(self.domains)
            },
        }

    def lines(self) -> list[str]:
        """In plain words: who helps, who hurts, of whom nothing is told."""
        stage = "alone" if self.share == 1.0 else f"as {100 * self.share:.3g} % of the mixture"
        where = f"a domain {stage} in the last {100 * self.tail:.3g} % of a run"
        lines = []
        for verb, told in (
            ("helps", "better"),
            ("hurts", "worse"),
            ("is not told apart from the control", "within noise"),
            ("is not compared beyond noise, which is unknown", "unknown"),
        ):
            chosen = [i for i in self.order if self.told[i] == told]
            named = ", ".join(
                f"{self.domains[i]} ({self.objective_shrunk[i]:+.2g})" for i in chosen
            )
            lines += [f"{where} {verb}: {named}"] if chosen else []
        return lines


def domain_values(
    domains: Sequence[str],
    metrics: Sequence[str],
    objective: Objective,
    *,
    controls: Array,
    tails: Array,
    share: float = 1.0,
    tail: float = 1.0,
) -> DomainValues:
    """Values of domains, from runs with a last stage of each and from their controls.

    With two seeds of the domains or more, the noise is that of their differences over seeds, pooled
    over domains; with one, that of the control over its seeds: what two runs of one seed share
    makes their difference less noisy than two independent runs, by an unknown amount.

    Args:
        domains: (m,) names.
        metrics: (k,) names.
        objective: what counts; says which metrics are to be maximised.
        controls: (C, k) metrics of the control, NaN where a run failed.
        tails: (m, S, k) metrics with a last stage of each domain, seed s as row s of `controls`.
        share: x.
        tail: share of a run that the last stage takes.

    Raises:
        InputError: shapes that do not agree, or no domain with a run and its control.
    """
    Y0, Y = np.asarray(controls, dtype=float), np.asarray(tails, dtype=float)
    m, S, k = Y.shape if Y.ndim == 3 else (0, 0, 0)
    if (m, k) != (len(domains), len(metrics)) or Y0.shape[1:] != (k,) or not 1 <= S <= len(Y0):
        raise InputError(
            f"controls of shape {Y0.shape} and tails of shape {Y.shape} for {len(domains)} domains "
            f"and {len(metrics)} metrics; give (C, k) and (m, S, k) with S from 1 to C"
        )
    sign = directions(objective, metrics)
    pairs = sign * (Y0[:S] - Y)
    if not np.isfinite(pairs).all(axis=2).any():
        raise InputError("no run of a domain has succeeded beside its control of the same seed")
    value = objective.value(Y0, metrics)
    of_tails = objective.value(Y.reshape(m * S, k), metrics).reshape(m, S)
    measured, sd, freedom = _with_noise(pairs, sign * Y0)
    total, total_sd, _ = _with_noise((value[:S] - of_tails)[..., None], value[:, None])
    control = _mean(Y0)
    shrunk = _shrunk(measured, sd)
    after = objective.value(control - sign * shrunk, metrics)
    return DomainValues(
        tuple(domains),
        tuple(metrics),
        control,
        measured,
        sd,
        shrunk,
        total[:, 0],
        total_sd[:, 0],
        float(objective.value(control[None], metrics)[0]) - after,
        freedom,
        share,
        tail,
    )


def directions(objective: Objective, metrics: Sequence[str]) -> Array:
    """(k,) 1 where lower is better, -1 where higher is."""
    return np.array([-1.0 if name in objective.maximize else 1.0 for name in metrics])


def _with_noise(pairs: Array, controls: Array) -> tuple[Array, Array, int]:
    """(m, k) mean differences, (m, k) sd of their noise, and the degrees of freedom behind it."""
    seen = np.isfinite(pairs).sum(axis=1)
    mean = np.full(seen.shape, np.nan)
    there = seen > 0
    mean[there] = np.nansum(pairs, axis=1)[there] / seen[there]
    within = int(np.maximum(seen.max(axis=1, initial=0) - 1, 0).sum())
    spare = int(np.isfinite(controls).all(axis=1).sum()) - 1
    if pairs.shape[1] > 1 and within > 0:
        squares = np.nansum((pairs - mean[:, None]) ** 2, axis=(0, 1))
        variance, freedom = squares / within, within
    elif spare > 0:
        variance, freedom = np.nanvar(controls, axis=0, ddof=1), spare
    else:
        variance, freedom = np.full(pairs.shape[2], np.nan), 0
    return mean, np.sqrt(variance / np.where(there, seen, np.nan)), freedom


def _shrunk(values: Array, sd: Array) -> Array:
    """(m, k) values times V / (V + v), with V per metric; as they are where v is unknown."""
    v = np.where(np.isfinite(sd), sd, 0.0) ** 2
    there = np.isfinite(values)
    beyond = np.where(there, values**2 - v, 0.0).sum(axis=0)
    V = np.maximum(beyond / np.maximum(there.sum(axis=0), 1), 0.0)
    kept = np.where(V + v > 0, V / np.where(V + v > 0, V + v, 1.0), 0.0)
    return np.asarray(values * kept)


def _mean(controls: Array) -> Array:
    """(k,) of the runs that succeeded."""
    good = controls[np.isfinite(controls).all(axis=1)]
    return np.asarray(good.mean(axis=0)) if len(good) else np.full(controls.shape[1], np.nan)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _told(value: float, half: float) -> Told:
    if not np.isfinite(value - half):
        return "unknown"
    if abs(value) <= half:
        return "within noise"
    return "better" if value > 0 else "worse"
