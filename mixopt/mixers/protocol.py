"""A mixer for a trainer in any language: one JSON object a line, asked and answered in turn.

    mixer    {"type": "needs", "domains": [...], "targets": [...], "signals": {...}, ...}
    mixer    {"type": "segment", "steps": 50, "sampling": {"web": 0.6, ...}, "measure": [...], ...}
    trainer  {"step": 50, "tokens": {"web": 1200, ...}, "values": {"heldout": {"code": 2.1}}}
    mixer    the next segment, or {"type": "end", "record": {...}}

Numbers by domain (or target) are objects with its names, or lists in the order of `domains` and
`targets`; matrices are lists. A line that cannot be used is answered with {"type": "error",
"message": ...} and the same segment is still wanted: a run is not lost to a misprint.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.mixers.base import Measured, Needs, Setup
from mixopt.mixers.course import record
from mixopt.mixers.session import Session
from mixopt.runs.signals import SIGNALS


def needs_line(session: Session) -> dict[str, Any]:
    """What the mixer wants of the trainer; the first line of a conversation."""
    needs: Needs = session.mixer.needs()
    setup = session.setup
    reference = setup.reference(needs)
    names = setup.space.names
    return {
        "type": "needs",
        "mixer": session.state.mixer,
        "domains": list(names),
        "targets": list(setup.targets),
        "signals": {
            name: {"axes": list(SIGNALS[name].axes), "meaning": SIGNALS[name].meaning}
            for name in sorted(needs.signals)
        },
        "every": needs.every,
        "scope": needs.scope if needs.gradients else None,
        "clip": needs.clip if np.isfinite(needs.clip) else None,
        "loss_weights": needs.loss_weights,
        "branches": needs.branches,
        "reference": None if reference is None else _by_name(names, reference),
    }


def segment_line(session: Session) -> dict[str, Any]:
    """What the trainer is to do now; or the end, with the record of the run."""
    segment = session.segment
    if segment is None:
        if not session.state.trace:
            return {"type": "end", "record": None}
        return {"type": "end", "record": record(session, 1.0) | {"cost_ratio": None}}
    names = session.setup.space.names
    plain = all(weight == 1.0 for weight in segment.loss_weight)
    return {
        "type": "segment",
        "step": session.step,
        "steps": segment.steps,
        "sampling": _by_name(names, segment.sampling),
        "loss_weight": None if plain else _by_name(names, segment.loss_weight),
        "measure": sorted(segment.measure),
        "branch": segment.branch,
        "keep": session.at_period_start and session.branches_ahead,
    }


def measured_line(setup: Setup, line: str) -> Measured:
    """What a trainer reports of a segment.

    Raises:
        InputError: no JSON object, or names and lengths that are not those of the run.
    """
    try:
        told = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"the line is no JSON ({error}); give one object a line") from error
    if not isinstance(told, Mapping):
        raise InputError("the line is no JSON object; give step, tokens and values")
    names, targets = setup.space.names, setup.targets
    fields = dict(told)
    if "tokens" in fields:
        fields["tokens"] = _in_order("tokens", fields["tokens"], names)
    values = fields.get("values") or {}
    if not isinstance(values, Mapping):
        raise InputError("values is no object; give signal to numbers")
    fields["values"] = {
        name: _in_order(name, given, targets if _axes(name)[:1] == ("n",) else names)
        for name, given in values.items()
    }
    return Measured.from_dict(fields)


def answers(session: Session, lines: Iterator[str]) -> Iterator[tuple[Session, dict[str, Any]]]:
    """The conversation: what is said after each line, and where the run then is.

    Args:
        session: where the run is at the start.
        lines: of the trainer; empty ones are passed over.

    Yields:
        The session and the object to write; `needs` and the first segment before any line is read.
    """
    yield session, needs_line(session)
    yield session, segment_line(session)
    for line in lines:
        if session.segment is None:
            return
        if not line.strip():
            continue
        try:
            measured = measured_line(session.setup, line)
            _check_report(session, measured)
            session = session.after(measured)
        except InputError as error:
            yield session, {"type": "error", "message": str(error)}
        yield session, segment_line(session)


def _check_report(session: Session, measured: Measured) -> None:
    """Refuse a report of another segment, of tokens below 0, or without what was to be measured.

    A line that is sent twice would count twice, and all that follows be of the wrong segment; a
    signal under a misspelt name would leave the weights as they are.
    """
    segment, names = session.segment, session.setup.space.names
    if segment is not None and not segment.branch:
        due = session.step + segment.steps
        if measured.step != due:
            raise InputError(
                f"step is {measured.step}, and the segment from step {session.step} ends at {due}; "
                "report each segment once, when all its steps are done"
            )
    for name, tokens in zip(names, measured.tokens, strict=False):
        if not (np.isfinite(tokens) and tokens >= 0):
            raise InputError(f"tokens of {name!r} are {tokens}; give what was drawn, 0 or more")
    unknown = next((name for name in measured.values if name not in SIGNALS), None)
    if unknown is not None:
        raise InputError(f"values: unknown signal {unknown!r}; {did_you_mean(unknown, SIGNALS)}")
    asked = sorted(segment.measure - set(measured.values)) if segment is not None else []
    if asked:
        raise InputError(
            f"the segment asks for {', '.join(asked)}, and values have none of it; give it, with "
            "null where it was not observed"
        )


def _axes(signal: str) -> tuple[str, ...]:
    return SIGNALS[signal].axes if signal in SIGNALS else ()


def _by_name(names: Sequence[str], values: Any) -> dict[str, float]:
    return dict(zip(names, map(float, values), strict=True))


def _in_order(what: str, given: Any, names: Sequence[str]) -> Any:
    """Numbers by name as a list in order; names that are left out were not observed."""
    if isinstance(given, list):
        if len(given) != len(names):
            raise InputError(
                f"{what} has {len(given)} entries; give {len(names)}, one for each of "
                f"{', '.join(names)}"
            )
        return given
    if not isinstance(given, Mapping):
        raise InputError(f"{what} is {given!r}; give an object by name, or a list")
    unknown = next((name for name in given if name not in names), None)
    if unknown is not None:
        raise InputError(f"{what} names {unknown!r}, which is none of {', '.join(names)}")
    missing: Any = 0.0 if what == "tokens" else None
    return [given.get(name, missing) for name in names]
