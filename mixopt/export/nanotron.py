"""nanotron (0.4): `data_stages`, the one native form of a schedule with a start *step* from 1.

Weights count sequences. Folders and weights are lists, also for one domain: nanotron resets the
weights of a folder that is a plain text. Its documentation shows a mapping, which its class
refuses.
"""

from typing import Any

from mixopt.errors import InputError
from mixopt.export.exporter import Draws, Exporter, Job, Option, Schedules, Stage, Unit
from mixopt.export.texts import as_yaml


def _write(job: Job) -> str:
    starts = [1 if stage.start == 0 else job.steps(stage.start) + 1 for stage in job.stages]
    if sorted(set(starts)) != starts:
        raise InputError(
            f"stages begin at the steps {starts}: one is shorter than a step; give smaller steps "
            "(--batch-tokens), or merge stages"
        )
    stages = [_stage(job, i, s, n) for i, (s, n) in enumerate(zip(job.stages, starts, strict=True))]
    return as_yaml({"data_stages": stages}, job.note)


def _stage(job: Job, number: int, stage: Stage, start: int) -> dict[str, Any]:
    length = job.need("sequence_length", "every stage of nanotron has one")
    dataset = {
        "dataset_folder": [job.place(d) for d in stage.weights],
        "dataset_weights": list(stage.weights.values()),
    }
    return {
        "name": f"{job.options['name']}{number + 1}",
        "start_training_step": start,
        "sequence_length": length,
        "data": {"seed": job.seed, "num_loading_workers": 1, "dataset": dataset},
    }


EXPORTER = Exporter(
    "nanotron: data_stages of a configuration",
    _write,
    units=(Unit.SEQUENCES,),
    version="0.4",
    suffix=".yaml",
    options=(Option("name", "beginning of the stages' names", "stage"),),
    draws=Draws.BLOCKS,
    schedules=Schedules.NATIVE,
)
