"""How fast do strategies find the best mixture? Any run table as the world, or synthetic ones.

    python -m analysis.replay runs.csv --objective mean --strategies auto,regmix,admire,random \
        --scales 1e6,6e7,1e9 --budget 20 --seeds 20 --json out.json --figure out.png
    python -m analysis.replay synthetic:interactions:17 --strategies auto,random --budget 40
    python -m analysis.replay narrow:plain:8 --noise 1 --alone 0.5 --strategies auto,random

The JSON holds `{"about": ..., "records": [...]}` with `--about`, else the records alone: one
`{strategy, seed, runs, cost, regret, seconds}` per decision. `runs` and `cost` are what had been
spent when the strategy, asked for its answer, recommended a mixture with that `regret` (true value
at the target minus the best there is); `seconds` is what deciding and answering took. Besides:
`targets`, the cost in runs of the target scale; `found`, whether the best mixture had been run at
the target; `observed`, the regret of the best mixture that had been (null before the first).

A strategy recommends by its own model, never by hindsight. Pool mode (the default) lets it choose
real runs alone, each at its real cost; `--mode surrogate` plays in an oracle fitted to all runs.
`--protocol admire` follows 2508.11551: one random run at the smallest scale to start with, single
runs, a run's cost proportional to its parameters, the first 48 mixtures of the target scale.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.replay_worlds import Known, Narrow, Oracle, Pool, World
from mixopt.errors import InputError, MixoptError, did_you_mean
from mixopt.lazy import require
from mixopt.runs import Observation
from mixopt.runs.objective import Objective
from mixopt.runs.reading import read_table
from mixopt.runs.run_table import RunTable
from mixopt.strategies import Strategy, strategy
from mixopt.strategies.base import Answering
from mixopt.testing.worlds import KINDS, make_world

Record = dict[str, Any]
_EXACT = 1e-9
_ADMIRE_FIRST = 48
_UNIT_COSTS = 1e6  # a budget from here on is in the unit of the costs, not in target runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        world = _world(options)
        recipes = {name: _recipe(name, options) for name in options.strategies}
        records = replay(world, recipes, budget=options.budget, seeds=range(options.seeds))
    except MixoptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        written: Any = {"about": world.note, "records": records} if options.about else records
        Path(options.json).write_text(json.dumps(written, allow_nan=False) + "\n")
    print(world.note)
    print(summary(records))
    if options.figure:
        figure(records, Path(options.figure), title=world.note)
    return 0


def replay(
    world: World, recipes: dict[str, Strategy], *, budget: float, seeds: Sequence[int]
) -> list[Record]:
    """The records of every strategy and seed.

    Args:
        world: where they play.
        recipes: name to strategy.
        budget: in runs of the target scale; from a million up in the unit of the costs.
        seeds: of the strategies' random numbers.

    Raises:
        InputError: the budget does not pay one run, or a strategy cannot answer at any time.
    """
    problem = world.problem(0)
    price = problem.cost(problem.target)
    limit = budget if budget >= _UNIT_COSTS else budget * price
    cheapest = min(problem.cost(s) for s in problem.scales)
    if not limit >= cheapest:
        raise InputError(
            f"a budget of {budget:g} does not pay one run: the cheapest costs "
            f"{cheapest / price:.3g} target runs; give more"
        )
    records = []
    for name, recipe in recipes.items():
        for seed in seeds:
            for record in play(world, recipe, limit, seed):
                records.append({"strategy": name, "seed": seed, **record})
            print(f"{name} seed {seed} done", file=sys.stderr)
    return records


def play(world: World, recipe: Strategy, limit: float, seed: int) -> Iterator[Record]:
    """One replay, record by record, until the cost limit or the strategy's end."""
    if not isinstance(recipe, Answering):
        raise InputError(
            f"{type(recipe).__name__} has no 'recommend', so it cannot be asked for its answer"
        )
    problem = world.problem(seed)
    price, cost = problem.cost(problem.target), 0.0
    done: list[Observation] = []
    observed = np.inf
    while True:
        started = time.perf_counter()
        specs = [s for s in recipe.next(problem, done, []) if s.kind.in_search]
        seconds = time.perf_counter() - started
        before = len(done)
        for spec in specs:
            if cost + problem.cost(spec.scale) > limit * (1 + 1e-9):
                break
            seen = world.run(spec)
            done.append(seen)
            cost += problem.cost(spec.scale)
            if spec.scale == problem.target:
                observed = min(observed, world.regret(spec.mixture))
        if len(done) == before:
            return
        started = time.perf_counter()
        try:
            answer = recipe.answer(problem, done).mixture
        except InputError:
            continue  # too few runs for its law: it has no answer yet
        finally:
            seconds += time.perf_counter() - started
        regret = world.regret(answer)
        yield {
            "runs": len(done),
            "cost": cost,
            "regret": regret,
            "seconds": seconds,
            "targets": cost / price,
            "found": bool(observed <= _EXACT),
            "observed": observed if np.isfinite(observed) else None,
        }


def to_best(records: Sequence[Record], key: str = "runs") -> list[float]:
    """What each seed had spent (`runs`, `targets`) when it had run the best mixture, or inf."""
    return [min((r[key] for r in rows if r["found"]), default=np.inf) for rows in _by_seed(records)]


def to_answer(records: Sequence[Record], key: str = "targets") -> list[float]:
    """What each seed had spent when its recommendation was the best mixture and stayed so."""
    spent = []
    for rows in _by_seed(records):
        right = np.inf
        for r in rows[::-1]:
            if r["regret"] > _EXACT:
                break
            right = r[key]
        spent.append(float(right))
    return spent


def summary(records: Sequence[Record]) -> str:
    """Strategies side by side: medians over seeds, with quartiles."""
    most = max((r["targets"] for r in records), default=0.0)
    marks = [b for b in (1, 2, 3, 5, 10, 15, 20, 30, 40, 60, 100, 200) if b <= most + 1e-9]
    lines = [
        f"{'':16s}{'runs to best':>18s}{'cost to answer':>18s}"
        + "".join(f"{f'regret@{b}':>12s}" for b in marks)
        + f"{'s/decision':>12s}{'most':>8s}"
    ]
    for name in dict.fromkeys(r["strategy"] for r in records):
        rows = [r for r in records if r["strategy"] == name]
        cells = [_quartiles(to_best(rows)), _quartiles(to_answer(rows))]
        seconds = [r["seconds"] for r in rows]
        regrets = [_regret_at(rows, b) for b in marks]
        shown = "".join(f"{'-' if np.isnan(v) else f'{v:.4f}':>12s}" for v in regrets)
        lines.append(
            f"{name:16s}" + "".join(f"{c:>18s}" for c in cells) + shown
            + f"{np.median(seconds):12.3f}{max(seconds):8.2f}"
        )  # fmt: skip
    lines.append(
        "costs and regret@ are in runs of the target scale; medians over seeds (quartiles)"
    )
    return "\n".join(lines)


def figure(records: Sequence[Record], path: Path, *, title: str = "") -> None:
    """Regret against cost: medians with a 90 % bootstrap interval of the median.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    plt = require("matplotlib.figure")
    canvas = plt.Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = canvas.subplots()
    rng = np.random.default_rng(0)
    for name in dict.fromkeys(r["strategy"] for r in records):
        rows = [r for r in records if r["strategy"] == name]
        costs = np.unique([r["targets"] for r in rows])
        curves = np.array([_curve(by, costs) for by in _by_seed(rows)])
        known = np.isfinite(curves).all(axis=0)
        curves, costs = curves[:, known], costs[known]
        if not costs.size:
            continue
        drawn = rng.integers(len(curves), size=(400, len(curves)))
        low, high = np.quantile(np.median(curves[drawn], axis=1), [0.05, 0.95], axis=0)
        (line,) = axes.plot(costs, np.median(curves, axis=0), label=name, drawstyle="steps-post")
        axes.fill_between(costs, low, high, alpha=0.2, step="post", color=line.get_color())
    axes.set(xlabel="cost, in runs of the target scale", ylabel="regret of the recommendation")
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_title(title, fontsize=8)
    axes.legend()
    canvas.savefig(path, dpi=150)


def _by_seed(records: Sequence[Record]) -> list[list[Record]]:
    seeds = dict.fromkeys(r["seed"] for r in records)
    return [[r for r in records if r["seed"] == seed] for seed in seeds]


def _curve(rows: Sequence[Record], costs: np.ndarray) -> list[float]:
    """Regret of one seed's newest answer at every cost; NaN before its first."""
    spent = np.array([r["targets"] for r in rows])
    at = np.searchsorted(spent, costs + _EXACT, side="right") - 1
    return [rows[i]["regret"] if i >= 0 else np.nan for i in at]


def _regret_at(records: Sequence[Record], budget: float) -> float:
    regrets = [_curve(rows, np.array([budget]))[0] for rows in _by_seed(records)]
    return float(np.median(regrets)) if np.isfinite(regrets).all() else float("nan")


def _quartiles(values: Sequence[float]) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="nearest")
    return f"{_short(float(np.median(values)) if np.isfinite(middle) else middle)} ({_short(low)}-{_short(high)})"  # noqa: E501


def _short(value: float) -> str:
    return "never" if not np.isfinite(value) else f"{value:.3g}"


def _world(options: argparse.Namespace) -> World:
    kind, _, rest = options.table.partition(":")
    if kind in {"synthetic", "narrow"}:
        name, _, size = rest.partition(":")
        if name not in KINDS:
            raise InputError(f"unknown {kind} world {name!r}; {did_you_mean(name, KINDS)}")
        if kind == "narrow":
            return Narrow(name, int(size or 8), alone=options.alone, noise=options.noise)
        return Known(make_world(int(size or 6), kind=name, noise=options.noise))
    table = read_table(options.table, renormalize=options.renormalize)
    if options.where:
        table = table.query(options.where)
    admire = options.protocol == "admire"
    pool = Pool.of(
        table,
        objective_of(options.objective, table, options.maximize),
        options.scales,
        first=_ADMIRE_FIRST if admire else None,
        cost_by_params=admire,
    )
    return pool if options.mode == "pool" else Oracle.of(pool, noise=options.noise)


def objective_of(text: str, table: RunTable, maximize: Sequence[str] = ()) -> Objective:
    """`mean` (or `avg13`) of all metrics, or metrics with commas; a prefix `m/` may be written.

    Raises:
        InputError: an unknown metric, or `avg<n>` where the table has another number of metrics.
    """
    known = table.metrics
    average = re.fullmatch(r"avg(\d*)", text)
    if average and average[1] and int(average[1]) != len(known) and text not in known:
        raise InputError(f"{text!r} means all metrics, and the table has {len(known)}: {known}")
    higher = [name.removeprefix("m/") for name in maximize]
    if text == "mean" or (average and text not in known):
        names = list(known)
    else:
        names = [n.strip().removeprefix("m/") for n in text.split(",")]
    if maximize and set(higher) == {"all"}:
        higher = names
    for name in (*names, *higher):
        if name not in known:
            raise InputError(f"unknown metric {name!r}; {did_you_mean(name, known)}")
    weights = dict.fromkeys(names, 1.0)
    return Objective(weights, maximize=frozenset(n for n in higher if n in weights))


def _recipe(name: str, options: argparse.Namespace) -> Strategy:
    """A strategy that goes on until the budget is spent, with the start that all share."""
    plain = strategy(name)
    known = set(getattr(plain, "__dataclass_fields__", ()))
    admire = options.protocol == "admire"
    initial, batch = (1, 1) if admire else (options.initial, options.batch)
    shared = {"runs": 50_000, "proposals": 50_000, "design": initial, "batch": batch}
    if "design" not in known:  # one-shot recipes are fitted anew at every record: not too often
        shared["batch"] = max(batch, initial)
    if name == "random":
        del shared["design"]
        shared["batch"] = batch
    settings = {k: v for k, v in shared.items() if k in known}
    for setting in options.set:
        target, _, value = setting.partition("=")
        owner, _, key = target.rpartition(".")
        if owner == name:
            settings[key] = json.loads(value)
    return strategy(name, **settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.replay",
        description="How fast strategies find the best mixture.",
    )
    add = parser.add_argument
    add("table", help=f"run table, or synthetic|narrow:<kind>[:domains]: {', '.join(KINDS)}")
    add("--objective", default="mean", help="'mean' of all metrics, or metrics with commas")
    add("--maximize", default=[], type=_names, help="metrics where higher is better, or 'all'")
    add("--strategies", default=["auto", "random"], type=_names)
    add("--scales", default=[], type=_names, help="params or params:tokens; all by default")
    add("--where", default="", help="pandas condition on the runs")
    add("--budget", default=60.0, type=float, help="in target runs (from 1e6: in cost units)")
    add("--seeds", default=20, type=int)
    add("--initial", default=10, type=int, help="random runs before a strategy may fit anything")
    add("--batch", default=1, type=int, help="runs per decision")
    add("--mode", default="pool", choices=["pool", "surrogate"])
    add("--protocol", default="", choices=["", "admire"])
    add("--noise", default=0.0, type=float, help="of oracle and synthetic runs, in metric sds")
    add("--alone", default=0.0, type=float, help="variance of a narrow pool that no law can learn")
    add("--set", default=[], action="append", metavar="STRATEGY.SETTING=JSON")
    add("--renormalize", action="store_true", help="accept weights off 1")
    add("--json", default="", help="write the records here")
    add("--about", action="store_true", help="write {about, records} instead of the records alone")
    add("--figure", default="", help="draw regret against cost here (PNG, PDF, SVG)")
    return parser


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


if __name__ == "__main__":
    raise SystemExit(main())
