"""The pictures of the law: what domains do, which pairs help each other, and how far it holds.

Notation:
    m domains, k metrics; g points along a response curve; l levels of intervals
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from scipy.special import ndtri

from mixopt import plots
from mixopt.plots import Drawing
from mixopt.report.blocks import Block, Section, Words
from mixopt.report.data import ReportData, with_unit
from mixopt.report.figures import OBJECTIVE, Choices, left_out, plot, section
from mixopt.report.wording import plural, scale_name
from mixopt.runs import Scale
from mixopt.runs.run_table import seen_mixtures
from mixopt.space.simplex import Array

_PANELS = 12  # response panels at most: more cannot be read
_CELLS = 16  # domains of the heat map at most
_POINTS = 33
_REACH, _LEAST_REACH = 3.0, 0.15  # curves go to so many times the share, and to so much
_LEVELS = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
_LINES = 12  # metrics in the picture of calibration


def responses(data: ReportData) -> Section | None:
    """One panel a domain: what its share does to the objective and to every metric."""
    recommendation = data.recommendation
    if recommendation is None or data.predict is None or data.space.dim < 2:
        return None
    space, centre = data.space, data.space.mixture(recommendation.mixture.to_dict()).array
    ranked = np.argsort(-np.maximum(centre, space.prior), kind="stable")[:_PANELS]
    ranked = ranked[np.argsort(-centre[ranked], kind="stable")]
    reach = np.maximum(_REACH * np.maximum(centre, space.prior), _LEAST_REACH)
    upper = np.minimum(space.upper, np.maximum(reach, space.lower))
    shares = np.array([_grid(centre[i], space.lower[i], upper[i]) for i in ranked])
    W = np.vstack([plots.along(centre, i, x) for i, x in zip(ranked, shares, strict=True)])
    seen = data.predict(W)

    def curves(axis: str, mean: Array, sd: Array) -> Callable[[], Drawing]:
        return lambda: plots.response_curves(
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
    if not recommendation.levels and recommendation.reach is not None:
        rest += f" Only the order of values is meant ({recommendation.reach.line})."
    values = _response_values(data, seen.mean, seen.sd)
    return section(
        "responses",
        "What each domain does",
        "Response",
        [(name, curves(axis, mean, sd)) for name, axis, mean, sd in values],
        "Predicted value as one domain's share moves away from the recommended mixture, the "
        "others re-balanced in proportion; far from the runs the band widens and the curve may "
        f"leave the panel.{rest}",
    )


def _grid(at: float, lower: float, upper: float) -> Array:
    """Shares from end to end; the recommended one is among them."""
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


def interactions(data: ReportData) -> Section | None:
    """Which pairs of domains help or replace each other, as the law has it."""
    seen = data.evidence.influence
    if seen is None or len(seen.domains) < 3 or not np.isfinite(seen.interaction).any():
        return None
    strength = np.nan_to_num(np.abs(seen.interaction)).max(axis=1)
    if not strength.max() > 0:
        return None
    kept = np.sort(np.argsort(-strength, kind="stable")[:_CELLS])
    names = [seen.domains[i] for i in kept]
    rest = len(seen.domains) - len(kept)
    cut = f" The {plural(rest, 'domain')} with the weakest are left out." if rest else ""
    return section(
        "interactions",
        "Which domains go together",
        "Pairs",
        [
            (
                OBJECTIVE,
                lambda: plots.interactions(
                    names, seen.interaction[np.ix_(kept, kept)], step=seen.step
                ),
            )
        ],
        f"How much more {data.objective_axis} changes when two domains grow together than each "
        f"adds on its own ({100 * seen.step:.0f} % of the mixture). Blue pairs help each other, "
        f"orange ones replace each other; pale is neither.{cut}",
    )


def held_out(data: ReportData) -> Section | None:
    """Predictions of runs that the law had not seen."""
    seen = data.held_out
    if seen is None or not np.isfinite(seen.observed).any():
        return None

    def picture(axis: str, y: Array, mean: Array, sd: Array) -> Callable[[], Drawing]:
        return lambda: plots.predicted_observed(y, mean, sd, axis=axis, names=seen.runs)

    choices = [(n, picture(a, y, m, s)) for n, a, y, m, s in _predicted(data)]
    return section(
        "held-out",
        "Predicted against observed",
        "Predictions",
        choices,
        "Every point is a run that the law was not fitted to (cross-validation), with the 90 % "
        "interval of the prediction. About nine in ten should touch the dashed line.",
    )


def _predicted(data: ReportData) -> list[tuple[str, str, Array, Array, Array]]:
    """Name, axis, observed, mean and sd of the objective (of several metrics), then of each."""
    seen, out = data.held_out, []
    assert seen is not None
    if len(data.objective.metrics) > 1 and data.covers(seen.metrics):
        value = data.objective.value(seen.observed, seen.metrics)
        mean, sd = data.objective.moments(seen.mean, seen.sd, seen.metrics)
        out.append((OBJECTIVE, data.objective_axis, value, mean, sd))
    first = [k for k in data.objective.metrics if k in seen.metrics]
    for name in dict.fromkeys([*first, *seen.metrics]):
        j = seen.metrics.index(name)
        axis = with_unit(name, data.unit)
        out.append((name, axis, seen.observed[:, j], seen.mean[:, j], seen.sd[:, j]))
    return out


def calibration(data: ReportData) -> Section | None:
    """Whether intervals hold what they claim."""
    if data.held_out is None:
        return None
    inside: dict[str, Array] = {}
    most = 0
    for name, _, y, mean, sd in _predicted(data):
        keep = np.isfinite(y) & np.isfinite(mean) & np.isfinite(sd) & (sd > 0)
        if keep.sum() < 5 or len(inside) >= _LINES:
            continue
        z = np.abs(y - mean)[keep] / sd[keep]
        inside[name] = (z[None] <= ndtri((1 + _LEVELS[:, None]) / 2)).mean(axis=1)
        most = max(most, int(keep.sum()))
    if not inside:
        return None
    left = len(_predicted(data)) - len(inside)
    return section(
        "calibration",
        "Do intervals hold what they claim?",
        "Calibration",
        [(OBJECTIVE, lambda: plots.coverage(_LEVELS, inside, runs=most))],
        "Held-out runs inside the intervals of the prediction, for intervals from narrow to wide. "
        "Below the dashed line the law is too sure of itself, above it too cautious; in the grey "
        f"band luck explains it.{left_out(left)}",
    )


def small_large(data: ReportData) -> Section | None:
    """Mixtures that ran at two scales: does the small one choose as the large one would?"""
    transfer = data.evidence.transfer
    body: list[Block] = []
    if transfer is not None:
        body.append(Words(" ".join(_sentence(line) for line in transfer.lines())))
    pair = _pair(data)
    if pair is not None:
        small, large, points = pair
        axes = (f"{scale_name(small)}: {data.objective_axis}", f"{scale_name(large)}")
        choices: Choices = [
            (
                OBJECTIVE,
                lambda: plots.small_large(
                    [x for x, _ in points.values()],
                    [y for _, y in points.values()],
                    axes=axes,
                    names=list(points),
                    marked=[n for n in points if n[:1] != "#"],
                ),
            )
        ]
        block, _ = plot("small-large", choices)
        body += [block] if block is not None else []
    elif body == [] and len({o.spec.scale for o in data.good}) > 1:
        body.append(
            Words("Fewer than three mixtures ran at two scales, so nothing shows it directly.")
        )
    if not body:
        return None
    return Section(
        "small-large",
        "Do small runs choose as large ones would?",
        body,
        "Every point is a mixture that ran at both scales, seeds averaged. Where the points climb "
        "together, what wins small wins large.",
        "Scales",
    )


def _sentence(line: str) -> str:
    return f"{line[0].upper()}{line[1:]}."


def _pair(data: ReportData) -> tuple[Scale, Scale, Mapping[str, tuple[float, float]]] | None:
    """The two scales, the larger as large as can be, and mixtures with their values at both."""
    seen: dict[tuple[float, ...], dict[Scale, list[float]]] = {}
    names: dict[tuple[float, ...], str] = {}
    at = enumerate(zip(data.observations, seen_mixtures(data.observations), strict=True), start=1)
    for place, (o, mixture) in at:
        value = data.value(o.metrics) if o.ok else np.nan
        if not np.isfinite(value):
            continue
        key = tuple(round(mixture.to_dict().get(d, 0.0), 4) for d in data.space.names)
        seen.setdefault(key, {}).setdefault(o.spec.scale, []).append(value)
        names[key] = o.spec.kind.candidate or names.get(key) or f"#{place}"
    scales = sorted({scale for at_scales in seen.values() for scale in at_scales}, reverse=True)
    for large in scales:
        shared = {
            small: [k for k, v in seen.items() if small in v and large in v]
            for small in scales
            if small < large
        }
        best = max(shared, key=lambda s: len(shared[s]), default=None)
        if best is not None and len(shared[best]) >= 3:
            points = {
                names[k]: (float(np.mean(seen[k][best])), float(np.mean(seen[k][large])))
                for k in shared[best]
            }
            return best, large, points
    return None
