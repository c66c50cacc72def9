"""The pictures of answers and runs, each a section; left out where the data is missing."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from mixopt import plots
from mixopt.designs import baselines
from mixopt.diagnostics.foretelling import foretelling, too_short
from mixopt.plots import Drawing
from mixopt.report.blocks import Bullets, Plot, Section
from mixopt.report.data import ReportData, with_unit
from mixopt.report.gain import measured
from mixopt.report.wording import scale_name
from mixopt.runs import Observation
from mixopt.runs.kinds import RECOMMENDED
from mixopt.space import Mixture

OBJECTIVE = "the objective"
BUDGET = 160_000  # characters of a picture's choices: a page stays under 2 MB
_ROWS = 24  # domains drawn in the picture of shares; the table has all
_CANDIDATES = 12  # drawn at most
_FRONT_OBJECTIVES = 5  # pairs of so many objectives can be chosen

Choices = Iterable[tuple[str, Callable[[], Drawing]]]


def plot(key: str, choices: Choices, budget: int = BUDGET) -> tuple[Plot | None, int]:
    """A picture with its choices, as many as the budget of characters allows, but at least one.

    Returns:
        The block, and how many choices were left out.
    """
    names: list[str] = []
    drawings: list[dict[str, Any]] = []
    spent, left, height = 0, 0, 0
    for name, draw in choices:
        if drawings and spent >= budget:
            left += 1
            continue
        drawing = draw()
        values = drawing.to_dict()
        spent += len(json.dumps(values, separators=(",", ":")))
        height = height or drawing.height
        names.append(name)
        drawings.append(values)
    return (Plot(key, names, drawings, height) if drawings else None), left


def left_out(count: int) -> str:
    """What is said of choices that a page has no room for."""
    return f" {count} more metrics are left out, for the size of this page." if count else ""


def section(
    key: str, title: str, short: str, choices: Choices, caption: str, budget: int = BUDGET
) -> Section | None:
    """A section of one picture."""
    block, left = plot(key, choices, budget)
    if block is None:
        return None
    return Section(key, title, [block], caption + left_out(left), short)


def schedule(data: ReportData) -> Section | None:
    """The mixture over the tokens of a run."""
    plan = None if data.recommendation is None else data.recommendation.schedule
    if plan is None:
        return None
    return section(
        "schedule-figure",
        "The mixture over the run",
        "Over the run",
        [(OBJECTIVE, lambda: plots.schedule_steps(plan))],
        "Height: share of the tokens that are drawn at that point of the run.",
    )


def shares(data: ReportData) -> Section | None:
    """The recommended mixture against baselines."""
    recommendation = data.recommendation
    if recommendation is None:
        return None
    rivals: dict[str, Mixture] = dict(baselines(data.space))
    if data.confirmation is not None:
        rivals |= {c.name: c.mixture for c in data.confirmation.candidates[1:]}
    ours = set(recommendation.mixture.domains)
    rivals = {k: v for k, v in rivals.items() if set(v.domains) == ours and _spread(v)}
    mixtures = {RECOMMENDED: recommendation.mixture} | {
        name: data.space.mixture(rival.to_dict()) for name, rival in rivals.items()
    }
    rest = len(ours) - _ROWS
    cut = f" The table has {rest} more domains, with smaller shares." if rest > 0 else ""
    return section(
        "mixture-figure",
        "Recommended mixture against baselines",
        "Shares",
        [
            (
                OBJECTIVE,
                lambda: plots.mixture_bars(
                    mixtures,
                    intervals=recommendation.intervals,
                    shown={RECOMMENDED, "natural", "uniform"},
                    most=_ROWS,
                ),
            )
        ],
        "Bars: recommended share; the whisker shows how far a share can move (others re-balanced) "
        "before the prediction worsens by more than the noise. Click a name to show or hide it."
        f"{cut}",
    )


def _spread(mixture: Mixture) -> bool:
    """Single-domain mixtures say nothing in a picture of shares."""
    return max(mixture.weights) < 1.0 or len(mixture.weights) == 1


def front(data: ReportData) -> Section | None:
    """Pairs of objectives over the mixtures of the front."""
    if len(data.front) < 2:
        return None
    names = list(data.front[0][1])[:_FRONT_OBJECTIVES]
    values = {name: [objectives[name] for _, objectives in data.front] for name in names}
    mixtures = [list(mixture.to_dict().items()) for mixture, _ in data.front]

    def pair(one: str, other: str) -> Callable[[], Drawing]:
        return lambda: plots.trade_off(
            values[one], values[other], axes=(one, other), mixtures=mixtures
        )

    return section(
        "front-figure",
        "Trade-offs between the objectives",
        "Front",
        [
            (f"{one} against {other}", pair(one, other))
            for i, one in enumerate(names)
            for other in names[i + 1 :]
        ],
        "Every point is a mixture that no other is predicted to beat in every objective; lower is "
        "better. Point at one to see its largest shares.",
    )


def confirmed(data: ReportData) -> Section | None:
    """Every candidate with every seed, at each scale."""
    shown = measured(data)

    def at(scale: object) -> Callable[[], Drawing]:
        trained = next(v for k, v in shown.items() if k == scale)
        seeds = {c.name: c.values for c in trained.candidates if c.values}
        kept = plots.toughest({name: float(np.mean(v)) for name, v in seeds.items()}, _CANDIDATES)
        few = {name: seeds[name] for name in seeds if name in kept}
        return lambda: plots.confirmed(few, trained.common_sd, axis=data.objective_axis)

    most = max((len(v.candidates) for v in shown.values()), default=0)
    names = {s: OBJECTIVE if len(shown) == 1 else f"at {scale_name(s)}" for s in shown}
    return section(
        "confirmed",
        "Candidates trained with fresh seeds",
        "Fresh seeds",
        [(name, at(scale)) for scale, name in names.items()],
        "Lower is better, best on top. A candidate whose mean lies right of the blue band (the "
        "recommendation ± twice the seed sd) is worse beyond noise; where noise differs between "
        "candidates there is no band, and the table says how. Candidates far off stand at "
        f"the edge with their mean in figures.{_more(max(most - _CANDIDATES, 0))}",
    )


def learning(data: ReportData) -> Section | None:
    """Metrics over training tokens."""
    runs = [o for o in data.good if o.curve]
    named = _rivals(data)
    shown = {plots.SEARCH, RECOMMENDED, "natural", "uniform"}
    kept = [o for o in runs if not o.spec.kind.confirms or o.spec.kind.confirms in named]
    left = len({o.spec.kind.confirms for o in runs} - {None, *named})

    def choices() -> Choices:
        for name in (OBJECTIVE, *data.metric_names):
            if name != OBJECTIVE and (name,) == data.objective.metrics:
                continue
            groups = _lines(data, name, kept)
            if groups:
                axis = data.objective_axis if name == OBJECTIVE else with_unit(name, data.unit)
                yield name, _curves(groups, axis, shown)

    drawn = section(
        "learning",
        "Learning curves",
        "Learning curves",
        choices(),
        "One line per run and seed, over training tokens. Search runs are faint; the other "
        f"baselines wait in the legend.{_more(left)}",
    )
    told = foretelling(runs, data.objective)
    lines = [too_short(runs)] if told is None else told.lines()
    said = [f"{line[0].upper()}{line[1:]}." for line in lines if line]
    return replace(drawn, blocks=[*drawn.blocks, Bullets(said)]) if drawn and said else drawn


def _rivals(data: ReportData) -> list[str]:
    """The candidates that are drawn: the recommendation, and the baselines hardest to beat."""
    if data.confirmation is None:
        return [RECOMMENDED]
    return plots.toughest({c.name: c.mean for c in data.confirmation.candidates}, _CANDIDATES)


def _more(left: int) -> str:
    return f" The {left} baselines that are easiest to beat are in the table alone." if left else ""


Lines = dict[str, list[tuple[list[float], list[float]]]]


def _curves(groups: Lines, axis: str, shown: set[str]) -> Callable[[], Drawing]:
    return lambda: plots.learning_curves(groups, axis=axis, shown=shown)


def _lines(data: ReportData, name: str, runs: list[Observation]) -> Lines:
    groups: Lines = {}
    for run in runs:
        line = _line(data, name, run)
        if line[0]:
            groups.setdefault(run.spec.kind.confirms or plots.SEARCH, []).append(line)
    return groups


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


def best(data: ReportData) -> Section | None:
    """One picture per scale: a run is better than another only at the same scale."""
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

    def at(scale: object) -> Callable[[], Drawing]:
        here = [i for i, o in enumerate(runs) if o.spec.scale == scale]
        return lambda: plots.best_so_far(
            spent[here],
            values[here],
            [_kind(runs[i]) for i in here],
            searched=[runs[i].spec.kind.in_search for i in here],
            axis=data.objective_axis,
            cost_axis="training FLOPs spent" if counted else "runs finished",
        )

    return section(
        "best",
        "Best so far against cost",
        "Cost",
        [(OBJECTIVE if len(scales) == 1 else f"at {scale}", at(scale)) for scale in scales],
        "Every run of one scale in order, against what had been spent on all runs when it ended; "
        "the line is the best search run of that scale so far. Runs that confirm repeat a few "
        "mixtures and do not enter it.",
    )
