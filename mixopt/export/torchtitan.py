"""torchtitan: the release 0.3.0 interleaves packed rows, the main branch mixes over grain.

In 0.3.0 each source is packed before it is drawn from, so that weights count *tokens*. On the
main branch (`git`) weights count what the mixed datasets give: documents (examples) if packing
comes after the mix, rows (tokens) if each is packed first.
"""

from collections.abc import Iterable

from mixopt.errors import InputError
from mixopt.export.exporter import Draws, Exporter, Job, Option, Paths, Repeats, Unit
from mixopt.export.grain_weights import settled
from mixopt.export.texts import comment, literal

_RELEASE = '''"""The training mixture, for torchtitan 0.3.0. Written by {note}."""

from torchtitan.hf_datasets.text_datasets import (
    HFDataSource,
    InterleavedHuggingFaceTextDataLoader,
)

# `dataset` is a name in torchtitan's table of text datasets (torchtitan.hf_datasets.text_datasets).
# Weights are shares of tokens: every source is packed before it is drawn from.
SOURCES = {sources}
SEED = {seed}
STOPPING_STRATEGY = "{stopping_strategy}"


def dataloader():
    """For `dataloader=` of a trainer's configuration."""
    return InterleavedHuggingFaceTextDataLoader.Config(
        sources=[HFDataSource(**source) for source in SOURCES],
        seed=SEED,
        stopping_strategy=STOPPING_STRATEGY,
    )
{provenance}'''

_MAIN = '''"""The training mixture, for torchtitan (main branch). Written by {note}."""

from torchtitan.components.data import DatasetMixConfig, WeightedDataset

# Domain to weight of {counted}.
# Keep the order: a dataset that is added or moved reseeds those after it.
WEIGHTS = {weights}


def mixture(datasets):
    """The mix of `datasets`, from domain to {dataset}."""
    return DatasetMixConfig(
        datasets=tuple(
            WeightedDataset(dataset=datasets[domain], weight=weight)
            for domain, weight in WEIGHTS.items()
        )
    )
{provenance}'''


def _check(job: Job) -> Iterable[str]:
    repeated = [d for d, e in job.epochs.items() if e > 1 + 1e-6]
    if repeated and not job.options["infinite"]:
        raise InputError(
            f"infinite is false, and the run passes over {', '.join(map(repr, repeated))} more "
            "than once; leave infinite=true"
        )
    return ()


def _release(job: Job) -> str:
    names = job.options["dataset"] or {}
    sources = []
    for domain, weight in job.weights.items():
        source = {"dataset": names.get(domain, domain)}
        place = job.place(domain)
        source |= {"dataset_path": place} if place else {}
        sources.append({**source, "infinite": job.options["infinite"], "weight": weight})
    return _RELEASE.format(
        note=job.note,
        sources=literal(sources),
        seed=job.seed,
        stopping_strategy=job.options["stopping_strategy"],
        provenance=comment(job.provenance),
    )


def _main(job: Job) -> str:
    packed = job.unit is Unit.SEQUENCES
    return _MAIN.format(
        note=job.note,
        counted="packed rows (tokens)" if packed else "documents",
        dataset="its packed dataset" if packed else "its dataset of documents, not packed yet",
        weights=literal(dict(job.weights)),
        provenance=comment(job.provenance),
    )


EXPORTERS = (
    Exporter(
        "torchtitan 0.3.0: Python with an InterleavedHuggingFaceTextDataLoader",
        _release,
        units=(Unit.SEQUENCES,),
        version="0.3.0",
        suffix=".py",
        options=(
            Option(
                "dataset",
                "per domain its name in torchtitan's table (default: the domain)",
                kind=dict,
            ),
            Option("infinite", "begin every source anew when it has been read", True, bool),
            Option(
                "stopping_strategy",
                "where infinite is false",
                "on_first_exhausted",
                choices=("on_first_exhausted", "all_exhausted"),
            ),
        ),
        repeats=Repeats.OPTION,
        paths=Paths.OPTIONAL,
        check=_check,
    ),
    Exporter(
        "torchtitan, main branch: Python with a DatasetMixConfig",
        _main,
        units=(Unit.SEQUENCES, Unit.EXAMPLES),
        version="git",
        suffix=".py",
        draws=Draws.BLOCKS,
        paths=Paths.UNUSED,
        settle=lambda weights, options: settled(weights),  # noqa: ARG005
    ),
)
