"""Tiny generated text: two domains with words of their own, so that a mixture matters."""

from pathlib import Path

import numpy as np

WORDS = {
    "birds": ["robin", "heron", "finch", "crane", "stork", "eagle", "raven", "swift"],
    "rocks": ["basalt", "gneiss", "schist", "quartz", "marble", "pumice", "gypsum", "flint"],
}


def document(words: list[str], rng: np.random.Generator, length: int = 120) -> str:
    lines = []
    for start in range(0, length, 12):
        chosen = rng.choice(words, size=12)
        lines.append(f"line {start} " + " ".join(chosen))
    return "\n".join(lines)


def write_domain(folder: Path, words: list[str], *, documents: int, seed: int) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(documents):
        (folder / f"{number:03d}.txt").write_text(document(words, rng), encoding="utf-8")
    return folder


def write_domains(root: Path) -> dict[str, str]:
    """Domain to its folder."""
    return {
        name: str(write_domain(root / name, words, documents=40, seed=index))
        for index, (name, words) in enumerate(WORDS.items())
    }
