"""A corpus out of shards of tokens: a sample of their documents, in the proxies' own vocabulary."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from mixopt.errors import InputError
from proxies.corpus.config import FORMAT, CorpusConfig, load_named_tokenizer, tokenizer_path
from proxies.corpus.corpus import MANIFEST, TOKEN_BYTES, VOCABULARY, token_hash
from proxies.corpus.objective_entries import with_objectives
from proxies.corpus.tokenizer import end_token, token_bytes
from proxies.token_shards.ports import Ids
from proxies.token_shards.sample import Sample, Wanted, draw
from proxies.token_shards.source import TokenSource
from proxies.token_shards.vocabulary import Vocabulary

Record = dict[str, Any]

_NOTABLE = 0.02
"""A larger share of the shared id is worth a warning."""
_ENOUGH = 1000
"""Tokens that tell whether integers were read in half."""
_TOLD_BY = 20
"""So many units that all end with one id tell that it ends documents."""


@dataclass
class _Drawn:
    """What was drawn of all domains.

    Attributes:
        samples: per training domain.
        validation: documents per validation set, in the manifest's order.
        sources: records per set, for the manifest.
        places: tokens per shard of each training domain, shards as a trainer is given them.
        warnings: for the user.
    """

    samples: dict[str, Sample] = field(default_factory=dict)
    validation: dict[str, list[Ids]] = field(default_factory=dict)
    sources: dict[str, list[Record]] = field(default_factory=dict)
    places: dict[str, dict[str, int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def build_tokenised(config: CorpusConfig, folder: Path) -> None:
    """Sample the shards of a configuration into a corpus folder.

    Raises:
        InputError: shards cannot be read, are of another vocabulary, or hold too little.
    """
    tokenizer = load_named_tokenizer(config, sized=False) if config.tokenizer is not None else None
    drawn = _draw(config, tokenizer)
    texts = {name: sample.train for name, sample in drawn.samples.items()}
    lengths = None if tokenizer is None else token_bytes(tokenizer)
    if tokenizer is not None and lengths is not None and len(lengths) <= config.vocab:
        vocabulary = Vocabulary.whole(len(lengths), end_token(tokenizer))
    else:
        vocabulary = Vocabulary.of(texts, config.vocab)
    held = [d for documents in drawn.validation.values() for d in documents]
    sizes = vocabulary.token_bytes(lengths, held)
    dtype = np.dtype("<u2" if vocabulary.size <= 2**16 else "<u4")
    entries: dict[str, dict[str, Record]] = {"train": {}, "validation": {}}
    tables: Sequence[tuple[str, Mapping[str, list[Ids]]]] = (
        ("train", texts),
        ("validation", drawn.validation),
    )
    for kind, table in tables:
        for number, (name, documents) in enumerate(table.items()):
            stream = vocabulary.encode(documents).astype(dtype)
            file = f"{kind}-{number:03d}.npy"
            np.save(folder / file, stream, allow_pickle=False)
            entries[kind][name] = {
                "file": file,
                "documents": len(documents),
                "bytes": int(sizes[stream].sum()),
                "tokens": len(stream),
                "shared": round(vocabulary.shared(stream), 6),
                "sha256": token_hash(stream),
            }
    for name, sample in drawn.samples.items():
        entry = entries["train"][name]
        scale = sample.tokens / max(1, entry["tokens"])
        entry["available_tokens"] = sample.tokens
        entry["available_bytes"] = round(entry["bytes"] * scale)
    _warn(drawn, entries["validation"], vocabulary)
    np.save(folder / TOKEN_BYTES, sizes, allow_pickle=False)
    np.save(folder / VOCABULARY, vocabulary.ids, allow_pickle=False)
    _finish(config, folder, drawn, entries, vocabulary)


def _draw(config: CorpusConfig, tokenizer: Tokenizer | None) -> _Drawn:
    drawn = _Drawn()
    separate = {
        name: _sample(config, drawn, ("validation", name), sources, tokenizer).validation
        for name, sources in config.validation_tokens().items()
    }
    for name, sources in config.training_tokens().items():
        sample = _sample(config, drawn, ("train", name), sources, tokenizer)
        if not sample.train:
            raise InputError(
                f"domain {name!r}: all of its documents are held out; give it more shards, lower "
                "validation_fraction, or name its validation set under `validation`"
            )
        drawn.samples[name] = sample
        drawn.validation[name] = separate.pop(name, sample.validation)
        if not drawn.validation[name]:
            raise InputError(
                f"domain {name!r}: none of its documents is held out; raise validation_fraction, "
                "or name its validation set under `validation`"
            )
    drawn.validation |= separate
    return drawn


def _sample(
    config: CorpusConfig,
    drawn: _Drawn,
    which: tuple[str, str],
    sources: Sequence[TokenSource],
    tokenizer: Tokenizer | None,
) -> Sample:
    """Sample one domain or validation set, and note what it is."""
    kind, name = which
    shards = [shard for source in sources for shard in source.open(name)]
    orders = {source.order for source in sources}
    if len(orders) > 1:
        raise InputError(f"domain {name!r}: its sources have orders {sorted(orders)}; give one")
    fraction = 1.0 if kind == "validation" else config.validation_fraction
    if kind == "train" and name in (config.validation or {}):
        fraction = 0.0
    wanted = Wanted(config.max_tokens, config.max_validation_tokens, fraction)
    end = None if tokenizer is None else end_token(tokenizer)
    sample = draw(name, shards, wanted, orders.pop(), end)
    if end is None and all(shard.end is None for shard in shards):
        _without_ends(sample)
    _check_width(name, sample, tokenizer)
    drawn.sources[f"{kind}/{name}"] = [
        {
            "name": ", ".join(source.shards.rstrip("/").rpartition("/")[2] for source in sources),
            "format": ", ".join(sorted({source.format for source in sources})),
            "shards": len(shards),
            "tokens": sample.tokens,
            "counted": sample.exact,
        }
    ]
    if kind == "train":
        places = drawn.places.setdefault(name, {})
        for shard in shards:
            places[shard.place] = places.get(shard.place, 0) + shard.tokens
    return sample


def _without_ends(sample: Sample) -> None:
    """Take off the id by which documents end, where all end with one; nobody has named it."""
    every = [ids for ids in (*sample.train, *sample.validation) if len(ids)]
    last = {int(ids[-1]) for ids in every}
    if len(every) >= _TOLD_BY and len(last) == 1:
        for part in (sample.train, sample.validation):
            part[:] = [ids[:-1] for ids in part]


def _check_width(name: str, sample: Sample, tokenizer: Tokenizer | None) -> None:
    """Refuse ids that are not the tokenizer's, and integers that were read in half.

    Raises:
        InputError: they are.
    """
    size = None if tokenizer is None else tokenizer.get_vocab_size(with_added_tokens=True)
    if size is not None and sample.widest >= size:
        raise InputError(
            f"domain {name!r}: its shards hold the id {sample.widest}, and the tokenizer has "
            f"{size} entries; they are of another vocabulary (or `dtype` is another)"
        )
    every = (*sample.train, *sample.validation)
    neighbours = any(np.any((ids[:-1] != 0) & (ids[1:] != 0)) for ids in every)
    if sum(map(len, every)) > _ENOUGH and not neighbours:
        raise InputError(
            f"domain {name!r}: every other token of its shards is 0, as if integers of twice the "
            "width were read; correct `dtype`"
        )


def _warn(drawn: _Drawn, validation: Mapping[str, Record], vocabulary: Vocabulary) -> None:
    shared = {n: e["shared"] for n, e in validation.items() if e["shared"] > _NOTABLE}
    if shared:
        worst = max(shared, key=lambda name: shared[name])
        drawn.warnings.append(
            f"proxies tell {len(vocabulary.ids)} ids apart, and all others share one: up to "
            f"{shared[worst]:.0%} of a validation set ({worst}); a larger `vocab` takes rows of "
            "the model's parameters"
        )
    for name, sample in drawn.samples.items():
        if not sample.exact:
            drawn.warnings.append(
                f"domain {name!r}: its index does not count tokens; {sample.tokens} is an estimate "
                "from some of its samples"
            )


def _finish(
    config: CorpusConfig,
    folder: Path,
    drawn: _Drawn,
    entries: Mapping[str, Mapping[str, Record]],
    vocabulary: Vocabulary,
) -> None:
    """Write the manifest, last."""
    tokenizer = b"" if config.tokenizer is None else tokenizer_path(config.tokenizer).read_bytes()
    manifest = {
        "format": FORMAT,
        "sources": drawn.sources,
        "shards": drawn.places,
        **with_objectives(config, {**entries, "vocab": vocabulary.size}),
        "vocabulary": {"ids": len(vocabulary.ids), "sha256": token_hash(vocabulary.ids)},
        "unit": "nats/token" if config.tokenizer is None else "bits/byte",
        "tokenizer": {
            "trained": False,
            "sha256": hashlib.sha256(tokenizer).hexdigest() if tokenizer else "",
        },
        "warnings": drawn.warnings,
        "file_sizes": {file.name: file.stat().st_size for file in sorted(folder.iterdir())},
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
