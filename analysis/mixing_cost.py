"""What do the signals of online methods cost in the language model?

    python -m analysis.mixing_cost --json out.json
    python -m analysis.mixing_cost --methods odm,ado --tokens 2M --pairs 7

A plain run and one with the mixer, in turns within one process, over the built-in corpus: CPU time
of one thread, median of the ratios of pairs with their quartiles. Records: `{method, settings,
steps, ratio, ratio_low, ratio_high, flops}`, `flops` as the run's record counts them. A reference
run is trained before anything is timed. Goals: `odm` and `ado` within 3 %, products of gradients
in a sketch every 20 steps within 15 %.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.mixers import MixerSpec, Recorded
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.files import write_atomically
from mixopt.space import MixtureSpace
from mixopt.space.short import read_count
from proxies import LanguageModelTrainer

METHODS: dict[str, tuple[str, dict[str, Any], float | None]] = {
    "odm": ("odm", {}, 1.03),
    "ado": ("ado", {"warmup": 64, "refit": 64}, 1.03),
    "r&b, last": ("r&b", {"every": 20, "scope": "last"}, 1.15),
    "r&b, full": ("r&b", {"every": 20, "scope": "full"}, 1.15),
    "r&b, sketch": ("r&b", {"every": 20, "scope": "sketch"}, 1.15),
    "pike": ("pike", {"every": 20}, None),
    "doremi": ("doremi", {}, None),
}
"""Method to its mixer, settings and the goal for its ratio."""


def measure(
    trainer: LanguageModelTrainer, cache: Path, plain: RunSpec, method: str, pairs: int
) -> dict[str, Any]:
    """The record of one method.

    Args:
        trainer: prepared under `cache`.
        cache: folder of its corpus.
        plain: the run without a mixer.
        method: name in `METHODS`.
        pairs: how many ratios to take, after one that is thrown away.
    """
    name, settings, goal = METHODS[method]
    mixed = replace(plain, mixer=MixerSpec(name, settings))
    ratios, runs = [], dict[RunSpec, Observation]()
    for pair in range(pairs + 1):
        seconds: dict[RunSpec, float] = {}
        # the one that comes first changes from pair to pair
        for spec in (plain, mixed) if pair % 2 else (mixed, plain):
            begun = time.process_time()
            (runs[spec],) = trainer.train([spec], cache)
            seconds[spec] = time.process_time() - begun
        ratios.append(seconds[mixed] / seconds[plain])
    low, middle, high = np.quantile(ratios[1:], [0.25, 0.5, 0.75])
    return {
        "method": method,
        "settings": settings,
        "steps": _steps(runs[mixed]),
        "ratio": round(float(middle), 3),
        "ratio_low": round(float(low), 3),
        "ratio_high": round(float(high), 3),
        "flops": round(runs[mixed].flops / runs[plain].flops, 3),
        "goal": goal,
    }


def _steps(seen: Observation) -> int:
    if not seen.ok or Recorded.of(seen) is None:
        raise SystemExit(f"a run failed: {seen.error}")
    return int(seen.info["steps"])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default=",".join(METHODS).replace(", ", "+"))
    parser.add_argument("--params", default="164k")
    parser.add_argument("--tokens", default="256k")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    names = [name.replace("+", ", ") for name in given.methods.split(",")]
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        parser.error(f"there is no method {unknown[0]!r}; known: {', '.join(METHODS)}")
    trainer = LanguageModelTrainer(domains="builtin", pack=1)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        space = MixtureSpace(trainer.prepare(cache).domains)
        scale = Scale(int(read_count(given.params)), int(read_count(given.tokens)))
        plain = RunSpec(space.uniform, scale)
        records = []
        for name in names:
            records.append(measure(trainer, cache, plain, name, given.pairs))
            print(json.dumps(records[-1]), flush=True)
    for record in records:
        if record["goal"] is not None:
            word = "met  " if record["ratio"] <= record["goal"] else "missed"
            print(f"{word} {record['method']}: {record['ratio']}, at most {record['goal']}")
    if given.json is not None:
        write_atomically(given.json, json.dumps(records, indent=2).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
