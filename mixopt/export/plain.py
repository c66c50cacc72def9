"""Plain JSON, YAML and CSV: for programs, and for reading back (`mixopt export mixture.json`)."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from mixopt.export.exporter import (
    DIGITS,
    Draws,
    Exporter,
    Job,
    Option,
    Paths,
    Schedules,
    Unit,
)
from mixopt.export.realised import finite, run_shares
from mixopt.export.shares import on_grid
from mixopt.export.texts import as_yaml

SCHEMA, VERSION = "mixopt.mixture", 1


def _values(job: Job) -> dict[str, Any]:
    """`weights` are shares of all training tokens; of a schedule, `schedule` has its phases.

    Phases end in tokens of the run that they were made or stretched for, and at a share of a run.
    """
    end = job.stages[-1].until
    whole = run_shares(job)
    schedule: list[Mapping[str, Any]] = [
        {
            "until_tokens": stage.until,
            "until_share": round((stage.until or 0) / (end or 1), DIGITS),
            "weights": dict(stage.weights),
        }
        for stage in job.stages
    ]
    values = {
        "schema": SCHEMA,
        "version": VERSION,
        "unit": "share of training tokens",
        "weights": on_grid(whole, 10.0**-DIGITS) if len(job.stages) > 1 else dict(job.weights),
        **({"schedule": schedule} if len(job.stages) > 1 else {}),
        "predictions": job.predictions,
        "provenance": job.provenance,
    }
    plain: dict[str, Any] = finite(values)
    return plain


def _json(job: Job) -> str:
    indent = 2 if job.options["indent"] else None
    return json.dumps(_values(job), indent=indent, allow_nan=False) + "\n"


def _yaml(job: Job) -> str:
    return as_yaml(_values(job), job.note)


def _csv(job: Job) -> str:
    """A row for each domain of each phase."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["stage", "until_tokens", "domain", "share"])
    for number, stage in enumerate(job.stages, start=1):
        for domain, share in stage.weights.items():
            rows.writerow([number, stage.until or "", domain, repr(share)])
    return text.getvalue()


_SHARED: dict[str, Any] = {
    "units": (Unit.TOKENS,),
    "draws": Draws.EXACT,
    "schedules": Schedules.NATIVE,
    "paths": Paths.UNUSED,
}
JSON = Exporter(
    "JSON with a version: mixture, phases of a schedule, predictions and provenance",
    _json,
    options=(Option("indent", "one line for each value", True, bool),),
    **_SHARED,
)
YAML = Exporter("the same as YAML", _yaml, suffix=".yaml", **_SHARED)
CSV = Exporter("a table: stage, until_tokens, domain, share", _csv, suffix=".csv", **_SHARED)
