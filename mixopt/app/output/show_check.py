"""What `mixopt check` prints: data, constraints, runs, machines, cost."""

import numpy as np
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mixopt.app.output.show_status import hours_in_words
from mixopt.app.running import expected
from mixopt.app.running.dry_run import DryRun
from mixopt.app.running.run_plans import ScalePlan
from mixopt.evidence.numbers import percent, plural
from mixopt.runs import quantity, short_number

_DOMAINS = 20


def check_page(result: DryRun) -> Group:
    """A dry run on about a screen."""
    head = Text(f"{result.spec.name}: ", style="bold")
    left = f"{plural(result.runs, 'run')} at most"
    done = f", {result.done} are done" if result.done else ""
    head.append(f"{left}{done}; nothing was trained, and nothing written to its store")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column()
    for name, text in _facts(result):
        facts.add_row(name, text)
    rows: list[RenderableType] = [head, Padding(_domains(result), (0, 0, 0, 2))]
    rows += [Padding(facts, (0, 0, 0, 2))]
    if result.plans:
        rows.append(Padding(_scales(result), (0, 0, 0, 2)))
    rows += [Text(f"Note: {note}", style="yellow") for note in result.notes]
    return Group(*rows)


def _facts(result: DryRun) -> list[tuple[str, str]]:
    problem, info = result.made.problem, result.made.info
    space = problem.space
    unit = problem.objective.unit(info.unit)
    facts = [
        ("data", result.data),
        ("objective", problem.objective.describe() + (f" ({unit})" if unit else "")),
        ("metrics", ", ".join(info.metrics[:8]) + (", ..." if len(info.metrics) > 8 else "")),
        ("strategy", result.spec.strategy.use),
        ("machines", result.machines),
        ("cost", _cost(result)),
    ]
    lines = expected.of_sweep(problem, result.made.recipe)
    facts += [("beforehand", line.removeprefix("Beforehand: ")) for line in lines]
    promotion = result.promotion
    if promotion is not None:
        runs = plural(promotion.plans * promotion.seeds, "run")
        most = "" if promotion.budget is None else f" of {short_number(promotion.budget)} allowed"
        told = f"at most {runs} at {promotion.scale}, {quantity(promotion.flops, 'FLOP')}{most}"
        facts.append(("promotion", f"{told}, not in the cost above"))
    groups = [
        f"{g.name} ({', '.join(g.domains)}) {percent(g.lower)} - {percent(g.upper)}"
        for g in space.groups
    ]
    if groups:
        facts.insert(1, ("groups", "; ".join(groups)))
    if space.orders:
        falling = [f"{o.name} ({' >= '.join(o.domains)})" for o in space.orders]
        facts.insert(1, ("monotone", f"{'; '.join(falling)}, for their sizes"))
    return facts


def _cost(result: DryRun) -> str:
    parts = [f"{quantity(result.flops, 'FLOP')} (6 N D)"]
    if result.slot_hours is None:
        return (
            f"{parts[0]}; hours are not known before a run has come in: say --flops-per-second "
            "of a GPU (or of a slot, where packs have none)"
        )
    if result.gpu_hours:
        parts.append(f"{hours_in_words(result.gpu_hours)} of GPUs")
    parts.append(f"{hours_in_words(result.slot_hours)} of slots")
    if result.wall_hours is not None:
        parts.append(f"{hours_in_words(result.wall_hours)} on the clock with every slot busy")
    if result.money is not None:
        parts.append(f"{result.money:.2f} at {result.price:g} an hour")
    else:
        parts.append("no price given (--price-per-hour)")
    return ", ".join(parts)


def _domains(result: DryRun) -> Table:
    space = result.made.problem.space
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(("domain", "tokens", space.prior_name, "allowed")):
        table.add_column(name, justify="right" if place else "left", no_wrap=place > 0)
    order = np.argsort(-space.prior, kind="stable")
    for i in order[:_DOMAINS]:
        domain = space.domains[i]
        table.add_row(
            domain.name,
            short_number(domain.tokens) if domain.tokens else "?",
            percent(float(space.prior[i])),
            f"{percent(float(space.lower[i]))} - {percent(float(space.upper[i]))}",
        )
    if len(order) > _DOMAINS:
        table.add_row(f"and {len(order) - _DOMAINS} more (--json has all)")
    return table


def _scales(result: DryRun) -> Table:
    table = Table(box=None, pad_edge=False)
    names = ("scale", "runs", "packs", "at once", "FLOP", "slot time", "by")
    for place, name in enumerate(names):
        last = place == len(names) - 1
        table.add_column(name, justify="left" if not place or last else "right")
    for plan in result.plans:
        table.add_row(*_row(plan))
    return table


def _row(plan: ScalePlan) -> tuple[str, ...]:
    return (
        str(plan.scale),
        str(plan.runs),
        f"{plan.packs} of {plan.pack}" if plan.pack > 1 else str(plan.packs),
        "?" if plan.slots is None else str(plan.slots),
        quantity(plan.flops),
        "?" if plan.hours is None else hours_in_words(plan.hours),
        plan.how,
    )
