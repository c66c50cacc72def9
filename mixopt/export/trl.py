"""TRL (1.16): `datasets` of a script's YAML, each with its fraction of the *rows*.

TRL never oversamples: of the largest mixture in which no dataset gives more rows than it has, it
takes the first rows of each. So the size of the mixture follows from the data, R' = min N_i / w_i
tokens, and not from a budget; `streaming` is refused with fractions.
"""

from collections.abc import Iterable
from typing import Any

from mixopt.export.exporter import Draws, Exporter, Job, Option, Repeats, Unit
from mixopt.export.sources import sources_of
from mixopt.export.texts import as_yaml


def _check(job: Job) -> Iterable[str]:
    unique, shares = job.facts.unique, job.stages[0].shares
    if all(unique.get(d) for d in job.domains) and len(job.stages) == 1:
        size = min(unique[d] / w for d, w in shares.items())
        yield f"TRL takes as many rows as the data allow, {size:.4g} tokens"
    else:
        yield "TRL takes as many rows as the data allow, not as many as a budget says"


def _write(job: Job) -> str:
    datasets = []
    for domain, weight in job.weights.items():
        source = sources_of(domain, job.places(domain))
        source.pop("sep", None)
        dataset: dict[str, Any] = {**source, "split": job.options["split"]}
        if job.options["columns"]:
            dataset["columns"] = job.options["columns"].split(",")
        datasets.append({**dataset, "fraction": weight})
    return as_yaml({"datasets": datasets, "streaming": False}, job.note)


EXPORTER = Exporter(
    "TRL: datasets of a script's YAML, with fractions",
    _write,
    units=(Unit.EXAMPLES,),
    version="1.16",
    suffix=".yaml",
    options=(
        Option("split", "of every dataset", "train"),
        Option("columns", "to keep, with commas between them; needed where the domains' differ"),
    ),
    draws=Draws.EXACT,
    repeats=Repeats.NEVER,
    check=_check,
)
