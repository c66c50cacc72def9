"""Merges with learned coefficients against the uniform merge, on real text and the same experts.

    python -m analysis.adamerging /tmp/merges.csv --cache /tmp/cache

Three domains that packages ship, scored on code that none of them holds. The experts of each seed
are merged uniformly, by the loss on a little of that code, and by entropy with several guards.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mixopt import Mixture, RunSpec, Scale
from proxies.experts import MergeTrainer
from proxies.experts.adamerging import AdaMerging

DOMAINS = ("python", "apidocs", "wiki_en")
TARGET = "code_target"
SCALE = Scale(100_000, 65_536)
START_SHARE = 0.5  # experts that are farther apart than by default: more to choose from


@dataclass(frozen=True)
class Way:
    """One way of learning: guard None is by loss."""

    guard: float | None

    def __str__(self) -> str:
        return "loss" if self.guard is None else f"entropy, guard {self.guard:g}"


WAYS = (Way(None), Way(0.0), Way(1.0), Way(10.0))
LEARNING = AdaMerging(rate=0.01, steps=100)  # twice as far as 500 steps of .001, for a fifth


def trainer() -> MergeTrainer:
    """Of the three domains and the code that is scored."""
    return MergeTrainer(
        domains={name: f"builtin:{name}" for name in DOMAINS},
        validation={TARGET: f"builtin:{TARGET}"},
        calibration_runs=0,
        start_share=START_SHARE,
    )


def rows_of(seed: int, cache: Path, ways: Sequence[Way] = WAYS) -> list[dict[str, Any]]:
    """A row for each way with the experts of one seed."""
    run = RunSpec(Mixture.of(dict.fromkeys(DOMAINS, 1 / 3), renormalize=True), SCALE, seed=seed)
    rows = []
    for way in ways:
        began = process_time()
        merge = trainer().learned(cache, run, TARGET, guard=way.guard, settings=LEARNING)
        table = np.array(list(merge.merged.coefficients.values()))
        rows.append(
            {
                "way": str(way),
                "seed": seed,
                "uniform": merge.uniform[TARGET],
                "learned": merge.metrics[TARGET],
                "before": merge.merged.values[0],
                "after": merge.merged.values[-1],
                **dict(zip(merge.domains, table.mean(axis=0).tolist(), strict=True)),
                "cpu_s": process_time() - began,
            }
        )
    return rows


def summary(rows: pd.DataFrame) -> list[str]:
    """A line for each way: learned minus uniform over seeds, with its 90 % interval."""
    lines = []
    for way, own in rows.groupby("way", sort=False):
        off = (own.learned - own.uniform).to_numpy()
        half = stats.t.ppf(0.95, len(off) - 1) * off.std(ddof=1) / np.sqrt(len(off))
        shares = ", ".join(f"{name} {own[name].mean():.2f}" for name in DOMAINS)
        lines.append(
            f"{way}: {off.mean():+.4f} +- {half:.4f} bits per byte (uniform "
            f"{own.uniform.mean():.3f}); minimised {own.before.mean():.3f} -> "
            f"{own.after.mean():.3f}; {shares}; {own.cpu_s.mean():.1f} CPU s"
        )
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    kept: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        kept += rows_of(seed, given.cache)
        pd.DataFrame(kept).to_csv(given.table, index=False)
    print("\n".join(summary(pd.DataFrame(kept))))
