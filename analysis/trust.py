"""How often is the verdict right? On tables of runs whose truth is known.

    python -m analysis.trust --json out.json --law auto --seeds 24 --worlds report --cache fits

For every table of `mixopt.testing.tables` and every seed a law is fitted, a mixture is recommended
and judged, as `mixopt fit` does it. The JSON is a list of records `{world, half, easy, law, seed,
verdict, reasons, regret, beyond, optimism, cover_objective, cover_shares, worse_than_natural,
gates}`: `regret` is the true objective of the answer minus the best there is, in sds of the
objective over random mixtures; `beyond` by how much the answer truly breaks a guard, in sds of the
guarded metric; `optimism` is the true objective of the answer minus the predicted
one, in sds of one run; `cover_objective` says whether the 90 % interval of the prediction holds the
truth, `cover_shares` what part of the intervals of the shares hold those of the best mixture;
`gates` gives every gate's state, value, interval and the level that it allows.

    python -m analysis.trust --json out.json --tables runs.csv swarm.csv --metrics code --seeds 6

judges parts of real tables instead, and what the rest of them says (`analysis.trust_tables`).

Fits are slow and gates are quick: with `--cache DIR` fit, recommendation and held-out predictions
are kept there as JSON, so that a run that was stopped goes on, and thresholds can be changed
without fitting anything again. A verdict is wrong where an answer is trusted whose regret is above
.3, or that breaks a guard by more than .3, or whose optimism is above 2.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.trust_tables import lines, on_tables
from mixopt import diagnostics, laws, proposers
from mixopt.diagnostics import CrossValidation, Transfer, Trust
from mixopt.diagnostics.held_out_errors import Without
from mixopt.errors import InputError, MixoptError
from mixopt.evidence.stored import plain, restored
from mixopt.judging.gating import gated, widening
from mixopt.judging.measuring import Beside, Measured
from mixopt.judging.odd import without_odd
from mixopt.judging.searched import Searched
from mixopt.proposers import Recommendation, Surrogate
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.testing.tables import RECIPES, KnownTable, known_table

Record = dict[str, Any]
REGRET, OPTIMISM = 0.3, 2.0
"""From here on a trusted answer was wrong: sds of the objective, sds of one run."""
_Z90 = 1.645


@dataclass(frozen=True, eq=False)
class Answered:
    """What is slow to come by, and worth keeping."""

    surrogate: Surrogate
    recommendation: Recommendation
    validation: CrossValidation | None
    without: Without | None = None


def answered(known: KnownTable, law: str, seed: int, cache: Path | None = None) -> Answered:
    """Fit, recommend, hold out, and once more without odd runs; or read what was."""
    answer = _fitted(known, law, seed, cache)
    path = None if cache is None else cache / f"{law}_{known.name}_{seed}_odd.json"
    if path is not None and path.is_file():
        return replace(answer, without=restored(Without | None, json.loads(path.read_text())))
    without: Without | None = None
    if answer.validation is not None:
        without = without_odd(
            answer.surrogate, known.table, answer.recommendation, known.space, answer.validation,
            rng=np.random.default_rng([seed, 13]),
        )  # fmt: skip
    if path is not None:
        path.write_text(json.dumps(plain(without)))
    return replace(answer, without=without)


def _fitted(known: KnownTable, law: str, seed: int, cache: Path | None) -> Answered:
    path = None if cache is None else cache / f"{law}_{known.name}_{seed}.json"
    if path is not None and path.is_file():
        values = json.loads(path.read_text())
        kept = values["validation"]
        return Answered(
            replace(restored(Surrogate, values["surrogate"]), law=laws.law(law)),
            restored(Recommendation, values["recommendation"]),
            None if kept is None else restored(CrossValidation, kept),
        )
    rng, table = np.random.default_rng([seed, 7]), known.table
    surrogate = fit_surrogate(
        table, known.objective, known.space, law, rng=rng, every_metric=True, target=known.target
    )
    recommendation = proposers.recommend(surrogate, known.space, W=table.W, rng=rng)
    validation: CrossValidation | None = None
    try:
        validation = diagnostics.cross_validate(
            surrogate.law or law, table.only(surrogate.metrics), surrogate.objective, rng=rng
        )
    except InputError:
        validation = None  # too few runs, of which the verdict tells
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {
            "surrogate": plain(surrogate),
            "recommendation": plain(recommendation),
            "validation": plain(validation),
        }
        path.write_text(json.dumps(values))
    return Answered(surrogate, recommendation, validation)


def judged(known: KnownTable, answer: Answered, rng: np.random.Generator) -> Trust:
    """The verdict, as a fit of that table gives it."""
    surrogate, w = answer.surrogate, answer.recommendation.mixture.array
    table = known.table.only(surrogate.metrics)
    transfer: Transfer | None = None
    if surrogate.scale is not None:
        try:
            transfer = diagnostics.transfer(table, surrogate.objective)
        except InputError:
            transfer = None
    measured = Measured(
        answer.validation,
        diagnostics.extrapolation(w, table.W),
        diagnostics.noise(table, surrogate.fitted),
        transfer,
        without=answer.without,
    )
    beside = Beside(known.space)
    return gated(surrogate, known.table, answer.recommendation, beside, measured, rng=rng)


def record(known: KnownTable, law: str, seed: int, answer: Answered) -> Record:
    """What the verdict was, and what would have been right."""
    told = judged(known, answer, np.random.default_rng([seed, 11]))
    objective, given = answer.surrogate.objective, answer.recommendation
    where = Searched(answer.surrogate, known.table, given.mixture)
    given = given.widened(widening(where, answer.validation))
    w, best = given.mixture.array, known.optimum(objective)
    natural = known.space.prior
    value, least, without = (float(v) for v in known.value(np.stack([w, best, natural]), objective))
    spans = [given.intervals[name] for name in known.space.names]
    inside = [low <= share <= high for (low, high), share in zip(spans, best, strict=True)]
    return {
        "world": known.name,
        "half": known.recipe.half,
        "easy": known.recipe.easy,
        "law": law,
        "seed": seed,
        "verdict": told.level,
        "reasons": list(told.reasons),
        "regret": max(value - least, 0.0) / known.spread(objective),
        "beyond": float(known.beyond(w[None])[0]),
        "optimism": (value - given.value) / known.noise(objective),
        "cover_objective": bool(abs(value - given.value) <= _Z90 * given.sd),
        "cover_shares": float(np.mean(inside)),
        "worse_than_natural": bool(value > without + 1e-9),
        "gates": {
            g.name: {**plain(g), "remedy": g.remedy.what if g.remedy else None} for g in told.gates
        },
    }


def wrong(record: Mapping[str, Any]) -> bool:
    """Whether the answer is one that must not be trusted."""
    broken = record.get("beyond", 0.0) > REGRET
    return bool(record["regret"] > REGRET or broken or record["optimism"] > OPTIMISM)


def summary(records: Sequence[Record]) -> list[str]:
    """One line per world, then one per half."""
    out = [
        f"{'world':<24}{'n':>4}{'trusted':>9}{'ranking':>9}{'wrong':>7}{'cover':>7}{'regret':>8}"
    ]
    for half in ("choose", "report"):
        some = [r for r in records if r["half"] == half]
        for world in dict.fromkeys(r["world"] for r in some):
            out.append(_line(world, [r for r in some if r["world"] == world]))
        if some:
            out.append(_line(f"all of {half}", some))
            out.append(_line("  easy ones", [r for r in some if r["easy"]]))
            out.append(_line("  others", [r for r in some if not r["easy"]]))
    return out


def _line(name: str, some: Sequence[Record]) -> str:
    if not some:
        return f"{name:<24}{0:>4}"
    trusted = [r for r in some if r["verdict"] == "trust"]
    ranking = sum(r["verdict"] == "ranking only" for r in some) / len(some)
    bad = sum(map(wrong, trusted)) / len(some)
    cover = np.mean([r["cover_objective"] for r in trusted]) if trusted else float("nan")
    regret = np.mean([r["regret"] for r in trusted]) if trusted else float("nan")
    share = len(trusted) / len(some)
    counts = f"{name:<24}{len(some):>4}{share:>9.0%}{ranking:>9.0%}{bad:>7.1%}"
    return f"{counts}{cover:>7.2f}{regret:>8.2f}"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="where the records go")
    parser.add_argument("--law", default="auto", help="name of the law")
    parser.add_argument("--seeds", type=int, default=24, help="tables per world")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--worlds", default="all", help="all, choose, report, or names with commas")
    parser.add_argument("--tables", type=Path, nargs="+", help="real tables, in place of worlds")
    parser.add_argument("--metrics", nargs="+", default=[], help="of tables, judged by themselves")
    parser.add_argument("--runs", type=int, default=64, help="of a table that are shown")
    parser.add_argument("--cache", type=Path, help="folder that keeps fits")
    parser.add_argument(
        "--cached", action="store_true", help="fit nothing: judge what the cache has"
    )
    return parser.parse_args(argv)


def _worlds(wanted: str) -> list[str]:
    if wanted == "all":
        return list(RECIPES)
    if wanted in {"choose", "report"}:
        return [name for name, recipe in RECIPES.items() if recipe.half == wanted]
    return wanted.split(",")


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, judge, and write the records after every round of seeds."""
    given = _arguments(argv)
    if given.cached and given.cache is None:
        print("analysis.trust: --cached needs --cache DIR", file=sys.stderr)
        return 2
    records: list[Record] = []
    seeds = range(given.first, given.first + given.seeds)
    try:
        if given.tables:
            records = on_tables(given.tables, given.metrics, given.law, given.runs, seeds)
            given.json.write_text(json.dumps(records, indent=1))
            print("\n".join(lines(records)))
            return 0
        for seed in seeds:
            for world in _worlds(given.worlds):
                path = given.cache and given.cache / f"{given.law}_{world}_{seed}.json"
                if given.cached and not path.is_file():
                    continue
                known = known_table(world, seed)
                answer = answered(known, given.law, seed, given.cache)
                records.append(record(known, given.law, seed, answer))
            given.json.write_text(json.dumps(records, indent=1))
    except MixoptError as error:
        print(f"analysis.trust: {error}", file=sys.stderr)
        return 2
    print("\n".join(summary(records)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
