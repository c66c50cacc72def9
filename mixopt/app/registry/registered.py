"""The plan of a registered version, named as `models:/mixopt.<study>@<alias>` or `/<number>`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixopt.app.registry.artefact import MIXTURE, damaged, promoted_plan
from mixopt.app.running.preparation import tracking_uri
from mixopt.app.running.record import remembered_spec
from mixopt.app.running.studies import named
from mixopt.errors import InputError, StoreError
from mixopt.runs import Schedule
from mixopt.space import Mixture
from mixopt.tracking.mlflow_registry import MLflowRegistry
from mixopt.tracking.registry import PREFIX

_ADDRESS = re.compile(r"models:/([^/@:]+)(?:/([0-9]+)|@([A-Za-z][\w-]*))")
_PLACES = ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI")


@dataclass(frozen=True)
class Kept:
    """A registered plan.

    Attributes:
        plan: mixture or schedule.
        provenance: where it comes from, plain JSON values.
        unique: domain to unique tokens of the target run, where known.
        max_epochs: domain to passes allowed; None where the budget was not known.
        tokens: of the target run; None where that was not known.
    """

    plan: Mixture | Schedule
    provenance: Mapping[str, Any] = field(default_factory=dict, hash=False)
    unique: Mapping[str, float] = field(default_factory=dict, hash=False)
    max_epochs: Mapping[str, float] | None = field(default=None, hash=False)
    tokens: int | None = None


def read_registered(address: str) -> Kept:
    """The plan of a version.

    It is looked for in the store of the sweep below `runs`, else where MLflow's variables say.

    Raises:
        InputError: the address names no version, or nobody says where the registry is.
        StoreError: there is no such version, or the registry cannot be read.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(
            f"{address!r} names no version; write models:/{PREFIX}<study>@champion, or "
            f"models:/{PREFIX}<study>/<number>"
        )
    name, number, alias = match.groups()
    version = number or f"@{alias}"
    with MLflowRegistry(_uri(name)) as registry:
        plan, values = promoted_plan(registry.text(name, version, MIXTURE))
    try:
        run = values["tokens"]
        known = run["of"] == "the target run"
        return Kept(
            plan,
            {"registered": address, "promotion": values["promotion"], **values["provenance"]},
            unique=values["unique_tokens"],
            max_epochs=values["max_epochs"],
            tokens=run["total"] if known else None,
        )
    except (KeyError, TypeError) as error:
        raise damaged(MIXTURE, error) from error


def _uri(name: str) -> str:
    """Where the registry is that holds a model."""
    study = name.removeprefix(PREFIX)
    try:
        folder = named(Path(study)).folder
        spec = remembered_spec(folder)
        if spec.store.use == "mlflow":
            return tracking_uri(spec, folder)
    except (InputError, StoreError):
        pass  # not trained from here: the variables tell
    uri = next((os.environ[key] for key in _PLACES if os.environ.get(key)), "")
    if not uri:
        raise InputError(
            f"nobody says where the registry with {name!r} is: there is no sweep {study!r} below "
            f"runs, and {_PLACES[1]} is not set; run the command where runs/{study} is, or set it"
        )
    return uri
