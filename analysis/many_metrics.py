"""How long does `auto` take for many metrics, and does it rank as well as one metric at a time?

    python -m analysis.many_metrics [runs.csv] [--json out.json]

Two ways on the same runs, in one process: *together* is `auto` as it is; *alone* fits every metric
for itself, and every fold from scratch. CPU seconds of this process with one BLAS thread, for
others may use the machine; they still rise by some tens of percent when it is busy. The larger
synthetic case is timed alone on every tenth metric, and scaled up.

Rank correlations are those with runs held out (a fifth of the runs of a table; new noiseless
mixtures of the synthetic cases), the mean over the metrics that were fitted both ways.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from mixopt.laws import as_law
from mixopt.laws.base import FittedLaw
from mixopt.laws.ensemble import DEFAULT, Ensemble
from mixopt.runs.reading import read_table
from mixopt.space.simplex import Array

SEED = 0


@dataclass(frozen=True)
class Cold:
    """A law that cannot start from an earlier fit."""

    name: str

    takes_scales: ClassVar[bool] = False

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> FittedLaw:
        """Fit from scratch."""
        return as_law(self.name).fit(W, Y, scale, rng=rng)


@dataclass(frozen=True, eq=False)
class Case:
    """Runs W (n, m), Y (n, k) to fit, runs to ask about, and every which metric is fitted alone."""

    name: str
    W: Array
    Y: Array
    asked: Array
    truth: Array
    every: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m analysis.many_metrics")
    parser.add_argument("table", nargs="?", help="tidy run table of one scale")
    parser.add_argument("--json", default="", help="write the records here")
    options = parser.parse_args(arguments)
    cases = [synthetic(127, 24, 110, every=10), synthetic(512, 64, 110, every=10)]
    if options.table:
        cases.insert(0, of_table(Path(options.table)))
    records = []
    for case in cases:
        records.append(measure(case))
        print("  ".join(f"{key} {value}" for key, value in records[-1].items()), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(records, indent=1) + "\n")
    return 0


def measure(case: Case) -> dict[str, Any]:
    """CPU seconds and rank correlations of both ways."""
    metrics = np.arange(0, case.Y.shape[1], case.every)
    with threadpool_limits(limits=1, user_api="blas"):
        started = time.process_time()
        together = Ensemble().fit(case.W, case.Y, rng=np.random.default_rng(SEED))
        seconds = time.process_time() - started
        started = time.process_time()
        cold = Ensemble(laws=[Cold(name) for name in DEFAULT])
        alone = [cold.fit(case.W, case.Y[:, [j]], rng=np.random.default_rng(SEED)) for j in metrics]
        before = (time.process_time() - started) * case.Y.shape[1] / len(metrics)
        means = [
            together.predict(case.asked).mean[:, metrics],
            np.hstack([fitted.predict(case.asked).mean for fitted in alone]),
        ]
    truth = case.truth[:, metrics]
    rho, rho_alone = (
        np.mean([stats.spearmanr(t, m).statistic for t, m in zip(truth.T, mean.T, strict=True)])
        for mean in means
    )
    return {
        "case": case.name,
        "together_s": round(seconds, 1),
        "alone_s": round(before, 1),
        "together_rho": round(float(rho), 4),
        "alone_rho": round(float(rho_alone), 4),
    }


def synthetic(n: int, m: int, k: int, *, every: int) -> Case:
    """Losses that fall with their own domain's share, and with those of related domains."""
    rng = np.random.default_rng([SEED, n, m, k])
    W = rng.dirichlet(np.full(m, 0.3), 2 * n)
    slopes, own = 0.45 * rng.standard_normal((m, k)), rng.integers(m, size=k)
    roots = np.sqrt(W)
    truth = 2.0 + np.exp(roots @ slopes - roots[:, own] - 0.5)
    Y = truth + 0.05 * truth.std(axis=0) * rng.standard_normal(truth.shape)
    return Case(f"synthetic {n} x {m} x {k}", W[:n], Y[:n], W[n:], truth[n:], every)


def of_table(path: Path) -> Case:
    """A fifth of the runs of a table is asked about."""
    table = read_table(path, renormalize=True)
    out = np.random.default_rng(SEED).permutation(len(table)) < len(table) // 5
    W, Y = table.W, table.Y
    name = f"{path.stem} {(~out).sum()} x {W.shape[1]} x {Y.shape[1]}"
    return Case(name, W[~out], Y[~out], W[out], Y[out], 5)


if __name__ == "__main__":
    raise SystemExit(main())
