"""Domains parted by quality: each domain's file becomes one for each tier of it."""

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from proxies.heap.quality import ranks, tiers_of
from proxies.heap.writing import Part

UNSCORED = "unscored"
"""Tier of documents without a score."""


def part_by_quality(parts: list[Part], out: Path, tiers: int) -> list[Part]:
    """Part domains into tiers of about equal text, the best first: `<domain>-q1`, `-q2`, ...

    Documents of equal quality stay together, so that tiers of a coarse score are unequal.

    Args:
        parts: domains as they were written, with the marks of their documents.
        out: folder of their files, which are replaced.
        tiers: how many.

    Returns:
        The tiers, domain by domain; one may be empty, and has no file.
    """
    return [tier for part in parts if part.documents for tier in _parted(part, out, tiers)]


def _parted(part: Part, out: Path, tiers: int) -> list[Part]:
    marks = part.marks
    sizes = np.frombuffer(marks.sizes, dtype=np.int64)
    scores = np.frombuffer(marks.scores, dtype=np.float64).reshape(len(sizes), -1)
    places = tiers_of(ranks(scores, sizes), tiers)
    names = [f"q{number}" for number in range(1, tiers + 1)]
    names += [UNSCORED] if (places < 0).any() else []
    made = [Part(f"{part.name}-{name}", part.terms, parent=part.name, tier=name) for name in names]
    path = out / f"{part.name}.jsonl"
    with path.open("rb") as lines, ExitStack() as stack:
        files = {
            int(place): stack.enter_context((out / f"{made[place].name}.jsonl").open("wb"))
            for place in np.unique(places)
        }
        for number, line in enumerate(lines):
            place = int(places[number])
            files[place].write(line)
            text, own = json.loads(line)["text"], made[place]
            own.add(text, int(sizes[number]), marks.closeness[number])
            own.near += marks.near[number]
    path.unlink()
    return made
