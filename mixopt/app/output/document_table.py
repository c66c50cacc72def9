"""How often documents are to be read, as a table on the screen."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from mixopt.evidence.numbers import MISSING, number, percent
from mixopt.runs.document_rule import LOW, DocumentRule


def document_table(rules: Mapping[str, DocumentRule | None]) -> Table:
    """A row for each domain: what is kept, its share of the tokens, and how often it is read."""
    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(("domain", "keep", "share", "best", "below", "average")):
        table.add_column(head, justify="right" if place > 1 else "left", no_wrap=place != 1)
    for name, rule in rules.items():
        if rule is None:
            table.add_row(Text(name), "all", percent(1.0), "1", MISSING, "1")
            continue
        copies = rule.to_dict()["copies"]
        table.add_row(
            Text(name),
            Text(_kept(rule)),
            percent(rule.sampler.cut),
            *(f"{copies[k]:.3g}" for k in ("of_the_best", "below_the_cut", "on_average")),
        )
    return table


def _kept(rule: DocumentRule) -> str:
    at = rule.score_at_cut
    if rule.sampler.cut >= 1.0:
        return "all"
    if at is None:
        names = " and ".join(f"{s.weight:.2g} {s.name}" for s in rule.scores)
        return f"{names}, ranked: <= {number(rule.quality_at_cut)}"
    (score,) = rule.scores
    return f"{score.name} {'<=' if score.good == LOW else '>='} {number(at)}"
