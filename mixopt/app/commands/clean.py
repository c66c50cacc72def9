"""`mixopt clean`."""

import time
from typing import Annotated

import typer
from rich.table import Table

from mixopt.app.commands.application import JsonOption, SweepArgument, app
from mixopt.app.output import console, show_status
from mixopt.app.state import cleaning
from mixopt.evidence.numbers import plural
from mixopt.execution.keeping import Kept

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@app.command()
def clean(
    sweep: SweepArgument,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete it; without, it is only shown.")
    ] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Prepared data too, where no other sweep uses it.")
    ] = False,
    older_than: Annotated[
        float | None,
        typer.Option(metavar="DAYS", min=0, help="Only what was not written for so many days."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what the sweep would need to go on.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Show, or delete, what a sweep keeps beside its record.

    Checkpoints, outputs of commands and, with --data, prepared data. Runs, results and reports are
    never touched; nor is what another sweep of this folder may use, or one that is running.

    Example: mixopt clean quickstart --older-than 7 --yes
    """
    wanted = cleaning.Wanted(data, everything, older_than)
    with console.results_to(json) as write:
        plan = cleaning.plan(sweep, wanted, time.time())
        if plan.leftovers:
            show_status.show(_table(plan))
        if yes:
            cleaning.delete(plan)
        console.say(_summary(plan, yes))
        write(plan.to_dict(deleted=yes))


def _table(plan: cleaning.Cleaning) -> Table:
    """What there is, the largest first, and why it stays."""
    table = Table(box=None, pad_edge=False)
    for name in ("what", "where", "size", "last written", ""):
        table.add_column(name, justify="right" if name == "size" else "left", overflow="fold")
    groups: dict[tuple[str, str, str], list[Kept]] = {}
    for item in plan.leftovers:
        folder = item.kept.path.parent.relative_to(plan.cache)
        where = item.kept.path.name if str(folder) == "." else f"{folder}/"
        groups.setdefault((item.kept.kind, where, item.why), []).append(item.kept)
    for (kind, where, why), things in sorted(groups.items(), key=lambda g: -_bytes(g[1])):
        newest = max(thing.used for thing in things)
        table.add_row(
            kind if len(things) == 1 else f"{kind} ({len(things)})",
            where,
            size(_bytes(things)),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(newest)),
            f"stays: {why}" if why else "can go",
        )
    return table


def _bytes(things: list[Kept]) -> int:
    return sum(thing.bytes for thing in things)


def _summary(plan: cleaning.Cleaning, yes: bool) -> str:
    count, total = len(plan.free), sum(thing.bytes for thing in plan.free)
    unknown = (
        f" ({size(plan.unknown)} in {plan.cache} are of no sweep in runs/, or do not say of which)"
        if plan.unknown
        else ""
    )
    if not count:
        return f"Nothing of {plan.name} can be deleted{unknown}"
    told = f"{size(total)} in {plural(count, 'place')} of {plan.cache}"
    if yes:
        return f"Deleted {told}{unknown}"
    return f"{told} can be deleted; --yes does it{unknown}"


def size(count: float) -> str:
    """Bytes for people: 1234567 is '1.2 MB'."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} B"
