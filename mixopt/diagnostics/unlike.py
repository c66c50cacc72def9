"""Do the metrics of an objective belong into one mean, and is lower better for each of them?

Notation:
    Y: (n, k) metrics of the objective
"""

import re

import numpy as np

from mixopt.runs.columns import listing
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array

_ALONE = 0.9  # share of the mean's variance at which one metric decides alone
_SPREADS, _LEVELS = 50.0, 100.0  # ratios beyond which metrics hardly have one unit

# fmt: off
_HIGHER = frozenset({
    "acc", "accuracy", "score", "scores", "f1", "em", "bleu", "rouge", "auc", "auroc", "recall",
    "precision", "mrr", "ndcg", "reward", "winrate", "win", "pass", "correct", "exact", "r2",
})
_LOWER = frozenset({
    "loss", "nll", "ppl", "perplexity", "bpb", "bpc", "bits", "nats", "error", "err", "ce",
    "entropy", "wer", "cer", "mse", "rmse", "mae", "regret",
})
_KINDS = {
    "perplexity": frozenset({"ppl", "perplexity"}),
    "bits per byte": frozenset({"bpb", "bpc", "bits"}),
    "loss": frozenset({"loss", "nll", "ce", "nats", "entropy"}),
    "accuracy or score": _HIGHER,
    "error rate": frozenset({"error", "err", "wer", "cer"}),
}
# fmt: on


def doubts(runs: RunTable, objective: Objective) -> tuple[str, ...]:
    """Reasons to think that the objective does not say what was meant, in plain words.

    Args:
        runs: with the metrics of the objective.
        objective: what is minimised.
    """
    return (*_directions(objective), *_unlike(runs, objective))


def _words(name: str) -> frozenset[str]:
    return frozenset(re.sub(r"[^0-9a-z]+", " ", name.lower()).split())


def _directions(objective: Objective) -> list[str]:
    told = []
    minimised = [k for k in objective.metrics if k not in objective.maximize]
    up = [k for k in minimised if _words(k) & _HIGHER and not _words(k) & _LOWER]
    if up:
        told.append(
            f"{listing(up)} is minimised, and its name says that higher is better: if it is, say "
            f"--maximize {up[0]}"
        )
    down = [k for k in sorted(objective.maximize) if _words(k) & _LOWER]
    if down:
        told.append(
            f"{listing(down)} is maximised, and its name says that lower is better: if it is, say "
            f"--minimize {down[0]}"
        )
    return told


def _unlike(runs: RunTable, objective: Objective) -> list[str]:
    names = objective.metrics
    plain = set(objective.scales.values()) <= {1.0} and not objective.standardize
    if len(names) < 2 or not plain or objective.reduce != "mean":
        return []
    Y = _largest_scale(runs, names)
    seen = [y[np.isfinite(y)] for y in Y.T]
    spread = np.array([np.std(y) if len(y) else 0.0 for y in seen])
    level = np.array([np.median(np.abs(y)) if len(y) else 0.0 for y in seen])
    weight = np.array([objective.weights[k] for k in names])
    reasons = []
    variance = (weight * spread) ** 2
    most = int(variance.argmax())
    if variance.sum() > 0 and variance[most] > _ALONE * variance.sum():
        share = variance[most] / variance.sum()
        reasons.append(f"{names[most]} makes {np.floor(1000 * share) / 10:g} % of its variance")
    kinds = {kind for name in names for kind, words in _KINDS.items() if _words(name) & words}
    if len(kinds) > 1:
        reasons.append(f"their names are of {' and '.join(sorted(kinds))}")
    if not reasons and (_ratio(spread) > _SPREADS or _ratio(level) > _LEVELS):
        reasons.append("their spreads or levels differ by orders of magnitude")
    if not reasons:
        return []
    order = np.argsort(-spread, kind="stable")
    shown = [f"{names[i]} {spread[i]:.3g}" for i in order]
    if len(shown) > 4:
        shown = [*shown[:2], "...", *shown[-2:]]
    return [
        f"the objective is a mean of unlike metrics ({'; '.join(reasons)}; sd over runs: "
        f"{', '.join(shown)}): --standardize weighs them alike, --minimize METRIC picks one"
    ]


def _largest_scale(runs: RunTable, names: tuple[str, ...]) -> Array:
    """(n, k) of the scale with the most runs: levels differ between scales by themselves."""
    _, number = np.unique(np.nan_to_num(runs.scales), axis=0, return_inverse=True)
    number = number.reshape(-1)
    return np.asarray(runs.values(names)[number == np.bincount(number).argmax()])


def _ratio(values: Array) -> float:
    some = values[values > 1e-12]
    return float(some.max() / some.min()) if len(some) > 1 else 1.0
