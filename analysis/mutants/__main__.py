"""`python -m analysis.mutants`: see the package."""

import argparse
import json
import sys
from pathlib import Path

from analysis.mutants.places import ROOMS, modules
from analysis.mutants.record import Record
from analysis.mutants.run import Runner
from analysis.mutants.sample import draw, read_equivalents

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m analysis.mutants")
    parser.add_argument("--json", type=Path, required=True, help="record; read, too, to go on")
    parser.add_argument("--sample", type=int, default=300, help="mutants (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--workers", type=int, default=2, help="at once (default: 2)")
    parser.add_argument("--seconds", type=float, default=60.0, help="per mutant (default: 60)")
    parser.add_argument(
        "--only", default="", help="modules and rooms, comma between (default: all)"
    )
    parser.add_argument("--alive", action="store_true", help="ask again only about survivors")
    parser.add_argument("--list", action="store_true", help="print the sample and run nothing")
    return parser.parse_args()


def main() -> None:
    """Draws, runs, writes and prints."""
    options = arguments()
    only = tuple(options.only.split(",")) if options.only else ROOMS
    texts = {module: (ROOT / module).read_text("utf-8") for module in modules(ROOT, only)}
    drawn = draw(texts, options.sample, options.seed)
    if options.list:
        for mutant in drawn:
            print(json.dumps(mutant.to_dict()))
        return
    record = Record.open(options.json, read_equivalents(HERE / "equivalent.json"))
    runner = Runner(
        ROOT,
        options.seconds,
        options.workers,
        options.alive,
        say=lambda words: print(words, file=sys.stderr, flush=True),
    )
    runner.run(drawn, record)
    summary = record.summary(drawn, texts)
    record.write({"seed": options.seed, **summary})
    for survivor in summary["survivors"]:
        print(f"\n{survivor['outcome']}\n{survivor['diff']}")
    for name, rate in {**summary["rooms"], "total": summary["total"]}.items():
        counts = ", ".join(f"{rate[word]} {word}" for word in rate if word != "percent")
        print(f"{name:12} {rate['percent']:5.1f} % killed ({counts})")


main()
