"""Injections in a corpus: their documents and probes as tokens, beside the shards of the domains.

Notation:
    row of documents: `start` in the stream and `tokens` of each, the end of the document included
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from proxies.corpus.config import CorpusConfig
from proxies.corpus.counts import Counts, printable
from proxies.corpus.encoder import Encoder
from proxies.corpus.injections import (
    Injection,
    Pair,
    check_controls,
    check_documents,
    memorised,
    pair_of,
)
from proxies.corpus.questions import question_hash, write_asked
from proxies.corpus.reading import read_rows, read_texts
from proxies.corpus.shards import Record, Shards
from proxies.corpus.sources import Source
from proxies.corpus.userfiles import find_files

DOCUMENTS = np.dtype([("start", "<u8"), ("tokens", "<u4")])


def write_injections(config: CorpusConfig, shards: Shards, folder: Path) -> None:
    """Tokenise every injection into the corpus.

    Raises:
        InputError: a file holds no text or no probe, injections overlap, or a control is injected.
    """
    made = config.made_injections()
    documents = {name: _documents(of, config.text_field) for name, of in made.items()}
    check_documents(documents)
    for number, (name, of) in enumerate(made.items()):
        probes = _asked(f"injections: {name!r}: probes", of.probes)
        controls = _asked(f"injections: {name!r}: controls", of.controls)
        check_controls(name, controls, documents)
        for warning in memorised(name, probes, documents):
            shards.warnings.append(warning)
        stem = f"injection-{number:03d}"
        entry = _write(documents[name], shards.encoder, folder, stem)
        for what, pairs in (("probes", probes), ("controls", controls)):
            lines = [(context, [scored]) for context, scored in pairs]
            entry[what] = write_asked(lines, shards.encoder, folder, f"{stem}-{what}")
        shards.injections[name] = entry


def _documents(of: Injection, text_field: str) -> tuple[str, ...]:
    if not isinstance(of.documents, str):
        return of.documents
    counts = Counts()
    name = f"injections/{of.name}"
    files = find_files(name, (Source(of.documents, text_field=text_field),)).files
    texts = tuple(t for file in files for t in read_texts(name, file, counts) if t.strip())
    for faults in counts.check(name, {}):
        raise InputError(
            f"injections: {of.name!r}: {printable(of.documents)}: {faults}; correct it, for what "
            "is injected must be what was meant"
        )
    if not texts:
        raise InputError(
            f"injections: {of.name!r}: {printable(of.documents)} holds no text; give a .jsonl file "
            'with {"text": "..."} in every line, or a list of texts'
        )
    return texts


def _asked(where: str, given: str | tuple[Pair, ...]) -> tuple[Pair, ...]:
    if not isinstance(given, str):
        return given
    pairs: list[Pair] = []
    for file in find_files(where, (Source(given),)).files:
        if file.kind not in ("json", "jsonl"):
            raise InputError(f"{where}: {printable(file.path)} is no .jsonl file; give one")
        pairs += [pair_of(f"{where}: {place}", row) for place, row in read_rows(where, file)]
    if not pairs:
        raise InputError(f"{where}: {printable(given)} holds none; give one in every line")
    return tuple(pairs)


def _write(texts: tuple[str, ...], encoder: Encoder, folder: Path, stem: str) -> Record:
    parts = [np.frombuffer(encoder.document(text), dtype=encoder.dtype) for text in texts]
    lengths = np.array([len(part) for part in parts])
    table = np.zeros(len(parts), dtype=DOCUMENTS)
    table["start"], table["tokens"] = np.cumsum(lengths) - lengths, lengths
    stream = np.concatenate(parts)
    np.save(folder / f"{stem}.npy", stream, allow_pickle=False)
    np.save(folder / f"{stem}-rows.npy", table, allow_pickle=False)
    return {
        "file": f"{stem}.npy",
        "rows": f"{stem}-rows.npy",
        "documents": len(texts),
        "tokens": len(stream),
        "sha256": question_hash(stream, table),
    }


def injected_documents(stream: NDArray[Any], rows: NDArray[Any]) -> list[NDArray[np.int64]]:
    """The documents of an injection, each with the token that ends it."""
    return [
        stream[int(row["start"]) : int(row["start"]) + int(row["tokens"])].astype(np.int64)
        for row in rows
    ]
