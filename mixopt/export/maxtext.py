"""MaxText over grain: `grain_train_mixture_config_path` (JSON), or the text of `grain_train_files`.

Weights count *records* of arrayrecord files, which are packed later: shares of tokens become shares
of records. MaxText rounds the weights of the text to four decimals, so that we write such. The JSON
may change where a run is resumed, which is a schedule by hand. grain cuts weights off at a
hundredth of the smallest (`mixopt.export.grain_weights`).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mixopt.errors import InputError
from mixopt.export.exporter import FINEST, Draws, Exporter, Job, Option, Settled, Unit
from mixopt.export.grain_weights import drawn_by, settled


def _grain(options: Mapping[str, Any]) -> float:
    return 1e-4 if options["style"] == "files" else FINEST


def _settle(weights: Mapping[str, float], options: Mapping[str, Any]) -> Settled:
    """The text has four decimals, which cannot be settled; what grain makes of them is counted."""
    return (weights, drawn_by(weights)) if options["style"] == "files" else settled(weights)


def _check(job: Job) -> Iterable[str]:
    for domain in job.domains:
        path = job.place(domain)
        broken = [c for c in ",;" if c in path]
        if broken and job.options["style"] == "files":
            raise InputError(
                f"path of domain {domain!r}: {path!r} holds {broken[0]!r}, at which MaxText "
                "splits; rename it, or write the JSON (--set style=json)"
            )
    yield "not for MaxText's elastic iterator, which mixes nothing"


def _write(job: Job) -> str:
    if job.options["style"] == "files":
        return ";".join(f"{job.place(d)},{w:.4f}" for d, w in job.weights.items()) + "\n"
    values = {d: {"path": job.place(d), "weight": w} for d, w in job.weights.items()}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


EXPORTER = Exporter(
    "MaxText over grain: JSON of a mixture, or the text of grain_train_files",
    _write,
    units=(Unit.EXAMPLES,),
    version="0.2",
    options=(
        Option(
            "style",
            "json for grain_train_mixture_config_path, files for grain_train_files",
            "json",
            choices=("json", "files"),
        ),
    ),
    grain=_grain,
    grain_remedy="write the JSON (--set style=json)",
    draws=Draws.BLOCKS,
    settle=_settle,
    check=_check,
)
