"""Do our readers read what the layouts' own packages write? Each in an environment of its own.

`make layouts` (or `python -m tests.layouts [NAME ...]`) has each package write the same documents
as shards of tokens, reads them with `proxies.token_shards`, and compares. It needs a network.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mixopt import InputError
from proxies.token_shards import TokenSource
from proxies.token_shards.sample import Wanted, draw
from tests.exporters.__main__ import TORCH, environment

HERE = Path(__file__).parent
END = 3


@dataclass(frozen=True)
class Package:
    """A package that writes shards.

    Attributes:
        packages: installed, with their versions.
        sources: what it writes, below its folder, to format and settings of the reader.
    """

    packages: tuple[str, ...]
    sources: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)


PACKAGES = {
    "datasets": Package(
        ("datasets==5.2.0",), {"saved": ("rows", {}), "rows.parquet": ("rows", {})}
    ),
    "datatrove": Package(
        ("datatrove==0.10.1", "humanize", "tokenizers", "numpy"),
        {"two.ds": ("datatrove", {}), "four.ds": ("datatrove", {})},
    ),
    "litdata": Package(("litdata==0.2.76", TORCH), {"chunks": ("litdata", {})}),
    "megatron": Package(
        ("megatron-core==0.16.1", TORCH, "numpy<3"), {"blend_text_document": ("megatron", {})}
    ),
    "streaming": Package(
        ("mosaicml-streaming==0.13.0", "torch==2.12.1", "torchvision==0.27.1"),
        {
            "shaped": ("mds", {}),
            "typed": ("mds", {}),
            "free": ("mds", {}),
            "bytes": ("mds", {"dtype": "int64"}),
            "packed": ("mds", {}),
        },
    ),
}


def documents() -> list[list[int]]:
    """(300) documents of 64 ids each, ended; of one length, since some columns hold one only."""
    rng = np.random.default_rng(0)
    return [[*rng.integers(10, 40_000, 63).tolist(), END] for _ in range(300)]


def check(name: str, package: Package) -> list[tuple[str, str]]:
    """What the package wrote, and what is wrong with what was read; empty where nothing is."""
    python = environment(f"layout-{name}", package.packages)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "documents.json").write_text(json.dumps(documents()))
        script = HERE / "writers" / f"{name}.py"
        run = subprocess.run(
            [python, script, folder], capture_output=True, text=True, check=False, timeout=900
        )
        if run.returncode:
            return [(name, run.stderr.strip().splitlines()[-1])]
        return [(path, _read(folder / path, *how)) for path, how in package.sources.items()]


def _read(path: Path, kind: str, settings: Mapping[str, Any]) -> str:
    try:
        source = TokenSource(str(path), kind, settings={**settings, "end": END})
        sample = draw("web", source.open("web"), Wanted(10**9, 1, 0.0))
    except InputError as error:
        return str(error)
    read = sorted(document.tolist() for document in sample.train)
    wanted = sorted(document[:-1] for document in documents())
    if read != wanted:
        return f"{len(read)} documents, of which {sum(d in wanted for d in read)} were written"
    return "" if sample.tokens == 300 * 64 else f"{sample.tokens} tokens where 19200 were written"


def main(names: list[str]) -> int:
    """Try each, and say what came out; the status is 1 where one failed."""
    failed = False
    for name in names or PACKAGES:
        for path, problem in check(name, PACKAGES[name]):
            failed = failed or bool(problem)
            words = problem or "as it was written"
            package = PACKAGES[name].packages[0]
            print("FAIL" if problem else "ok  ", f"{package:<28}", f"{path:<20}", words, flush=True)  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
