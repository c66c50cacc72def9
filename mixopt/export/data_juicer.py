"""data-juicer: `dataset.configs`, each with its weight in *samples*, or with their number."""

from typing import Any

from mixopt.export.exporter import Draws, Exporter, Job, Repeats, Unit
from mixopt.export.texts import as_yaml


def _write(job: Job) -> str:
    configs: list[dict[str, Any]] = []
    total = sum(job.weights.values())
    for domain, weight in job.weights.items():
        config: dict[str, Any] = {"type": "local", "path": job.place(domain), "weight": weight}
        if job.unit is Unit.COUNTS:
            config |= {"weight": weight / total, "max_sample_num": weight}
        configs.append(config)
    return as_yaml({"dataset": {"configs": configs}}, job.note)


EXPORTER = Exporter(
    "data-juicer: dataset.configs; with unit=counts, with max_sample_num",
    _write,
    units=(Unit.EXAMPLES, Unit.COUNTS),
    version="1",
    suffix=".yaml",
    draws=Draws.EXACT,
    repeats=Repeats.NEVER,
)
