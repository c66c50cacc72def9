"""What a study shows of itself: frames of what it predicts, and what stands behind each picture.

Notation:
    n runs or mixtures, m domains, k metrics
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mixopt.errors import InputError
from mixopt.plots import along
from mixopt.proposers import Recommendation, Surrogate, pareto
from mixopt.runs.columns import METRIC, WEIGHT
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture, MixtureSpace, html
from mixopt.space.simplex import Array

_Z90 = 1.645
_POINTS = 41
OBJECTIVE = "objective"


MixturesLike = Mixture | Mapping[str, float] | Sequence[Mixture | Mapping[str, float]] | ArrayLike


@dataclass(frozen=True)
class Best:
    """The best run told.

    Attributes:
        run: its name, or its row, counted from 1.
        mixture: what it was trained on.
        value: its objective (lower is better after directions are applied).
        metrics: by name.
        runs: how many it was chosen from: the lowest of many noisy values is too low.
    """

    run: str
    mixture: Mixture
    value: float
    metrics: Mapping[str, float]
    runs: int

    def __repr__(self) -> str:
        of = f"{self.value:.4g}, the lowest of {self.runs} runs"
        return f"<Best run {self.run}: {of}; {html.in_words(self.mixture.to_dict())}>"

    def _repr_html_(self) -> str:
        title = f"Run {self.run}: objective {self.value:.4g}, the lowest of {self.runs} runs"
        return html.paragraph(title, strong=True) + html.shares(self.mixture.to_dict())


def best_of(table: RunTable, objective: Objective) -> Best:
    """The run with the lowest objective among those of the largest scale.

    Raises:
        InputError: no run has all metrics of the objective.
    """
    value = objective.value(table.Y, table.metrics)
    size = np.nan_to_num(table.scales.prod(axis=1), nan=0.0)
    complete = np.isfinite(value)
    if not complete.any():
        raise InputError("no run has all metrics of the objective; there is no best one")
    here = complete & (size == size[complete].max())
    row = int(np.flatnonzero(here)[np.argmin(value[here])])
    name = str(table.facts["run"].iloc[row]) if "run" in table.facts else f"in row {row + 1}"
    return Best(
        name,
        Mixture(table.domains, tuple(table.W[row].tolist())),
        float(value[row]),
        {k: float(v) for k, v in zip(table.metrics, table.Y[row], strict=True)},
        int(here.sum()),
    )


def mixtures_of(space: MixtureSpace, mixtures: MixturesLike, renormalize: bool = False) -> Array:
    """(n, m) weights of one mixture or several, however they are given.

    `renormalize` accepts any positive sum, as of percentages.

    Raises:
        InputError: an unknown domain, a wrong number of weights, or weights off the simplex.
    """
    if isinstance(mixtures, pd.DataFrame):
        columns = [str(c).removeprefix(WEIGHT) for c in mixtures.columns]
        rows = [dict(zip(columns, row, strict=True)) for row in mixtures.to_numpy(dtype=float)]
        return mixtures_of(space, rows, renormalize)
    if isinstance(mixtures, Mixture | Mapping):
        return mixtures_of(space, [mixtures], renormalize)
    if isinstance(mixtures, Sequence):
        named = [m.to_dict() if isinstance(m, Mixture) else m for m in mixtures]
        if named and all(isinstance(one, Mapping) for one in named):
            return np.array([space.mixture(one, renormalize=renormalize).array for one in named])
    given = np.atleast_2d(np.asarray(mixtures, dtype=float))
    return np.array([space.mixture(w, renormalize=renormalize).array for w in given])


def predicted(surrogate: Surrogate, W: Array) -> pd.DataFrame:
    """One row per mixture: objective and metrics, each with the sd of what the law does not know.

    Columns `objective`, `objective_sd`, then `m/<metric>` and `sd/<metric>`. At a scale that no run
    was trained at, `reach` is put before them, with what that leaves ("extrapolated" or "ranking
    only"), and `attrs["reach"]` has the reason in words; where only the ranking is left, `rank` has
    it (1 is best) and all values are NaN.
    """
    seen = surrogate.predict(W)
    mean, sd = surrogate.moments(W)
    columns = {OBJECTIVE: mean, f"{OBJECTIVE}_sd": sd}
    for j, name in enumerate(surrogate.metrics):
        columns |= {METRIC + name: seen.mean[:, j], f"sd/{name}": seen.sd[:, j]}
    frame, reach = pd.DataFrame(columns), surrogate.reach
    if reach is None or reach.level == "seen":
        return frame
    if not reach.levels:
        frame = frame.assign(**dict.fromkeys(frame.columns, np.nan))
        frame.insert(0, "rank", mean.argsort(kind="stable").argsort(kind="stable") + 1)
    frame.insert(0, "reach", reach.level)
    frame.attrs["reach"] = reach.line
    return frame


def weights_frame(answer: Recommendation, space: MixtureSpace) -> pd.DataFrame:
    """Domain, natural and recommended share, and the interval of the latter; largest first."""
    rows = [
        (name, answer.mixture[name], *answer.intervals[name], float(prior))
        for name, prior in zip(space.names, space.prior, strict=True)
    ]
    columns = ["domain", "share", "low", "high", space.prior_name]
    return pd.DataFrame(rows, columns=columns).sort_values("share", ascending=False)


def response_frame(
    surrogate: Surrogate, space: MixtureSpace, at: Mixture, domains: Sequence[str]
) -> pd.DataFrame:
    """The predicted objective as one domain's share moves, the others re-balanced in proportion.

    Columns: domain, share, mean, low, high (90 % of what the law does not know).
    """
    centre = space.mixture(at.to_dict()).array
    parts = []
    for name in domains:
        (i,) = space.index([name])
        grid = np.linspace(space.lower[i], space.upper[i], _POINTS)
        mean, sd = surrogate.moments(along(centre, i, grid))
        part = {"share": grid, "mean": mean, "low": mean - _Z90 * sd, "high": mean + _Z90 * sd}
        parts.append(pd.DataFrame({"domain": name, **part}))
    return pd.concat(parts, ignore_index=True)


def front_frame(
    surrogate: Surrogate, space: MixtureSpace, metrics: Sequence[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Mixtures of which none is predicted to be better than another in every one of some metrics.

    Raises:
        InputError: fewer than two metrics, or one that the law does not predict.
    """
    if len(metrics) < 2:
        raise InputError(f"a front is of two metrics or more, and {list(metrics)} was given")
    unknown = [name for name in metrics if name not in surrogate.metrics]
    if unknown:
        raise InputError(f"unknown metric {unknown[0]!r}; known: {', '.join(surrogate.metrics)}")
    places = [surrogate.metrics.index(name) for name in metrics]
    signs = np.array([-1.0 if name in surrogate.objective.maximize else 1.0 for name in metrics])
    made = pareto.pareto_front(
        lambda W: surrogate.expected(W).mean[:, places] * signs, space, rng=rng, extend=1
    )
    shown = pd.DataFrame(made.F * signs, columns=[METRIC + name for name in metrics])
    return pd.concat(
        [shown, pd.DataFrame(made.W, columns=[WEIGHT + d for d in space.names])], axis=1
    )


def history_frame(table: RunTable, objective: Objective) -> pd.DataFrame:
    """Every run in the order in which it was told: what was spent by then, its objective, the best.

    `spent` counts runs where none of them states a cost; `best` is that of the runs of its own
    scale so far.
    """
    value = objective.value(table.Y, table.metrics)
    _, scale = np.unique(np.nan_to_num(table.scales), axis=0, return_inverse=True)
    costs = np.nan_to_num(table.costs)
    spent = np.cumsum(costs if costs.any() else np.ones(len(table)))
    frame = pd.DataFrame({"spent": spent, OBJECTIVE: value})
    return frame.assign(best=frame.groupby(scale.reshape(-1))[OBJECTIVE].cummin())


def fidelity_frame(table: RunTable, objective: Objective) -> pd.DataFrame:
    """Mixtures that were run at the smallest and at the largest scale: both objectives, means.

    Raises:
        InputError: fewer than two mixtures were run at both.
    """
    value = objective.value(table.Y, table.metrics)
    size = np.nan_to_num(table.scales.prod(axis=1))
    ends = {"small": size.min(), "large": size.max()}
    W = table.W.round(6)
    parts = [
        pd.DataFrame({"mixture": list(map(tuple, W[size == at])), name: value[size == at]})
        .groupby("mixture")
        .mean()
        for name, at in ends.items()
    ]
    both = parts[0].join(parts[1], how="inner").dropna().reset_index()
    shared = len(both) if ends["small"] < ends["large"] else 0
    if shared < 2:
        raise InputError(
            "small and large runs can be compared where two mixtures or more were run at both the "
            f"smallest and the largest scale; here {shared} were"
        )
    return both
