"""The tokenised sets of a fine-tuning study, made once and kept in the cache."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mixopt.errors import InputError
from mixopt.runs.files import write_atomically
from proxies.corpus.counts import Reasons, note, sentence, total
from proxies.corpus.sources import Given, sources_of
from proxies.corpus.userfiles import find_files
from proxies.finetune.data import Examples, encode_rows, held_out, read_rows

Paths = Mapping[str, Given]
Rows = list[dict[str, Any]]
_FORMAT = 1
RECORDS = ("jsonl", "json", "parquet", "arrow")
"""Kinds of files that hold instructions."""

_TRAIN, _VALIDATION = "train/", "validation/"


@dataclass(frozen=True)
class Sets:
    """Training and validation sets of a study.

    Attributes:
        train: per domain.
        validation: per metric.
        data: hash of all that decides them.
        warnings: what was left out, in words.
    """

    train: dict[str, Examples]
    validation: dict[str, Examples]
    data: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class SetConfig:
    """What decides the sets, tokenizer aside; see `FineTuneTrainer`."""

    domains: Paths
    validation: Paths | None
    validation_fraction: float
    max_length: int
    model: str
    revision: str | None


def load_sets(config: SetConfig, tokenizer: Any, cache: Path) -> Sets:
    """The sets, from the cache if they are there.

    Raises:
        InputError: a file is missing, a row has no known form, or a set is left without examples.
    """
    splits, skipped = _split(config)
    vocabulary = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    identity = [splits, vocabulary, tokenizer.chat_template, config.max_length, _FORMAT]
    whole = json.dumps([*identity, _model_files(config)])
    data = hashlib.sha256(whole.encode()).hexdigest()
    path = cache / "finetune" / f"{data[:16]}.safetensors"
    tensors = _read(path)
    if tensors is None:
        tensors = _tokenise(splits, tokenizer, config.max_length)
        write_atomically(path, save(tensors))
    examples = {name: _unpack(tensors, name) for name in splits}
    return Sets(
        train=_named(examples, _TRAIN),
        validation=_named(examples, _VALIDATION),
        data=data,
        warnings=tuple(
            f"{name}: files not read: {total(reasons)}. {sentence(reasons)}"
            for name, reasons in skipped.items()
            if reasons
        )
        + tuple(
            f"{name}: {len(rows) - len(examples[name])} of {len(rows)} examples are left out, "
            f"their answer begins beyond max_length {config.max_length}"
            for name, rows in splits.items()
            if len(examples[name]) < len(rows)
        ),
    )


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    try:
        tensors: dict[str, NDArray[Any]] = load(path.read_bytes())
    except (FileNotFoundError, SafetensorError):  # not made yet, or not readable any more
        return None
    return tensors


def _split(config: SetConfig) -> tuple[dict[str, Rows], dict[str, Reasons]]:
    """Rows per `train/<name>` and `validation/<name>`; files that are not read, by reason."""
    splits: dict[str, Rows] = {}
    skipped: dict[str, Reasons] = {}
    for name, given in config.domains.items():
        rows, skipped[_TRAIN + name] = _read_set(name, given)
        if config.validation is None:
            held = [held_out(row, config.validation_fraction) for row in rows]
            pairs = list(zip(rows, held, strict=True))
            splits[_VALIDATION + name] = [row for row, out in pairs if out]
            rows = [row for row, out in pairs if not out]
        splits[_TRAIN + name] = rows
    for name, given in (config.validation or {}).items():
        key = _VALIDATION + name
        splits[key], skipped[key] = _read_set(name, given)
    return splits, skipped


def _read_set(name: str, given: Given) -> tuple[Rows, Reasons]:
    """The rows of a set, and the files in its folders that hold none."""
    sources = sources_of(name, given, "text")
    listing = find_files(name, sources)
    files = [file for file in listing.files if file.kind in RECORDS]
    for file in listing.files:
        if file.kind not in RECORDS:
            note(listing.skipped, f"{file.kind}, no records", file.label)
    if not files:
        raise InputError(
            f"domain {name!r}: {given!r} holds no .jsonl, .json, .parquet or .arrow file; name "
            "files with one object a line"
        )
    return list(read_rows(name, files)), listing.skipped


def _tokenise(
    splits: Mapping[str, Rows], tokenizer: Any, max_length: int
) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {}
    for name, rows in splits.items():
        examples = encode_rows(tokenizer, rows, max_length)
        if not len(examples):
            raise InputError(
                f"{name}: none of {len(rows)} rows is left with an answer that begins within "
                f"max_length {max_length}; add rows, or raise max_length (or, for a set that is "
                "held out, validation_fraction)"
            )
        tensors |= {f"{name}/{field}": values for field, values in asdict(examples).items()}
    return tensors


def _unpack(tensors: Mapping[str, NDArray[Any]], name: str) -> Examples:
    return Examples(*(tensors[f"{name}/{field}"] for field in ("ids", "ends", "answers")))


def _named(examples: Mapping[str, Examples], prefix: str) -> dict[str, Examples]:
    return {n.removeprefix(prefix): e for n, e in examples.items() if n.startswith(prefix)}


def _model_files(config: SetConfig) -> list[str]:
    """What tells one model from another: its files' names and sizes, or name and revision."""
    folder = Path(config.model)
    if not folder.is_dir():
        return [config.model, str(config.revision)]
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])
    return [f"{file.name} {file.stat().st_size}" for file in files]
