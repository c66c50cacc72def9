"""Does `auto` predict better, or worse, where it knows the domains' sizes?

    python -m analysis.knowing_epochs regmix.csv --where "params == 1e6 and split == 'train'"
    python -m analysis.knowing_epochs --world 8          # synthetic, with or without repetition

Half of the runs are for choices (`--half even`), half for reports (`odd`). Of a half, n runs train
and the rest is predicted, by `auto` as it is and by `auto` with sizes: both get the same runs and
the same seed. The error is the mean over metrics of the mean absolute error in sds of the metric.

A table that does not say how large its domains are gets sizes in proportion to their mean weight,
and a budget that passes once over all of them; then knowing them may help by chance alone.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from mixopt.laws.ensemble import Ensemble, FittedEnsemble
from mixopt.laws.epoch_shape import Shape, epochs
from mixopt.runs.reading import read_table
from mixopt.space.simplex import Array

_LEAST = 1e-3  # of all tokens: the smallest domain


def world(domains: int, seed: int, repeats: float, n: int = 160) -> tuple[Array, Array, Array]:
    """Mixtures (n, m), metrics (n, m) and sizes (m,) of a world of Weibull benefit and harm.

    Args:
        domains: m.
        seed: of everything.
        repeats: epochs of the smallest domain at share 1; 1 or less is a world without repetition.
        n: mixtures.
    """
    rng = np.random.default_rng([seed, domains])
    sizes = np.geomspace(1.0, 1.0 / repeats, domains) if repeats > 1 else np.ones(domains)
    W = rng.dirichlet(np.full(domains, 0.5), size=n)
    shape = Shape(rate=0.5, power=0.7, onset=2.0)
    X = shape.columns(epochs(W, sizes, 1.0))
    A = rng.gamma(1.0, 0.5, size=(domains, 2 * domains)) + np.hstack([2 * np.eye(domains)] * 2)
    Y = 1.0 + np.exp(-1.0 + X @ A.T / 4)
    return W, Y + 0.03 * Y.std(axis=0) * rng.standard_normal(Y.shape), sizes


def compared(
    W: Array, Y: Array, sizes: Array, sizes_of: Sequence[int], seeds: int
) -> list[dict[str, float]]:
    """For every number of runs: both errors, their difference with its 95 % interval, how often."""
    told = []
    for n in sizes_of:
        rows = []
        for seed in range(seeds):
            order = np.random.default_rng([seed, n]).permutation(len(W))
            train, test = order[:n], order[n:]
            fits = [
                law.fit(W[train], Y[train], rng=np.random.default_rng(seed))
                for law in (Ensemble(), Ensemble(tokens=tuple(sizes), budget=float(sizes.sum())))
            ]
            unit = np.nanstd(Y, axis=0)
            errors = [
                float(np.nanmean(np.abs(f.predict(W[test]).mean - Y[test]) / unit)) for f in fits
            ]
            assert isinstance(fits[1], FittedEnsemble)
            rows.append([*errors, float("epochs" in fits[1].members)])
        R = np.array(rows)
        apart = R[:, 1] - R[:, 0]
        told.append(
            {
                "n": n,
                "without": R[:, 0].mean(),
                "with": R[:, 1].mean(),
                "difference": apart.mean(),
                "half": 1.96 * apart.std(ddof=1) / np.sqrt(seeds),
                "member": R[:, 2].mean(),
            }
        )
    return told


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--where")
    parser.add_argument("--tokens", type=json.loads, help="JSON: domain to tokens")
    parser.add_argument("--half", choices=("even", "odd"), default="odd")
    parser.add_argument("--metrics", type=int, default=1000, help="at most so many, spread evenly")
    parser.add_argument("--world", type=int, help="domains of a synthetic world")
    parser.add_argument("--repeats", type=float, default=64.0)
    parser.add_argument("--sizes", default="25,50,100")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    if args.table is None:
        W, Y, sizes = world(args.world or 6, 0, args.repeats)
    else:
        runs = read_table(args.table, where=args.where, renormalize=True)
        rows = np.arange(len(runs)) % 2 == (args.half == "odd")
        pick = np.linspace(0, len(runs.metrics) - 1, min(args.metrics, len(runs.metrics))).astype(
            int
        )
        W, Y = runs.W[rows], runs.Y[rows][:, np.unique(pick)]
        mean = runs.W.mean(axis=0)
        sizes = mean if args.tokens is None else np.array([args.tokens[d] for d in runs.domains])
        sizes = np.maximum(sizes / sizes.sum(), _LEAST)
    with threadpool_limits(1):
        told = compared(W, Y, sizes, [int(n) for n in args.sizes.split(",")], args.seeds)
    print(pd.DataFrame(told).round(4).to_string(index=False))
    if args.json:
        args.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
