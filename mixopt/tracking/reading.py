"""The runs of a sweep as MLflow has them: thousands, read page by page and parsed at once."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mixopt.runs import Attempt, Observation, RunSpec
from mixopt.tracking import records
from mixopt.tracking.session import Session

ENTRY, RUN, ORDER = "mixopt.entry", "mixopt.run_id", "mixopt.order"  # entry: sweep or run
SPEC, SEEN = "mixopt.spec", "mixopt.observation"
ATTEMPTS, CONTINUED = "mixopt.attempts", "mixopt.continued"
"""How often a run was submitted again by a later driver."""
_PAGE = 1000


@dataclass(frozen=True)
class Kept:
    """A run in MLflow.

    Attributes:
        order: in which runs were opened.
        run_id: of the run.
        spec, seen: the run and what came of it; None where it is open.
        mlflow_id, status: MLflow's own.
        started, ended: milliseconds.
        attempts: failed ones of a run that is to be trained again.
        continued: how often later drivers submitted it again.
    """

    order: int
    run_id: str
    spec: RunSpec
    seen: Observation | None
    mlflow_id: str
    status: str
    started: int
    ended: int
    attempts: tuple[Attempt, ...] = ()
    continued: int = 0


def read_runs(session: Session, experiment: str, parent: str) -> list[Kept]:
    """All runs of a sweep, in the order in which they were opened.

    Args:
        session: the store.
        experiment: MLflow's id.
        parent: MLflow's id of the sweep's own run, which holds long texts.

    Raises:
        StoreError: a record is incomplete.
    """
    pages = runs_of(session, experiment, f"tags.`{ENTRY}` = 'run'")
    kept = [_kept(session, parent, run) for page in pages for run in page]
    return sorted(kept, key=lambda run: run.order)


def _kept(session: Session, parent: str, run: Any) -> Kept:
    tags, info = run.data.tags, run.info
    spec = records.read_spec(session.text(parent, SPEC, tags))
    seen: Observation | None = None
    attempts: tuple[Attempt, ...] = ()
    started = info.start_time
    if tags.get(SEEN):
        seen = records.read_observation(session.text(parent, SEEN, tags), spec)
    elif ATTEMPTS in tags:
        tries = json.loads(session.text(parent, ATTEMPTS, tags))
        attempts = tuple(map(Attempt.from_dict, tries))
        started = max(started, round(1000 * attempts[-1].until))
    return Kept(
        int(tags[ORDER]),
        tags[RUN],
        spec,
        seen,
        info.run_id,
        info.status,
        started,
        info.end_time or info.start_time,
        attempts,
        int(tags.get(CONTINUED, 0)),
    )


def runs_of(session: Session, experiment: str, which: str) -> Iterator[list[Any]]:
    """The runs of an experiment that a filter of MLflow's lets through, a page at a time.

    A page is made of fifty thousand small objects of MLflow's. Python's search for circles among
    them, again and again while they are made, would take longer than making them.
    """
    page = None
    while page is None or page:
        with _uncollected():
            batch = session.client.search_runs(
                [experiment], which, max_results=_PAGE, page_token=page
            )
        yield list(batch)
        page = batch.token or ""


@contextmanager
def _uncollected() -> Iterator[None]:
    """Python does not look for circles of objects meanwhile."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
