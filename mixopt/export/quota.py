"""A token quota for each source, for tools that take no weights: datatrove, dolma, NeMo-RL, verl.

These read or sample each source by itself, so that what they need is how many tokens (and examples)
to take from it; a mixture of weights has no place there (as of 2026-10).
"""

import json
from typing import Any

from mixopt.export.exporter import Draws, Exporter, Job, Paths, Schedules, Stage, Unit
from mixopt.export.realised import finite

SCHEMA, VERSION = "mixopt.quota", 1


def _write(job: Job) -> str:
    values = {
        "schema": SCHEMA,
        "version": VERSION,
        "written_by": job.note,
        "seed": job.seed,
        "tokens": job.stages[-1].until,
        "stages": [
            {
                "start_tokens": stage.start,
                "until_tokens": stage.until,
                "sources": {d: _source(job, stage, d) for d in stage.weights},
            }
            for stage in job.stages
        ],
    }
    return json.dumps(finite(values), indent=2, ensure_ascii=False) + "\n"


def _source(job: Job, stage: Stage, domain: str) -> dict[str, Any]:
    length = job.facts.tokens_per_example.get(domain)
    unique, tokens = job.facts.unique.get(domain), stage.weights[domain]
    return {
        "tokens": tokens,
        "examples": None if length is None else round(tokens / length),
        "epochs": tokens / unique if unique else None,
        "paths": job.places(domain),
    }


EXPORTER = Exporter(
    "a token quota for each source: datatrove, dolma, NeMo-RL, verl",
    _write,
    units=(Unit.QUOTA,),
    draws=Draws.EXACT,
    schedules=Schedules.NATIVE,
    paths=Paths.OPTIONAL,
    grain_remedy="give more tokens",
)
