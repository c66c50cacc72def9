"""How often is a confirmation wrong where candidates are not equally noisy?

    python -m analysis.seed_noise --confirmations 2000 --json out.json

Candidates of known noise are trained with fresh seeds, on normal numbers. For every case, number of
seeds and rule the JSON has a record `{case, seeds, rule, wrong, power, cover}` with one value per
baseline: `wrong` is how often one that is as good as the recommendation is beaten beyond noise,
`power` how often one that is worse by four standard errors of the difference is, `cover` how
often the 90 % interval holds the truth. `pooled` takes twice the sd pooled over all candidates,
`welch` twice that of the two, `partly pooled` is what `mixopt.evidence.confirmation` does.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from mixopt.evidence.confirmation import NOISE_FACTOR
from mixopt.runs.group_noise import group_noise
from mixopt.space.simplex import Array

CASES = {
    "equal": (1.0, 1.0, 1.0, 1.0, 1.0),
    "equal, two baselines": (1.0, 1.0, 1.0),
    "one baseline 5 times as loud": (1.0, 1.0, 1.0, 1.0, 5.0),
    "the same, two baselines": (1.0, 1.0, 5.0),
    "recommended 3 times as loud": (3.0, 1.0, 1.0, 1.0, 1.0),
    "recommended a third as loud": (1.0, 3.0, 3.0, 3.0, 3.0),
    "half to 4 times as loud": (1.0, 0.5, 1.0, 2.0, 4.0),
}
"""Sds of the recommended mixture and of the baselines."""
RULES = ("pooled", "welch", "partly pooled")
_GAIN = 4.0  # standard errors of the difference


def measure(confirmations: int, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The records of every case."""
    records = []
    for name, sds in CASES.items():
        for n in seeds:
            rng = np.random.default_rng([len(sds), n])
            runs = rng.standard_normal((confirmations, len(sds), n)) * np.array(sds)[:, None]
            seen = np.array([_seen(x, np.array(sds)) for x in runs])  # (c, rules, 3, baselines)
            for i, rule in enumerate(RULES):
                wrong, power, cover = seen[:, i].mean(axis=0).round(4).tolist()
                head = {"case": name, "seeds": n, "rule": rule}
                records.append({**head, "wrong": wrong, "power": power, "cover": cover})
    return records


def _seen(x: Array, sds: Array) -> Array:
    """(rules, 3, baselines) whether each is wrong, has power, covers, of values x (p, n)."""
    p, n = x.shape
    gap = x[1:].mean(axis=1) - x[0].mean()
    true = _GAIN * np.sqrt((sds[0] ** 2 + sds[1:] ** 2) / n)
    own = x.var(axis=1, ddof=1)
    pooled, pair = np.full(p - 1, np.sqrt(own.mean())), np.sqrt((own[0] + own[1:]) / 2)
    freedom = 4 * pair**4 / (own[0] ** 2 + own[1:] ** 2) * (n - 1)
    noise = group_noise(x.tolist())
    between = [noise.between(0, i, [n] * p) for i in range(1, p)]
    halves = (
        stats.t.ppf(0.95, p * (n - 1)) * pooled * np.sqrt(2 / n),
        stats.t.ppf(0.95, freedom) * pair * np.sqrt(2 / n),
        np.array([b.half() for b in between]),
    )
    least = (
        NOISE_FACTOR * pooled,
        NOISE_FACTOR * pair,
        np.maximum(NOISE_FACTOR * np.array([b.sd for b in between]), halves[2]),
    )
    return np.array(
        [(gap > m, gap + true > m, np.abs(gap) <= h) for m, h in zip(least, halves, strict=True)]
    )


def summary(records: Sequence[dict[str, Any]]) -> list[str]:
    """One line per case, seeds and rule; the last baseline apart, which is the loud one."""
    out = [f"{'case':<32}{'seeds':>6}{'rule':>15}  wrong, others / last   power         cover"]
    for r in records:
        cells = [f"{np.mean(r[k][:-1]):.3f} / {r[k][-1]:.3f}" for k in ("wrong", "power", "cover")]
        out.append(f"{r['case']:<32}{r['seeds']:>6}{r['rule']:>15}  {'   '.join(cells)}")
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--confirmations", type=int, default=2000, help="per case")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5], help="per candidate")
    parser.add_argument("--json", type=Path, help="where the records go")
    given = parser.parse_args(argv)
    records = measure(given.confirmations, given.seeds)
    if given.json:
        given.json.write_text(json.dumps(records, indent=1))
    print("\n".join(summary(records)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
