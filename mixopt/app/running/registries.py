"""The registry of a sweep's store, and what earlier studies left in it."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixopt.app.running.preparation import tracking_uri
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError, StoreError
from mixopt.evidence.past import Past, read_past
from mixopt.ports import Store
from mixopt.tracking.experiment import experiment_name
from mixopt.tracking.mlflow_registry import MLflowRegistry
from mixopt.tracking.registry import PREFIX, Registry

PAST = "past promotions"
"""The annotation that holds what earlier studies had shown when this one began."""

_log = logging.getLogger(__name__)


def model_name(spec: Spec) -> str:
    """The registered model of a study."""
    return f"{PREFIX}{spec.name}"


@contextmanager
def open_registry(spec: Spec, folder: Path) -> Iterator[Registry | None]:
    """The registry beside a sweep's store; None where its store has none.

    Raises:
        StoreError: it cannot be reached.
    """
    if spec.store.use != "mlflow":
        yield None
        return
    experiment = experiment_name(spec.name, spec.store.settings.get("namespace", ""))
    with MLflowRegistry(tracking_uri(spec, folder), experiment) as registry:
        yield registry


def no_registry(spec: Spec) -> StoreError:
    """That a store has no registry, and what to do."""
    return StoreError(
        f"the sweep {spec.name!r} is kept in {spec.store.use!r}, which has no registry to put a "
        "mixture into; set store: {use: mlflow} in the next study"
    )


def remember_past(spec: Spec, folder: Path, store: Store) -> tuple[Past, ...]:
    """What became of promotions of other studies in this registry, read once: when a sweep begins.

    A registry that cannot be read stops no sweep: it is said, and nothing is learned.
    """
    kept = store.annotations()
    if PAST not in kept:
        values: list[dict[str, object]] = []
        try:
            with open_registry(spec, folder) as registry:
                if registry is not None:
                    values = [dict(one) for one in registry.records()]
        except (StoreError, InputError) as error:
            _log.warning("nothing is learned from earlier promotions: %s", error)
        store.annotate({PAST: [one for one in values if one.get("study") != spec.name]})
        kept = store.annotations()
        _, odd = read_past(kept[PAST])
        if odd:
            _log.warning(
                "%d records of earlier promotions are of another version of mixopt, and are left "
                "aside",
                odd,
            )
    return past_of(kept)


def past_of(kept: Mapping[str, Any]) -> tuple[Past, ...]:
    """What `remember_past` kept, as far as this version reads it."""
    return read_past(kept.get(PAST) or ())[0]
