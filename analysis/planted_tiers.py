"""Text in three tiers, clean to noisiest: the data of `experiments/tiers`.

    python -m analysis.planted_tiers data/tiers

Python code and the documentation of Python libraries, as packages ship them; no document is in two
tiers. In the noisy tier half of the words of a document, drawn at random, change places; in the
noisiest all do, and its lines are gone. There is a fifth as much clean text as of either.
"""

import argparse
from pathlib import Path

import numpy as np

from analysis.planted_quality import pieces, spoilt, write_records

SOURCES = ("python", "apidocs")
BYTES = {"clean": 150_000, "noisy": 750_000, "noisiest": 750_000}  # of each source
SHARE = 0.5  # of the words of a noisy document


def noisy(text: str, rng: np.random.Generator, share: float = SHARE) -> str:
    """A share of the words in random places, between the white space that was there."""
    lines = [line.split(" ") for line in text.split("\n")]
    places = [(i, j) for i, line in enumerate(lines) for j, word in enumerate(line) if word]
    chosen = rng.choice(len(places), size=round(share * len(places)), replace=False)
    words = [lines[places[k][0]][places[k][1]] for k in chosen]
    for k, word in zip(rng.permutation(chosen), words, strict=True):
        i, j = places[k]
        lines[i][j] = word
    return "\n".join(" ".join(line) for line in lines)


def write(folder: Path) -> list[str]:
    """Write a file for each tier; returns a line on each."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    tiers: dict[str, list[str]] = {tier: [] for tier in BYTES}
    for name in SOURCES:
        texts = pieces(name)
        for i, (tier, size) in enumerate(BYTES.items()):
            tiers[tier] += _up_to(texts[i :: len(BYTES)], size)
    tiers["noisy"] = [noisy(text, rng) for text in tiers["noisy"]]
    tiers["noisiest"] = [spoilt(text, rng) for text in tiers["noisiest"]]
    for tier, texts in tiers.items():
        write_records(folder / f"{tier}.jsonl", [{"text": text} for text in texts])
    return [f"{tier}: {len(texts)} documents" for tier, texts in tiers.items()]


def _up_to(texts: list[str], size: int) -> list[str]:
    """The first documents that have not more than so many bytes together."""
    sizes = np.cumsum([len(text.encode()) for text in texts])
    return texts[: int(np.searchsorted(sizes, size, side="right"))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    print("\n".join(write(parser.parse_args().folder)))
