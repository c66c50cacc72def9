"""The experiment of a sweep and the run that stands for it as a whole: looked for, or made.

And what is written there in batches: data, the end, what came of a run.
"""

import re
import time
from collections.abc import Mapping
from pathlib import Path

from mixopt.errors import InputError, StoreError
from mixopt.ports import TrainerInfo
from mixopt.runs import Observation
from mixopt.tracking import location, records, shown
from mixopt.tracking.session import Session

_FORMAT = "2"  # of the tags of a sweep; a store of another format is refused
_OWNER, _ENTRY, _VERSION = "mixopt.owner", "mixopt.entry", "mixopt.format"


def find_experiment(
    session: Session, name: str, *, place: Path | None, owner: str | None, read_only: bool
) -> str:
    """The id of a sweep's experiment.

    Args:
        session: the store.
        name: of the experiment.
        place: of its files, in a store that this machine alone has; None for one that people share.
        owner: who runs the sweep; by default the user of this process.
        read_only: nothing is made; it may be anybody's.

    Raises:
        StoreError: it is not there and may not be made, was deleted, or is another's.
    """
    client, me = session.client, owner or shown.user()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        if read_only:
            raise StoreError(f"{session.shown} holds no sweep {name!r}; 'mixopt run' starts it")
        location = place.resolve().as_uri() if place is not None else None
        return str(client.create_experiment(name, artifact_location=location, tags={_OWNER: me}))
    if experiment.lifecycle_stage != "active":
        raise StoreError(
            f"experiment {name!r} was deleted in {session.shown}; restore it in the MLflow UI, "
            "or give the sweep another name"
        )
    theirs = experiment.tags.get(_OWNER, me)
    if place is None and theirs != me and not read_only:
        raise StoreError(
            f"experiment {name!r} in {session.shown} is {theirs!r}'s, and you are {me!r}; set "
            f"'namespace' under store to keep your sweeps apart, or 'owner: {theirs}' to go on "
            "with this one"
        )
    return str(experiment.experiment_id)


def experiment_of(uri: str, name: str, namespace: str = "") -> str:
    """The id of a sweep's experiment, without reading its runs.

    Raises:
        StoreError: the store cannot be reached, or holds no such sweep.
    """
    where = location.locate(uri)
    location.check(where, read_only=True)
    session = Session(where)
    try:
        with session.words("read"):
            full = experiment_name(name, namespace)
            return find_experiment(session, full, place=None, owner=None, read_only=True)
    finally:
        session.close()


def find_parent(
    session: Session, experiment: str, name: str, *, read_only: bool
) -> tuple[str, str]:
    """The id and status of the run that stands for the sweep; "" where it may not be made.

    Raises:
        StoreError: it was written in another format.
    """
    client = session.client
    parents = client.search_runs([experiment], f"tags.`{_ENTRY}` = 'sweep'")
    if parents:
        run = parents[0]
        form = run.data.tags.get(_VERSION)
        if form != _FORMAT:
            raise StoreError(
                f"sweep {name!r} in {session.shown} is of store format {form}, and this mixopt "
                f"reads {_FORMAT}; use the version that wrote it, or another sweep name"
            )
        return str(run.info.run_id), str(run.info.status)
    if read_only:
        return "", ""
    tags = {_ENTRY: "sweep", _VERSION: _FORMAT, **shown.origin()}
    made = client.create_run(experiment, tags=tags, run_name=name)
    return str(made.info.run_id), str(made.info.status)


def experiment_name(name: str, namespace: str = "") -> str:
    """What the experiment of a sweep is called.

    >>> experiment_name("my-sweep", "vision/data")
    'vision/data/my-sweep'

    Raises:
        InputError: a namespace that is no path of plain names.
    """
    if not namespace:
        return name
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", namespace, re.ASCII) or len(namespace) > 200:
        raise InputError(
            f"namespace is {namespace!r}; give a name of letters, digits, '.', '_' and '-', or "
            "several with '/' between them"
        )
    return f"{namespace}/{name}"


def log_data(session: Session, run: str, info: TrainerInfo, trainer: str) -> None:
    """Give the sweep's own run its training data, as an MLflow dataset."""
    entities = session.entities
    data = entities.Dataset(**shown.dataset(info, trainer))
    kind = entities.InputTag("mlflow.data.context", "training")
    session.client.log_inputs(run, datasets=[entities.DatasetInput(data, tags=[kind])])


def conclude(
    session: Session, experiment: str, run: str, figures: Mapping[str, float], text: str
) -> None:
    """Give the sweep's own run its metrics, and it and the experiment a description with links."""
    runs = shown.deep_link("", experiment).removeprefix("/")
    report = f"#/experiments/{experiment}/runs/{run}/artifacts/report.html"
    note = shown.description(text, {"All runs": runs, "Report": report})
    entities, at = session.entities, int(time.time() * 1000)
    metrics = [entities.Metric(k, v, at, 0) for k, v in shown.fields_of(figures).items()]
    tags = [entities.RunTag("mlflow.note.content", note)]
    session.client.log_batch(run, metrics=metrics, tags=tags)
    session.client.set_experiment_tag(experiment, "mlflow.note.content", note)


def log_run(
    session: Session,
    at: tuple[str, int],
    seen: Observation,
    headline: float | None,
    tags: Mapping[str, str],
) -> None:
    """Params, metrics and tags of a run, in one batch unless there are more than 800 metrics.

    Args:
        session: of the store.
        at: MLflow's id of the run, and when it began, in milliseconds since 1970.
        seen: what came of it.
        headline: the number by which runs are compared; None where there is none.
        tags: that make it closed: they are written with the last batch.
    """
    mlflow_id, started = at
    client, entities, end = session.client, session.entities, seen.spec.scale.tokens
    metrics = [
        entities.Metric(key, value, started + int(1000 * seen.seconds * step / end), step)
        for key, value, step in records.values(seen, headline)
    ]
    params = [entities.Param(k, v) for k, v in records.params(seen.spec).items()]
    size = records.MAX_VALUES
    batches = [metrics[i : i + size] for i in range(0, len(metrics), size)] or [[]]
    for batch in batches[:-1]:
        client.log_batch(mlflow_id, metrics=batch)
    last = [entities.RunTag(k, v) for k, v in tags.items()]
    client.log_batch(mlflow_id, metrics=batches[-1], params=params, tags=last)
