"""Which constraints conflict: an elastic linear programme, then a deletion filter.

Notation:
    w: (m,) weights, w >= 0 and sum w = 1 always hold; a rule: one or more rows a w <= b
References:
    Chinneck & Dravnieks 1991 (irreducible infeasible subsets by deletion)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from mixopt.errors import InfeasibleError
from mixopt.space.simplex import Array

_TOLERANCE = 1e-9
_MOST_FILTERED = 80  # the filter solves one programme per rule


@dataclass(frozen=True, eq=False)
class Rule:
    """One constraint as the user gave it.

    Attributes:
        text: in words with its number, e.g. `"web <= 0.7"`.
        remedy: how to loosen it, e.g. `"raise the upper bound of web"`.
        rows: (s, m) left-hand sides of rows @ w <= limits.
        limits: (s,) right-hand sides.
    """

    text: str
    remedy: str
    rows: Array
    limits: Array

    def broken(self, w: Array) -> float:
        """By how much weights (m,) break it; 0 where they keep it."""
        return float(max(0.0, (self.rows @ w - self.limits).max()))


def conflict(rules: Sequence[Rule], m: int) -> list[Rule]:
    """The rules of one conflict; empty if some mixture of m domains keeps all rules.

    Dropping any one of them resolves the conflict (others may remain); beyond 80 rules in one
    conflict the set may hold some that are not needed.
    """
    total, duals = _elastic(rules, m)
    if total <= _TOLERANCE:
        return []
    guilty = [r for r, d in zip(rules, duals, strict=True) if d > 1e-9]
    if _elastic(guilty, m)[0] <= _TOLERANCE:  # a degenerate certificate: begin with everything
        guilty = list(rules)
    if len(guilty) <= _MOST_FILTERED:
        for rule in list(guilty):
            rest = [r for r in guilty if r is not rule]
            if _elastic(rest, m)[0] > _TOLERANCE:
                guilty = rest
    return guilty


def explain(rules: Sequence[Rule], m: int) -> str:
    """A conflict in words: its rules, and by how much one of them alone would have to give way."""
    gives = [(rule, _elastic(rules, m, only=rule)[0]) for rule in rules[:3]]
    ways = [f"{rule.remedy} by {_up(give)}" for rule, give in gives if np.isfinite(give)]
    return (
        "no mixture satisfies all constraints; these conflict: "
        f"{listing(r.text for r in rules)}. To resolve it, {', or '.join(ways) or 'drop one'}"
    )


def listing(texts: Iterable[str], most: int = 8) -> str:
    """The first few of a list, and how many more there are."""
    shown = list(texts)
    more = f"; and {len(shown) - most} more like these" if len(shown) > most else ""
    return "; ".join(shown[:most]) + more


def _elastic(rules: Sequence[Rule], m: int, only: Rule | None = None) -> tuple[float, list[float]]:
    """Least total violation, and per rule the size of its dual; with `only`, that rule gives."""
    if not rules:
        return 0.0, []
    rows = np.vstack([r.rows for r in rules])
    limits = np.concatenate([r.limits for r in rules])
    owner = np.concatenate([np.full(len(r.limits), i) for i, r in enumerate(rules)])
    elastic = np.array([only is None or rules[i] is only for i in owner])
    slack = np.eye(len(rows))
    if only is not None:  # one number by which all its rows are loosened
        slack = elastic.astype(float)[:, None]
    s = slack.shape[1]
    solution = scipy.optimize.linprog(
        np.r_[np.zeros(m), np.ones(s)],
        A_ub=np.hstack([rows, -slack]),
        b_ub=limits,
        A_eq=np.r_[np.ones(m), np.zeros(s)][None],
        b_eq=np.ones(1),
    )
    if solution.status != 0 or solution.fun is None:
        return np.inf, [0.0] * len(rules)
    duals = np.abs(solution.ineqlin.marginals)
    return float(solution.fun), [float(duals[owner == i].max()) for i in range(len(rules))]


def _up(value: float) -> str:
    """Three digits, rounded up, so that doing what the message says is enough."""
    digits = 10.0 ** (np.floor(np.log10(max(value, 1e-12))) - 2)
    return f"{np.ceil(value / digits - 1e-6) * digits:.3g}"


def check_sums(names: Sequence[str], lower: Array, upper: Array, budget: float | None) -> None:
    """Refuse the two commonest conflicts, of bounds alone, with what would resolve them.

    Args:
        names: (m,) domains.
        lower: (m,) bounds.
        upper: (m,) bounds, epoch caps included.
        budget: tokens of the target run, where there is one.

    Raises:
        InfeasibleError: lower bounds add up to more than 1, or upper bounds to less.
    """
    if lower.sum() > 1 + 1e-9:
        order = np.argsort(-lower, kind="stable")
        needed = order[: int(np.searchsorted(lower[order].cumsum(), 1 + 1e-9)) + 1]
        those = listing(f"{names[i]} >= {lower[i]:.3g}" for i in needed)
        raise InfeasibleError(
            f"lower bounds add up to {lower.sum():.4g}, above 1; these conflict: {those}; lower "
            "some of them"
        )
    total = upper.sum()
    if total < 1 - 1e-9:
        those = listing(f"{names[i]} <= {upper[i]:.3g}" for i in np.flatnonzero(upper < 1).tolist())
        room = f" (to at most {budget * total:.4g} tokens)" if budget else ""
        raise InfeasibleError(
            f"upper bounds and epoch caps add up to {total:.4g}, below 1; these conflict: {those}; "
            f"raise some of them, allow more epochs (about {1 / total:.3g} times as many), or plan "
            f"a smaller budget{room}"
            if total > 0
            else "all upper bounds are 0; raise some of them"
        )
