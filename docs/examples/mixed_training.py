"""A trainer that knows nothing of mixopt but one command, whose mixture it lets mixopt steer.

    python docs/examples/mixed_training.py

The "model" counts words; the domains are two small vocabularies. Only lines of JSON go back and
forth, so a trainer in any language can do the same.
"""

import json
import math
import random
import subprocess
from collections import Counter
from collections.abc import Sequence

WORDS = {
    "web": ["the", "a", "page", "link", "news", "home", "about", "search"] * 3 + ["model"],
    "code": ["def", "return", "import", "class", "for", "in"],
}
STEPS, BATCH = 200, 32


class Unigrams:
    """Word counts with one imagined sighting of every word."""

    def __init__(self) -> None:
        self.vocabulary = sorted({word for words in WORDS.values() for word in words})
        self.counts: Counter[str] = Counter(self.vocabulary)

    def loss(self, words: Sequence[str]) -> float:
        total = self.counts.total()
        return -sum(math.log(self.counts[w] / total) for w in words) / len(words)


def main() -> dict:
    """Train; returns the record of the mixer."""
    model, rng = Unigrams(), random.Random(0)
    command = ["mixopt", "mixer", "odm", "--domains", ",".join(WORDS), "--steps", str(STEPS)]
    command += ["--tokens", str(STEPS * BATCH), "--set", "every=20"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as mixer:
        assert mixer.stdin is not None
        assert mixer.stdout is not None
        needs = json.loads(mixer.stdout.readline())
        assert set(needs["signals"]) <= {"train_loss"}, "this trainer measures nothing else"
        while True:
            asked = json.loads(mixer.stdout.readline())
            if asked["type"] == "end":
                return dict(asked["record"])
            tokens: Counter[str] = Counter()
            losses: Counter[str] = Counter()
            for _ in range(asked["steps"]):
                names = rng.choices(list(WORDS), [asked["sampling"][d] for d in WORDS], k=BATCH)
                batch = [(d, rng.choice(WORDS[d])) for d in names]
                for domain, word in batch:
                    tokens[domain] += 1
                    losses[domain] += model.loss([word])
                model.counts.update(word for _, word in batch)
            measured = {d: losses[d] / tokens[d] for d in tokens}
            answer = {
                "step": asked["step"] + asked["steps"],
                "tokens": dict(tokens),
                "values": {"train_loss": measured} if asked["measure"] else {},
            }
            mixer.stdin.write(json.dumps(answer) + "\n")
            mixer.stdin.flush()


if __name__ == "__main__":
    told = main()
    print("on average", told["time_average"], "in the end", told["current"])
