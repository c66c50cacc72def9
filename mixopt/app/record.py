"""What store and folder say of a sweep: its spec, what the trainer said, what may not change."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixopt.app.spec import Spec, parse_spec
from mixopt.errors import StoreError
from mixopt.ports import Store, TrainerInfo
from mixopt.space import Domain

# What a run's identity rests on: a store that holds another sweep is refused by these.
_IDENTITY = ("name", "seed", "scales")


def claim(store: Store, spec: Spec, info: TrainerInfo, config: Mapping[str, Any]) -> None:
    """Write the spec into a fresh store; refuse a store whose runs have another identity.

    Raises:
        StoreError: the store holds runs of another sweep; the message says what differs.
    """
    now = {
        "spec": spec.model_dump(mode="json"),
        "info": _write_info(info),
        "config": dict(config),
    }
    kept = store.annotations()
    if "spec" in kept:
        changed = [k for k in _IDENTITY if kept["spec"].get(k) != now["spec"][k]]
        before = kept["spec"].get("trainer", {})
        changed += [
            f"trainer.{k}" for k in ("use", "config") if before.get(k) != now["spec"]["trainer"][k]
        ]
        if kept.get("info", {}).get("data") != info.data:
            changed.append("the prepared data")
        if "trainer.config" not in changed and kept.get("config") != now["config"]:
            changed.append("the target's budget or tokens")
        if kept["spec"].get("knobs", {}) != now["spec"]["knobs"]:
            changed.append("knobs")
        if changed and (store.observations() or store.pending()):
            raise StoreError(
                f"the store holds a sweep {spec.name!r} that differs in: {', '.join(changed)}; its "
                "runs cannot be continued. Give the changed spec another name (or --out), or "
                "restore the values"
            )
    store.annotate(now)


def remembered_spec(folder: Path) -> Spec:
    """The spec of the sweep in a folder.

    Raises:
        StoreError: there is no sweep in the folder.
    """
    file = folder / "spec.json"
    if not file.is_file():
        raise StoreError(
            f"{folder}: no sweep here; give the folder that 'mixopt run' wrote (runs/<name>)"
        )
    return parse_spec(json.loads(file.read_text(encoding="utf-8")), source=str(file))


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
