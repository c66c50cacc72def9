"""From a heap to domains: read it once, find out what domains there are, and write them."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from threadpoolctl import threadpool_limits

from mixopt.errors import InputError, MixoptError
from proxies.corpus.counts import printable
from proxies.corpus.scoring import BUILTIN
from proxies.corpus.survey import BYTES_PER_TOKEN
from proxies.heap.clusters import Candidate, best
from proxies.heap.config import TIERS, HeapConfig
from proxies.heap.heap import Heap
from proxies.heap.look import Look, Tell, look, silent
from proxies.heap.placing import (
    Plan,
    all_in_one,
    by_embeddings,
    by_field,
    by_words,
    open_embeddings,
)
from proxies.heap.quality import scores_of
from proxies.heap.tiers import UNSCORED, part_by_quality
from proxies.heap.writing import How, Part, write

FORMAT = 1
MANIFEST = "_manifest.json"
SECTION = "domains.yaml"
SPACE = "space.yaml"

_FEW = 50  # documents; a domain of fewer is pointed out


@dataclass(frozen=True, eq=False)
class Cut:
    """Domains that were cut from a heap, the largest first, and tiers of a domain together.

    Attributes:
        folder: of their files, one `<name>.jsonl` each, `domains.yaml` and `_manifest.json`.
        domains: what was written.
        documents: read, those without text included.
        empty: without text; not written.
        exact: met before to the letter.
        near: nearly one before them, exact ones included.
        dropped: whether those are left out.
        text_field: of records.
        curve: what was tried to find out how many clusters there are.
        notes: what was not read, what looks odd, in words.
    """

    folder: Path
    domains: tuple[Part, ...]
    documents: int
    empty: int
    exact: int
    near: int
    dropped: bool
    text_field: str
    curve: tuple[Candidate, ...]
    notes: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Of text that was written."""
        return sum(part.bytes for part in self.domains)

    @property
    def section(self) -> Path:
        """The file with the domains as a spec names them."""
        return self.folder / SECTION

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the folder."""
        chosen = best(self.curve).k if self.curve else None
        return {
            "format": FORMAT,
            "domains": [
                {
                    "name": part.name,
                    "parent": part.parent or None,
                    "tier": part.tier or None,
                    "file": f"{part.name}.jsonl",
                    "documents": part.documents,
                    "bytes": part.bytes,
                    "tokens": round(part.bytes / BYTES_PER_TOKEN),
                    "share": part.bytes / self.bytes,
                    "near_duplicates": part.near,
                    "terms": list(part.terms),
                    "examples": list(part.examples),
                }
                for part in self.domains
            ],
            "documents": self.documents,
            "empty": self.empty,
            "duplicates": {"exact": self.exact, "near": self.near, "dropped": self.dropped},
            "text_field": self.text_field,
            "clusters": {"chosen": chosen, "tried": [asdict(c) for c in self.curve]},
            "notes": list(self.notes),
        }


def cut_heap(config: HeapConfig, out: Path, tell: Tell = silent) -> Cut:
    """Cut a heap into domains and write them.

    The heap is read twice, a document at a time. Memory holds a sample of it and some 30 bytes a
    document; sketches of documents lie on the disk of `out` meanwhile.

    Args:
        config: what and how.
        out: folder to write, absent or empty; it is there when all is written, and not before.
        tell: is told of progress.

    Returns:
        What was written.

    Raises:
        InputError: see `HeapConfig`, `Heap.open` and `proxies.heap.placing`; or `out` holds files.
        MixoptError: `out` cannot be written.
    """
    if config.embeddings is not None:
        open_embeddings(config.embeddings)  # before anything is read
    with threadpool_limits(limits=1), _new_folder(out) as (folder, scratch):
        scores = scores_of(config.quality, config.quality_low, config.fields)
        heap = Heap.open(config.paths, config.source, config.fields)
        seen = look(heap, bool(config.field), scratch, config.seed, tell)
        _check_fields(config, heap, seen.absent)
        plan = _plan(config, heap, seen, tell)
        how = How(config.drop_duplicates, scores, tell)
        parts = write(heap, seen, plan, folder, how)
        if scores:
            parts = part_by_quality(parts, folder, config.tiers or TIERS)
        _check_several(parts)
        notes = [
            *seen.counts.check(heap.name, heap.listing.skipped),
            *plan.notes,
            *_odd_parts(parts),
            *_odd_fields(config, heap, seen.absent),
        ]
        cut = Cut(
            out,
            _in_order(parts),
            seen.documents,
            int(seen.empty.sum()),
            int(seen.exact.sum()),
            int(seen.near.sum()),
            config.drop_duplicates,
            heap.text_field,
            plan.curve,
            tuple(notes),
        )
        _describe(cut, folder)
    return cut


def _plan(config: HeapConfig, heap: Heap, seen: Look, tell: Tell) -> Plan:
    if config.k == 1:
        return all_in_one(Path(heap.name).name.partition(".")[0])
    if config.field:
        return by_field(seen, config.field)
    if config.embeddings is not None:
        return by_embeddings(seen, config.embeddings, config.k, config.seed, tell)
    return by_words(seen, config.k, config.seed, tell)


def _check_fields(config: HeapConfig, heap: Heap, absent: Sequence[str]) -> None:
    if config.field in absent:
        words = "or leave it out to have documents put together by their words"
        raise heap.no_field(config.field, words)
    missing = [name for name in (*config.quality, *config.quality_low) if name in absent]
    if missing:
        words = f"or score by {', '.join(BUILTIN)} or module:function"
        raise heap.no_field(missing[0], words)


def _in_order(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Those that hold documents, the largest first; tiers of a domain stay together."""
    sizes: dict[str, int] = {}
    for part in parts:
        whole = part.parent or part.name
        sizes[whole] = sizes.get(whole, 0) + part.bytes
    ordered = sorted(parts, key=lambda part: -sizes[part.parent or part.name])
    return tuple(part for part in ordered if part.documents)


def _check_several(parts: Sequence[Part]) -> None:
    filled = [p.name for p in parts if p.documents]
    if len(filled) < 2:
        raise InputError(
            f"all documents are in {filled[0]!r}, which is one domain alone; give another k, a "
            "field, or more documents"
        )


def _odd_parts(parts: Sequence[Part]) -> Iterator[str]:
    vanished = [p.name for p in parts if not p.documents]
    if vanished:
        yield f"no document is left for {', '.join(vanished)}; there is no such domain"
    few = [f"{p.name} ({p.documents})" for p in parts if 0 < p.documents < _FEW]
    if few:
        yield (
            f"of few documents, which are little to train on and to hold some out of: "
            f"{', '.join(few)}; join them with other domains, or ask for fewer"
        )
    unscored = [f"{p.name} ({p.documents})" for p in parts if p.tier == UNSCORED]
    if unscored:
        yield f"documents without a score are in domains of their own: {', '.join(unscored)}"


def _odd_fields(config: HeapConfig, heap: Heap, absent: Sequence[str]) -> Iterator[str]:
    if absent:
        yield f"no record has a value in {', '.join(map(repr, absent))}; --keep wrote none"
    named = {*config.fields, heap.text_field}
    others = [n for n in heap.known_fields() if n not in named]
    if others:
        yield (
            f"fields of records that are not written: {printable(', '.join(others), 300)} (--keep "
            "writes one beside the text)"
        )


def _describe(cut: Cut, folder: Path) -> None:
    """Write the manifest, and the section that a spec takes as it is."""
    manifest = json.dumps(cut.to_dict(), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(manifest + "\n", encoding="utf-8")
    section = {"domains": {p.name: str(cut.folder / f"{p.name}.jsonl") for p in cut.domains}}
    _write_yaml(folder / SECTION, section)
    tags = {p.name: {"tags": {"topic": p.parent, "quality": p.tier}} for p in cut.domains if p.tier}
    if tags:
        falling = _falling(cut)
        _write_yaml(folder / SPACE, {"domains": tags} | ({"monotone": falling} if falling else {}))


def _falling(cut: Cut) -> dict[str, list[str]]:
    """Topic to its tiers of quality, the best first; those of documents without a score aside."""
    tiers: dict[str, list[Part]] = {}
    for part in cut.domains:
        if part.tier and part.tier != UNSCORED:
            tiers.setdefault(part.parent, []).append(part)
    ordered = {topic: sorted(own, key=lambda p: int(p.tier[1:])) for topic, own in tiers.items()}
    return {topic: [p.name for p in own] for topic, own in ordered.items() if len(own) > 1}


def _write_yaml(path: Path, values: dict[str, Any]) -> None:
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10**6)
    path.write_text(text, encoding="utf-8")


@contextmanager
def _new_folder(out: Path) -> Iterator[tuple[Path, Path]]:
    """A folder to write, and one for scratch files; the first becomes `out` when all is well."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "holds files" if out.is_dir() else "is a file"
        raise InputError(f"out: {out} {what}; name another folder, or delete it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            folder, scratch = place / "domains", place / "scratch"
            folder.mkdir()
            scratch.mkdir()
            yield folder, scratch
            os.replace(folder, out)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free space (about that of the text)" if full else "give a folder that can be"
        raise MixoptError(f"{out} cannot be written ({error}); {remedy}") from error
