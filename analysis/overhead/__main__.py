"""The command line."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from analysis import overhead
from analysis.overhead.goals import goals
from analysis.overhead.pace import Record
from analysis.overhead.systems import idle_slots, in_memory, in_mlflow, in_ray_tune
from mixopt.errors import did_you_mean

SYSTEMS = ("mixopt", "mixopt-memory", "mlflow-calls", "ray-tune")
Job = Callable[[Sequence[int], Sequence[str]], list[Record]]
_JOBS: dict[Job, tuple[str, ...]] = {
    in_memory: ("mixopt-memory",),
    in_mlflow: ("mixopt", "mlflow-calls"),
    in_ray_tune: ("ray-tune",),
}


def apart(job: Callable[..., list[Record]], *given: Any) -> list[Record]:
    """A job in a process of its own, so that memory and Ray sessions do not mix."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(job, *given).result()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(overhead.__doc__).split("\n", 1)[0])
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument(
        "--store-runs", default="300,1000", help="runs in the store, e.g. 300,10000"
    )
    parser.add_argument("--quick", action="store_true", help="few runs: does it work?")
    parser.add_argument("--idle", action="store_true", help="also how idle slots are")
    parser.add_argument("--json", type=Path, help="where to write the records")
    options = parser.parse_args(arguments)
    wanted = options.systems.split(",")
    unknown = sorted(set(wanted) - set(SYSTEMS))
    if unknown:
        parser.error(f"unknown system {unknown[0]!r}; {did_you_mean(unknown[0], SYSTEMS)}")
    sizes = sorted(int(n) for n in options.store_runs.split(","))
    sizes = [20, 60] if options.quick else sizes
    records: list[Record] = []
    for job, names in _JOBS.items():
        if set(names) & set(wanted):
            records += show(apart(job, sizes, wanted))
    if options.idle:
        records += show(apart(idle_slots))
    for goal in goals(records):
        print(goal)
    if options.json:
        options.json.write_text(json.dumps([r.to_dict() for r in records], indent=2) + "\n")
    return 0


def show(records: list[Record]) -> list[Record]:
    """Print records, one a line."""
    for record in records:
        print("  ".join(f"{k} {v}" for k, v in record.to_dict().items()), flush=True)
    return records


if __name__ == "__main__":
    sys.exit(main())
