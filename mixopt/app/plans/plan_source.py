"""Where a mixture or schedule comes from: a sweep, a registered version, or a file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixopt.app.registry.registered import read_registered
from mixopt.app.results import publish
from mixopt.app.running import launch
from mixopt.app.running.launch import Sweep
from mixopt.app.spec.value_files import read_values
from mixopt.errors import InputError, shorten
from mixopt.export.plain import SCHEMA, VERSION
from mixopt.runs import Schedule
from mixopt.space import Mixture
from mixopt.space.simplex import SUM_TOLERANCE

REGISTERED = "models:/"
_FILES = (".json", ".yaml", ".yml")
_FORM = (
    'give what `mixopt export -f json` writes, an object of shares ({"web": 0.7, "code": 0.3}), or '
    'a schedule ({"phases": [{"until": tokens, "mixture": {...}}, ...]})'
)


@dataclass(frozen=True)
class PlanSource:
    """A plan, and what its source knows of the data.

    Attributes:
        plan: shares of training tokens, or a schedule of them.
        about: its `provenance` and `predictions`, plain JSON values.
        paths: domain to where its text is.
        shard_tokens: path to its tokens, of shards of tokens.
        tokens_per_example: domain to mean tokens of a document.
        tokens_per_byte: domain to tokens per byte of its text, by the tokenizer of the mixture.
        measured: with what these were measured, in words.
        unique: domain to the unique tokens that the target run has.
        tokens: of the target run.
        max_epochs: domain to passes that the target run may make.
    """

    plan: Mixture | Schedule
    about: Mapping[str, Any] = field(default_factory=dict, hash=False)
    paths: Mapping[str, str | list[str]] = field(default_factory=dict, hash=False)
    shard_tokens: Mapping[str, float] = field(default_factory=dict, hash=False)
    tokens_per_example: Mapping[str, float] = field(default_factory=dict, hash=False)
    tokens_per_byte: Mapping[str, float] = field(default_factory=dict, hash=False)
    measured: str = ""
    unique: Mapping[str, float] = field(default_factory=dict, hash=False)
    tokens: int | None = None
    max_epochs: Mapping[str, float] | None = field(default=None, hash=False)


def read_source(text: str) -> PlanSource:
    """The plan that a source names, with where it comes from.

    Args:
        text: the folder of a sweep or its spec.yaml, a JSON or YAML file of a plan, or
            `models:/name@alias`.

    Raises:
        InputError: nothing is there, or it has another form.
        StoreError: the folder holds no sweep, or none that can be read.
    """
    if text.startswith(REGISTERED):
        return _registered(text)
    path = Path(text)
    if path.suffix.lower() in _FILES and not path.is_dir():
        values = read_values(path, _FORM)
        if path.suffix.lower() == ".json" or _is_plan(values):
            return _from_values(path, values)
    with launch.open_sweep(path) as sweep:
        return from_sweep(sweep)


def _registered(text: str) -> PlanSource:
    """The plan of a version in the MLflow that MLFLOW_TRACKING_URI names, or of a sweep's own.

    Raises:
        InputError: the address names no version.
        StoreError: there is no such registry or version.
    """
    kept = read_registered(text)
    return PlanSource(
        kept.plan,
        {"provenance": kept.provenance},
        unique=kept.unique,
        tokens=kept.tokens,
        max_epochs=kept.max_epochs,
    )


def from_sweep(sweep: Sweep) -> PlanSource:
    """What a sweep recommends, and what its spec and its data say of the target run.

    Unique tokens and the limits on passes are the target run's only where the spec gives its budget
    or their number; those of the proxies' own data say nothing of it.

    Raises:
        InputError: it has no answer.
    """
    plan, about = publish.answer(sweep)
    space, given = sweep.problem.space, sweep.spec.space
    told = {name for name, domain in given.domains.items() if domain.tokens is not None}
    unique = {
        d.name: d.tokens
        for d in space.domains
        if d.tokens is not None and (space.budget is not None or d.name in told)
    }
    passes = dict(zip(space.names, space.passes.tolist(), strict=True))
    notes = sweep.info.notes
    of_shards: Mapping[str, Mapping[str, float]] = notes.get("shards", {})
    documents, tokens = notes.get("training_documents", {}), notes.get("training_tokens", {})
    size = notes.get("training_bytes", {})
    return PlanSource(
        plan,
        about,
        paths={d: [*shards] for d, shards in of_shards.items()}
        or _spec_paths(sweep.spec.trainer.config.get("domains")),
        shard_tokens={place: n for shards in of_shards.values() for place, n in shards.items()},
        tokens_per_example={d: tokens[d] / n for d, n in documents.items() if n and d in tokens},
        tokens_per_byte={d: tokens[d] / n for d, n in size.items() if n and d in tokens},
        measured="the sweep's own documents and tokenizer, not the target's" if documents else "",
        unique=unique,
        tokens=None if space.budget is None else round(space.budget),
        max_epochs=passes if space.budget is not None else None,
    )


def _spec_paths(domains: Any) -> dict[str, str | list[str]]:
    """Domain to the paths that a trainer's configuration gives; built-in text has none."""
    if not isinstance(domains, Mapping):
        return {}
    paths: dict[str, str | list[str]] = {}
    for name, given in domains.items():
        parts = given if isinstance(given, list) else [given]
        named = [p.get("path") if isinstance(p, Mapping) else p for p in parts]
        each = [p for p in named if isinstance(p, str) and not p.startswith("builtin:")]
        if each and len(each) == len(named):
            paths[name] = each if len(each) > 1 else each[0]
    return paths


def _from_values(path: Path, values: Mapping[str, Any]) -> PlanSource:
    """The plan in the values of a file.

    Raises:
        InputError: they hold none.
    """
    try:
        plan = plan_of(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    about = {k: values[k] for k in ("provenance", "predictions") if isinstance(values.get(k), dict)}
    return PlanSource(plan, about)


def _is_plan(values: Mapping[str, Any]) -> bool:
    """Whether a file holds a plan; a spec has a version, and no schema of its own."""
    return "schema" in values or not {"version", "trainer"} & set(values)


def plan_of(values: Any) -> Mixture | Schedule:
    """The plan in JSON values; see `_FORM`.

    Raises:
        InputError: they have another form or version.
    """
    if not isinstance(values, Mapping) or not values:
        raise InputError(f"holds {shorten(repr(values), 60)}; {_FORM}")
    if "phases" in values:
        return Schedule.from_dict(values)
    if "schema" not in values:
        return _mixture(values)
    if (values["schema"], values.get("version")) != (SCHEMA, VERSION):
        raise InputError(
            f"is {shorten(str(values['schema']))} version {values.get('version')}, and this mixopt "
            f"reads {SCHEMA} version {VERSION}; export it again, or {_FORM}"
        )
    if not values.get("schedule"):
        return _mixture(values.get("weights"))
    try:
        phases = [(p["until_tokens"], _mixture(p["weights"])) for p in values["schedule"]]
    except (KeyError, TypeError) as error:
        raise InputError(
            f"its schedule has another form ({type(error).__name__}: {error}); {_FORM}"
        ) from error
    return Schedule(tuple(phases))


def _mixture(weights: Any) -> Mixture:
    wrong = not isinstance(weights, Mapping) or not weights
    if wrong or any(
        isinstance(w, bool) or not isinstance(w, int | float) for w in weights.values()
    ):
        raise InputError(f"holds {shorten(repr(weights), 60)}, no shares by domain; {_FORM}")
    total = math.fsum(weights.values())
    if math.isfinite(total) and abs(total - 1.0) > SUM_TOLERANCE:
        raise InputError(
            f"its shares sum to {total:.6g}; give shares that sum to 1 within {SUM_TOLERANCE}"
        )
    return Mixture.of({str(d): float(w) for d, w in weights.items()})
