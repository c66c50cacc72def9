"""A heap with planted quality, and its answers trained again: for `experiments/quality`.

    python -m analysis.planted_quality data/quality                    # heap.jsonl and clean sets
    python -m analysis.planted_quality data/quality --answers runs/quality-*

Two sources that packages ship: introductions of articles, and the documentation of Python
libraries. Half of the articles and a fifth of the documentation have their words shuffled. Every
document has a score: 1 or 0 for that, and Gaussian noise of sd .4.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mixopt import RunSpec, open_sweep
from mixopt.lazy import load
from mixopt.runs.knobs import set_knobs
from proxies.corpus.builtin import BUILTIN

SOURCES = {"articles": ("wiki_en", 0.5), "docs": ("apidocs", 0.2)}
"""Name to the built-in source, and the share of its documents that are spoilt."""

NOISE = 0.4
HELD_OUT = 300  # unspoilt documents of each source, to be scored on
BYTES = 5_000_000  # of each source
PIECE = 4_000  # characters of a document at most
SEEDS = tuple(range(100, 105))
METRICS = tuple(f"clean_{name}" for name in SOURCES)

Row = dict[str, Any]


def pieces(builtin: str) -> list[str]:
    """Documents of a built-in source in the order of their hashes, long ones cut at lines."""
    texts: list[str] = []
    for source in BUILTIN[builtin].sources:
        for item in BUILTIN[builtin].items(source):
            for text in item.extract(item.raw.decode("utf-8", errors="replace")):
                texts += _cut(text)
    unique = dict.fromkeys(text for text in texts if len(text) > 200)
    return sorted(unique, key=lambda text: hashlib.sha256(text.encode()).hexdigest())


def _cut(text: str) -> Iterator[str]:
    piece: list[str] = []
    for line in text.splitlines():
        piece.append(line)
        if sum(map(len, piece)) > PIECE:
            yield "\n".join(piece)
            piece = []
    yield "\n".join(piece)


def spoilt(text: str, rng: np.random.Generator) -> str:
    """The words of a text in random order."""
    return " ".join(rng.permutation(text.split()).tolist())


def records(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Scored documents of a source, and the clean ones that are held out."""
    builtin, share = SOURCES[name]
    rng = np.random.default_rng([0, len(name)])
    clean, heap, size = [], [], 0
    for number, text in enumerate(pieces(builtin)):
        if number < HELD_OUT:
            clean.append({"text": text})
            continue
        if size > BYTES:
            break
        bad = bool(rng.random() < share)
        score = float(not bad) + NOISE * float(rng.standard_normal())
        body = spoilt(text, rng) if bad else text
        heap.append({"text": body, "source": name, "score": round(score, 4), "spoilt": bad})
        size += len(text.encode())
    return heap, clean


def write(folder: Path) -> list[str]:
    """Write heap, sources and clean sets; returns a line on each source."""
    folder.mkdir(parents=True, exist_ok=True)
    whole, lines = [], []
    for name in SOURCES:
        heap, clean = records(name)
        whole += heap
        write_records(folder / f"{name}.jsonl", heap)
        write_records(folder / f"clean_{name}.jsonl", clean)
        bad = sum(record["spoilt"] for record in heap)
        lines.append(f"{name}: {len(heap)} documents, {bad} of them spoilt; {len(clean)} held out")
    write_records(folder / "heap.jsonl", whole)
    return lines


def write_records(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def trained(name: str, first: RunSpec, config: Mapping[str, Any], cache: Path) -> list[Row]:
    """A row for each fresh seed of a run."""
    trainer = load(first.trainer)(**config)
    runs = [replace(first, config=config, seed=seed, data="") for seed in SEEDS]
    return [
        {"answer": name, "seed": seen.spec.seed, **{k: seen.metrics[k] for k in METRICS}}
        for seen in trainer.train(runs, cache)
    ]


def answers(sweeps: Sequence[Path], cache: Path, kept: Sequence[Row] = ()) -> list[Row]:
    """Losses with fresh seeds: of the natural mixture, of each sweep's answer, of an oracle.

    The oracle knows which documents are spoilt, and reads no other half and fifth of them.

    Args:
        sweeps: folders of finished ones.
        cache: folder of corpora.
        kept: rows of before, the natural mixture's first; those answers are not trained again.
    """
    rows = list(kept)
    for place in sweeps:
        opened = open_sweep(place)
        if opened.name in {row["answer"] for row in kept}:
            continue
        outcome, asked = opened.outcome(), opened.observations[0].spec
        if not rows:
            natural = replace(asked, mixture=opened.space.natural)
            rows += trained("natural", natural, asked.config, cache)
            knows = {
                **asked.config,
                "scores": {"spoilt": "low"},
                "sampling": {name: {"cut": 0.99 - share} for name, (_, share) in SOURCES.items()},
            }
            rows += trained("oracle", natural, knows, cache)
        config = set_knobs(asked.config, dict(outcome.settings))
        rows += trained(
            opened.name, replace(asked, mixture=outcome.recommendation.mixture), config, cache
        )
    return rows


def summary(rows: Sequence[Row]) -> list[str]:
    """A line for each answer: its losses, and its objective less that of the first one.

    Differences are of the same seeds, with their 90 % intervals (Student's t).
    """
    losses: dict[str, NDArray[np.float64]] = {}
    for name in dict.fromkeys(row["answer"] for row in rows):
        losses[name] = np.array([[r[k] for k in METRICS] for r in rows if r["answer"] == name])
    first = next(iter(losses.values())).mean(axis=1)
    lines = []
    for name, of in losses.items():
        off = of.mean(axis=1) - first
        half = stats.t.ppf(0.95, len(off) - 1) * off.std(ddof=1) / np.sqrt(len(off))
        each = "  ".join(f"{m:.4f}" for m in (of.mean(), *of.mean(axis=0)))
        lines.append(f"{name:18} {each}  {off.mean():+.4f} +- {half:.4f}")
    return lines


def main() -> None:
    """See the head of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--answers", type=Path, nargs="*", default=())
    parser.add_argument("--out", type=Path, default=Path("answers.csv"), help="kept and added to")
    given = parser.parse_args()
    if not given.answers:
        print("\n".join(write(given.folder)))
        return
    kept: list[Row] = []
    if given.out.exists():
        records = pd.read_csv(given.out).to_dict("records")
        kept = [{str(key): value for key, value in row.items()} for row in records]
    rows = answers(given.answers, given.folder / "cache", kept)
    pd.DataFrame(rows).round(5).to_csv(given.out, index=False)
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
