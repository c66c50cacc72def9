"""Megatron-LM (core 0.20): a data blend.

Weights count *sequences* of one length, that is tokens: shares need no conversion. Megatron asserts
weights above zero, splits at whitespace, reads the keys train, valid and test, and takes a blend
with any weight that is no number for one without weights. With a fixed batch it stops at each of
`--phase-transition-iterations`, to be started again with the next blend: `transition_steps` of the
list of runs.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mixopt.errors import InputError
from mixopt.export.exporter import Draws, Exporter, Job, Option, Unit

MOST = 32_767


def blend_of(weights: Mapping[str, Any], prefixes: Mapping[str, str]) -> list[str]:
    """Weight and prefix in turn, as texts."""
    return [text for d, w in weights.items() for text in (repr(float(w)), prefixes[d])]


def check(job: Job) -> Iterable[str]:
    """Too many datasets are refused, as are spaces in the paths of held-out data.

    Raises:
        InputError: see above.
    """
    datasets = sum(len(job.spread(d)) for d in job.domains)
    if datasets >= MOST:
        raise InputError(f"{datasets} datasets, and Megatron holds {MOST - 1}; merge some")
    for option in ("valid", "test"):
        for domain, path in (job.options.get(option) or {}).items():
            if not isinstance(path, str) or any(c.isspace() for c in path):
                raise InputError(
                    f"{option} path of domain {domain!r}: {path!r} is no single path without "
                    "whitespace, at which Megatron splits; rename the file"
                )
    return ()


def _write(job: Job) -> str:
    shares = {d: job.spread(d) for d in job.domains}
    weights = {p: w * s for d, w in job.weights.items() for p, s in shares[d].items()}
    train = blend_of(weights, {path: path for path in weights})
    if job.options["style"] == "args":
        return " ".join(train) + "\n"
    valid = _held_out(job, job.options["valid"], train)
    test = _held_out(job, job.options["test"], valid)
    return json.dumps({"train": train, "valid": valid, "test": test}, indent=2) + "\n"


def _held_out(job: Job, paths: Mapping[str, str] | None, otherwise: list[str]) -> list[str]:
    """A blend of held-out data by the same weights.

    Raises:
        InputError: a domain has no path there.
    """
    if not paths:
        return otherwise
    missing = [d for d in job.weights if d not in paths]
    if missing:
        raise InputError(
            f"held-out data: no path is given for {', '.join(map(repr, missing))}; give one for "
            "every domain with a share above zero"
        )
    return blend_of(job.weights, paths)


EXPORTER = Exporter(
    "Megatron-LM: JSON for --per-split-data-args-path, or the text of --data-args-path",
    _write,
    units=(Unit.SEQUENCES,),
    version="core-0.20",
    options=(
        Option(
            "style",
            "per-split: JSON for --per-split-data-args-path (not with --split); args: text for "
            "--data-args-path",
            "per-split",
            choices=("per-split", "args"),
        ),
        Option(
            "valid", "per domain the prefix of its validation data (default: training)", kind=dict
        ),
        Option("test", "per domain the prefix of its test data (default: validation)", kind=dict),
    ),
    draws=Draws.BLOCKS,
    spaces=False,
    check=check,
)
