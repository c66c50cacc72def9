"""Forms of text files: what a file holds by its name, and which files of a folder are read.

Files of records (JSON, tables) and .txt files are always read. Files that are a document each in
another language (code, Markdown, ...) are read where a folder holds no lines or tables, and fewer
.json files than them: beside those they are mostly descriptions of the data.
"""

import os
from collections.abc import Collection
from typing import Literal

Kind = Literal["txt", "jsonl", "json", "csv", "parquet", "arrow"]

KINDS: dict[str, Kind] = {
    ".txt": "txt",
    ".text": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".parq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
"""Suffixes that are read wherever they stand."""

_DOCUMENTS = """
md markdown mdx rst adoc org tex bib htm html xhtml xml srt vtt
py pyi pyx c h cc cpp cxx hh hpp hxx cu cuh m mm java kt kts scala groovy gradle cs fs vb
js jsx mjs cjs ts tsx vue svelte css scss less go rs rb php pl pm lua r jl swift dart
sh bash zsh fish ps1 bat sql hs ml mli ex exs erl hrl clj cljs lisp el scm rkt nim zig v
sv vhd vhdl f f90 f95 for pas ada adb ads asm s d proto thrift graphql tf cmake mk
yaml yml toml ini cfg lean coq agda sol
"""

DOCUMENTS = frozenset("." + suffix for suffix in _DOCUMENTS.split())
"""Suffixes of files that are one document each, read where no files of lines or tables are."""

PACKED = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".bgz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".lzma": "xz",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".lz4": "lz4",
}
"""Suffixes that any of these may carry; what a file really holds is read off its first bytes."""

NAMES = (
    ".txt, .jsonl, .json, .csv, .tsv, .parquet or .arrow (each also with .gz, .bz2, .xz, .zst or "
    ".lz4), a folder of code or Markdown, or a folder saved by Hugging Face datasets"
)

_WORKING = frozenset({"_temporary", "_delta_log", "_spark_metadata", "__MACOSX", "__pycache__"})
_BOOKKEEPING = frozenset(
    {"dataset_dict.json", "dataset_info.json", "dataset_infos.json", "state.json"}
)
_BACKUPS = ("~", ".bak", ".orig", ".tmp", ".swp", ".part", ".crdownload", ".incomplete")


def split_name(path: str) -> tuple[str, tuple[str, ...]]:
    """The suffix of what is inside a file, and those of what packs it, the outermost first.

    >>> split_name("web/A.JSONL.gz")
    ('.jsonl', ('.gz',))
    """
    root, suffix = os.path.splitext(path.lower())
    packed: list[str] = []
    while suffix in PACKED:
        packed.append(suffix)
        root, suffix = os.path.splitext(root)
    return suffix, tuple(packed)


def kind_of(path: str) -> Kind | None:
    """What a file holds by its name alone, or None if it is no text file."""
    suffix, packed = split_name(path)
    if suffix == ".json" and packed:
        return "json"
    return KINDS.get(suffix) or ("txt" if suffix in DOCUMENTS else None)


def choose(labels: Collection[str], suffixes: Collection[str] = ()) -> dict[str, Kind | str]:
    """Which files of a folder are read, and as what; why the others are not.

    Args:
        labels: paths relative to the folder, with `/`.
        suffixes: if given, what is read and nothing else, unknown ones as a document each; a
            suffix may be of the file inside or the whole end (`.jsonl.gz`).

    Returns:
        Per label a `Kind`, or the reason why it is not read, which is none (it holds a blank).
    """
    open_to = [label for label in labels if not _aside(label, labels)]
    kinds = [kind_of(label) for label in open_to]
    documents = sum(split_name(label)[0] in DOCUMENTS for label in open_to)
    lines = any(kind not in (None, "txt", "json") for kind in kinds)
    lines = lines or kinds.count("json") >= max(1, documents)
    return {label: _choice(label, labels, suffixes, lines) for label in labels}


def _choice(
    label: str, labels: Collection[str], suffixes: Collection[str], lines: bool
) -> Kind | str:
    aside = _aside(label, labels)
    if aside:
        return aside
    suffix, packed = split_name(label)
    shown = suffix + "".join(reversed(packed))
    unread = f"suffix {shown or 'none'}"
    if suffixes:
        kind: Kind = kind_of(label) or "txt"
        return kind if suffix in suffixes or shown in suffixes else unread
    if suffix in DOCUMENTS and lines:
        return f"{unread} beside lines or tables"
    return kind_of(label) or unread


def _aside(label: str, labels: Collection[str]) -> str:
    """Why a file is not read whatever its suffix; empty if it may be."""
    *folders, name = label.split("/")
    original = name.replace("-checkpoint.", ".", 1)
    reasons = {
        "inside a working folder": any(folder in _WORKING for folder in folders),
        "hidden file": any(part.startswith(".") for part in (*folders, name)),
        "marker file": name.startswith("_SUCCESS") or name in ("_metadata", "_common_metadata"),
        "bookkeeping of datasets": name in _BOOKKEEPING,
        "backup copy": name.lower().endswith(_BACKUPS) or (name[0] == name[-1] == "#"),
        "checkpoint copy": original != name and "/".join((*folders, original)) in labels,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")
