"""What an answer's tiers cost: licences, qualities and groups left out, halved or set free."""

from mixopt.diagnostics.gates import Level
from mixopt.evidence.priced import caution, change_in_words, interval, told
from mixopt.report.blocks import Block, Bullets, Cell, Chip, Section, State, Table
from mixopt.report.data import ReportData
from mixopt.report.wording import MISSING, percent, signed

_STATES: dict[str, State] = {"costs": "no", "wins": "yes"}


def prices(data: ReportData) -> Section | None:
    """Every tier with the predicted cost of each change, and the mixture that is best then."""
    asked, trust = data.prices, data.evidence.trust
    level: Level = "do not trust" if trust is None else trust.level
    if not asked.rows:
        return None
    rows: list[list[Cell]] = []
    for row in asked.rows:
        known, sure, words = row.mixture is not None, interval(row, level), told(row, level)
        rows.append(
            [
                row.tier.names,
                ", ".join(row.tier.domains),
                change_in_words(row),
                _largest(row.mixture.to_dict()) if row.mixture is not None else MISSING,
                Chip(words, _STATES.get(words, "open")),
                percent(row.share),
                signed(row.cost) if known else MISSING,
                f"{signed(sure[0])} to {signed(sure[1])}" if sure is not None else MISSING,
            ]
        )
    heads = ["tier", "domains", "changed", "then best", "", "share now", "cost", "90 % interval"]
    reasons = [f"{r.tier.names}, {change_in_words(r)}: {r.reason}" for r in asked.rows if r.reason]
    if asked.unasked:
        reasons.append(f"Not asked for: {', '.join(asked.unasked)}; see 'mixopt price'.")
    more: list[Block] = [Bullets(reasons)] if reasons else []
    return Section(
        "prices",
        "May it be left out?",
        [Table(heads, rows, text=5, tall=len(rows) > 16), *more],
        f"What the change costs in {data.objective_axis} as the law predicts it, above zero is "
        "worse: the best mixture under the changed bound against the recommended one. A tier is "
        "the domains with one tag, or a group with bounds. No run has checked these mixtures."
        f"{_sentence(caution(level))}",
        "Tiers",
    )


def _sentence(text: str) -> str:
    return f" {text[:1].upper()}{text[1:]}." if text else ""


def _largest(shares: dict[str, float], most: int = 4) -> str:
    order = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {percent(share)}" for name, share in order[:most] if share > 0)
