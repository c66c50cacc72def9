"""A program of a sweep that trains by one mixture, or by what a mixer says on the way.

    trainer:
      use: proxies.command:CommandTrainer
      config:
        argv: ["{python}", steered_training.py, "{weights_json}", "{tokens}", "{seed}",
               "{metrics_file}", "{mixer_file}"]
        domains: {web: 1e6, code: 1e6}
        metrics: [web, code]
        mixing: {signals: [train_loss, heldout]}

The "model" counts words; the domains are two small vocabularies. What it measures after a segment
is on words that it does not train on, and the metrics at the end are on others again.
"""

import json
import math
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixopt.mixers import Measured, SteeredRun

WORDS = {
    "web": ["the", "a", "page", "link", "news", "home", "about", "search"] * 3 + ["model"],
    "code": ["def", "return", "import", "class", "for", "in"],
}
BATCH, HELD_OUT = 32, 500


class Run:
    """A model of word counts, with one imagined sighting of every word, and its random numbers."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter({word for words in WORDS.values() for word in words})

    def loss(self, words: Sequence[str]) -> float:
        """Mean nats a word."""
        total = self.counts.total()
        return -sum(math.log(self.counts[word] / total) for word in words) / len(words)

    def train(self, steps: int, shares: Mapping[str, float]) -> tuple[Counter[str], Counter[str]]:
        """Tokens and summed losses by domain of so many batches."""
        tokens: Counter[str] = Counter()
        losses: Counter[str] = Counter()
        for _ in range(steps):
            names = self.rng.choices(list(WORDS), [shares[d] for d in WORDS], k=BATCH)
            batch = [(name, self.rng.choice(WORDS[name])) for name in names]
            for name, word in batch:
                tokens[name] += 1
                losses[name] += self.loss([word])
            self.counts.update(word for _, word in batch)
        return tokens, losses

    def held_out(self, split: int) -> dict[str, float]:
        """Losses by domain on words of one split."""
        rng = random.Random(split)
        return {name: self.loss(rng.choices(words, k=HELD_OUT)) for name, words in WORDS.items()}


def follow(run: Run, file: str, steps: int) -> None:
    """Train as the mixer of a run says."""
    steered = SteeredRun.open(file, steps)
    names, targets = steered.setup.space.names, steered.setup.targets
    session = steered.session()
    while (segment := session.segment) is not None:
        tokens, losses = run.train(segment.steps, dict(zip(names, segment.sampling, strict=True)))
        values = {}
        if "train_loss" in segment.measure:
            values["train_loss"] = [losses[d] / tokens[d] if tokens[d] else math.nan for d in names]
        if "heldout" in segment.measure:
            steering = run.held_out(split=1)
            values["heldout"] = [steering[target] for target in targets]
        drawn = tuple(float(tokens[d]) for d in names)
        session = session.after(Measured(session.step + segment.steps, drawn, values))
        steered.keep(session)


def main(weights: str, tokens: str, seed: str, metrics: str, mixer: str) -> None:
    """Train one run and write its metrics."""
    run, steps = Run(int(seed)), int(tokens) // BATCH
    if mixer:
        follow(run, mixer, steps)
    else:
        run.train(steps, json.loads(weights))
    Path(metrics).write_text(json.dumps({"tokens": int(tokens), **run.held_out(split=2)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
