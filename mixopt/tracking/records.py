"""How runs are written into tags, params and metrics, within a tracker's limits.

MLflow's limits: 8000 characters in a tag, 100 tags and 100 params and 1000 values in a batch, and
keys of letters, digits, `_ - . space : /`. Exact records are JSON in tags, packed and in parts
where they are long; what people read in the UI (params, metrics) is a view that may be thinned.
"""

import base64
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mixopt.errors import StoreError
from mixopt.mixers import Recorded, Told
from mixopt.runs import Observation, RunSpec

PART_CHARS = 7900
MAX_PARTS = 60
MAX_PARAMS = 90
MAX_VALUES = 800  # with params and tags no more than 1000 in one batch
OBJECTIVE = "objective"
"""The metric by which people compare runs."""
_PACKED = "packed:"
_KEY_CHARS = 240
_NO_KEY = re.compile(r"[^0-9A-Za-z_\-. :/]")
_DOTS = re.compile(r"^\.+")  # MLflow takes no key that means another as a path ("a/../b")


def to_tags(key: str, text: str) -> dict[str, str] | None:
    """A text as tags that `from_tags` reads back; None if it needs more than 60 of them."""
    if len(text) <= PART_CHARS and not text.startswith(_PACKED):
        return {key: text}
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    parts = [packed[i : i + PART_CHARS] for i in range(0, len(packed), PART_CHARS)]
    if len(parts) > MAX_PARTS:
        return None
    return {key: f"{_PACKED}{len(parts)}", **{f"{key}:{i}": p for i, p in enumerate(parts)}}


def from_tags(key: str, tags: Mapping[str, str]) -> str | None:
    """The text that `to_tags` wrote; None if there is none.

    Raises:
        StoreError: a part is missing or broken.
    """
    head = tags.get(key)
    if head is None or not head.startswith(_PACKED):
        return head
    try:
        parts = [tags[f"{key}:{i}"] for i in range(int(head.removeprefix(_PACKED)))]
        return zlib.decompress(base64.b64decode("".join(parts), validate=True)).decode()
    except (KeyError, ValueError, zlib.error) as error:
        raise StoreError(
            f"tag {key!r} of a run is incomplete ({type(error).__name__}: {error}); it was edited "
            "or lost: delete that run in the MLflow UI, and it is trained again"
        ) from error


def display_keys(names: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Name to a key that MLflow accepts; names stay apart.

    >>> display_keys(["web", "c++", "c--"], "w/")
    {'web': 'w/web', 'c++': 'w/c__', 'c--': 'w/c--'}
    """
    keys: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        short = _NO_KEY.sub("_", prefix + name)[:_KEY_CHARS]
        clean = "/".join(_DOTS.sub("_", part) or "_" for part in short.split("/"))
        key, n = clean, 2
        while key in used:
            key, n = f"{clean}_{n}", n + 1
        used.add(key)
        keys[name] = key
    return keys


def params(spec: RunSpec) -> dict[str, str]:
    """What the UI shows of a run spec; of many domains the largest weights."""
    weights = spec.mixture.to_dict()
    largest = sorted(weights, key=lambda d: -weights[d])[:MAX_PARAMS]
    keys = display_keys(largest, "w/")
    return {
        "params": str(spec.scale.params),
        "tokens": str(spec.scale.tokens),
        "seed": str(spec.seed),
        "trainer": spec.trainer[:500],
        **({} if spec.schedule is None else {"phases": str(len(spec.phases))}),
        **({} if spec.mixer is None else {"mixer": spec.mixer.name[:500]}),
        **{keys[d]: f"{weights[d]:.6g}" for d in weights if d in keys},
    }


def values(seen: Observation, headline: float | None = None) -> list[tuple[str, float, int]]:
    """(key, value, step) of an observation: metrics, their curve, cost; steps are tokens.

    The curve is thinned so that everything fits one batch.

    Args:
        seen: the observation.
        headline: what people compare runs by; goes by the name `objective`, which charts show
            before the metrics with a prefix. Left out where the trainer has a metric of that name.
    """
    end = seen.spec.scale.tokens
    keys = display_keys(dict.fromkeys([*seen.metrics, *(k for p in seen.curve for k in p.metrics)]))
    rows = [("cost/flops", seen.flops, end), ("cost/seconds", seen.seconds, end)]
    if headline is not None and OBJECTIVE not in keys.values():
        rows.insert(0, (OBJECTIVE, headline, end))
    last = [(keys[k], v, end) for k, v in seen.metrics.items()]
    width = max((len(p.metrics) for p in seen.curve), default=1) or 1
    room = max(0, MAX_VALUES - len(rows) - len(last)) // width
    points = [p for p in seen.curve if p.tokens != end or not last]
    if len(points) > room:
        picked = np.unique(np.linspace(0, len(points) - 1, room).round().astype(int))
        points = [points[i] for i in picked]
    rows += [(keys[k], v, p.tokens) for p in points for k, v in p.metrics.items()]
    rows += _mixing(seen, MAX_VALUES - len(rows) - len(last))
    return [row for row in rows + last if np.isfinite(row[1])]


def _mixing(seen: Observation, room: int) -> list[tuple[str, float, int]]:
    """Weights, realised shares and signals by step of a run with a mixer, where there is room.

    Weights come first; what is drawn and seen is thinned to what they leave, at least a last value
    of each where that fits.
    """
    record = Recorded.of(seen) if seen.spec.mixer is not None else None
    if record is None:
        return []
    told, schedule = record.history, record.course.schedule
    series = {} if told is None else _series(told)
    lines = len(schedule.domains) + len(series)
    schedule = schedule.coarsened(max(1, room // lines))
    keys = display_keys(schedule.domains, "mix/")
    rows = [
        (keys[domain], share, until)
        for until, mixture in schedule.phases
        for domain, share in mixture.to_dict().items()
    ][: max(room, 0)]
    points = max(0, room - len(rows)) // max(1, len(series))
    if told is None or not points:
        return rows
    last = len(told.tokens) - 1
    # from the last one backwards, so that the end of the run is always there
    picked = last - np.unique(np.linspace(0, last, min(points, last + 1)).round().astype(int))
    rows += [(key, line[i], told.tokens[i]) for i in sorted(picked) for key, line in series.items()]
    return rows


def _series(told: Told) -> dict[str, tuple[float, ...]]:
    """Key to values of what a mixer's run drew and saw, at `told.tokens`."""
    series: dict[str, tuple[float, ...]] = {}
    for group, columns in (("drawn", told.drawn), *told.signals.items()):
        keys = display_keys(columns, f"{group}/" if group == "drawn" else f"signal/{group}/")
        series |= {keys[name]: column for name, column in columns.items()}
    return series


def write_spec(spec: RunSpec) -> str:
    """A run spec as JSON text."""
    return json.dumps(spec.to_dict(), separators=(",", ":"))


def read_spec(text: str) -> RunSpec:
    """The run spec that `write_spec` wrote."""
    return RunSpec.from_dict(json.loads(text))


def write_observation(seen: Observation) -> str:
    """An observation without its spec, as JSON text."""
    fields = {k: v for k, v in seen.to_dict().items() if k != "spec"}
    return json.dumps(fields, separators=(",", ":"))


def read_observation(text: str, spec: RunSpec) -> Observation:
    """The observation of `spec` that `write_observation` wrote."""
    fields: dict[str, Any] = json.loads(text)
    return Observation.from_dict({**fields, "spec": spec})
