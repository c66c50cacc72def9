"""Mixtera: a `StaticMixture`, or a `MixtureSchedule` with the start step of every entry.

A chunk holds a whole number of each domain, by largest remainder: we write multiples of 1/chunk.
Chunks count samples; tokens where they are packed on the way (unit=tokens).
"""

from collections.abc import Mapping
from typing import Any

from mixopt.errors import InputError
from mixopt.export.exporter import Draws, Exporter, Job, Option, Paths, Schedules, Unit
from mixopt.export.texts import comment, literal

_FILE = '''"""The training mixture, for Mixtera. Written by {note}."""

from mixtera.core.query.mixture import MixtureKey, StaticMixture
from mixtera.core.query.mixture.mixture_schedule import MixtureSchedule, ScheduleEntry

CHUNK_SIZE = {chunk_size}
PROPERTY = {property}
# Start step to domain to share of the {counted} of a chunk.
STAGES = {stages}


def mixture():
    """What a query is executed with."""
    entries = [
        ScheduleEntry(
            start,
            StaticMixture(
                CHUNK_SIZE, {{MixtureKey({{PROPERTY: [d]}}): w for d, w in shares.items()}}
            ),
        )
        for start, shares in STAGES.items()
    ]
    return entries[0].mixture if len(entries) == 1 else MixtureSchedule(CHUNK_SIZE, entries)
{provenance}'''


def _grain(options: Mapping[str, Any]) -> float:
    return 1.0 / float(options["chunk_size"])


def _write(job: Job) -> str:
    starts = [0 if stage.start == 0 else job.steps(stage.start) for stage in job.stages]
    if sorted(set(starts)) != starts:
        raise InputError(
            f"stages begin at the steps {starts}: one is shorter than a step; give smaller steps "
            "(--batch-tokens), or merge stages"
        )
    stages = {n: dict(stage.weights) for n, stage in zip(starts, job.stages, strict=True)}
    return _FILE.format(
        note=job.note,
        chunk_size=job.options["chunk_size"],
        property=literal(job.options["property"]),
        counted="tokens" if job.unit is Unit.TOKENS else "samples",
        stages=literal(stages),
        provenance=comment(job.provenance),
    )


EXPORTER = Exporter(
    "Mixtera: Python with a StaticMixture or MixtureSchedule",
    _write,
    units=(Unit.EXAMPLES, Unit.TOKENS),
    version="2025-07",
    suffix=".py",
    options=(
        Option("chunk_size", "samples of a chunk", 1024, int, least=1),
        Option("property", "that holds the domain", "domain"),
    ),
    grain=_grain,
    grain_remedy="give larger chunks (--set chunk_size=...)",
    draws=Draws.BLOCKS,
    schedules=Schedules.NATIVE,
    paths=Paths.UNUSED,
)
