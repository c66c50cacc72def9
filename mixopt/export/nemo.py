"""NeMo 2: `paths` of a PreTrainingDataModule, weights and prefixes in turn, as in Megatron.

The blend cannot change during a run (NVIDIA-NeMo Speech, issue 14247): stages are separate runs.
"""

import json

from mixopt.errors import InputError
from mixopt.export.exporter import Draws, Exporter, Job, Option, Unit


def _write(job: Job) -> str:
    held_out = {d: p for d, p in (job.options["validation"] or {}).items() if d in job.weights}
    places = {d: job.place(d) for d in job.domains}
    train = [t for d, w in job.weights.items() for t in (repr(w), places[d])]
    if not held_out:
        return json.dumps({"paths": train}, indent=2) + "\n"
    missing = [d for d in job.weights if d not in held_out]
    if missing or any(
        not isinstance(p, str) or not p or any(map(str.isspace, p)) for p in held_out.values()
    ):
        raise InputError(
            f"validation: give each domain with a share one path without whitespace ({held_out})"
        )
    valid = [t for d, w in job.weights.items() for t in (repr(w), held_out[d])]
    paths = {"train": train, "validation": valid, "test": valid}
    return json.dumps({"paths": paths}, indent=2) + "\n"


EXPORTER = Exporter(
    "NeMo 2: paths of PreTrainingDataModule",
    _write,
    units=(Unit.SEQUENCES,),
    version="2",
    options=(Option("validation", "per domain the prefix of its held-out data", kind=dict),),
    draws=Draws.BLOCKS,
    spaces=False,
)
