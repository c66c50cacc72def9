"""What the commands print: progress of a sweep, results, errors.

On a terminal, a live bar and tables; elsewhere (a log file, CI) plain lines every few seconds.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from mixopt.app.output.constants_table import constants_table
from mixopt.app.output.dependence_table import dependence_table
from mixopt.app.output.live import Live
from mixopt.app.output.outcome_tables import (
    comparison_table,
    front_table,
    mixture_table,
    schedule_table,
)
from mixopt.app.output.price_table import price_table
from mixopt.app.output.value_table import value_table
from mixopt.app.running.launch import Sweep
from mixopt.errors import InputError, screen
from mixopt.evidence.numbers import number, plural
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered
from mixopt.execution.sweep import SweepStatus
from mixopt.laws.progress import heard_by
from mixopt.runs import quantity, short_number
from mixopt.space import MixtureSpace
from mixopt.space.redaction import redact

_PLAIN_SECONDS = 5.0
_WORKING_SECONDS = 10.0
_STYLES = {"shown": "bold green", "not-shown": "bold red", "untested": "bold yellow"}

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Leave out progress and notes (results and errors stay), or say what is done in detail."""
    err.quiet = quiet
    if verbose:
        logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
        logging.getLogger("mixopt").setLevel(logging.INFO)
        logging.getLogger("proxies").setLevel(logging.INFO)


class SweepProgress(Live[Progress]):
    """Shows a sweep's status: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, unit: str = "") -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24))
        line = TextColumn("{task.fields[line]}")
        super().__init__(Progress(*columns, line, console=err) if err.is_terminal else None)
        self._unit = unit
        self._last = 0.0
        self._seen = ("", -1)
        if self._live:
            self._task = self._live.add_task("starting", total=None, line="")

    def __call__(self, status: SweepStatus) -> None:
        """Show a new status."""
        if self._live:
            self._live.update(
                self._task,
                description=status.phase or "starting",
                total=status.planned or None,
                completed=status.done,
                line=describe(status, self._unit),
            )
            return
        now = time.monotonic()
        finished = status.running == 0 and status.done > 0
        first = status.done > 0 and self._seen[1] == 0
        due = first or (now - self._last >= _PLAIN_SECONDS and status.done != self._seen[1])
        if due or finished or status.phase != self._seen[0]:
            self._last, self._seen = now, (status.phase, status.done)
            say(f"[{status.phase or 'starting'}] {describe(status, self._unit)}")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows what takes long, on standard error: at once on a terminal, elsewhere every 10 s.

    Fits of laws add what they are at.
    """
    if err.is_terminal:
        with (
            err.status(f"{what} ...") as shown,
            heard_by(lambda doing: shown.update(f"{what} ... {doing}")),
        ):
            yield
        return
    done, started, at = threading.Event(), time.monotonic(), [""]

    def tell() -> None:
        while not done.wait(_WORKING_SECONDS):
            say(" ".join(filter(None, [what, "...", clock(time.monotonic() - started), *at])))

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        with heard_by(lambda doing: at.__setitem__(0, doing)):
            yield
    finally:
        done.set()
        teller.join()


def describe(status: SweepStatus, unit: str = "") -> str:
    """One line: runs done, cost, ETA, best so far."""
    parts = [f"{status.done}/{status.planned} runs"]
    if status.failed:
        parts.append(f"{status.failed} failed")
    parts.append(quantity(status.flops, "FLOP"))
    if status.eta_seconds is not None and status.done < status.planned:
        parts.append(f"ETA {clock(status.eta_seconds)}")
    if status.best is not None:
        words = [f"best {number(status.best)}", unit]
        words += [f"at {status.best_scale}"] if status.best_scale else []
        parts.append(" ".join(w for w in (*words, f"({status.best_mixture})") if w))
    return " | ".join(parts)


def clock(seconds: float) -> str:
    """Seconds for people.

    >>> clock(7), clock(125), clock(7322)
    ('7 s', '2 min 05 s', '2 h 02 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def say(text: str) -> None:
    """A line for people, on standard error so that standard output stays for results."""
    err.print(text, markup=False)


def note(text: str) -> None:
    """What speaks for a second look, on standard error."""
    err.print(Text(f"Note: {text}", style="yellow"))


def show_start(sweep: Sweep) -> None:
    """What a sweep is about to do, and what is odd about its data."""
    tokens = [d.tokens or 0.0 for d in sweep.info.domains]
    say(
        f"{len(tokens)} domains, {short_number(sum(tokens))} tokens: "
        + ", ".join(
            f"{d.name} {short_number(d.tokens)}" if d.tokens else d.name
            for d in sweep.info.domains[:12]
        )
        + (", ..." if len(tokens) > 12 else "")
    )
    scales = "; ".join(str(scale) for scale in sweep.problem.scales)
    say(f"Minimising {sweep.problem.objective.describe()} with proxies of {scales}")
    done = len(sweep.store.observations())
    if done:
        say(f"Going on from {done} runs in the store")
    for warning in (*sweep.changes, *sweep.info.warnings):
        note(warning)


def show_outcome(
    outcome: Outcome, space: MixtureSpace, next_steps: Mapping[str, str] | None = None
) -> None:
    """The answer: headline, mixture, comparison with baselines, warnings, where to look next."""
    out.print()
    out.print(Text(outcome.headline, style="bold"))
    if outcome.dependence is not None:
        out.print()
        out.print(dependence_table(outcome.dependence, out.width))
        _show_remarks(outcome)
        _show_steps(next_steps or {})
        return
    out.print(Text(outcome.verdict.line, style=_STYLES[outcome.verdict.state]))
    out.print()
    if outcome.recommendation.schedule is not None:
        out.print(schedule_table(outcome.recommendation.schedule))
        out.print()
    out.print(mixture_table(outcome, space))
    if outcome.settings:
        chosen = ", ".join(f"{name} {value}" for name, value in outcome.settings.items())
        out.print(f"With the settings: {chosen}", markup=False)
    if outcome.domain_values is not None:
        out.print()
        out.print(value_table(outcome.domain_values, outcome.objective, out.width))
    if outcome.prices.rows:
        out.print()
        out.print(price_table(outcome))
    if outcome.constants is not None:
        out.print()
        out.print(constants_table(outcome.constants, outcome.surrogate.metrics))
    if outcome.front:
        out.print()
        out.print(front_table(outcome))
    if outcome.confirmation is not None:
        out.print()
        out.print(comparison_table(outcome))
    for told in filter(None, (outcome.checkup.trust.line, outcome.checkup.trust.changed)):
        out.print(f"{told[:1].upper()}{told[1:]}.", markup=False)
    _show_remarks(outcome)
    _show_steps(next_steps or {})


def _show_remarks(outcome: Outcome) -> None:
    for note in outcome.notes:
        out.print(f"{note[:1].upper()}{note[1:]}.", markup=False)
    for warning in outcome.warnings:
        out.print(Text(f"Note: {warning}", style="yellow"))


def show_unanswered(answer: Unanswered, next_steps: Mapping[str, str] | None = None) -> None:
    """Why there is no answer, with the reasons of the runs that failed."""
    out.print()
    out.print(Text(answer.headline, style="bold"))
    out.print(Text(answer.verdict.line, style=_STYLES["not-shown"]))
    for why, runs in answer.failures.items():
        out.print(f"- {plural(runs, 'run')} failed: {why}", markup=False)
    for warning in answer.warnings:
        out.print(Text(f"Note: {warning}", style="yellow"))
    _show_steps(next_steps or {})


def _show_steps(steps: Mapping[str, str]) -> None:
    if steps:
        out.print()
        width = max(map(len, steps))
        for what, command in steps.items():
            out.print(f"{what:<{width}}  {command}", markup=False)


def show_checkup(outcome: Outcome) -> None:
    """The diagnostics in plain words."""
    out.print()
    out.print(Text("Diagnostics", style="bold"))
    for line in outcome.checkup.lines():
        out.print(f"- {line}", markup=False)


def show_error(error: Exception) -> None:
    """An error for people: what was given, which rule it broke, what to do; quiet or not."""
    quiet, err.quiet = err.quiet, False
    err.print(Text("mixopt: ", style="bold red") + Text(error_text(error), style="default"))
    err.quiet = quiet


def error_text(error: Exception) -> str:
    """What an error says, on one screen and without secrets."""
    return screen(redact(str(error)))


@contextmanager
def results_to(path: Path | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Gives what writes a program's copy of a result to a file; `-` is standard output.

    With `-`, everything else that anybody prints meanwhile goes to standard error, also a
    trainer's own lines and those of processes that it starts: a program can parse what is left.
    """
    if path is None or str(path) != "-":
        yield lambda values: None if path is None else write_json(path, values)
        return
    program = sys.stdout
    with _descriptor_to_stderr(), redirect_stdout(sys.stderr):
        results: list[Mapping[str, Any]] = []
        try:
            yield results.append
        finally:
            sys.stderr.flush()
    for values in results:
        program.write(_as_json(values))
    program.flush()


@contextmanager
def _descriptor_to_stderr() -> Iterator[None]:
    """Standard output of this process and its children is standard error, for now."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # closed, as by a daemon: nothing to divert
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def write_json(path: Path | None, values: Mapping[str, Any]) -> None:
    """Write a program's copy of a result; NaN never gets in."""
    write_text(path, _as_json(values))


def _as_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def write_text(path: Path | None, text: str) -> None:
    """Write a file; None and `-` are standard output.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None or str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give another path") from error
