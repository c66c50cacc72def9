"""Hugging Face `datasets` (5): a Python file around `interleave_datasets`.

`interleave_datasets` draws *examples*, not tokens, and stops as its `stopping_strategy` says:
`first_exhausted` at R' = min N_i / w_i tokens, `all_exhausted` when the last domain has been read,
which can be many passes over the others.
"""

from collections.abc import Iterable

from mixopt.errors import InputError
from mixopt.export.exporter import Exporter, Job, Option, Paths, Repeats, Unit
from mixopt.export.sources import sources_of
from mixopt.export.texts import comment, literal

REPEATING = "all_exhausted"

_FILE = '''"""The training mixture, for Hugging Face datasets. Written by {note}."""

from datasets import interleave_datasets, load_dataset

# Domain to probability of the next *example* coming from it.
PROBABILITIES = {probabilities}
# Domain to what `load_dataset` takes: loader and files, a folder, or a name of the hub.{fill_in}
SOURCES = {sources}
SEED = {seed}
STOPPING_STRATEGY = "{stopping_strategy}"


def mixture(split="train", streaming=True, **options):
    """The domains interleaved; `options` go to `load_dataset`."""
    missing = [domain for domain in PROBABILITIES if not SOURCES.get(domain)]
    if missing:
        raise ValueError(f"SOURCES does not say where these domains are: {{', '.join(missing)}}")
    parts = []
    for domain in PROBABILITIES:
        source = dict(SOURCES[domain])
        path = source.pop("path")
        how = {{**source, "split": split, "streaming": streaming, **options}}
        parts.append(load_dataset(path, **how))
    return interleave_datasets(
        parts,
        probabilities=list(PROBABILITIES.values()),
        seed=SEED,
        stopping_strategy=STOPPING_STRATEGY,
    )
{provenance}'''

_FILL_IN = (
    '\n# No paths were given: put one in place of each empty {}, e.g. {"path": "org/name"},'
    '\n# {"path": "./folder"} or {"path": "json", "data_files": "data/*.jsonl.gz"}.'
)


def _check(job: Job) -> Iterable[str]:
    strategy = job.options["stopping_strategy"]
    if not job.epochs:
        return
    end, most = job.stages[-1].until or 0, max(job.epochs.values())
    if strategy != REPEATING and most > 1 + 1e-6:
        raise InputError(
            f"stopping_strategy is {strategy}, with which the data end at {int(end / most)} tokens "
            f"of {end}, when the first domain has been read; use {REPEATING}, or give fewer tokens"
        )
    least = min(job.epochs.values())
    if strategy == REPEATING and least > 0 and most / least > 100:
        yield (
            f"{REPEATING} ends after {end / least:.3g} tokens, when the last domain has been read; "
            "stop the training at its own budget"
        )


def _write(job: Job) -> str:
    given = any(job.places(d) for d in job.domains)
    sources = {d: sources_of(d, job.places(d)) if given else {} for d in job.weights}
    provenance = comment(job.provenance)
    return _FILE.format(
        note=job.note,
        probabilities=literal(dict(job.weights)),
        fill_in="" if given else _FILL_IN,
        sources=literal(sources),
        seed=job.seed,
        stopping_strategy=job.options["stopping_strategy"],
        provenance=f"\n\n{provenance}" if provenance else "",
    )


EXPORTER = Exporter(
    "Hugging Face datasets: Python with interleave_datasets",
    _write,
    units=(Unit.EXAMPLES,),
    version="5",
    suffix=".py",
    options=(
        Option(
            "stopping_strategy",
            "of interleave_datasets",
            REPEATING,
            choices=("first_exhausted", REPEATING, "all_exhausted_without_replacement"),
        ),
    ),
    repeats=Repeats.OPTION,
    paths=Paths.OPTIONAL,
    check=_check,
)
