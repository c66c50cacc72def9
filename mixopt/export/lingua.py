"""Meta lingua (2025-06): `data.sources`, from a folder below `data.root_dir` to its weight."""

from mixopt.errors import InputError
from mixopt.export.exporter import Exporter, Job, Option, Paths, Unit
from mixopt.export.texts import as_yaml


def _write(job: Job) -> str:
    names = {d: job.place(d) or d for d in job.weights}
    if len(set(names.values())) < len(names):
        raise InputError("two domains have one path, by which lingua names them; split the folder")
    data = {"sources": {names[d]: w for d, w in job.weights.items()}, "seed": job.seed}
    root = job.options["root_dir"]
    return as_yaml({"data": {"root_dir": root, **data} if root else data}, job.note)


EXPORTER = Exporter(
    "Meta lingua: data.sources of a configuration",
    _write,
    units=(Unit.SEQUENCES,),
    version="2025-06",
    suffix=".yaml",
    options=(Option("root_dir", "folder that the sources lie in"),),
    paths=Paths.OPTIONAL,
)
