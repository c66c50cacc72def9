"""What is shown of a merge whose coefficients were learned."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from mixopt.evidence.numbers import number, signed

_STYLES = {True: "bold green", False: "bold red"}


def _table(title: str, heads: Sequence[str]) -> Table:
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    return table


def score_table(values: Mapping[str, Any], target: str) -> Table:
    """A row for each validation set, the target first: average of the experts, and merge."""
    heads = ("set", "average", "learned", "difference")
    table = _table("Experts merged, bits/byte: the average, and learned coefficients", heads)
    scores, uniform = values["metrics"], values["uniform"]
    for name in sorted(scores, key=lambda name: (name != target, name)):
        off = scores[name] - uniform[name]
        table.add_row(
            Text(name, style="bold" if name == target else ""),
            number(uniform[name]),
            number(scores[name]),
            Text(signed(off), style=_STYLES[off < 0] if name == target else ""),
        )
    return table


def coefficient_table(values: Mapping[str, Any]) -> Table:
    """A row for each expert: its coefficient over the parameter tensors, the largest mean first."""
    coefficients = values["coefficients"]
    lambdas = np.array(list(coefficients.values()))  # (tensors, m)
    title = f"Coefficients of the experts over {len(lambdas)} parameter tensors"
    table = _table(title, ("expert", "mean", "lowest", "highest"))
    for i in np.argsort(-lambdas.mean(axis=0), kind="stable"):
        row = lambdas[:, i]
        shown = (number(float(x)) for x in (row.mean(), row.min(), row.max()))
        table.add_row(Text(values["domains"][i]), *shown)
    return table
