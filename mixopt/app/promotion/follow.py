"""What the large run measured: read, checked against the promotion that it belongs to, kept."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixopt.app.plans.manifest import number
from mixopt.app.registry.artefact import DECISION, LAW, damaged, read_json
from mixopt.app.running.launch import Sweep
from mixopt.app.running.registries import model_name
from mixopt.diagnostics.ranks import spearman
from mixopt.errors import InputError, StoreError, did_you_mean, shorten
from mixopt.evidence.law_model import LawModel
from mixopt.evidence.past import Past, read_past
from mixopt.evidence.rules import Yardstick
from mixopt.tracking.registry import Registry, Version

_HOW = (
    'give JSON {"promotion": id, "params": N, "tokens": D, "metrics": {name: value}, "baselines": '
    '{"natural": {name: value}}}, or CSV with the columns promotion, plan, params, tokens and '
    "m/<metric>, a row for each plan"
)


@dataclass(frozen=True)
class Large:
    """What a large run measured.

    Attributes:
        promotion: id of the promotion that it followed.
        plans: name to metrics; the promoted plan under the empty name, baselines under theirs.
        params, tokens: its scale; 0 where it is not said.
    """

    promotion: str
    plans: Mapping[str, Mapping[str, float]] = field(hash=False)
    params: int = 0
    tokens: int = 0


def read_large(path: Path) -> Large:
    """A result file, JSON or CSV.

    Raises:
        InputError: it cannot be read, has another form, or a value that is no number.
    """
    try:
        if path.suffix == ".csv":
            text = {"promotion": str, "plan": str, "params": str, "tokens": str}
            return _from_table(pd.read_csv(path, dtype=text))
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give a file") from error
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({error}); {_HOW}") from error
    if not isinstance(values, Mapping):
        raise InputError(f"{path} holds a {type(values).__name__}; {_HOW}")
    odd = set(values) - {"promotion", "params", "tokens", "metrics", "baselines"}
    if odd:
        raise InputError(f"{path} has an unknown key {sorted(odd)[0]!r}; {_HOW}")
    baselines = values.get("baselines", {})
    if not isinstance(baselines, Mapping):
        raise InputError(f"{path}: baselines are {shorten(repr(baselines), 60)}; {_HOW}")
    plans = {"": values.get("metrics"), **baselines}
    return Large(
        _identity(values.get("promotion")),
        {name: _numbers(name, metrics) for name, metrics in plans.items()},
        _count("params", values.get("params", 0)),
        _count("tokens", values.get("tokens", 0)),
    )


def follow(sweep: Sweep, registry: Registry, large: Large) -> tuple[Past, tuple[Past, ...]]:
    """Keep what a large run measured with the version that it was trained by.

    Args:
        sweep: the study.
        registry: that has the version.
        large: what was measured.

    Returns:
        The record of this run, and all records of the registry, oldest version first.

    Raises:
        InputError: a plan is unknown, or lacks a metric that the promotion was judged by.
        StoreError: no version of this study comes from that promotion.
    """
    version = _version(sweep, registry, large.promotion)
    decision = read_json(registry.text(version.name, version.number, DECISION), DECISION)
    law = LawModel.read(registry.text(version.name, version.number, LAW))
    rules = sweep.spec.promotion
    yardstick = Yardstick(law.surrogate.objective, (rules and rules.metric) or "")
    try:
        past = _measured(yardstick, decision, large)
    except (KeyError, TypeError) as error:
        raise damaged(DECISION, error) from error
    registry.note(version, past.to_dict())
    return past.of_version(version.number), read_past(registry.records())[0]


def _version(sweep: Sweep, registry: Registry, promotion: str) -> Version:
    name = model_name(sweep.spec)
    known = registry.versions(name)
    for version in known:
        if version.promotion == promotion:
            return version
    listed = ", ".join(f"{v.promotion} (version {v.number})" for v in known[-8:])
    raise StoreError(
        f"the result is of the promotion {promotion!r}, and {name} has "
        f"{f'these: {listed}' if listed else 'none'}; it belongs to another study, or to a "
        "promotion that was not passed: name the study that it belongs to"
    )


def _measured(yardstick: Yardstick, decision: Mapping[str, Any], large: Large) -> Past:
    """Predicted against measured, in the units of the promotion's own judgement."""
    predicted = {r["name"]: r["predicted"] for r in decision["results"]}
    picked = decision["picked"]
    known = [name for name in predicted if name != picked]
    odd = next((name for name in large.plans if name and name not in known), None)
    if odd is not None:
        raise InputError(f"unknown baseline {odd!r}; {did_you_mean(odd, known)}")
    values = {name or picked: yardstick.value(m) for name, m in large.plans.items()}
    incomplete = next(
        (name for name in large.plans if not math.isfinite(values[name or picked])), None
    )
    if incomplete is not None:
        had = large.plans[incomplete]
        needed = [yardstick.metric] if yardstick.metric else list(yardstick.objective.metrics)
        missing = next((k for k in needed if k not in had), needed[0])
        raise InputError(
            f"{incomplete or 'the large run'} has no metric {missing!r}, by which the promotion "
            f"was judged; it has: {', '.join(had) or 'none'}"
        )
    shown = decision["shown"]
    over = (
        shown["baseline"]
        if shown["baseline"] in values
        else next((name for name in values if name != picked), "")
    )
    both = [n for n in values if predicted[n] is not None]
    ranks = spearman(np.array([predicted[n] for n in both]), np.array([values[n] for n in both]))
    nothing = float("nan")
    claimed = None if not over or decision["ranking_only"] else predicted[over]
    return Past(
        study=decision["study"],
        where="large run",
        params=large.params,
        tokens=large.tokens,
        baseline=over,
        predicted=nothing if claimed is None else claimed - predicted[picked],
        measured=values[over] - values[picked] if over else nothing,
        rank=ranks,
        plans=len(both),
    )


def _from_table(table: pd.DataFrame) -> Large:
    missing = {"promotion", "plan"} - set(table.columns)
    metrics = [c for c in table.columns if str(c).startswith("m/")]
    if missing or not metrics or not len(table):
        what = sorted(missing)[0] if missing else "m/<metric>"
        raise InputError(f"the table has no column {what!r} or no row; {_HOW}")
    ids = table["promotion"].unique()
    if len(ids) != 1:
        raise InputError(f"the table names {len(ids)} promotions; give the rows of one")
    plans: dict[str, dict[str, float]] = {}
    for _, row in table.iterrows():
        name = "" if row["plan"] in {"promoted", "recommended"} else str(row["plan"])
        if name in plans:
            raise InputError(f"the plan {row['plan']!r} has two rows; give their mean in one")
        values = {c[2:]: row[c] for c in metrics if not pd.isna(row[c])}
        plans[name] = _numbers(name, values)
    if "" not in plans:
        raise InputError("the table has no row of the plan 'promoted'; add it")
    first = table.iloc[0]
    told = {c: first[c] for c in ("params", "tokens") if c in table and not pd.isna(first[c])}
    scale = [_count(c, told.get(c, 0)) for c in ("params", "tokens")]
    return Large(_identity(ids[0]), plans, *scale)


def _identity(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(
            "the result names no promotion; give its id, which 'mixopt promote' printed and the "
            "model card has"
        )
    return value


def _numbers(name: str, metrics: object) -> dict[str, float]:
    if not isinstance(metrics, Mapping) or not metrics:
        raise InputError(f"{name or 'the promoted plan'} has no metrics; {_HOW}")
    return {str(k): _number(f"metric {k!r}", v) for k, v in metrics.items()}


def _count(what: str, value: Any) -> int:
    """A size as people write it: 7e9, 7B; 0 where it is not said."""
    count = number(value, what)
    if not math.isfinite(count):
        raise InputError(f"{what} is {count}; give a number such as 7B")
    return int(count)


def _number(what: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not math.isfinite(number):
        raise InputError(f"{what} is {shorten(str(value), 60)!r}; give a finite number")
    return number
