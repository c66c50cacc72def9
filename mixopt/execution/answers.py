"""What came back from a trainer, made safe to keep: an odd run is a failed run with the reason.

Trainers and executors are foreign code. Whatever they give for a run, the store can write it, laws
can be fitted beside it, and no other run of the pack suffers. What is left out is named in the
run's `info`.
"""

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from mixopt.runs import Observation, Place, Point, RunSpec
from mixopt.runs.realised import Realised

HUGE = 1e30
"""A metric beyond this has diverged: its square no longer fits into half of a float's range."""

LEFT_OUT = "left out"
"""The key of `info` under which is named what was not kept."""

_SHORT = reprlib.Repr()  # of a value in a message
_SHORT.maxlong = _SHORT.maxstring = _SHORT.maxother = 80


def matched(specs: Sequence[RunSpec], given: Any) -> list[Observation]:
    """One sound observation per run that was asked for, in that order.

    A run that was answered once gets its answer, whatever the order; one that was not answered,
    or more than once, has failed with that reason.

    Args:
        specs: the runs that the trainer was asked for.
        given: what it returned.
    """
    rule = f"trainer {specs[0].trainer!r} must give one observation per run"
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        reason = f"{rule}, and returned {_brief(given)}"
        return [Observation.failure(s, reason) for s in specs]
    answers = list(given)
    whole = [o for o in answers if isinstance(o, Observation) and isinstance(o.spec, RunSpec)]
    asked = {s.run_id for s in specs}
    odd = [_brief(o) for o in answers if not any(o is w for w in whole)]
    odd += [f"run {o.run_id}" for o in whole if o.run_id not in asked]
    more = f"; it also gave what nobody asked for: {', '.join(odd[:3])}" if odd else ""
    by_id: dict[str, list[Observation]] = {}
    for seen in whole:
        by_id.setdefault(seen.run_id, []).append(seen)
    return [_single(s, by_id.get(s.run_id, []), rule, more) for s in specs]


def _single(spec: RunSpec, answers: Sequence[Observation], rule: str, more: str) -> Observation:
    if len(answers) == 1:
        return sound(replace(answers[0], spec=spec))
    times = "none" if not answers else f"{len(answers)}"
    return Observation.failure(spec, f"{rule}, and gave {times} for run {spec.run_id}{more}")


def sound(seen: Observation) -> Observation:
    """The observation as it can be kept: failed, with the reason, where its metrics are none.

    Costs that are no numbers count as 0, points of the curve that are none are dropped, and so is
    what has no form in JSON; `info` names them.
    """
    left_out: list[str] = []
    flops = _cost("flops", seen.flops, left_out)
    seconds = _cost("seconds", seen.seconds, left_out)
    curve = _curve(seen.curve, left_out)
    realised = seen.realised if isinstance(seen.realised, Realised) else None
    if seen.realised is not None and realised is None:
        left_out.append(f"realised is {_brief(seen.realised)}")
    info = _plain(seen.info, left_out)
    error = seen.error if isinstance(seen.error, str) else str(seen.error)
    rest: dict[str, Any] = {
        "flops": flops,
        "seconds": seconds,
        "curve": curve,
        "realised": realised,
        "info": info,
        "place": _place(seen.place, left_out),
    }
    if left_out:
        info[LEFT_OUT] = left_out
    if seen.status == "failed":
        return Observation.failure(seen.spec, error or "the trainer gave no reason", **rest)
    wrong = _wrong(seen)
    if wrong:
        return Observation.failure(seen.spec, wrong, **rest)
    metrics = {name: float(value) for name, value in seen.metrics.items()}
    return Observation(seen.spec, metrics=metrics, error=error, **rest)


def _wrong(seen: Observation) -> str:
    """Why the metrics of a run that is said to be finished cannot be used; empty where they can."""
    if str(seen.status) != "ok":
        return f"the trainer gave status {_brief(seen.status)}; give 'ok' or 'failed'"
    metrics: Any = seen.metrics
    if not isinstance(metrics, Mapping):
        return f"metrics are {_brief(metrics)}; give a dict of name to number"
    if not metrics:
        return "the trainer gave no metric"
    return next((text for k, v in metrics.items() if (text := _odd(k, v))), "")


def _odd(name: Any, value: Any) -> str:
    """What is wrong with a metric; empty where nothing is."""
    if not isinstance(name, str) or not name:
        return f"a metric is named {_brief(name)}; give text"
    number = _number(value)
    if number is None:
        return f"metric {name!r} is {_brief(value)}, which is no number; give a plain float"
    if not np.isfinite(number):
        return f"metric {name!r} is {number}: the run diverged"
    if abs(number) > HUGE:
        return f"metric {name!r} is {number:.3g}, beyond {HUGE:.0e}: the run diverged"
    return ""


def _number(value: Any) -> float | None:
    """A real number as a float (infinite where it is too large for one); None for anything else."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _cost(name: str, value: Any, left_out: list[str]) -> float:
    number = _number(value)
    if number is None or not 0.0 <= number < np.inf:
        left_out.append(f"{name} is {_brief(value)}, no number of at least 0; it counts as 0")
        return 0.0
    return number


def _place(place: Any, left_out: list[str]) -> Place | None:
    """Where a run was trained, if that can be kept; what is no number in it counts as 0."""
    if place is None:
        return None
    if not isinstance(place, Place) or not isinstance(place.host, str):
        left_out.append(f"place is {_brief(place)}")
        return None
    seconds = _cost("seconds of its place", place.seconds, left_out)
    return Place(place.host, seconds, _cost("GPUs of its place", place.gpus, left_out))


def _curve(curve: Any, left_out: list[str]) -> tuple[Point, ...]:
    """The points of a curve, with those of their metrics that are numbers."""
    points = list(curve) if isinstance(curve, Sequence) and not isinstance(curve, str) else []
    if len(points) == 0 and curve:
        left_out.append(f"the curve is {_brief(curve)}")
    kept, odd = [], 0
    for point in points:
        whole = (
            isinstance(point, Point)
            and isinstance(point.tokens, int)
            and not isinstance(point.tokens, bool)
            and isinstance(point.metrics, Mapping)
        )
        if not whole:
            odd += 1
            continue
        metrics = {k: float(v) for k, v in point.metrics.items() if not _odd(k, v)}
        odd += len(metrics) < len(point.metrics)
        if metrics:
            kept.append(Point(point.tokens, metrics))
    if odd:
        left_out.append(
            f"{odd} of {len(points)} points of the curve have values that are no numbers"
        )
    return tuple(kept)


def _plain(info: Any, left_out: list[str]) -> dict[str, Any]:
    """What of `info` has a form in JSON, by its top keys."""
    if not isinstance(info, Mapping):
        left_out.append(f"info is {_brief(info)}, not a dict")
        return {}
    kept: dict[str, Any] = {}
    for key, value in info.items():
        try:
            kept[str(key)] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            left_out.append(f"info {str(key)!r} is {_brief(value)}, no plain JSON value")
    return kept


def _brief(value: Any) -> str:
    """A foreign value and its type, short; its own `repr` may be long, or fail."""
    return f"{_SHORT.repr(value)} ({type(value).__name__})"
