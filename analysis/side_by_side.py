"""Our way beside BoTorch's on the same worlds and seeds: the frame of two benchmarks."""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar


class Named(Protocol):
    """A world with a name."""

    @property
    def name(self) -> str:
        """Of the world."""


Played = TypeVar("Played", bound=Named)


def side_by_side(
    about: str | None,
    worlds: Callable[[], Sequence[Played]],
    play: Callable[[Played, int, int, bool], tuple[float, float]],
    *,
    seeds: int,
) -> None:
    """The command line of a benchmark: seeds and rounds, and what came out on both sides.

    Args:
        about: what `--help` says.
        worlds: to play in, made anew for each seed.
        play: a world, a seed, how many rounds and whether by BoTorch to the two numbers of a side.
        seeds: by default.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        for world in worlds():
            ours, theirs = (play(world, seed, asked.rounds, side) for side in (False, True))
            line = {"world": world.name, "seed": seed, "ours": ours, "botorch": theirs}
            print(json.dumps(line), flush=True)
