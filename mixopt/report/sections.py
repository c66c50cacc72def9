"""The parts of the page that are text and tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixopt.evidence.confirmation import Candidate, Comparison
from mixopt.report import markup
from mixopt.report.data import ReportData, with_unit
from mixopt.report.markup import Cell, Markup, escape
from mixopt.report.wording import (
    MISSING,
    count,
    duration,
    flop,
    headline,
    number,
    percent,
    plural,
    qualities,
    ratio,
    signed,
    verdict,
)
from mixopt.runs import UNSTATED, Scale
from mixopt.runs.columns import METRIC, WEIGHT
from mixopt.runs.run_table import seen_mixtures

_FOLDED_METRICS = 8  # more metrics (domains) than that start folded in the table of runs
_FOLDED_SHARES = 12


def answer(data: ReportData) -> str:
    """The headline, the verdict and the key numbers."""
    judgement = verdict(data)
    good, failed = len(data.good), len(data.failed)
    flops = sum(o.flops for o in data.observations if np.isfinite(o.flops))
    seconds = sum(o.seconds for o in data.observations if np.isfinite(o.seconds))
    tiles = [
        (str(good), "runs succeeded"),
        (str(failed), "runs failed"),
        (flop(flops) if flops else MISSING, "training compute"),
        (duration(seconds) if seconds else MISSING, "training time, all runs"),
    ]
    if data.confirmation is not None:
        tiles.append((number(data.confirmation.seed_sd), "seed sd of the objective"))
    cards = "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for v, k in tiles)
    return (
        f'<section id="answer"><p class="headline">{escape(headline(data))}</p>'
        f'<p class="verdict {judgement.state}"><span class="badge">{escape(judgement.badge)}</span>'
        f"<span>{escape(judgement.sentence)}</span></p>"
        f'<div class="tiles">{cards}</div></section>'
    )


def warnings(data: ReportData) -> str:
    """Reasons for doubt."""
    if not data.warnings:
        return ""
    body = markup.bullets(data.warnings)
    return (
        '<section id="warnings" class="warn" data-nav="Doubts"><h2>Reasons for doubt</h2>'
        f"{body}</section>"
    )


def mixture(data: ReportData) -> str:
    """The recommended mixture, domain by domain."""
    recommendation, space = data.recommendation, data.space
    if recommendation is None:
        return ""
    shares = space.mixture(recommendation.mixture.to_dict())
    knows_tokens = bool(np.isfinite(space.tokens).any())
    known = space.prior_name
    heads = ["domain", known, "recommended", "interval", f"× {known}"]
    heads += ["tokens available"] if knows_tokens else []
    epochs = dict(recommendation.epochs) or _epochs(data)
    heads += ["epochs in the target run"] if epochs else []
    rows: list[list[Cell]] = []
    for i in np.argsort(-shares.array, kind="stable"):
        name, share, natural = space.names[i], shares.weights[i], float(space.prior[i])
        low, high = recommendation.intervals.get(name, (np.nan, np.nan))
        times = share / natural if natural > 0 else np.nan
        row: list[Cell] = [
            name,
            percent(natural),
            _bar(share, max(shares.weights)),
            _interval(low, high),
        ]
        row.append(ratio(times))
        row += [count(space.tokens[i])] if knows_tokens else []
        row += [ratio(epochs.get(name))] if epochs else []
        rows.append(row)
    notes = [f"Constraint that holds it back: {a.name}." for a in recommendation.active[:5]]
    body = markup.table(heads, rows) + (markup.bullets(notes) if notes else "")
    return markup.section(
        "mixture",
        "The mixture" if recommendation.schedule is None else "What the schedule draws in total",
        body,
        "Shares of training tokens. The interval is how far a share can move, the others "
        "re-balanced, before the prediction worsens by more than the noise.",
    )


def _epochs(data: ReportData) -> dict[str, float]:
    """Passes over each domain's unique tokens, where budget and tokens are known."""
    recommendation, space = data.recommendation, data.space
    if recommendation is None or not space.budget:
        return {}
    return {
        d.name: recommendation.mixture[d.name] * space.budget / d.tokens
        for d in space.domains
        if d.tokens and d.name in recommendation.mixture.domains
    }


def _bar(share: float, largest: float) -> Markup:
    width = 100 * share / largest
    bar = f'<span class="track"><i style="width:{width:.1f}%"></i></span>'
    return Markup(f'<span class="share">{bar}<b>{escape(percent(share))}</b></span>')


def _interval(low: float, high: float) -> str:
    if not (np.isfinite(low) and np.isfinite(high)):
        return MISSING
    return f"{percent(low)} – {percent(high)}"


def comparison(data: ReportData) -> str:
    """The recommendation against the baselines: measured where it was, else predicted."""
    if data.confirmation is not None:
        return _measured(data)
    recommendation = data.recommendation
    if recommendation is None or not recommendation.gains:
        return ""
    rows: list[list[Cell]] = [
        [name, signed(g.raw), signed(g.shrunk), number(g.sd), "yes" if g.certain else "no"]
        for name, g in sorted(recommendation.gains.items(), key=lambda item: item[1].raw)
    ]
    heads = ["baseline", "predicted gain", "shrunk gain", "sd", "beyond doubt?"]
    return markup.section(
        "comparison",
        "Predicted gain over the baselines",
        markup.table(heads, rows),
        f"How much lower {data.objective_axis} is predicted than for the baseline; the shrunk gain "
        "allows for the winner's curse. Nothing of this has been measured with fresh seeds.",
        "Baselines",
    )


def _measured(data: ReportData) -> str:
    shown = data.confirmation
    assert shown is not None
    against = {c.baseline: c for c in shown.comparisons}
    rows = [_compared(c, against.get(c.name), shown.seed_sd) for c in shown.candidates]
    unit = f" ({data.objective_unit})" if data.objective_unit else ""
    heads = [
        "candidate",
        f"mean{unit}",
        "sd",
        "seeds",
        "worse by",
        "90 % interval",
        "beyond noise?",
    ]
    return markup.section(
        "comparison",
        "Against the baselines, with fresh seeds",
        markup.table(heads, rows, mark=(0,)),
        f"{with_unit(data.objective.describe(), data.objective_unit)}, lower is better. “Worse by” "
        "is the candidate's mean minus that of the recommendation; it counts as beyond noise above "
        f"twice the seed sd pooled over candidates ({number(2 * shown.seed_sd)}).",
        "Baselines",
    )


def _compared(c: Candidate, against: Comparison | None, seed_sd: float) -> list[Cell]:
    seeds = f"{c.seeds} (+ {c.failed} failed)" if c.failed else str(c.seeds)
    row: list[Cell] = [c.name, number(c.mean), number(c.sd), seeds]
    if against is None:
        return [*row, MISSING, MISSING, MISSING]
    interval = MISSING
    if np.isfinite(against.low) and np.isfinite(against.high):
        interval = f"{signed(against.low)} to {signed(against.high)}"
    verdict_ = "yes" if against.beyond_noise else "no"
    badge = Markup(f'<span class="chip {verdict_}">{verdict_}</span>')
    return [
        *row,
        signed(against.difference),
        interval,
        badge if np.isfinite(seed_sd) else "unknown",
    ]


def quality(data: ReportData) -> str:
    """How far the laws can be trusted, metric by metric."""
    told = "".join(f"<li>{markup.escape(line)}</li>" for line in data.diagnostics)
    words = f"<ul>{told}</ul>" if told else ""
    if data.held_out is None:
        return markup.section("quality", "How far the law can be trusted", words) if words else ""
    order = {k: i for i, k in enumerate(data.objective.metrics)}
    per_metric = sorted(qualities(data.held_out), key=lambda q: order.get(q.metric, len(order)))
    heads = ["metric", "in words", "runs", "rank correlation", "typical error", "sd of the runs"]
    heads.append("inside 90 % interval")
    rows: list[list[Cell]] = [
        [
            q.metric,
            q.words,
            str(q.runs),
            number(q.rank, 2),
            number(q.error),
            number(q.spread),
            percent(q.coverage, 0),
        ]
        for q in per_metric
    ]
    return markup.section(
        "quality",
        "How far the law can be trusted",
        words
        + markup.table(
            heads, rows, text=2, mark=range(len(set(order) & {q.metric for q in per_metric}))
        ),
        "From cross-validation: every run predicted by a law that has not seen it. The typical "
        "error (root mean square) is to be compared with the sd over runs. Metrics of the "
        "objective come first.",
        "Trust",
    )


def runs(data: ReportData) -> str:
    """The table of runs; the page's script fills, sorts and filters it."""
    if not data.observations:
        return markup.section("runs", "Runs", "<p>No run has finished yet.</p>")
    groups = [
        (label, key, amount <= limit, amount)
        for label, key, amount, limit in (
            ("metrics", "metric", len(_other_metrics(data)), _FOLDED_METRICS),
            ("shares", "share", data.space.dim, _FOLDED_SHARES),
        )
    ]
    boxes = "".join(
        f'<label><input type="checkbox" data-group="{key}"{" checked" if on else ""}> '
        f"{label} ({amount})</label>"
        for label, key, on, amount in groups
    )
    body = (
        '<div class="tools"><input type="search" id="runs-filter" placeholder="Filter: text, or '
        'e.g. seed=0 w/python&gt;0.3" aria-label="Filter runs">'
        f'{boxes}<span id="runs-count"></span></div>'
        '<div class="scroll tall"><table id="runs-table"><thead></thead><tbody></tbody></table>'
        '</div><button id="runs-more" hidden>Show more</button>'
        "<noscript>This table needs JavaScript.</noscript>"
        + markup.data_block("runs-data", _runs(data))
    )
    return markup.section(
        "runs",
        "Runs",
        body,
        "Click a heading to sort. Objective and metrics: lower is better unless the name carries "
        "a minus.",
    )


def _runs(data: ReportData) -> dict[str, Any]:
    """Columns (name, kind, group) and rows of the table of runs."""
    metrics = _other_metrics(data)
    columns = [
        {"name": name, "key": name, "kind": kind, "group": ""}
        for name, kind in (
            ("#", "int"),
            ("kind", "text"),
            ("status", "text"),
            ("scale", "text"),
            ("seed", "int"),
            (data.objective.describe(), "num"),
        )
    ]
    columns += [{"name": k, "key": METRIC + k, "kind": "num", "group": "metric"} for k in metrics]
    columns += [
        {"name": d, "key": WEIGHT + d, "kind": "share", "group": "share"} for d in data.space.names
    ]
    columns.append({"name": "run", "key": "run", "kind": "text", "group": ""})
    rows = []
    mixtures = seen_mixtures(data.observations)
    for place, (o, seen) in enumerate(zip(data.observations, mixtures, strict=True), start=1):
        shares = seen.to_dict()
        row: list[Any] = [place, str(o.spec.kind), o.status, _scale(o.spec.scale)]
        row += [o.spec.seed, _digits(data.value(o.metrics) if o.ok else np.nan)]
        row += [_digits(o.metrics.get(k, np.nan)) for k in metrics]
        row += [_digits(shares.get(d, 0.0)) for d in data.space.names]
        rows.append([*row, o.run_id])
    titles = {"metric": with_unit("metrics", data.unit), "share": "shares of training tokens"}
    return {"columns": columns, "rows": rows, "groups": titles}


def _other_metrics(data: ReportData) -> list[str]:
    """Metrics with a column of their own: a lone objective has one already."""
    return [k for k in data.metric_names if (k,) != data.objective.metrics]


def _digits(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _scale(scale: Scale) -> str:
    return MISSING if scale == UNSTATED else f"{count(scale.params)} × {count(scale.tokens)}"


def failures(data: ReportData) -> str:
    """Failed runs with their reasons."""
    if not data.failed:
        return ""
    rows: list[list[Cell]] = [
        [o.run_id, str(o.spec.kind), o.error or "no reason given", str(o.spec.seed)]
        for o in data.failed
    ]
    heads = ["run", "kind", "reason", "seed"]
    return markup.section(
        "failures",
        "Failed runs",
        markup.table(heads, rows, text=3),
        f"{len(rows)} of {len(data.observations)} runs failed; the laws do not see them, the "
        "budget counts them.",
    )


def made(data: ReportData) -> str:
    """How the answer was made, and what it takes to make it again."""
    seen = data.observations
    scales = Counter(_scale(o.spec.scale) for o in seen)
    kinds = Counter(str(o.spec.kind.what) for o in seen)
    values: dict[str, Any] = {
        "Objective": f"{data.objective_axis}, lower is better",
        "Domains": f"{data.space.dim}",
        "Scales (parameters × tokens)": _counted(scales),
        "Runs by kind": _counted(kinds),
        "Seeds": _listed(str(s) for s in sorted({o.spec.seed for o in seen})),
        "Trainer": _listed(dict.fromkeys(o.spec.trainer for o in seen if o.spec.trainer)),
        "Data manifest": _listed(dict.fromkeys(o.spec.data for o in seen if o.spec.data)),
    }
    if data.space.budget:
        values["Budget of the target run"] = f"{count(data.space.budget)} tokens"
    laws = ""
    if data.laws:
        names = list(dict.fromkeys(law for weights in data.laws.values() for law in weights))
        rows: list[list[Cell]] = [
            [metric, *(percent(weights.get(law, 0.0), 0) for law in names)]
            for metric, weights in data.laws.items()
        ]
        weights = markup.table(["metric", *names], rows)
        laws = f"<details><summary>Weight of each law per metric</summary>{weights}</details>"
    config = {"Trainer configuration": dict(seen[0].spec.config)} if seen else {}
    plain = {k: v for k, v in data.facts.items() if not isinstance(v, Mapping | list | tuple)}
    nested = {k: v for k, v in data.facts.items() if k not in plain}
    body = markup.facts(values | plain) + laws + markup.facts(config | nested)
    return markup.section("made", "How it was made", body)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name}: {plural(n, 'run')}" for name, n in counts.items()) or MISSING


def _listed(names: Any, most: int = 12) -> str:
    all_ = list(names)
    shown: Sequence[str] = all_[:most]
    return ", ".join(shown) + (f" and {len(all_) - most} more" if len(all_) > most else "")


__all__ = [
    "answer",
    "comparison",
    "failures",
    "made",
    "mixture",
    "quality",
    "runs",
    "warnings",
]
