"""MosaicML Streaming (0.13): keyword arguments of every `Stream`, and the size of an epoch.

Weights count *samples*. Samples are equally long where the shards hold packed tokens (say
--equal-lengths), else their mean tokens convert.
"""

import json

from mixopt.export.exporter import Draws, Exporter, Job, Unit
from mixopt.export.preflight import draws_of
from mixopt.export.streams import OPTIONS, UNITS, streams


def _write(job: Job) -> str:
    draws = draws_of(job, job.stages[0])
    counted = job.unit is Unit.EXAMPLES and draws is not None
    values = {
        "written_by": job.note,
        "streams": list(streams(job).values()),
        "epoch_size": round(draws) if counted and draws else None,
        "shuffle_seed": job.seed,
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


EXPORTER = Exporter(
    "MosaicML Streaming: streams of a StreamingDataset, as JSON",
    _write,
    units=UNITS,
    version="0.13",
    options=OPTIONS,
    draws=Draws.BLOCKS,
)
