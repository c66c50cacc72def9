"""The constraints of a space as rules with words: for conflicts, violations and prices.

Notation:
    m domains; a rule holds where rows @ w <= limits
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mixopt.space.domains import Group, Order, Tie
from mixopt.space.feasibility import Rule
from mixopt.space.simplex import Array


def rules_of(
    names: Sequence[str],
    bounds: Mapping[str, tuple[float, float]],
    caps: Mapping[str, tuple[float, str]],
    groups: Sequence[Group],
    ties: Sequence[Tie],
) -> tuple[Rule, ...]:
    """One rule per side of a bound or group that says something, per epoch cap and per tie.

    Args:
        names: (m,) domains.
        bounds: domain to (lower, upper).
        caps: domain to the largest weight under its epoch cap, and where that comes from.
        groups: bounds on sums.
        ties: frozen ratios.
    """
    place = {name: i for i, name in enumerate(names)}
    unit = np.eye(len(names))
    rules: list[Rule] = []
    for name, (low, high) in bounds.items():
        rules += _sides(name, f"bound of {name}", unit[place[name]], low, high)
    for name, (cap, source) in caps.items():
        rules.append(
            Rule(
                f"{name} <= {cap:.4g} ({source})",
                f"raise what the epoch cap allows {name} (more epochs, or a smaller budget)",
                unit[[place[name]]],
                np.array([cap]),
            )
        )
    for group in groups:
        row = unit[[place[d] for d in group.domains]].sum(axis=0)
        what = f"group {group.name!r} ({_short(group.domains)})"
        rules += _sides(what, f"bound of group {group.name!r}", row, group.lower, group.upper)
    rules += [_tie(tie, place, unit) for tie in ties]
    return tuple(rules)


def rules_of_orders(
    names: Sequence[str], prior: Array, orders: Sequence[Order]
) -> tuple[Rule, ...]:
    """One rule per order.

    Args:
        names: (m,) domains.
        prior: (m,) their sizes.
        orders: domains of falling quality.
    """
    place = {name: i for i, name in enumerate(names)}
    rules = []
    for order in orders:
        rows = -order.rows(place, prior)
        text = f"order {order.name!r} ({_short(order.domains)}: none read more often than the last)"
        rules.append(Rule(text, f"loosen order {order.name!r}", rows, np.zeros(len(rows))))
    return tuple(rules)


def _sides(what: str, bound: str, row: Array, low: float, high: float) -> list[Rule]:
    rules = []
    if low > 0:
        text, remedy = f"{what} >= {low:.4g}", f"lower the lower {bound}"
        rules.append(Rule(text, remedy, -row[None], np.array([-low])))
    if high < 1:
        text, remedy = f"{what} <= {high:.4g}", f"raise the upper {bound}"
        rules.append(Rule(text, remedy, row[None], np.array([high])))
    return rules


def _tie(tie: Tie, place: Mapping[str, int], unit: Array) -> Rule:
    """w_j = r_j * sum of the tied weights, both sides of every equation."""
    total = unit[[place[d] for d in tie.ratios]].sum(axis=0)
    rows = np.array([unit[place[d]] - r * total for d, r in tie.ratios.items()])
    ratios = " : ".join(f"{r:.3g}" for r in list(tie.ratios.values())[:4])
    text = f"tie {tie.name!r} ({_short(tuple(tie.ratios))} in the ratio {ratios})"
    both = np.vstack([rows, -rows])
    return Rule(text, f"loosen the ratios of tie {tie.name!r}", both, np.zeros(len(both)))


def _short(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
