"""The command line."""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis import faults
from analysis.faults.trials import FAULTS, Trial, World
from mixopt.errors import did_you_mean
from mixopt.runs.files import write_atomically


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where a trial was not clean."""
    parser = argparse.ArgumentParser(description=str(faults.__doc__).split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=100, help="trials, old ones counted")
    parser.add_argument("--json", type=Path, required=True, help="the record; goes on from there")
    parser.add_argument("--seed", type=int, default=0, help="number of the first trial")
    parser.add_argument("--faults", default=",".join(FAULTS), help="which, comma between")
    options = parser.parse_args(arguments)
    names = options.faults.split(",")
    unknown = sorted(set(names) - set(FAULTS))
    if unknown:
        parser.error(f"unknown fault {unknown[0]!r}; {did_you_mean(unknown[0], FAULTS)}")
    records: list[dict[str, Any]] = []
    if options.json.is_file():
        records = json.loads(options.json.read_text(encoding="utf-8"))
    done = {record["trial"] for record in records}
    with tempfile.TemporaryDirectory(prefix="mixopt-faults-", ignore_cleanup_errors=True) as name:
        world = World(Path(name))
        try:
            for number in range(options.seed, options.seed + options.kills):
                if number not in done:
                    record = Trial(names[number % len(names)], number, world).run()
                    records.append(record)
                    write_atomically(options.json, (json.dumps(records, indent=1) + "\n").encode())
                    print(line(record), flush=True)
        finally:
            world.close()
    print(table(records))
    return 0 if all(record["clean"] for record in records) else 1


def line(record: Mapping[str, Any]) -> str:
    """A trial on a line."""
    said = "clean" if record["clean"] else f"NOT CLEAN: {record['problems'][0]}"
    words = f"{record['trial']:4} {record['fault']:15} {record['seconds']:6.1f} s  {said}"
    return f"{words}  ({record['done']})"


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Counts by fault, as Markdown."""
    trials = Counter(record["fault"] for record in records)
    clean = Counter(record["fault"] for record in records if record["clean"])
    rows = [f"| {fault} | {trials[fault]} | {clean[fault]} |" for fault in FAULTS if trials[fault]]
    total = f"| all | {sum(trials.values())} | {sum(clean.values())} |"
    return "\n".join(["| fault | trials | clean |", "|---|---|---|", *rows, total])


if __name__ == "__main__":
    sys.exit(main())
