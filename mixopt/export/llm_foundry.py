"""LLM-Foundry (0.22): `train_loader.dataset.streams` of a configuration, as MosaicML Streaming."""

from mixopt.export.exporter import Draws, Exporter, Job
from mixopt.export.streams import OPTIONS, UNITS, streams
from mixopt.export.texts import as_yaml


def _write(job: Job) -> str:
    dataset = {"streams": streams(job), "shuffle_seed": job.seed}
    return as_yaml({"train_loader": {"dataset": dataset}}, job.note)


EXPORTER = Exporter(
    "LLM-Foundry: streams of a train_loader",
    _write,
    units=UNITS,
    version="0.22",
    suffix=".yaml",
    options=OPTIONS,
    draws=Draws.BLOCKS,
)
