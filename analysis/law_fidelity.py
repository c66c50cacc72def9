"""How well do laws predict runs that they have not seen? For any run table.

    python -m analysis.law_fidelity runs.csv --train "params==1e6 and split=='train'" \
        --test "params==1e9" --objective mean --sizes 25,50,100 --seeds 10 \
        --laws auto,lightgbm,log-linear --json out.json

For every size and seed the same random training runs are given to every law, in one process. The
JSON is a list of records `{law, n, seed, target, rho, mae, regret, coverage90, fit_seconds}`:
`target` is a metric or `objective`; `rho` is Spearman's; `regret` is the true value of the law's
pick among the test runs minus the best one, positive and in the unit of the target; `coverage90` is
the share of test runs inside the 90 % interval; a value that does not exist is null (with `error`
where the law could not be fitted). With `--calibrate K`, K random test runs join the training runs
and the rest is tested.

The objective's interval takes the metrics as independent given the runs.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mixopt.errors import InputError, MixoptError
from mixopt.laws import law, law_for
from mixopt.runs.objective import Objective
from mixopt.runs.reading import read_table
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array

Record = dict[str, Any]
OBJECTIVE = "objective"
_Z90 = 1.6448536
_ROW = "_row"  # position in the whole table, so that a training run is never tested


@dataclass(frozen=True)
class Task:
    """What is measured: training pool, test runs, objective."""

    train: RunTable
    test: RunTable
    objective: Objective
    calibrate: int = 0

    def draw(self, n: int, seed: int) -> tuple[RunTable, Array | None, RunTable, Array | None]:
        """Training runs with their scales, test runs with theirs."""
        rng = np.random.default_rng([seed, n])
        picked = rng.permutation(len(self.train))[:n]
        train = self.train.take(np.sort(picked))
        test = self.test
        if self.calibrate:
            order = rng.permutation(len(test))
            extra = test.take(np.sort(order[: self.calibrate]))
            test = test.take(np.sort(order[self.calibrate :]))
            train = _stack(train, extra)
        used = set(train.facts[_ROW])
        test = test.take(~test.facts[_ROW].isin(used).to_numpy())
        scales = [t.scales for t in (train, test)]
        # A scale that some run lacks says nothing of the others.
        gaps = np.isnan(np.vstack(scales)).any(axis=0)
        for pairs in scales:
            pairs[:, gaps] = np.nan
        if gaps.all():
            return train, None, test, None
        return train, scales[0], test, scales[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        task = _task(options)
        records = measure(task, options.laws, options.sizes, options.seeds)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        Path(options.json).write_text(json.dumps(records, indent=1, allow_nan=False) + "\n")
    print(f"{len(task.train)} training runs to draw from, {len(task.test)} test runs, "
          f"{len(task.train.domains)} domains, {len(task.train.metrics)} metrics")  # fmt: skip
    print(summary(records))
    return 0


def measure(task: Task, laws: Sequence[str], sizes: Sequence[int], seeds: int) -> list[Record]:
    """The records of every law, size and seed.

    Raises:
        InputError: an unknown law.
    """
    for name in laws:
        law(name)  # an unknown name is an error now; libraries are imported outside the timing
    records = []
    for n in sorted({min(s, len(task.train)) for s in sizes}):
        for seed in range(seeds):
            drawn = task.draw(n, seed)
            for name in laws:
                records += _records(task, drawn, name, {"law": name, "n": n, "seed": seed})
            print(f"n={n} seed={seed} done", file=sys.stderr)
    return records


def score(truth: Array, mean: Array, sd: Array, *, higher_is_better: bool = False) -> Record:
    """Spearman's rho, mean absolute error, regret and coverage of one target (n,)."""
    seen = np.isfinite(truth) & np.isfinite(mean)
    truth, mean, sd = truth[seen], mean[seen], sd[seen]
    if truth.size < 2:
        return dict.fromkeys(("rho", "mae", "regret", "coverage90"))
    sign = -1.0 if higher_is_better else 1.0
    varies = np.ptp(truth) > 0 and np.ptp(mean) > 0
    pick = int(np.argmin(sign * mean))
    return {
        "rho": float(stats.spearmanr(truth, mean).statistic) if varies else None,
        "mae": float(np.abs(truth - mean).mean()),
        "regret": float(sign * truth[pick] - (sign * truth).min()),
        "coverage90": float((np.abs(truth - mean) <= _Z90 * sd).mean()),
    }


def summary(records: Sequence[Record]) -> str:
    """Laws side by side: means over seeds, one line per size and score."""
    laws = list(dict.fromkeys(r["law"] for r in records))
    targets = list(dict.fromkeys(r["target"] for r in records))
    lines = [f"{'':42s}" + "".join(f"{name:>18s}" for name in laws)]
    for n in sorted({r["n"] for r in records}):
        rows = [r for r in records if r["n"] == n]
        metrics = [t for t in targets if t != OBJECTIVE]
        wanted = [
            ("rho, objective", [OBJECTIVE], "rho"),
            ("rho, mean over metrics", metrics, "rho"),
            ("mae, objective", [OBJECTIVE], "mae"),
            ("regret, objective", [OBJECTIVE], "regret"),
            ("90 % interval covers, mean over metrics", metrics, "coverage90"),
            ("seconds to fit", [OBJECTIVE], "fit_seconds"),
        ]
        for label, of, key in wanted:
            cells = (_cell([r for r in rows if r["law"] == x and r["target"] in of], key)
                     for x in laws)  # fmt: skip
            lines.append(f"n={n:<5d}{label:35s}" + "".join(f"{c:>18s}" for c in cells))
        lines.append("")
    return "\n".join(lines)


def _cell(rows: Sequence[Record], key: str) -> str:
    """Mean over seeds, and the sd between seeds."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        if row[key] is not None:
            by_seed.setdefault(row["seed"], []).append(row[key])
    if not by_seed:
        return "-"
    means = np.array([np.mean(v) for v in by_seed.values()])
    return f"{means.mean():.4f}" + (f" ({means.std(ddof=1):.3f})" if means.size > 1 else "")


def _records(
    task: Task,
    drawn: tuple[RunTable, Array | None, RunTable, Array | None],
    name: str,
    head: Record,
) -> list[Record]:
    train, scale, test, test_scale = drawn
    metrics = train.metrics
    started = time.perf_counter()
    try:
        made = law_for(name, scale)
        rng = np.random.default_rng([head["seed"], head["n"], 1])
        fitted = made.fit(train.W, train.Y, scale, rng=rng)
        seconds = time.perf_counter() - started
        prediction = fitted.predict(test.W, test_scale)
    except MixoptError as error:
        print(f"{name}, n={head['n']}, seed={head['seed']}: {error}", file=sys.stderr)
        empty = dict.fromkeys(("rho", "mae", "regret", "coverage90", "fit_seconds"))
        return [{**head, "target": t, **empty, "error": str(error)} for t in (*metrics, OBJECTIVE)]
    records = []
    for i, metric in enumerate(metrics):
        better = metric in task.objective.maximize
        values = score(
            test.Y[:, i], prediction.mean[:, i], prediction.total_sd[:, i], higher_is_better=better
        )
        records.append({**head, "target": metric, **values, "fit_seconds": seconds})
    mean, sd = task.objective.moments(prediction.mean, prediction.total_sd, metrics)
    values = score(task.objective.value(test.Y, metrics), mean, sd)
    return [*records, {**head, "target": OBJECTIVE, **values, "fit_seconds": seconds}]


def _task(options: argparse.Namespace) -> Task:
    table = read_table(options.table, renormalize=options.renormalize)
    table = replace(table, facts=table.facts.assign(**{_ROW: np.arange(len(table))}))
    train, test = (table.query(c) if c else table for c in (options.train, options.test))
    kept = np.isfinite(train.Y).any(axis=0) & np.isfinite(test.Y).any(axis=0)
    train, test = _only(train, np.atleast_1d(kept)), _only(test, np.atleast_1d(kept))
    names = list(train.metrics) if options.objective == "mean" else options.objective.split(",")
    for name in options.maximize:
        if name not in train.metrics:
            raise InputError(f"unknown metric {name!r} in --maximize; known: {train.metrics}")
    # Directions hold for every metric's own score; those outside the objective weigh nothing.
    weights = {**dict.fromkeys(options.maximize, 0.0), **dict.fromkeys(names, 1.0)}
    objective = Objective(weights, maximize=frozenset(options.maximize))
    objective.check(train.metrics)
    if options.calibrate >= len(test):
        raise InputError(f"--calibrate {options.calibrate} leaves none of {len(test)} test runs")
    return Task(train, test, objective, options.calibrate)


def _only(table: RunTable, metrics: NDArray[np.bool_]) -> RunTable:
    """The table with the metrics that both sides have."""
    if not metrics.any():
        raise InputError("training and test runs have no metric in common; check the conditions")
    dropped = [m for m, keep in zip(table.metrics, metrics, strict=True) if not keep]
    if dropped:
        print(f"left out, for training or test runs lack them: {dropped}", file=sys.stderr)
    names = tuple(m for m, keep in zip(table.metrics, metrics, strict=True) if keep)
    return replace(table, metrics=names, Y=table.Y[:, metrics])


def _stack(first: RunTable, second: RunTable) -> RunTable:
    return RunTable.joined([first, second])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.law_fidelity",
        description="How well laws predict runs that they have not seen.",
    )
    parser.add_argument("table", help="tidy run table (CSV or parquet)")
    parser.add_argument("--train", default="", help="pandas condition on training runs")
    parser.add_argument("--test", default="", help="pandas condition on test runs")
    parser.add_argument("--objective", default="mean", help="'mean', or metrics with commas")
    parser.add_argument("--maximize", default=[], type=_names, help="metrics: higher is better")
    parser.add_argument("--sizes", default=[25, 50, 100], type=_sizes, help="training runs")
    parser.add_argument("--seeds", default=10, type=int, help="random training sets per size")
    parser.add_argument("--laws", default=["auto", "lightgbm", "log-linear"], type=_names)
    parser.add_argument("--calibrate", default=0, type=int, help="test runs that join training")
    parser.add_argument("--renormalize", action="store_true", help="accept weights off 1")
    parser.add_argument("--json", default="", help="write the records here")
    return parser


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in _names(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers like 25,50,100") from None


if __name__ == "__main__":
    raise SystemExit(main())
