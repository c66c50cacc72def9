"""Axolotl (0.21): it has no weights, so that rows are counted out and every file is listed.

A script beside the configuration copies `<domain>.n<rows>.jsonl` out of each domain's file: whole
passes, and of the last one the rows with the smallest hashes. It needs nothing but Python.
"""

from typing import Any

from mixopt.export.exporter import Draws, Exporter, Job, Option, Unit
from mixopt.export.texts import as_yaml, literal, slugs

_SCRIPT = '''"""Counts out the rows of the training mixture. Written by {note}.

Run it in the folder where the rows shall be; it reads every file twice and keeps no text in memory.
"""

import hashlib
import heapq
from pathlib import Path

SEED = {seed}
# Written file to (file of JSON lines that it is taken from, rows).
ROWS = {rows}


def chosen(number, rest):
    """The rows of the last, partial pass: those with the smallest hashes."""

    def key(row):
        return hashlib.sha256(f"{{SEED}}:{{row}}".encode()).digest()

    return set(heapq.nsmallest(rest, range(number), key=key))


def copy(source, target, rows):
    """Whole passes over a file, then a part of one."""
    with open(source, "rb") as lines:
        number = sum(1 for line in lines if line.strip())
    if not number:
        raise SystemExit(f"{{source}} has no rows")
    passes, rest = divmod(rows, number)
    last = chosen(number, rest)
    unfinished = Path(f"{{target}}.part")
    with unfinished.open("wb") as written:
        for turn in range(passes + 1):
            with open(source, "rb") as lines:
                for row, line in enumerate(line for line in lines if line.strip()):
                    if turn < passes or row in last:
                        written.write(line.rstrip(b"\\r\\n") + b"\\n")
    unfinished.replace(target)


if __name__ == "__main__":
    for name, (path, count) in ROWS.items():
        copy(path, name, count)
        print(name, count)
'''


def _write(job: Job) -> dict[str, str]:
    names = {d: f"{slug}.n{job.weights[d]}.jsonl" for d, slug in slugs(job.weights).items()}
    datasets: list[dict[str, Any]] = [
        {"path": name, "ds_type": "json", "type": job.options["type"]} for name in names.values()
    ]
    rows = {name: (job.place(d), job.weights[d]) for d, name in names.items()}
    script = f"{job.stem}.rows.py"
    values: dict[str, Any] = {"datasets": datasets, "seed": job.seed}
    return {
        "": as_yaml(values, job.note, comments=[f"Its files are written by {script}."]),
        script: _SCRIPT.format(note=job.note, seed=job.seed, rows=literal(rows)),
    }


EXPORTER = Exporter(
    "Axolotl: datasets of a configuration, and a script that counts out their rows",
    _write,
    units=(Unit.COUNTS,),
    version="0.21",
    suffix=".yaml",
    options=(Option("type", "of every dataset", "completion"),),
    grain_remedy="give more tokens",
    draws=Draws.EXACT,
)
