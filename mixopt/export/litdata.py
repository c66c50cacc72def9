"""litData: a `CombinedStreamingDataset`, alone (0.2) or in a data module of litgpt (0.5).

Weights count *items*: blocks of tokens under a TokensLoader, examples without. Weights are only
used with `iterate_over_all=False`, which ends when the first domain does: no domain is repeated.
"""

from typing import Any

from mixopt.export.exporter import Exporter, Job, Option, Repeats, Unit
from mixopt.export.texts import comment, literal

_HEAD = '''"""The training mixture, for {target}. Written by {note}."""

{imports}
# Domain to weight of {counted}.
WEIGHTS = {weights}
FOLDERS = {folders}
SEED = {seed}


def mixture({argument}**options):
    """The domains combined; `options` go to every StreamingDataset."""
    parts = [
        StreamingDataset(input_dir=FOLDERS[domain], {loader}**options)
        for domain in WEIGHTS
    ]
    return CombinedStreamingDataset(
        parts,
        seed=SEED,
        weights=tuple(WEIGHTS.values()),
        iterate_over_all=False,
        batching_method="{batching_method}",
    )
'''

_MODULE = '''

@dataclass
class Mixture(DataModule):
    """For `--data` of litgpt; it has no validation data, of which a mixture says nothing."""

    num_workers: int = 8
    batch_size: int = field(init=False, repr=False, default=1)
    seq_length: int = field(init=False, repr=False, default=2048)

    def __post_init__(self):
        super().__init__()

    def connect(self, tokenizer=None, batch_size=1, max_seq_length=None):
        self.batch_size = batch_size
        self.seq_length = (max_seq_length or 2048) + 1  # the token that is predicted last

    def train_dataloader(self):
        return StreamingDataLoader(
            mixture(self.seq_length, shuffle=True, drop_last=True),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            pin_memory=True,
            drop_last=True,
        )
'''

_LITDATA = "from litdata import CombinedStreamingDataset, StreamingDataset{loader}\n"
_LITGPT = """from dataclasses import dataclass, field

from litdata import CombinedStreamingDataset, StreamingDataLoader, StreamingDataset, TokensLoader
from litgpt.data import DataModule
"""


def _write(job: Job, module: bool) -> str:
    tokens = job.unit is Unit.SEQUENCES
    target = "litgpt 0.5" if module else "litData 0.2"
    imports = _LITGPT if module else _LITDATA.format(loader=", TokensLoader" if tokens else "")
    text = _HEAD.format(
        target=target,
        note=job.note,
        imports=imports,
        counted="blocks of tokens" if tokens else "examples",
        weights=literal(dict(job.weights)),
        folders=literal({d: job.place(d) for d in job.weights}),
        seed=job.seed,
        argument="block_size, " if tokens else "",
        loader="item_loader=TokensLoader(block_size=block_size), " if tokens else "",
        batching_method=job.options["batching_method"],
    )
    provenance = comment(job.provenance)
    return text + (_MODULE if module else "") + (f"\n\n{provenance}" if provenance else "")


_SHARED: dict[str, Any] = {
    "suffix": ".py",
    "options": (
        Option(
            "batching_method",
            "a batch holds items of all domains, or of one",
            "stratified",
            choices=("stratified", "per_stream"),
        ),
    ),
    "repeats": Repeats.NEVER,
}
EXPORTERS = (
    Exporter(
        "litData: Python with a CombinedStreamingDataset",
        lambda job: _write(job, module=False),
        units=(Unit.SEQUENCES, Unit.EXAMPLES),
        version="0.2",
        **_SHARED,
    ),
    Exporter(
        "litgpt 0.5: Python with a data module over litData",
        lambda job: _write(job, module=True),
        units=(Unit.SEQUENCES,),
        version="litgpt",
        **_SHARED,
    ),
)
