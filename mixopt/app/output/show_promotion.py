"""What promotion prints: what it can show, the decision with its reasons, what was registered."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from mixopt.app.output import console
from mixopt.app.promotion.promote import Promotion
from mixopt.app.registry.artefact import Registered
from mixopt.evidence.decision import Decision
from mixopt.evidence.numbers import number, signed
from mixopt.evidence.past import Past, latest, past_promotions


def show_power(promotion: Promotion) -> None:
    """What is to be trained, what it can show, and what it costs."""
    console.say(promotion.question.given.line)
    for line in promotion.power.lines():
        console.say(line)
    names = [f"{p.name}{' (baseline)' if p.rival else ''}" for p in promotion.recipe.plans]
    console.say(f"Plans: {', '.join(names)}")
    refused = promotion.refused_beforehand
    if refused is not None and promotion.missing:
        console.say(
            f"It will not pass, whatever is trained: {refused}. In a study of another name, let "
            "the trainer repeat as the target will (match_repetition, docs/guide/data.md), or do "
            "not ask for it (promotion.repetition: false)."
        )


def show_decision(decision: Decision) -> None:
    """The decision, what was measured, and the reasons."""
    console.out.print()
    console.out.print(
        Text(decision.headline, style="bold green" if decision.passed else "bold red")
    )
    console.out.print()
    console.out.print(_table(decision))
    for reason in decision.reasons:
        console.out.print(f"- {reason}", markup=False)


def show_registered(
    registered: Registered | None, decision: Decision, card: Path, folder: Path
) -> None:
    """Where the version and the card are, and the command for what the large run measures."""
    if registered is not None:
        version = registered.version
        aliases = ", ".join(f"{a} -> {n}" for a, n in registered.aliases.items() if n)
        named = f"{version.name} version {version.number} ({aliases})"
        console.out.print(f"Registered: {named} in {registered.where}", markup=False)
    console.out.print(f"Model card: {card}", markup=False)
    if registered is not None:
        console.out.print(
            f"When the large run is done: mixopt promote {folder} --result FILE, where FILE names "
            f"the promotion {decision.id}",
            markup=False,
        )


def show_followed(past: Past, records: Sequence[Past]) -> None:
    """What the large run showed, and what all promotions of the registry say together."""
    console.out.print(f"Kept: {past.line}", markup=False)
    if np.isfinite(past.share):
        console.out.print(
            f"Optimism: {number(past.optimism)} ({100 * (1 - past.share):.0f} % of the predicted "
            "gain is missing)",
            markup=False,
        )
    elif past.baseline:
        console.out.print(
            "Optimism: unknown, since the study's model predicted no gain (an order alone, or none "
            "of these plans)",
            markup=False,
        )
    else:
        console.out.print(
            "Optimism: unknown, since no baseline was trained at that size; without one nobody can "
            "tell a good mixture from an easy metric",
            markup=False,
        )
    known = latest(records)
    for one in known:
        console.out.print(f"- {one.line}", markup=False)
    gate = past_promotions(records)
    console.out.print(f"The next study in this registry learns: {gate.told}", markup=False)


def _table(decision: Decision) -> Table:
    unit = f" ({decision.unit})" if decision.unit else ""
    title = f"Trained at {decision.scale}: {decision.judged}{unit}"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(("plan", "mean", "seeds", "predicted", "behind by", "at least")):
        table.add_column(column, justify="right" if place else "left")
    against = {d.baseline: d for d in decision.differences}
    for result in decision.results:
        difference = against.get(result.name)
        style = "bold" if result.name == decision.picked else ""
        table.add_row(
            Text(result.name, style=style),
            number(result.mean),
            f"{len(result.values)}" + (f" ({result.failed} failed)" if result.failed else ""),
            decision.predicted(result),
            "" if difference is None else signed(difference.mean),
            "" if difference is None else signed(difference.low),
        )
    return table
