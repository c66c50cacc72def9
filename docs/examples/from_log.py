r"""Runs a trainer that only prints its losses, and writes them as mixopt reads them.

    python from_log.py --metrics metrics.jsonl --tokens-per-step 524288 \
        --pattern 'Step (?P<step>\d+) \| Validation bpb: (?P<bpb>[\d.]+)' -- torchrun train.py ...

Groups of the pattern are metrics by name; `step` (or `tokens`) says when. The trainer's output goes
on to the screen, its exit code is this program's, and where no line fits nothing is written, so
that the run fails with a reason.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path


def line_of(match: re.Match[str], tokens_per_step: int) -> dict[str, float]:
    """The metrics of one line of output, with the tokens that they belong to."""
    values = {name: float(text) for name, text in match.groupdict().items() if text is not None}
    if "step" in values:
        values["tokens"] = values.pop("step") * tokens_per_step
    return values


def main() -> int:
    """Run the command after `--`; its exit code."""
    cut = sys.argv.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--pattern", type=re.compile, required=True)
    parser.add_argument("--tokens-per-step", type=int, default=1)
    given = parser.parse_args(sys.argv[1:cut])
    with (
        given.metrics.open("a", encoding="utf-8", buffering=1) as metrics,
        subprocess.Popen(
            sys.argv[cut + 1 :], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as trainer,
    ):
        assert trainer.stdout is not None
        for line in trainer.stdout:
            print(line, end="", flush=True)
            if match := given.pattern.search(line):
                metrics.write(json.dumps(line_of(match, given.tokens_per_step)) + "\n")
    return trainer.returncode


if __name__ == "__main__":
    sys.exit(main())
