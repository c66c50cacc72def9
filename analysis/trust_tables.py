"""Is a verdict on part of a real table borne out by the rest of it?

Part of the runs is fitted, recommended from and judged, as `mixopt fit` does it; the rest is the
truth. Of a table with several scales that part is of the smallest and the answer is for the
largest, whose runs are all held out; of one with a single scale they are two random parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixopt import laws, proposers
from mixopt.diagnostics.ranks import spearman
from mixopt.errors import InputError
from mixopt.judging.gating import gated, widening
from mixopt.judging.measuring import Beside, measure
from mixopt.judging.searched import Searched
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Scale
from mixopt.runs.objective import Objective
from mixopt.runs.reading import read_table
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace

REGRET, COVER, RANKED = 0.3, 0.7, 0.5
"""What a verdict claims of held-out runs: trust a regret of the best-predicted run below this (in
sds of the objective) and 90 % intervals that hold so many; a ranking such a rank correlation."""
_Z90 = 1.645


@dataclass(frozen=True, eq=False)
class Parts:
    """What is fitted, what is held out, and the scale that is asked about."""

    shown: RunTable
    held_out: RunTable
    target: Scale | None


def parts(table: RunTable, runs: int, rng: np.random.Generator) -> Parts:
    """Draw what is shown.

    Args:
        table: all runs.
        runs: to show.
        rng: draws them.

    Raises:
        InputError: fewer runs than that, or none left to hold out.
    """
    scales = np.nan_to_num(table.scales)
    distinct = np.unique(scales, axis=0)
    order = np.argsort(distinct.prod(axis=1))
    small = (scales == distinct[order[0]]).all(axis=1)
    rows = rng.permutation(np.flatnonzero(small))
    if len(rows) < runs + (len(distinct) == 1):
        raise InputError(f"{len(rows)} runs at the smallest scale; show fewer than {runs} (--runs)")
    if len(distinct) == 1:
        return Parts(table.take(rows[:runs]), table.take(rows[runs:]), None)
    large = distinct[order[-1]]
    held_out = table.take((scales == large).all(axis=1))
    return Parts(table.take(rows[:runs]), held_out, Scale(int(large[0]), int(large[1])))


def judged(table: RunTable, objective: Objective, law: str, runs: int, seed: int) -> dict[str, Any]:
    """The verdict on a part, and what the rest says."""
    rng = np.random.default_rng([seed, 17])
    drawn = parts(table, runs, rng)
    space = MixtureSpace(table.domains)
    surrogate = fit_surrogate(
        drawn.shown, objective, space, laws.law(law), rng=rng, target=drawn.target
    )
    answer = proposers.recommend(surrogate, space, W=drawn.shown.W, rng=rng)
    beside = Beside(space)
    measured, _ = measure(surrogate, drawn.shown, answer, beside, rng=rng)
    told = gated(surrogate, drawn.shown, answer, beside, measured, rng=rng)
    wide = widening(Searched(surrogate, drawn.shown, answer.mixture), measured.validation)
    truth = objective.value(drawn.held_out.Y, drawn.held_out.metrics)
    mean, sd = surrogate.moments(drawn.held_out.W)
    total = np.hypot(wide * sd, surrogate.noise(answer.mixture.array[None]))
    record = {
        "seed": seed,
        "verdict": told.level,
        "reasons": list(told.reasons),
        "held_out": len(truth),
        "rho": spearman(mean, truth),
        "regret": float((truth[mean.argmin()] - truth.min()) / truth.std()),
        "cover": float((np.abs(truth - mean) <= _Z90 * total).mean()),
    }
    return {**record, "borne_out": borne_out(record)}


def borne_out(record: Mapping[str, Any]) -> bool:
    """Whether held-out runs show what the verdict claims; no trust claims nothing."""
    if record["verdict"] == "do not trust":
        return True
    ranked = bool(record["rho"] >= RANKED)
    if record["verdict"] == "ranking only":
        return ranked
    return ranked and bool(record["regret"] <= REGRET and record["cover"] >= COVER)


def objectives(table: RunTable, metrics: Sequence[str]) -> dict[str, Objective]:
    """The mean of all metrics, and each of those named that the table has."""
    named = {name: Objective.of(name) for name in metrics if name in table.metrics}
    return {f"mean of {len(table.metrics)}": Objective.of(table.metrics), **named}


def on_tables(
    paths: Sequence[Path], metrics: Sequence[str], law: str, runs: int, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Records of every table, objective and seed.

    Args:
        paths: run tables, see `mixopt.runs.reading`.
        metrics: judged by themselves, beside the mean of all.
        law: name of it.
        runs: shown at most; half of a smaller table of one scale.
        seeds: each draws another part.

    Raises:
        InputError: a table that cannot be read, or none of it left to hold out.
    """
    records = []
    for path in paths:
        table = read_table(path, renormalize=True)
        single = len(np.unique(np.nan_to_num(table.scales), axis=0)) == 1
        shown = min(runs, len(table) // 2) if single else runs
        for name, objective in objectives(table, metrics).items():
            for seed in seeds:
                told = judged(table, objective, law, shown, seed)
                records.append({"table": path.stem, "objective": name, "law": law, **told})
    return records


def lines(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line per table and objective."""
    out = [
        f"{'table':<14}{'objective':<16}{'n':>4}{'trust':>7}{'ranking':>9}{'neither':>9}"
        f"{'borne out':>11}{'rho':>7}{'regret':>8}{'cover':>7}"
    ]
    for key in dict.fromkeys((r["table"], r["objective"]) for r in records):
        some = [r for r in records if (r["table"], r["objective"]) == key]
        levels = [sum(r["verdict"] == v for r in some) for v in ("trust", "ranking only")]
        means = [float(np.mean([r[k] for r in some])) for k in ("rho", "regret", "cover")]
        out.append(
            f"{key[0]:<14}{key[1]:<16}{len(some):>4}{levels[0]:>7}{levels[1]:>9}"
            f"{len(some) - sum(levels):>9}{sum(r['borne_out'] for r in some):>11}"
            f"{means[0]:>7.2f}{means[1]:>8.2f}{means[2]:>7.2f}"
        )
    return out
