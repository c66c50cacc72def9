"""What do the signals of online methods cost in the language model?

    python -m analysis.mixing_cost --json out.json
    python -m analysis.mixing_cost --methods odm,ado --tokens 2M

A plain run and one with the mixer over the built-in corpus, in two threads of one process that take
turns step by step, so that a busy machine slows both alike: CPU time of each thread, scores along
the way left out. The ratio is of sums over the run, its 90 % interval from blocks of 20 steps that
are drawn anew. Records: `{method, settings, steps, ratio, ratio_low, ratio_high, flops}`, `flops`
as the run's record counts them. A reference run is trained before anything is timed. Goals: `odm`
and `ado` within 3 %, products of gradients in a sketch every 20 steps within 15 %.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from mixopt.mixers import MixerSpec, Recorded, mixer
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.files import write_atomically
from mixopt.space import MixtureSpace
from mixopt.space.short import read_count
from mixopt.space.simplex import Array
from proxies import LanguageModelTrainer
from proxies.lm.train import Pack

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


BLOCK = 20
"""Steps that are drawn together for the interval: a period of the methods with gradients."""
_DRAWS = 2000


class Turns:
    """Two runs that take turns, a step each; what each step cost its own thread.

    Attributes:
        seconds: by run, 0 or 1: CPU time of its steps.
    """

    def __init__(self) -> None:
        self.seconds: tuple[list[float], list[float]] = ([], [])
        self._ready = threading.Condition()
        self._next, self._left = 0, {0, 1}
        self._here = threading.local()

    def run(self, which: int, train: Callable[[], list[Observation]]) -> Observation:
        """Train the run of that number, in a thread of its own."""
        self._here.which, self._here.apart = which, 0.0
        self._wait(which)
        self._here.begun = time.thread_time()
        try:
            (seen,) = train()
            return seen
        finally:
            self._pass(which, leave=True)

    def after_step(self, is_over: Callable[[Pack], bool]) -> Callable[[Pack], bool]:
        """`Pack._is_over`, which ends every step, with the turn passed on."""

        def timed(pack: Pack) -> bool:
            over, here = is_over(pack), self._here
            spent = time.thread_time() - here.begun - here.apart
            self.seconds[here.which].append(spent)
            self._pass(here.which)
            self._wait(here.which)
            here.begun, here.apart = time.thread_time(), 0.0
            return over

        return timed

    def apart(self, note_point: Callable[[Pack], None]) -> Callable[[Pack], None]:
        """`Pack._note_point`, whose time counts for nobody."""

        def timed(pack: Pack) -> None:
            begun = time.thread_time()
            note_point(pack)
            self._here.apart += time.thread_time() - begun

        return timed

    def _wait(self, which: int) -> None:
        with self._ready:
            self._ready.wait_for(lambda: self._next == which)

    def _pass(self, which: int, *, leave: bool = False) -> None:
        with self._ready:
            if leave:
                self._left.discard(which)
            self._next = 1 - which if 1 - which in self._left else which
            self._ready.notify_all()


def in_turns(
    trainer: LanguageModelTrainer, cache: Path, specs: Sequence[RunSpec]
) -> tuple[list[Observation], Array]:
    """Train two runs of as many steps side by side.

    Args:
        trainer: prepared under `cache`.
        cache: folder of its corpus.
        specs: the two.

    Returns:
        What came of them, and (2, steps) CPU seconds of their steps; the first step of a run, in
        which it is made, is left out.
    """
    turns = Turns()
    with (
        mock.patch.object(Pack, "_is_over", turns.after_step(Pack._is_over)),
        mock.patch.object(Pack, "_note_point", turns.apart(Pack._note_point)),
        ThreadPoolExecutor(2) as pool,
    ):
        going = [
            pool.submit(turns.run, which, partial(trainer.train, [spec], cache))
            for which, spec in enumerate(specs)
        ]
        seen = [one.result() for one in going]
    return seen, np.array(turns.seconds)[:, 1:]


def measure(
    trainer: LanguageModelTrainer, cache: Path, plain: RunSpec, method: str
) -> dict[str, Any]:
    """The record of one method.

    Args:
        trainer: prepared under `cache`.
        cache: folder of its corpus.
        plain: the run without a mixer.
        method: name in `METHODS`.
    """
    name, settings, goal = METHODS[method]
    mixed = replace(plain, mixer=MixerSpec(name, settings))
    short = Scale(plain.scale.params, 32 * 1024)
    for spec in (plain, mixed):  # what a process does once, and the reference run
        trainer.train([replace(spec, scale=short)], cache)
    if mixer(name, **settings).needs().reference:
        trainer.train([mixed], cache)
    (of_plain, of_mixed), seconds = in_turns(trainer, cache, [plain, mixed])
    size = max(1, min(BLOCK, seconds.shape[1] // 2))
    blocks = seconds[:, : seconds.shape[1] // size * size].reshape(2, -1, size).sum(2)
    drawn = np.random.default_rng(0).integers(blocks.shape[1], size=(_DRAWS, blocks.shape[1]))
    sums = blocks[:, drawn].sum(2)
    low, high = np.quantile(sums[1] / sums[0], [0.05, 0.95])
    return {
        "method": method,
        "settings": settings,
        "steps": _steps(of_mixed),
        "ms_plain": round(1000 * float(seconds[0].mean()), 2),
        "ratio": round(float(blocks[1].sum() / blocks[0].sum()), 4),
        "ratio_low": round(float(low), 4),
        "ratio_high": round(float(high), 4),
        "flops": round(of_mixed.flops / of_plain.flops, 3),
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
    parser.add_argument("--cache", type=Path, help="folder of prepared data; a temporary one else")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    names = [name.replace("+", ", ") for name in given.methods.split(",")]
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        parser.error(f"there is no method {unknown[0]!r}; known: {', '.join(METHODS)}")
    trainer = LanguageModelTrainer(domains="builtin", pack=1)
    with tempfile.TemporaryDirectory() as folder:
        cache = given.cache or Path(folder)
        space = MixtureSpace(trainer.prepare(cache).domains)
        scale = Scale(int(read_count(given.params)), int(read_count(given.tokens)))
        plain = RunSpec(space.uniform, scale)
        records = []
        for name in names:
            records.append(measure(trainer, cache, plain, name))
            print(json.dumps(records[-1]), flush=True)
    for record in records:
        if record["goal"] is not None:
            word = "met  " if record["ratio"] <= record["goal"] else "missed"
            print(f"{word} {record['method']}: {record['ratio']}, at most {record['goal']}")
    if given.json is not None:
        write_atomically(given.json, json.dumps(records, indent=2).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
