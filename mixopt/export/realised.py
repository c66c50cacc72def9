"""`realised_plan.json`: what a written file will really give, beside it."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mixopt.export.exporter import Draws, Exporter, Job
from mixopt.export.preflight import Checked, draws_of, lengths_of, run_tokens, share_sd

PLAN = "realised_plan.json"
SCHEMA, VERSION = "mixopt.realised_plan", 1


def realised_plan(
    checked: Checked, exporter: Exporter, target: str, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Domain to shares, tokens, examples and epochs, and all that they rest on; plain JSON values.

    Args:
        checked: by the preflight.
        exporter: of the format.
        target: name of the format.
        about: mixture, our version, files: whatever goes in as it is.
    """
    job = checked.job
    tokens = run_tokens(job)
    plain: dict[str, Any] = finite(
        {
            "schema": SCHEMA,
            "version": VERSION,
            "target": {"format": target, "version": exporter.version, "options": dict(job.options)},
            **about,
            "unit": job.unit.value,
            "draws": exporter.draws.value,
            "tokens": job.stages[-1].until,
            "seed": job.seed,
            "tokenizer": job.facts.tokenizer or None,
            "domains": {d: _domain(checked, exporter, d, tokens) for d in job.domains},
            "stages": [_stage(job, exporter, i) for i in range(len(job.stages))],
            "removed": dict(checked.removed),
            "notes": list(checked.notes),
            "provenance": dict(job.provenance),
        }
    )
    return plain


def _domain(
    checked: Checked, exporter: Exporter, domain: str, tokens: Mapping[str, int] | None
) -> dict[str, Any]:
    job = checked.job
    length = lengths_of(job.facts, {domain: 0})[domain]
    known = domain in job.facts.tokens_per_example
    count = None if tokens is None else tokens[domain]
    sds = run_sd(job, exporter.draws)
    return {
        "asked": checked.asked.get(domain, 0.0),
        "share": run_shares(job)[domain],
        "sd": sds[domain],
        "weight": job.weights.get(domain, 0) if len(job.stages) == 1 else None,
        "tokens": count,
        "examples": round(count / length) if count is not None and known else None,
        "tokens_per_example": length if known else None,
        "epochs": job.epochs.get(domain),
        "paths": job.places(domain),
    }


def _stage(job: Job, exporter: Exporter, number: int) -> dict[str, Any]:
    stage = job.stages[number]
    return {
        "start_tokens": stage.start,
        "until_tokens": stage.until,
        "draws": draws_of(job, stage),
        "shares": dict(stage.shares),
        "weights": dict(stage.weights),
        "sd": share_sd(job, exporter.draws, stage),
    }


def run_shares(job: Job) -> dict[str, float]:
    """Domain to expected share of all tokens of the run."""
    end = job.stages[-1].until
    if end is None or len(job.stages) == 1:
        return dict(job.stages[0].shares)
    return {
        d: sum(s.shares.get(d, 0.0) * (s.tokens or 0) for s in job.stages) / end
        for d in job.domains
    }


def run_sd(job: Job, draws: Draws) -> dict[str, float | None]:
    """Domain to the sd of its share of the whole run: stages are drawn independently."""
    end = job.stages[-1].until
    parts = [share_sd(job, draws, stage) for stage in job.stages]
    if end is None or len(parts) == 1:
        return parts[0]
    joined: dict[str, float | None] = {}
    for d in job.domains:
        sds = [
            (part[d], (stage.tokens or 0) / end)
            for part, stage in zip(parts, job.stages, strict=True)
            if d in part
        ]
        known = [(sd, length) for sd, length in sds if sd is not None]
        whole = len(known) == len(sds)
        joined[d] = math.sqrt(sum((sd * n) ** 2 for sd, n in known)) if whole else None
    return joined


def summary(plan: Mapping[str, Any]) -> list[str]:
    """A realised plan for people: epochs, the smallest share, expected shares and their sd."""
    domains: Mapping[str, Mapping[str, Any]] = plan["domains"]
    lines = [f"Weights count {plan['unit']}, drawn {plan['draws']}."]
    for name, facts in domains.items():
        parts = [f"{name}: {facts['share']:.4%} of the tokens"]
        if facts["sd"]:
            parts.append(f"sd {facts['sd']:.2g}")
        if facts["epochs"] is not None:
            parts.append(f"{facts['epochs']:.3g} epochs")
        if facts["tokens"] is not None:
            parts.append(f"{facts['tokens']} tokens")
        lines.append(", ".join(parts))
    least = min(domains, key=lambda d: domains[d]["share"])
    lines.append(f"Smallest share: {least}, {domains[least]['share']:.3g}.")
    if any(facts["sd"] is None for facts in domains.values()):
        lines.append(
            "The sd of the shares is not known; it takes the tokens of the run and of a draw "
            "(--tokens, --sequence-length)."
        )
    lines += [f"Left out: {name}, {why}." for name, why in plan["removed"].items()]
    lines += [f"Note: {note}." for note in plan["notes"]]
    return lines


def finite(value: Any) -> Any:
    """The same value with null for numbers that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_json(values: Mapping[str, Any]) -> str:
    """The text of a JSON file."""
    return json.dumps(values, indent=2, allow_nan=False, default=str, ensure_ascii=False) + "\n"
