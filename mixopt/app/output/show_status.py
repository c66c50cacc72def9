"""What `mixopt status` and `mixopt list` print: on a terminal of any width, and in a pipe."""

import io
import shlex
import time
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mixopt.app.output.console import clock, out
from mixopt.app.promotion.promotion_state import PromotionState
from mixopt.app.running.durable import CODE
from mixopt.app.state.state import (
    FAILED,
    FINISHED,
    LIMIT,
    LOST,
    PAUSED,
    RUNNING,
    STOPPED,
    SweepState,
)
from mixopt.evidence.numbers import number, percent, plural
from mixopt.execution.heartbeat import Driver
from mixopt.execution.spent import Spent
from mixopt.runs import quantity

_STYLES = {
    RUNNING: "bold green",
    FINISHED: "bold",
    STOPPED: "bold yellow",
    LIMIT: "bold yellow",
    PAUSED: "bold red",
    FAILED: "bold red",
    LOST: "bold red",
}
_BAR = 24
_SHARES = 4  # domains named of a mixture
_CAUSES = 8
_HOSTS = 12
_ROOM = 70  # characters that all columns of the list take
_LONG = 10.0  # hours, of which minutes are no longer told
PIPE_WIDTH = 500  # nothing is cut in a pipe: programs and grep read it


def show(content: RenderableType, console: Console = out) -> None:
    """Print, wrapped between words on a terminal; lines stay whole in a pipe."""
    if console.is_terminal:
        console.print(content, soft_wrap=False)
        return
    plain = Console(file=io.StringIO(), width=PIPE_WIDTH, highlight=False, color_system=None)
    with plain.capture() as captured:
        plain.print(content)
    for line in captured.get().splitlines():
        console.print(line.rstrip(), markup=False)


def status_page(state: SweepState, command: str = "mixopt") -> Group:
    """A sweep on about a screen.

    Args:
        state: of it.
        command: how mixopt is called here.
    """
    rows: list[RenderableType] = [_head(state)]
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column()
    for name, text in _facts(state):
        facts.add_row(name, text)
    rows.append(Padding(facts, (0, 0, 0, 2)))
    rows += [_line(f"Note: {note}", style="yellow") for note in state.notes]
    hint = _hint(state, command)
    if hint:
        rows.append(_line(hint))
    return Group(*rows)


def _line(text: str, style: str = "") -> Text:
    """One that wraps also where the console, for pipes, does not."""
    return Text(text, style=style, no_wrap=False, overflow="fold")


def status_line(state: SweepState) -> str:
    """A sweep on one line, for logs."""
    parts = [f"{state.name}: {state.state}", _progress(state), _cost(state.spent, state.price)]
    if state.eta is not None:
        parts.append(f"ETA {clock(state.eta)}")
    if state.best is not None:
        parts.append(f"best {number(state.best.value)}")
    if state.promotion is not None:
        parts.append(f"promotion {_promotion(state.promotion)}")
    return " | ".join(parts)


def list_table(states: Sequence[SweepState | tuple[str, str]], width: int = PIPE_WIDTH) -> Group:
    """A row for each sweep; those that cannot be read say why.

    Args:
        states: of the sweeps; name and reason of those that cannot be read.
        width: characters that there are; the last columns stay away where there are few.
    """
    unread: list[Text] = []
    table = Table(box=None, pad_edge=False)
    names = ["sweep", "state", "runs", "failed", "best", "cost", "last sign"]
    kept = len(names) if width >= _ROOM else 5
    for place, name in enumerate(names[:kept]):
        table.add_column(name, justify="right" if 2 <= place <= 5 else "left", no_wrap=place > 0)
    for state in states:
        if not isinstance(state, SweepState):
            name, reason = state
            table.add_row(name, Text("unreadable", style="bold red"))
            unread.append(Text(f"{name}: {reason}", style="red"))
            continue
        planned = "?" if state.planned is None else str(state.planned)
        cells = (
            state.name,
            Text(state.state, style=_STYLES[state.state]),
            f"{state.done}/{planned}",
            str(state.failed or ""),
            "" if state.best is None else number(state.best.value),
            quantity(state.spent.flops, "FLOP") if state.spent.flops else "",
            "" if state.driver is None else _when(state.driver.seen),
        )
        table.add_row(*cells[:kept])
    return Group(table, *unread)


def _head(state: SweepState) -> Text:
    text = Text(state.name, style="bold", no_wrap=False, overflow="fold")
    text.append(": ", style="default")
    text.append(state.state, style=_STYLES[state.state])
    told = _driver(state.driver, state.state)
    if told:
        text.append(f" ({told})", style="default")
    return text


def _driver(driver: Driver | None, state: str) -> str:
    if driver is None:
        return "" if state == FINISHED else "none was ever seen"
    who = f"process {driver.pid} on {driver.host}"
    if driver.alive:
        return f"driver: {who}, since {_when(driver.since)}, last sign {clock(driver.age)} ago"
    if state == LOST:
        return f"no driver since {_when(driver.seen)}; it was {who}"
    return f"{_when(driver.seen)}, {driver.host}"


def _facts(state: SweepState) -> list[tuple[str, Text]]:
    facts = [("runs", Text(f"{_bar(state)}{_progress(state)}"))]
    if state.reason:
        facts.append(("why", Text(state.reason, style="red")))
    if state.driver is not None and state.driver.latest:
        facts.append(("now", Text(state.driver.latest)))
    facts.append(("cost", Text(_cost(state.spent, state.price) + _wall(state.driver))))
    if state.eta is not None:
        end = datetime.fromtimestamp(time.time() + state.eta)
        facts.append(("left", Text(f"about {clock(state.eta)}, to {_when(end.timestamp())}")))
    if state.best is not None:
        facts.append(("best", Text(_best(state))))
    if state.promotion is not None:
        facts.append(("promote", Text(_promotion(state.promotion))))
    facts += [("failed", Text(line)) for line in _failures(state)]
    hosts = [
        f"{h.host} {plural(h.runs, 'run')}" + (f" ({h.failed} failed)" if h.failed else "")
        for h in state.hosts
    ]
    if hosts:
        more = f" and {len(hosts) - _HOSTS} more" if len(hosts) > _HOSTS else ""
        facts.append(("hosts", Text(", ".join(hosts[:_HOSTS]) + more)))
    told = [] if state.curves is None else state.curves.lines()
    facts += [("curves" if not i else "", Text(line)) for i, line in enumerate(told)]
    facts += [("answer" if not i else "", Text(line)) for i, line in enumerate(state.answer)]
    if state.answer and state.answered != state.done:
        facts.append(("", Text(f"(concluded from {plural(state.answered, 'run')})")))
    return facts


def _wall(driver: Driver | None) -> str:
    if driver is None:
        return ""
    return f", {clock(driver.wall + driver.age * driver.alive)} of wall clock"


def _bar(state: SweepState) -> str:
    if not state.planned:
        return ""
    full = 1.0 if state.state == FINISHED else min(state.done / state.planned, 1.0)
    filled = _BAR if full == 1.0 else int(full * _BAR)
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] "


def _progress(state: SweepState) -> str:
    most = "" if state.planned is None else f" of {state.planned}"
    fewer = state.state == FINISHED and state.done < (state.planned or 0)
    return _counted(
        f"{state.done}{most} runs{' at most' if fewer else ''}",
        (state.failed, "failed"),
        (state.retried, "after another attempt"),
        (state.running, "under way"),
        (state.waiting, "waiting"),
    )


def _counted(first: str, *counts: tuple[int, str]) -> str:
    return ", ".join([first, *(f"{n} {what}" for n, what in counts if n)])


def _promotion(promotion: PromotionState) -> str:
    """A promotion on one line; who drives it where one does, and why it stands still."""
    counts = _counted(
        f"{promotion.state}: {promotion.done} of {promotion.planned} runs",
        (promotion.failed, "failed"),
        (promotion.running, "under way"),
        (promotion.waiting, "waiting"),
    )
    driver = _driver(promotion.driver, promotion.state) if promotion.alive else ""
    return (
        counts + (f" ({driver})" if driver else "") + (promotion.reason and f"; {promotion.reason}")
    )


def _cost(spent: Spent, price: float | None) -> str:
    """FLOPs, hours and money, as far as they are known."""
    parts = [quantity(spent.flops, "FLOP")] if spent.flops else []
    if spent.gpu_hours:
        parts.append(f"{hours_in_words(spent.gpu_hours)} of GPUs")
    if spent.slot_hours:
        parts.append(f"{hours_in_words(spent.slot_hours)} of slots")
    money = spent.money(price)
    if money is not None:
        parts.append(f"{money:.2f} at {price:g} an hour")
    return ", ".join(parts) or "nothing yet"


def hours_in_words(hours: float) -> str:
    """Hours for people: minutes too, where they are few."""
    return clock(3600 * hours) if hours < _LONG else f"{hours:,.0f} h"


def _best(state: SweepState) -> str:
    best = state.best
    assert best is not None
    shares = sorted(best.mixture.items(), key=lambda pair: -pair[1])
    named = " ".join(f"{domain} {percent(share, 0)}" for domain, share in shares[:_SHARES])
    more = f" and {len(shares) - _SHARES} more" if len(shares) > _SHARES else ""
    unit = f" {state.unit}" if state.unit else ""
    return f"{number(best.value)}{unit} at {best.scale}: {named}{more} (run {best.run_id[:6]})"


def _failures(state: SweepState) -> list[str]:
    lines = []
    for cause in state.causes[:_CAUSES]:
        hosts = ", ".join(f"{host} {n}" for host, n in list(cause.hosts.items())[:3])
        where = f" [{hosts}]" if hosts and len(state.hosts) > 1 else ""
        lines.append(f"{plural(len(cause.runs), 'run')}: {cause.words}{where}")
    rest = sum(len(cause.runs) for cause in state.causes[_CAUSES:])
    return [*lines, f"{plural(rest, 'run')} for other causes (--json has all)"] if rest else lines


def _hint(state: SweepState, command: str) -> str:
    """What to do now, where a sweep stands still before its end."""
    again = any(not cause.diverged for cause in state.causes)
    lines = []
    remedy = "" if state.driver is None else state.driver.remedy
    if remedy:
        lines.append(f"To go on: {remedy}")
    elif state.state not in {RUNNING, FINISHED}:
        lines.append(f"To go on: {_way_on(state, command)}")
    if again and state.ended:
        lines.append(f"To train failed runs again: {command} retry {state.folder}")
    if state.promotion is not None and state.promotion.waiting and state.ended:
        lines.append(f"To go on with the promotion: {command} promote {state.folder}")
    return "\n".join(lines)


def _way_on(state: SweepState, command: str) -> str:
    """The command that goes on with a sweep; a job of a cluster has left its code in its folder."""
    if (state.folder / CODE).is_dir():
        return f"{command} resume {shlex.quote(state.name)} --address http://HEAD:8265"
    return f"{command} run <its spec.yaml>"


def _when(seconds: float) -> str:
    """A time of this machine's clock, with the day where it is another one."""
    then, now = datetime.fromtimestamp(seconds), datetime.now()
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"
