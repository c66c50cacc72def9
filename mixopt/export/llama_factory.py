"""LLaMA-Factory (0.9): `dataset`, `mix_strategy`, `interleave_probs`, and `dataset_info.json`.

Probabilities count *examples*. Names of datasets are separated by commas, so that domains get plain
ones. `interleave_under` stops when the first domain has been read.
"""

import json
from collections.abc import Iterable
from typing import Any

from mixopt.errors import InputError
from mixopt.export.exporter import Exporter, Job, Option, Repeats, Unit
from mixopt.export.sources import source_of
from mixopt.export.texts import as_yaml, slugs

INFO = "dataset_info.json"
REPEATING = "interleave_over"


def _check(job: Job) -> Iterable[str]:
    repeated = [d for d, e in job.epochs.items() if e > 1 + 1e-6]
    if repeated and job.options["mix_strategy"] != REPEATING:
        raise InputError(
            f"mix_strategy is {job.options['mix_strategy']}, which stops or runs dry at the end of "
            f"{', '.join(map(repr, repeated))}, of which the run needs more; use {REPEATING}"
        )
    yield f"{INFO} is written beside the configuration; set dataset_dir to that folder"


def _write(job: Job) -> dict[str, str]:
    names = slugs(job.domains)
    values = {
        "dataset": ",".join(names[d] for d in job.weights),
        "mix_strategy": job.options["mix_strategy"],
        "interleave_probs": ",".join(f"{w:.9f}" for w in job.weights.values()),
        "seed": job.seed,
    }
    if len(job.weights) == 1:  # nothing to interleave
        values = {"dataset": values["dataset"], "mix_strategy": "concat", "seed": job.seed}
    # The same for all stages of a schedule: they share the folder.
    info = {names[d]: _entry(job, d) for d in job.domains}
    return {
        "": as_yaml(values, job.note),
        INFO: json.dumps(info, indent=2, ensure_ascii=False) + "\n",
    }


def _entry(job: Job, domain: str) -> dict[str, Any]:
    path = job.place(domain)
    source = source_of(domain, path)
    local = "data_files" in source or source["path"].startswith((".", "/"))
    where = {"file_name": path} if local else {"hf_hub_url": source["path"]}
    return {**where, "columns": {"prompt": job.options["column"]}}


EXPORTER = Exporter(
    "LLaMA-Factory: YAML with interleave_probs, and dataset_info.json",
    _write,
    units=(Unit.EXAMPLES,),
    version="0.9",
    suffix=".yaml",
    options=(
        Option(
            "mix_strategy",
            "under: stop at the end of the first domain; over: of the last; once: no example twice",
            REPEATING,
            choices=("interleave_under", REPEATING, "interleave_once"),
        ),
        Option("column", "that holds the text", "text"),
    ),
    repeats=Repeats.OPTION,
    check=_check,
)
