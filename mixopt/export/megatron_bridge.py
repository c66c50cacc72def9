"""Megatron-Bridge (0.7): the dataset's part of a recipe, as YAML overrides.

Pre-training blends count sequences. Supervised fine-tuning counts *passes over a source*: 2.0 reads
it twice, so that weights are w_i R / N_i.
"""

from mixopt.export.exporter import Draws, Exporter, Job, Option, Unit
from mixopt.export.texts import as_yaml


def _write(job: Job) -> str:
    places, weights = [job.place(d) for d in job.domains], list(job.weights.values())
    dataset: dict[str, object]
    if job.unit is Unit.PASSES:
        dataset = {"source": places, "source_weights": weights, "blend_seed": job.seed}
    elif job.options["style"] == "data-path":
        pairs = zip(weights, places, strict=True)
        dataset = {"data_path": " ".join(f"{w!r} {place}" for w, place in pairs)}
    else:
        dataset = {"blend": [places, weights]}
    return as_yaml({"dataset": dataset}, job.note)


EXPORTER = Exporter(
    "Megatron-Bridge: blend of GPTDatasetConfig; with unit=passes, sources of fine-tuning",
    _write,
    units=(Unit.SEQUENCES, Unit.PASSES),
    version="0.7",
    suffix=".yaml",
    options=(
        Option(
            "style",
            "of a blend: two lists, or one text as on the command line",
            "blend",
            choices=("blend", "data-path"),
        ),
    ),
    draws=Draws.BLOCKS,
    spaces=False,
)
