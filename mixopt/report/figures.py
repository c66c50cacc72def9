"""The figures of a report, from its data; each is left out where its data is missing.

Notation:
    m domains, k metrics; g points along a response curve
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mixopt import plots
from mixopt.designs import baselines
from mixopt.plots.style import Figure
from mixopt.report.data import ReportData, with_unit
from mixopt.runs import Observation
from mixopt.runs.kinds import RECOMMENDED
from mixopt.space import Mixture
from mixopt.space.simplex import Array

OBJECTIVE = "the objective"
_PANELS = 12  # response panels at most: more cannot be read
_OPTIONS = 40  # metrics to choose from at most
_POINTS = 41
_FRONT_OBJECTIVES = 5  # pairs of so many objectives can be chosen


@dataclass(frozen=True)
class Plate:
    """A titled place for a figure, or for several to choose from.

    Attributes:
        key: its anchor on the page.
        title: heading.
        short: its name in the navigation.
        caption: how to read it.
        options: name of a choice to figure.
    """

    key: str
    title: str
    short: str
    caption: str
    options: dict[str, Figure]


def plates(data: ReportData) -> list[Plate]:
    """Every figure that the data allows, in the order of the page.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    made = (
        _schedule(data),
        _mixture(data),
        _front(data),
        _confirmed(data),
        _held_out(data),
        _responses(data),
        _learning(data),
        _best(data),
    )
    return [plate for plate in made if plate is not None]


def _schedule(data: ReportData) -> Plate | None:
    plan = None if data.recommendation is None else data.recommendation.schedule
    if plan is None:
        return None
    return Plate(
        "schedule-figure",
        "The mixture over the run",
        "Over the run",
        "Height: share of the tokens that are drawn at that point of the run.",
        {OBJECTIVE: plots.schedule_steps(plan)},
    )


def _mixture(data: ReportData) -> Plate | None:
    recommendation = data.recommendation
    if recommendation is None:
        return None
    shown = data.confirmation
    rivals: dict[str, Mixture] = dict(baselines(data.space))
    if shown is not None:
        rivals |= {c.name: c.mixture for c in shown.candidates[1:]}
    ours = set(recommendation.mixture.domains)
    rivals = {k: v for k, v in rivals.items() if set(v.domains) == ours and _spread(v)}
    mixtures = {RECOMMENDED: recommendation.mixture} | {
        name: data.space.mixture(rival.to_dict()) for name, rival in rivals.items()
    }
    figure = plots.mixture_bars(
        mixtures, intervals=recommendation.intervals, shown={RECOMMENDED, "natural", "uniform"}
    )
    return Plate(
        "mixture-figure",
        "Recommended mixture against baselines",
        "Shares",
        "Bars: recommended share; the whisker shows how far a share can move (others re-balanced) "
        "before the prediction worsens by more than the noise. Click a name to show or hide it.",
        {OBJECTIVE: figure},
    )


def _front(data: ReportData) -> Plate | None:
    if len(data.front) < 2:
        return None
    names = list(data.front[0][1])[:_FRONT_OBJECTIVES]
    values = {name: [objectives[name] for _, objectives in data.front] for name in names}
    mixtures = [list(mixture.to_dict().items()) for mixture, _ in data.front]
    options = {
        f"{one} against {other}": plots.trade_off(
            values[one], values[other], axes=(one, other), mixtures=mixtures
        )
        for i, one in enumerate(names)
        for other in names[i + 1 :]
    }
    return Plate(
        "front-figure",
        "Trade-offs between the objectives",
        "Front",
        "Every point is a mixture that no other is predicted to beat in every objective; lower is "
        "better. Point at one to see its largest shares.",
        options,
    )


def _spread(mixture: Mixture) -> bool:
    """Single-domain mixtures say nothing in a picture of shares."""
    return max(mixture.weights) < 1.0 or len(mixture.weights) == 1


def _confirmed(data: ReportData) -> Plate | None:
    shown = data.confirmation
    if shown is None:
        return None
    seeds = {c.name: c.values for c in shown.candidates if c.values}
    figure = plots.confirmed(seeds, shown.seed_sd, axis=data.objective_axis)
    return Plate(
        "confirmed",
        "Candidates trained with fresh seeds",
        "Fresh seeds",
        "Lower is better, best on top. A candidate whose mean lies right of the blue band (the "
        "recommendation ± twice the seed sd) is worse beyond noise.",
        {OBJECTIVE: figure},
    )


def _held_out(data: ReportData) -> Plate | None:
    seen = data.held_out
    if seen is None or not np.isfinite(seen.observed).any():
        return None
    first = [k for k in data.objective.metrics if k in seen.metrics]
    names = list(dict.fromkeys([*first, *seen.metrics]))[:_OPTIONS]
    options = {}
    if len(data.objective.metrics) > 1 and data.covers(seen.metrics):
        value = data.objective.value(seen.observed, seen.metrics)
        mean, sd = data.objective.moments(seen.mean, seen.sd, seen.metrics)
        axis = data.objective_axis
        options[OBJECTIVE] = plots.predicted_observed(value, mean, sd, axis=axis, names=seen.runs)
    for name in names:
        j = seen.metrics.index(name)
        options[name] = plots.predicted_observed(
            seen.observed[:, j],
            seen.mean[:, j],
            seen.sd[:, j],
            axis=with_unit(name, data.unit),
            names=seen.runs,
        )
    return Plate(
        "held-out",
        "Predicted against observed",
        "Predictions",
        "Every point is a run that the law was not fitted to (cross-validation), with the 90 % "
        "interval of the prediction. About nine in ten should touch the dashed line.",
        options,
    )


def _responses(data: ReportData) -> Plate | None:
    recommendation = data.recommendation
    if recommendation is None or data.predict is None or data.space.dim < 2:
        return None
    space, centre = data.space, data.space.mixture(recommendation.mixture.to_dict()).array
    ranked = np.argsort(-np.maximum(centre, space.prior), kind="stable")[:_PANELS]
    ranked = ranked[np.argsort(-centre[ranked], kind="stable")]
    shares = np.array([_grid(centre[i], space.lower[i], space.upper[i]) for i in ranked])
    W = np.vstack([plots.along(centre, i, x) for i, x in zip(ranked, shares, strict=True)])
    seen = data.predict(W)
    options = {}
    curves = list(_response_values(data, seen.mean, seen.sd))
    for name, axis, mean, sd in curves[:_OPTIONS]:
        options[name] = plots.response_curves(
            [space.names[i] for i in ranked],
            shares,
            mean.reshape(shares.shape),
            sd.reshape(shares.shape),
            at=centre[ranked],
            against=(space.prior_name, space.prior[ranked]),
            axis=axis,
        )
    left = space.dim - len(ranked)
    rest = f" The {left} domains with the smallest shares are left out." if left else ""
    return Plate(
        "responses",
        "What each domain does",
        "Response",
        "Predicted value as one domain's share moves away from the recommended mixture, the "
        "others re-balanced in proportion; far from the runs the band widens and the curve may "
        f"leave the panel.{rest}",
        options,
    )


def _grid(at: float, lower: float, upper: float) -> Array:
    """Shares from bound to bound; the recommended one is among them."""
    grid = np.linspace(lower, upper, _POINTS)
    grid[int(np.argmin(np.abs(grid - at)))] = at
    return grid


def _response_values(
    data: ReportData, mean: Array, sd: Array
) -> Iterable[tuple[str, str, Array, Array]]:
    """Name, axis, mean and sd of the objective, then of every metric but a lone objective."""
    metrics = data.metrics
    if data.covers(metrics):
        yield OBJECTIVE, data.objective_axis, *data.objective.moments(mean, sd, metrics)
    for j, name in enumerate(metrics):
        if (name,) != data.objective.metrics or name in data.objective.maximize:
            yield name, with_unit(name, data.unit), mean[:, j], sd[:, j]


def _learning(data: ReportData) -> Plate | None:
    runs = [o for o in data.good if o.curve]
    if not runs:
        return None
    candidates = dict.fromkeys(filter(None, (o.spec.kind.confirms for o in runs)))
    shown = {plots.SEARCH, RECOMMENDED, "natural", "uniform"}
    if not candidates:
        shown = {plots.SEARCH}
    options = {}
    for name in (OBJECTIVE, *data.metric_names)[: 1 + _OPTIONS]:
        if name != OBJECTIVE and (name,) == data.objective.metrics:
            continue
        groups: dict[str, list[tuple[list[float], list[float]]]] = {}
        for run in runs:
            line = _line(data, name, run)
            if line[0]:
                groups.setdefault(run.spec.kind.confirms or plots.SEARCH, []).append(line)
        if groups:
            axis = data.objective_axis if name == OBJECTIVE else with_unit(name, data.unit)
            options[name] = plots.learning_curves(groups, axis=axis, shown=shown)
    return (
        Plate(
            "learning",
            "Learning curves",
            "Learning curves",
            "One line per run and seed, over training tokens. Search runs are faint; the other "
            "baselines wait in the legend.",
            options,
        )
        if options
        else None
    )


def _line(data: ReportData, name: str, run: Observation) -> tuple[list[float], list[float]]:
    """Tokens and values of one run, its end included; points without the value are left out."""
    points = {point.tokens: point.metrics for point in run.curve}
    points.setdefault(run.spec.scale.tokens, run.metrics)
    line = [
        (float(tokens), data.value(m) if name == OBJECTIVE else float(m.get(name, np.nan)))
        for tokens, m in sorted(points.items())
    ]
    kept = [(tokens, value) for tokens, value in line if np.isfinite(value)]
    return [tokens for tokens, _ in kept], [value for _, value in kept]


def _kind(run: Observation) -> str:
    candidate = run.spec.kind.confirms
    if candidate is None:
        return str(run.spec.kind.what)
    return f"confirm {RECOMMENDED if candidate == RECOMMENDED else 'baselines'}"


def _best(data: ReportData) -> Plate | None:
    """One figure per scale: a run is better than another only at the same scale."""
    runs = data.observations
    values = np.array([data.value(o.metrics) if o.ok else np.nan for o in runs])
    if len(runs) < 2 or not np.isfinite(values).any():
        return None
    flops = np.array([o.flops for o in runs], dtype=float)
    counted = bool(np.isfinite(flops).all() and flops.sum() > 0)
    spent = np.cumsum(flops) if counted else np.arange(1, len(runs) + 1)
    good = [o for o, y in zip(runs, values, strict=True) if np.isfinite(y)]
    search = [o for o in good if o.spec.kind.in_search]
    scales = sorted({o.spec.scale for o in search or good})
    options = {}
    for scale in scales:
        here = [i for i, o in enumerate(runs) if o.spec.scale == scale]
        options[OBJECTIVE if len(scales) == 1 else f"at {scale}"] = plots.best_so_far(
            spent[here],
            values[here],
            [_kind(runs[i]) for i in here],
            searched=[runs[i].spec.kind.in_search for i in here],
            axis=data.objective_axis,
            cost_axis="training FLOPs spent" if counted else "runs finished",
        )
    return Plate(
        "best",
        "Best so far against cost",
        "Cost",
        "Every run of one scale in order, against what had been spent on all runs when it ended; "
        "the line is the best search run of that scale so far. Runs that confirm repeat a few "
        "mixtures and do not enter it.",
        options,
    )
