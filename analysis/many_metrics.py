"""How long does `auto` take for many metrics, and does it rank as well as one metric at a time?

    python -m analysis.many_metrics [runs.csv] [--together] [--json out.json]

Two ways on the same runs, in one process: *together* is `auto` as it is; *alone* fits every metric
for itself, and every fold from scratch. CPU seconds of this process with one BLAS thread, for
others may use the machine; they still rise by some tens of percent when it is busy. Synthetic
cases are timed alone on every tenth (over scales, every fourth) metric, and scaled up. The very
first fit of a process also loads libraries: a small one goes before.

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
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits

from mixopt.laws import as_law
from mixopt.laws.base import FittedLaw
from mixopt.laws.ensemble import DEFAULT, Ensemble
from mixopt.laws.epoch_shape import Shape, epochs
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
    """Runs W (n, m), Y (n, k) to fit, runs to ask about, and every which metric is fitted alone.

    `scale` (n, 2) is that of the runs, `at` (2,) that of those asked about; `tokens` (m,) are the
    domains' unique tokens and `budget` the target's, where they are known.
    """

    name: str
    W: Array
    Y: Array
    asked: Array
    truth: Array
    every: int
    scale: Array | None = None
    at: Array | None = None
    tokens: tuple[float, ...] | None = None
    budget: float | None = None

    def law(self, laws: Sequence[Cold] | None = None) -> Ensemble:
        """`auto`, or the same of other laws, told the sizes."""
        return Ensemble(laws, tokens=self.tokens, budget=self.budget)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m analysis.many_metrics")
    parser.add_argument("table", nargs="?", help="tidy run table of one scale")
    parser.add_argument("--json", default="", help="write the records here")
    parser.add_argument("--together", action="store_true", help="leave out the metrics alone")
    options = parser.parse_args(arguments)
    cases = [
        synthetic(127, 24, 110, every=10),
        sized(127, 24, 110, every=10),
        synthetic(512, 64, 110, every=10),
        over_scales((40, 28, 12), 17, 22, every=4),
    ]
    if options.table:
        cases.insert(0, of_table(Path(options.table)))
    records = []
    small = synthetic(20, 3, 2, every=1)
    small.law().fit(small.W, small.Y, rng=np.random.default_rng(SEED))
    for case in cases:
        records.append(measure(case, alone=not options.together))
        print("  ".join(f"{key} {value}" for key, value in records[-1].items()), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(records, indent=1) + "\n")
    return 0


def measure(case: Case, *, alone: bool) -> dict[str, Any]:
    """CPU seconds and rank correlations of both ways, or only of all metrics together."""
    metrics = np.arange(0, case.Y.shape[1], case.every)
    with threadpool_limits(limits=1, user_api="blas"):
        seconds, together = _timed(case, case.law(), np.arange(case.Y.shape[1]))
        record = {
            "case": case.name,
            "together_s": round(seconds, 1),
            "together_rho": _rho(case.truth[:, metrics], together[:, metrics]),
        }
        if alone:
            cold = case.law([Cold(name) for name in DEFAULT])
            fits = [_timed(case, cold, np.array([j])) for j in metrics]
            before = sum(one for one, _ in fits) * case.Y.shape[1] / len(metrics)
            means = np.hstack([mean for _, mean in fits])
            record |= {
                "alone_s": round(before, 1),
                "alone_rho": _rho(case.truth[:, metrics], means),
            }
    return record


def _timed(case: Case, law: Ensemble, metrics: NDArray[np.intp]) -> tuple[float, Array]:
    """CPU seconds of a fit to some metrics, and what it predicts for those asked about."""
    started = time.process_time()
    fitted = law.fit(case.W, case.Y[:, metrics], case.scale, rng=np.random.default_rng(SEED))
    return time.process_time() - started, fitted.predict(case.asked, case.at).mean


def _rho(truth: Array, mean: Array) -> float:
    """Mean over metrics of the rank correlation."""
    each = [stats.spearmanr(t, m).statistic for t, m in zip(truth.T, mean.T, strict=True)]
    return round(float(np.mean(each)), 4)


def synthetic(n: int, m: int, k: int, *, every: int) -> Case:
    """Losses that fall with their own domain's share, and with those of related domains."""
    rng = np.random.default_rng([SEED, n, m, k])
    W = rng.dirichlet(np.full(m, 0.3), 2 * n)
    truth = 2.0 + _falling(rng, W, k)
    Y = truth + 0.05 * truth.std(axis=0) * rng.standard_normal(truth.shape)
    return Case(f"synthetic {n} x {m} x {k}", W[:n], Y[:n], W[n:], truth[n:], every)


def sized(n: int, m: int, k: int, *, every: int) -> Case:
    """Losses of epochs: the law of epochs is a member where its sizes are known."""
    rng = np.random.default_rng([SEED, n, m, k, 1])
    W, tokens = rng.dirichlet(np.full(m, 0.3), 2 * n), np.geomspace(1e8, 1e10, m)
    amplitudes = rng.gamma(0.5, 1.0, (2 * m, k)) * np.repeat([[1.0], [0.05]], m, axis=0)
    truth = 2.0 + np.exp(Shape(1.0, 0.7, 2.0).columns(epochs(W, tokens, 5e9)) @ amplitudes)
    Y = truth + 0.05 * truth.std(axis=0) * rng.standard_normal(truth.shape)
    name = f"sizes known, {n} x {m} x {k}"
    sizes = tuple(tokens.tolist())
    return Case(name, W[:n], Y[:n], W[n:], truth[n:], every, tokens=sizes, budget=5e9)


def over_scales(counts: tuple[int, ...], m: int, k: int, *, every: int) -> Case:
    """Losses that fall with the scale too; asked about at the largest scale."""
    n = sum(counts)
    rng = np.random.default_rng([SEED, n, m, k])
    W = rng.dirichlet(np.full(m, 0.3), 2 * n)
    growth = 4.0 ** np.arange(len(counts))
    size = np.concatenate([np.repeat(growth, counts), np.full(n, growth[-1])])[:, None]
    truth = 2.0 * size**-0.1 + _falling(rng, W, k) * size**-0.05
    Y = truth + 0.02 * rng.standard_normal(truth.shape)
    scale = size * np.array([1e6, 2e7])
    name = f"{n} runs at {len(counts)} scales, {m} x {k}"
    return Case(name, W[:n], Y[:n], W[n:], truth[n:], every, scale[:n], scale[-1])


def _falling(rng: np.random.Generator, W: Array, k: int) -> Array:
    """(n, k) what falls with the share of each metric's own domain, and of related ones."""
    m, roots = W.shape[1], np.sqrt(W)
    slopes, own = 0.45 * rng.standard_normal((m, k)), rng.integers(m, size=k)
    return np.asarray(np.exp(roots @ slopes - roots[:, own] - 0.5))


def of_table(path: Path) -> Case:
    """A fifth of the runs of a table is asked about."""
    table = read_table(path, renormalize=True)
    out = np.random.default_rng(SEED).permutation(len(table)) < len(table) // 5
    W, Y = table.W, table.Y
    name = f"{path.stem} {(~out).sum()} x {W.shape[1]} x {Y.shape[1]}"
    return Case(name, W[~out], Y[~out], W[out], Y[out], 5)


if __name__ == "__main__":
    raise SystemExit(main())
