"""Levanter / marin: components and `train_weights` of a data configuration; schedules natively.

Weights count sequences. Of every block of `mixture_block_size` sequences a domain gets a whole
number, floor(w * block), and the largest domain the rest: a share below 1/block gets nothing. So we
write multiples of 1/block. The start of a stage is a *step*, and its sequences must be a multiple
of the block.
"""

import math
from collections.abc import Mapping
from typing import Any

from mixopt.errors import InputError
from mixopt.export.exporter import Draws, Exporter, Job, Option, Repeats, Schedules, Unit
from mixopt.export.texts import as_yaml

BLOCK = 2048


def _grain(options: Mapping[str, Any]) -> float:
    return 1.0 / float(options["mixture_block_size"])


def _check(job: Job) -> list[str]:
    if job.options["mixture_block_size"] >= 2**16:
        raise InputError(
            f"mixture_block_size is {job.options['mixture_block_size']}; Levanter holds {2**16 - 1}"
        )
    repeated = [d for d, e in job.epochs.items() if e > 1 + 1e-6]
    if repeated and job.options["stop_strategy"] == "first_exhausted":
        raise InputError(
            f"stop_strategy is first_exhausted, and the run passes over "
            f"{', '.join(map(repr, repeated))} more than once; use restart"
        )
    asked = [stage.start for stage in job.stages]
    moved = [
        f"stage {i + 1} begins at step {step}, {step * _batch(job)} sequences"
        for i, step in enumerate(_starts(job))
        if i
    ]
    return [*moved, *(["starts are moved to whole blocks of sequences"] if len(asked) > 1 else [])]


def _batch(job: Job) -> int:
    """Sequences of a step.

    Raises:
        InputError: they are not known.
    """
    given = job.options["train_batch_size"] or job.facts.sequences_per_step
    if not given:
        raise InputError(
            "starts of stages are steps, and the sequences of a step are not known; give "
            "--set train_batch_size=N, or --batch-tokens and --sequence-length"
        )
    return int(given)


def _starts(job: Job) -> list[int]:
    """Step at which each stage begins: the nearest whose sequences are whole blocks.

    Raises:
        InputError: two stages begin at one step, or the length of a sequence is not known.
    """
    if len(job.stages) == 1:
        return [0]
    batch, block = _batch(job), job.options["mixture_block_size"]
    length = job.need("sequence_length", "the ends of stages are counted in sequences")
    every = block // math.gcd(block, batch)  # steps after which a block is whole
    whole = every * batch * length  # tokens between allowed starts
    starts = [(2 * stage.start + whole) // (2 * whole) * every for stage in job.stages]
    if sorted(set(starts)) != starts:
        raise InputError(
            f"stages begin at the steps {starts}, of which {every} is the least distance (whole "
            f"blocks of {block} sequences); give a smaller --set mixture_block_size, or merge "
            "stages"
        )
    return starts


def _write(job: Job) -> str:
    names = job.domains
    urls = job.options["where"] == "urls"
    components = {
        d: {"source": {"type": "url", "train_urls": job.places(d)}}
        if urls
        else {"cache_dir": job.place(d)}
        for d in names
    }
    weights: Any = dict(job.weights)
    if len(job.stages) > 1:
        pairs = zip(_starts(job), job.stages, strict=True)
        weights = [[start, dict(stage.weights)] for start, stage in pairs]
    data = {
        "components": components,
        "train_weights": weights,
        "stop_strategy": job.options["stop_strategy"],
        "mixture_block_size": job.options["mixture_block_size"],
    }
    return as_yaml({"data": data}, job.note)


EXPORTER = Exporter(
    "Levanter / marin: components and train_weights of a data configuration",
    _write,
    units=(Unit.SEQUENCES,),
    version="0.2",
    suffix=".yaml",
    options=(
        Option("mixture_block_size", "sequences of a block; at most 65535", BLOCK, int, least=1),
        Option("train_batch_size", "sequences of a step, for starts of stages", kind=int, least=1),
        Option(
            "stop_strategy",
            "what happens at the end of a domain",
            "restart",
            choices=("restart", "first_exhausted", "all_exhausted"),
        ),
        Option(
            "where",
            "paths are caches of tokens, or urls of text",
            "cache",
            choices=("cache", "urls"),
        ),
    ),
    grain=_grain,
    grain_remedy="give a larger block (--set mixture_block_size=65535)",
    draws=Draws.BLOCKS,
    repeats=Repeats.OPTION,
    schedules=Schedules.NATIVE,
    check=_check,
)
