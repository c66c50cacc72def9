"""The parts of the page that every study has: the answer, doubts, the mixture, how it was made."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mixopt.diagnostics.gates import Level
from mixopt.report import blocks
from mixopt.report.blocks import Answer, Bar, Block, Bullets, Cell, Fold, Section, Table
from mixopt.report.data import ReportData
from mixopt.report.spent import hosts, spent_flops, spent_seconds
from mixopt.report.wording import (
    MISSING,
    count,
    day,
    duration,
    flop,
    headline,
    percent,
    plural,
    ratio,
    scale_name,
    signed,
    verdict,
)
from mixopt.runs.failures import causes

_LEVELS: dict[Level, tuple[str, str]] = {
    "trust": ("shown", "Trust it"),
    "ranking only": ("untested", "Ranking only"),
    "do not trust": ("not-shown", "Do not trust it"),
}


def answer(data: ReportData) -> Section:
    """The card for a lead: question, answer, whether to trust it, what it took, whose it is."""
    judgement, origin = verdict(data), data.origin
    facts = [
        ("owner", origin.owner),
        ("ran", _when(data)),
        ("report of", day(origin.written) if origin.written else ""),
    ]
    card = Answer(
        origin.question,
        headline(data),
        (judgement.state, judgement.badge, judgement.sentence),
        _trust(data),
        [(name, value) for name, value in facts if value],
        _tiles(data),
    )
    return Section("answer", "", [card])


def _trust(data: ReportData) -> tuple[str, str, str] | None:
    trust = data.evidence.trust
    if trust is None or not trust.gates or data.dependence is not None:
        return None
    state, badge = _LEVELS[trust.level]
    against = list(trust.reasons)
    said = (
        "; ".join(against[:2]) or f"{len(trust.gates)} gates were asked, no one speaks against it"
    )
    more = f", and {len(against) - 2} more under Gates" if len(against) > 2 else ""
    sentence = f"{said[0].upper()}{said[1:]}{more}."
    if trust.level != "trust" and trust.next:
        sentence += f" Cheapest next step: {trust.next[0].what}."
    return state, badge, sentence


def _when(data: ReportData) -> str:
    began, ended = data.origin.began, data.origin.ended
    if began is None:
        return ""
    if ended is None:
        return f"since {day(began)}"
    same = began.date() == ended.date()
    return f"{day(began)} to {ended.strftime('%H:%M') if same else day(ended)}"


def _tiles(data: ReportData) -> list[tuple[str, str]]:
    good, failed = len(data.good), len(data.failed)
    flops, seconds = spent_flops(data.observations), spent_seconds(data.observations)
    tiles = list(_gain(data))
    tiles.append((str(good), f"runs succeeded, {failed} failed" if failed else "runs, all good"))
    tiles.append((flop(flops) if flops else MISSING, "training compute"))
    tiles.append((duration(seconds) if seconds else MISSING, "training time, all runs"))
    if np.isfinite(data.origin.seconds):
        tiles.append((duration(data.origin.seconds), "from first to last run"))
    machines = hosts(data.observations)
    if machines:
        tiles.append((str(len(machines)), "host" if len(machines) == 1 else "hosts"))
    return tiles


def _gain(data: ReportData) -> Iterable[tuple[str, str]]:
    """The gain over what one would train without a search, as measured, else as predicted."""
    if data.dependence is not None:
        return
    unit = f" {data.objective_unit}" if data.objective_unit else ""
    shown = data.confirmation
    plain = ("natural", "uniform")
    if shown is not None:
        known = {c.baseline: c for c in shown.comparisons}
        name = next((n for n in plain if n in known), None)
        if name is not None:
            c = known[name]
            reach = f" ± {(c.high - c.low) / 2:.2g}" if np.isfinite(c.high - c.low) else ""
            yield f"{signed(c.difference)}{reach}", f"measured gain over {name}{unit}, 90 %"
        return
    gains = {} if data.recommendation is None else data.recommendation.gains
    name = next((n for n in plain if n in gains), None)
    if name is not None and np.isfinite(gains[name].raw):
        yield signed(gains[name].shrunk), f"predicted gain over {name}{unit}, luck allowed for"


def warnings(data: ReportData) -> Section | None:
    """Reasons for doubt."""
    if not data.warnings:
        return None
    doubts = [Bullets(data.warnings)]
    return Section("warnings", "Reasons for doubt", doubts, short="Doubts", tone="warn")


def mixture(data: ReportData) -> Section | None:
    """The recommended mixture, domain by domain."""
    recommendation, space = data.recommendation, data.space
    if recommendation is None:
        return None
    shares = space.mixture(recommendation.mixture.to_dict())
    knows_tokens = bool(np.isfinite(space.tokens).any())
    known = space.prior_name
    heads = ["domain", "recommended", "interval", known, f"× {known}"]
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
            Bar(100 * share / max(shares.weights), percent(share)),
            _interval(low, high),
            percent(natural),
            ratio(times),
        ]
        row += [count(space.tokens[i])] if knows_tokens else []
        row += [ratio(epochs.get(name))] if epochs else []
        rows.append(row)
    held = [f"Constraint that holds it back: {a.name}." for a in recommendation.active[:5]]
    return Section(
        "mixture",
        "The mixture" if recommendation.schedule is None else "What the schedule draws in total",
        [Table(heads, rows, tall=len(rows) > 16), *([Bullets(held)] if held else [])],
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


def _interval(low: float, high: float) -> str:
    if not (np.isfinite(low) and np.isfinite(high)):
        return MISSING
    return f"{percent(low)} – {percent(high)}"


def failures(data: ReportData) -> Section | None:
    """Failed runs with their reasons."""
    if not data.failed:
        return None
    rows: list[list[Cell]] = [
        [o.run_id, str(o.spec.kind), o.error or "no reason given", str(o.spec.seed)]
        for o in data.failed
    ]
    table = Table(["run", "kind", "reason", "seed"], rows, text=3, tall=len(rows) > 12)
    return Section(
        "failures",
        "Failed runs",
        [*_causes(data), table],
        f"{len(rows)} of {len(data.observations)} runs failed; the laws do not see them, the "
        "budget counts them.",
    )


def _causes(data: ReportData) -> list[Block]:
    """Why runs failed, where several failed for one cause."""
    grouped = causes(data.failed)
    if len(grouped) == len(data.failed):
        return []
    told = []
    for cause in grouped:
        where = ", ".join(f"{host} ({n})" for host, n in cause.hosts.items())
        told.append(
            f"{plural(len(cause.runs), 'run')}{f' on {where}' if where else ''}: {cause.words}"
        )
    return [Bullets(told)]


def made(data: ReportData) -> Section:
    """How the answer was made, and what it takes to make it again."""
    seen = data.observations
    scales = Counter(scale_name(o.spec.scale) for o in seen)
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
    config = {"Trainer configuration": dict(seen[0].spec.config)} if seen else {}
    return Section(
        "made",
        "How it was made",
        [*blocks.facts({**values, **config, **data.facts}), *_laws(data.laws)],
        short="Origin",
    )


def _laws(laws: Mapping[str, Mapping[str, float]]) -> list[Block]:
    if not laws:
        return []
    names = list(dict.fromkeys(law for weights in laws.values() for law in weights))
    rows: list[list[Cell]] = [
        [metric, *(percent(weights.get(law, 0.0), 0) for law in names)]
        for metric, weights in laws.items()
    ]
    return [Fold("Weight of each law per metric", [Table(["metric", *names], rows)])]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name}: {plural(n, 'run')}" for name, n in counts.items()) or MISSING


def _listed(names: Iterable[str], most: int = 12) -> str:
    every = list(names)
    shown: Sequence[str] = every[:most]
    return ", ".join(shown) + (f" and {len(every) - most} more" if len(every) > most else "")
