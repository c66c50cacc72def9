"""What store and folder say of a sweep: its spec, what the trainer said, what may not change.

Every field of a spec has one rule for a sweep that has runs (`docs/guide/spec.md` has the table):
what the runs *are*, and the space that they were chosen from, may not change; how the runs are
*read* may, and every answer says so from then on; where they are trained is nobody's business.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.app.running.posts import check_posts, posts
from mixopt.app.spec.spec_file import parse_spec
from mixopt.app.spec.values import Spec
from mixopt.errors import StoreError
from mixopt.execution.local import as_json
from mixopt.execution.sweep import BATCH
from mixopt.ports import Store, TrainerInfo
from mixopt.runs import RunSpec, What
from mixopt.runs.files import write_atomically
from mixopt.space import Domain

FIXED = ("name", "seed", "scales", "trainer.use", "trainer.config", "knobs", "warm_start", "space")
"""Fields that may not change once there are runs: they say what was trained, and from where."""

READ = ("objective", "strategy")
"""Fields by which runs are read: they may change until a candidate is sent to confirmation."""

CONFIRMING = ("strategy.confirm_seeds", "strategy.singles", "strategy.wait", "strategy.batch")
"""Settings that may change even then: how much is confirmed, and how runs are kept going."""

_CHANGES = "changes"  # the annotation that holds what was changed, and after how many runs
_NOT_CONTINUED = "its runs cannot be continued"
_SHOWN = 80  # characters of a value in a message
SPEC_FILE = "spec.json"
"""In the folder of a sweep: the spec that it runs by, without secrets."""


@dataclass(frozen=True)
class Change:
    """A field of the spec that was changed when the sweep had runs.

    Attributes:
        field: its path.
        before, now: its values, plain JSON.
        after: how many runs were there.
    """

    field: str
    before: Any
    now: Any
    after: int

    @property
    def line(self) -> str:
        """For people, wherever the answer is."""
        runs = f"{self.after} run{'s' * (self.after != 1)}"
        return (
            f"{self.field} was changed after {runs}, from {_brief(self.before)} to "
            f"{_brief(self.now)}; all runs are read under the new one"
        )


def compare_spec(store: Store, spec: Spec) -> tuple[Change, ...]:
    """What has changed in the spec since the runs in the store were asked for; nothing without any.

    Raises:
        StoreError: the runs cannot be continued, or not be read, under this spec; the message says
            what differs and what to do.
    """
    kept, runs = store.annotations(), _asked(store)
    if "spec" not in kept or not runs:
        return ()
    before = kept["spec"]
    check_posts(kept, spec.promotion, spec.name)
    changed = [c for c in _differences(before, spec.shown()) if not _within(c[0], ("promotion",))]
    if parse_spec(before).make_objective() == spec.make_objective():  # however it is written
        changed = [c for c in changed if not _within(c[0], ("objective",))]
    fixed = [c for c in changed if _within(c[0], FIXED)]
    if fixed:
        raise StoreError(_refused(spec, fixed, len(runs), _NOT_CONTINUED))
    read = [c for c in changed if _within(c[0], READ)]
    closed = [c for c in read if not _within(c[0], CONFIRMING)]
    if closed and any(run.kind.what in {What.CONFIRMATION, What.PROMOTION} for run in runs):
        reason = "its candidates were chosen by the old values and are being confirmed"
        raise StoreError(_refused(spec, closed, len(runs), reason))
    return tuple(Change(*c, after=len(runs)) for c in read)


def compare(
    store: Store, spec: Spec, info: TrainerInfo, config: Mapping[str, Any]
) -> tuple[Change, ...]:
    """As `compare_spec`, with what the trainer said of its data and what it was told.

    Raises:
        StoreError: see `compare_spec`.
    """
    changes, kept, runs = compare_spec(store, spec), store.annotations(), _asked(store)
    if "spec" not in kept or not runs:
        return ()
    fixed: list[tuple[str, Any, Any]] = []
    if kept.get("info", {}).get("data") != info.data:
        fixed.append(("the prepared data", kept.get("info", {}).get("data"), info.data))
    # What the target's budget and tokens say to the trainer, beside its own settings.
    plain = json.loads(as_json("config", dict(config)))
    fixed += _differences(kept.get("config", {}), plain, "trainer.config")
    if fixed:
        raise StoreError(_refused(spec, fixed, len(runs), _NOT_CONTINUED))
    return changes


def _asked(store: Store) -> list[RunSpec]:
    return [*(o.spec for o in store.observations()), *store.pending()]


def claim(store: Store, spec: Spec, info: TrainerInfo, config: Mapping[str, Any]) -> None:
    """Write the spec into the store, with what was changed; refuse a store of other runs.

    Raises:
        StoreError: see `compare`.
    """
    new = compare(store, spec, info, config)
    runs = len(store.observations()) + len(store.pending())
    began = runs > 0
    history = _merged([*_read_changes(store.annotations()), *new]) if began else ()
    store.annotate(
        {
            "spec": spec.shown(),
            "info": _write_info(info),
            "config": dict(config),
            _CHANGES: [vars(c) for c in history],
        }
        | posts(store.annotations(), spec.promotion, runs)
        # A batch of which nothing was opened was chosen under the spec before.
        | ({} if began else {BATCH: []})
    )


def changes_of(store: Store) -> tuple[str, ...]:
    """What was changed while the sweep had runs, in words for every answer."""
    return tuple(change.line for change in _read_changes(store.annotations()))


def keep_spec(folder: Path, spec: Spec) -> None:
    """Write the spec of a sweep into its folder, whole; only once the store is claimed.

    Raises:
        StoreError: the folder cannot be written.
    """
    try:
        write_atomically(folder / SPEC_FILE, json.dumps(spec.shown(), indent=2).encode())
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error}; free some space or give another folder with --out"
        ) from error


def check_folder(folder: Path, spec: Spec) -> None:
    """Refuse the folder of a sweep of another name: its spec and report would be lost.

    Raises:
        StoreError: see above.
    """
    try:
        name = json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if name != spec.name:
        raise StoreError(
            f"{folder} is the folder of the sweep {name!r}, and the spec's name is {spec.name!r}; "
            "give another folder with --out, or leave it out"
        )


def _read_changes(kept: Mapping[str, Any]) -> tuple[Change, ...]:
    return tuple(Change(**values) for values in kept.get(_CHANGES, ()))


def _merged(changes: list[Change]) -> tuple[Change, ...]:
    """The changes; of those that no run came in between, the first and the last value."""
    merged: dict[tuple[str, int], Change] = {}
    for change in changes:
        key = change.field, change.after
        first = merged.get(key, change)
        merged[key] = Change(change.field, first.before, change.now, change.after)
    return tuple(c for c in merged.values() if c.before != c.now)


def _differences(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, old and new value of everything that differs, as deep as both are mappings."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*before, *now]):
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(before.get(key), now.get(key), inner)
    elif before != now:
        yield path, before, now


def _within(path: str, fields: tuple[str, ...]) -> bool:
    return any(path == field or path.startswith(f"{field}.") for field in fields)


def _refused(spec: Spec, changed: list[tuple[str, Any, Any]], runs: int, reason: str) -> str:
    told = [f"{field} ({_brief(old)} before, {_brief(new)} now)" for field, old, new in changed[:6]]
    more = f" and {len(changed) - 6} more" if len(changed) > 6 else ""
    return (
        f"the store holds {runs} run{'s' * (runs != 1)} of a sweep {spec.name!r} that differs in: "
        f"{', '.join(told)}{more}; {reason}. Restore the old values, or give the changed spec "
        f"another name; its 'warm_start: [runs/{spec.name}]' lets 'auto' and 'ladder' learn from "
        "these runs"
    )


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def remembered_spec(folder: Path) -> Spec:
    """The spec of the sweep in a folder.

    Raises:
        StoreError: there is no sweep in the folder.
    """
    file = folder / SPEC_FILE
    if not file.is_file():
        raise StoreError(
            f"{folder}: no sweep here; give the folder that 'mixopt run' wrote (runs/<name>), or "
            "run the spec first"
        )
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{file} cannot be read ({type(error).__name__}); 'mixopt run' writes it again"
        ) from error
    return parse_spec(values, source=str(file))


def _write_info(info: TrainerInfo) -> dict[str, Any]:
    domains = [
        {
            "name": d.name,
            "tokens": d.tokens,
            "prior": d.prior,
            "tags": dict(d.tags),
            "parent": d.parent,
        }
        for d in info.domains
    ]
    return {
        "domains": domains,
        "metrics": list(info.metrics),
        "unit": info.unit,
        "data": info.data,
        "warnings": list(info.warnings),
        "notes": dict(info.notes),
    }


def read_info(values: Mapping[str, Any]) -> TrainerInfo:
    """What the trainer said, as `claim` wrote it."""
    fields = dict(values)
    return TrainerInfo(
        domains=tuple(Domain(**d) for d in fields.pop("domains")),
        metrics=tuple(fields.pop("metrics")),
        warnings=tuple(fields.pop("warnings")),
        **fields,
    )
