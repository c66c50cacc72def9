"""A sweep in MLflow: the record and the journal. Written by the driver alone.

An experiment per sweep; in it one parent run for the sweep as a whole and a nested run per run
spec. What mixopt reads back is JSON in tags, exact; params, metrics, names and descriptions are the
view for people. A run costs three calls: it is made when it goes out, gets everything that came of
it in one batch, and is ended. It is closed when its observation is in its tags.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from mixopt.errors import InputError, StoreError
from mixopt.execution.local import as_json, attempts_of
from mixopt.ports import Entry, TrainerInfo
from mixopt.runs import Attempt, Observation, RunSpec
from mixopt.tracking import location, records, shown
from mixopt.tracking.experiment import (
    conclude,
    experiment_name,
    find_experiment,
    find_parent,
    log_data,
    log_run,
)
from mixopt.tracking.locks import FileLock, Lease
from mixopt.tracking.reading import (
    ATTEMPTS,
    CONTINUED,
    ENTRY,
    ORDER,
    RUN,
    SEEN,
    SPEC,
    Kept,
    read_runs,
)
from mixopt.tracking.session import Session

_KIND, _CANDIDATE, _SCALE = "mixopt.kind", "mixopt.candidate", "mixopt.scale"
_ERROR, _NOTE, _DRIVER = "mixopt.error", "mixopt.note.", "mixopt.driver"
_STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
Value = Callable[[Mapping[str, float]], float]


class MLflowStore:
    """A sweep's runs in MLflow.

    Args:
        uri: tracking URI; `sqlite:///<file>` is made if it is not there. The password in it, or
            the variable that stands for it as `$NAME`, is shown nowhere.
        name: of the sweep, and of its experiment.
        namespace: before the name of the experiment: `<namespace>/<name>`.
        owner: of the experiment, for stores that people share; by default the user of the server,
            else of this machine.
        artifacts: where a SQLite store keeps files, by default `artifacts` beside the database;
            a server has its own place.
        read_only: look only; does not wait for, or keep out, the driver of the sweep.

    Raises:
        StoreError: the store cannot be reached or written, has no space, was written by another
            version, the experiment is another's, or another driver is running this sweep.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        namespace: str = "",
        owner: str | None = None,
        artifacts: str | Path | None = None,
        read_only: bool = False,
    ) -> None:
        where = location.locate(uri)
        self.uri, self.name, self.read_only = where.shown, name, read_only
        self._lock: FileLock | Lease | None = None
        self._ids: dict[str, str] = {}  # run_id to MLflow's own, in the order of opening
        self._started: dict[str, int] = {}  # run_id to milliseconds
        self._ended: dict[str, int] = {}
        self._specs: dict[str, RunSpec] = {}
        self._seen: dict[str, Observation] = {}
        self._attempts: dict[str, tuple[Attempt, ...]] = {}  # of runs that are to be trained again
        self._left: dict[str, int] = {}  # open when this driver came: how often continued before
        self._doubtful: set[str] = set()  # run_ids that may be in MLflow though an error came back
        self._value: Value | None = None
        self._what = f"sweep {name!r} in {self.uri}"
        location.check(where, read_only=read_only)
        database = where.database
        full = experiment_name(name, namespace)
        if database is not None and not read_only:
            safe = re.sub(r"[^0-9A-Za-z._-]", "_", full)
            lock = database.with_name(f"{database.name}.{safe}.lock")
            self._lock = FileLock(lock, self._what)
        with ExitStack() as undo:
            undo.callback(self._unlock)  # unless everything below succeeds
            self._session = Session(where)
            undo.callback(self._session.close)
            self._client, self._entities = self._session.client, self._session.entities
            place = Path(artifacts or database.parent / "artifacts") if database else None
            with self._session.words("open"):
                self.experiment = find_experiment(
                    self._session,
                    full,
                    place=place,
                    owner=owner or where.user or os.environ.get("MLFLOW_TRACKING_USERNAME"),
                    read_only=read_only,
                )
                self._parent, status = find_parent(
                    self._session, self.experiment, full, read_only=read_only
                )
                if self._lock is None and not read_only:
                    self._lock = Lease(self._read_driver, self._write_driver, self._what)
                self._at_work = status == "RUNNING"  # as the sweep's own run says
                for kept in read_runs(self._session, self.experiment, self._parent):
                    self._note(kept)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let other drivers run the sweep; may be called twice.

        What is open waits from now on (SCHEDULED), and so it is shown.
        """
        if self._lock is not None:
            with suppress(StoreError):  # it is shown as it was, and no more than that
                self._rest()
            self._unlock()
        self._session.close()

    def _rest(self) -> None:
        """Show that nobody is at work here."""
        with self._session.words("write"):
            for run_id in self._ids.keys() - self._seen.keys():
                self._client.update_run(self._ids[run_id], status="SCHEDULED")
            if self._at_work:
                self._client.set_terminated(self._parent, "KILLED")

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def sweep_id(self) -> str:
        """MLflow's id of the parent run, for links and artifacts."""
        return self._parent

    # -- the journal -----------------------------------------------------------------------------

    def open(self, spec: RunSpec) -> None:
        """Note that a run is about to be submitted. Opening it again changes nothing.

        One that an earlier driver had opened is shown as continued.

        Raises:
            StoreError: it cannot be written.
        """
        run_id = spec.run_id
        if run_id in self._left:
            self._continue(run_id)
        if run_id in self._ids:
            return
        tags = {
            "mlflow.parentRunId": self._parent,
            ENTRY: "run",
            RUN: run_id,
            ORDER: str(len(self._ids)),
            _KIND: str(spec.kind.what),
            _SCALE: str(spec.scale),
        }
        if spec.kind.candidate:
            tags[_CANDIDATE] = spec.kind.candidate[: records.PART_CHARS]
        started = _now()
        with self._writing(f"run {run_id}"):
            if not self._at_work:  # it had ended, and goes on
                self._client.update_run(self._parent, status="RUNNING")
                self._at_work = True
            made = self._made_already(run_id)
            if made is None:
                self._doubtful.add(run_id)  # an answer may be lost on its way
                text = records.write_spec(spec)
                tags |= self._text_tags(SPEC, text, f"specs/{run_id}.json")
                made = self._client.create_run(
                    self.experiment,
                    start_time=started,
                    tags=tags,
                    run_name=shown.run_name(len(self._ids) + 1, spec),
                )
        self._doubtful.discard(run_id)
        self._ids[run_id] = made.info.run_id
        self._started[run_id] = made.info.start_time
        self._specs[run_id] = spec

    def _made_already(self, run_id: str) -> Any:
        """The run, if an earlier attempt to make it came to more than an error."""
        if run_id not in self._doubtful:
            return None
        there = self._client.search_runs([self.experiment], f"tags.`{RUN}` = '{run_id}'")
        return there[0] if there else None

    def _continue(self, run_id: str) -> None:
        times = self._left[run_id] + 1
        with self._writing(f"run {run_id}"):
            self._client.update_run(self._ids[run_id], status="RUNNING")
            self._client.set_tag(self._ids[run_id], CONTINUED, str(times))
        del self._left[run_id]

    def close(self, observation: Observation) -> None:
        """Note what came of a run. The first observation of a `run_id` stays.

        Raises:
            StoreError: it cannot be written.
        """
        run_id = observation.run_id
        if run_id in self._seen:
            return
        self.open(observation.spec)
        error = self._session.hidden(observation.error)
        attempts = self._attempts.get(run_id, ())
        observation = replace(observation, error=error, attempts=attempts)
        with self._writing(f"run {run_id}"):
            text = records.write_observation(observation)
            tags = self._text_tags(SEEN, text, f"observations/{run_id}.json")
            if observation.error or attempts:  # of an earlier attempt no reason may be left
                tags[_ERROR] = observation.error[: records.PART_CHARS]
            headline = self._value(observation.metrics) if self._value and observation.ok else None
            at = self._ids[run_id], self._started[run_id]
            log_run(self._session, at, observation, headline, tags)
            status = "FINISHED" if observation.ok else "FAILED"
            self._client.set_terminated(self._ids[run_id], status)
        self._seen[run_id] = observation
        self._ended[run_id] = _now()
        self._attempts.pop(run_id, None)

    def retry(self, run_id: str) -> None:
        """Have a failed run trained again; what came of it stays on record as an attempt.

        Raises:
            InputError: there is no such run, or it succeeded.
            StoreError: it cannot be written.
        """
        tries = attempts_of(run_id, self._specs.get(run_id), self._seen.get(run_id))
        if not tries:
            return
        with self._writing(f"run {run_id}"):
            # One batch, and so one transaction: the run is closed, or open with its attempts.
            text = json.dumps([attempt.to_dict() for attempt in tries], separators=(",", ":"))
            tags = self._text_tags(ATTEMPTS, text, f"attempts/{run_id}-{len(tries)}.json")
            self._tag(self._ids[run_id], tags | {SEEN: ""})
            self._client.update_run(self._ids[run_id], status="SCHEDULED")
        self._attempts[run_id] = tries
        self._started[run_id] = _now()
        self._left.setdefault(run_id, 0)
        self._ended.pop(run_id, None)
        del self._seen[run_id]

    def attempts(self) -> dict[str, tuple[Attempt, ...]]:
        """The failed attempts of runs that are to be trained again, by run id."""
        return dict(self._attempts)

    def entries(self) -> dict[str, Entry]:
        """When every run was opened and closed, and its page where a server has pages."""
        times = self._started, self._ended
        return shown.entries(self._session.pages, self.experiment, self._ids, *times)

    def observations(self) -> list[Observation]:
        """All closed runs, in the order in which they were opened."""
        return [self._seen[i] for i in self._ids if i in self._seen]

    def pending(self) -> list[RunSpec]:
        """Runs that were opened and not closed, in the order in which they were opened."""
        return [self._specs[i] for i in self._ids if i not in self._seen]

    # -- the sweep as a whole ----------------------------------------------------------------------

    def annotate(self, values: Mapping[str, Any]) -> None:
        """Keep facts of the sweep, by name; a name that is there is overwritten.

        Raises:
            InputError: a name that MLflow does not take, or a value that is not plain JSON.
            StoreError: they cannot be written.
        """
        for name, value in values.items():
            if not re.fullmatch(r"[\w\-. /]{1,200}", name, re.ASCII):
                raise InputError(
                    f"annotation {name!r} has a name that MLflow does not take; use letters, "
                    "digits, '_', '-', '.', '/' or spaces"
                )
            text = as_json(name, value)
            with self._writing(f"annotation {name!r}"):
                self._tag(self._parent, self._text_tags(_NOTE + name, text, f"notes/{name}.json"))

    def annotations(self) -> dict[str, Any]:
        """What was annotated, by name.

        Raises:
            StoreError: they cannot be read.
        """
        if not self._parent:
            return {}
        with self._session.words("read"):
            tags = self._client.get_run(self._parent).data.tags
            names = [k.removeprefix(_NOTE) for k in tags if k.startswith(_NOTE)]
            whole = [n for n in names if ":" not in n]  # others are parts of a longer text
            return {n: json.loads(self._text(_NOTE + n, tags)) for n in whole}

    def attach(self, path: Path) -> None:
        """Keep a copy of a file with the sweep.

        Raises:
            StoreError: it cannot be written.
        """
        with self._writing(str(path)):
            self._client.log_artifact(self._parent, str(path))

    # -- what people see -------------------------------------------------------------------------

    def introduce(self, info: TrainerInfo, trainer: str, value: Value | None) -> None:
        """Show the data of the sweep; from now on every run has the metric `objective`.

        Raises:
            StoreError: it cannot be written.
        """
        self._value = value
        with self._writing("the data's description"):
            log_data(self._session, self._parent, info, trainer)

    def summarize(self, state: str, figures: Mapping[str, float], text: str) -> None:
        """End the sweep's own run with a status, its metrics, and a description with links.

        Raises:
            StoreError: it cannot be written.
        """
        with self._writing("the summary"):
            conclude(self._session, self.experiment, self._parent, figures, text)
            self._client.set_terminated(self._parent, _STATES[state])
        self._at_work = False

    # -- reading and writing ---------------------------------------------------------------------

    def _note(self, kept: Kept) -> None:
        """Know a run that is there; of two of one id, the first counts."""
        run_id = kept.run_id
        if run_id in self._ids:
            return
        self._ids[run_id], self._specs[run_id] = kept.mlflow_id, kept.spec
        self._started[run_id] = kept.started
        if kept.seen is None:
            self._left[run_id] = kept.continued
            if kept.attempts:
                self._attempts[run_id] = kept.attempts
            return
        self._seen[run_id], self._ended[run_id] = kept.seen, kept.ended
        if kept.status == "RUNNING" and not self.read_only:  # killed between two writes
            status = "FINISHED" if kept.seen.ok else "FAILED"
            self._client.set_terminated(kept.mlflow_id, status)

    def _read_driver(self) -> str:
        with self._session.words("read"):
            return str(self._client.get_run(self._parent).data.tags.get(_DRIVER, ""))

    def _write_driver(self, note: str) -> None:
        with self._session.words("write"):
            self._client.set_tag(self._parent, _DRIVER, note)

    def _tag(self, mlflow_id: str, tags: Mapping[str, str]) -> None:
        self._client.log_batch(
            mlflow_id, tags=[self._entities.RunTag(k, v) for k, v in tags.items()]
        )

    def _text_tags(self, key: str, text: str, file: str) -> dict[str, str]:
        return self._session.text_tags(self._parent, key, text, file)

    def _text(self, key: str, tags: Mapping[str, str]) -> str:
        return self._session.text(self._parent, key, tags)

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        if self.read_only:
            raise StoreError(f"cannot write {what}: the store was opened to read only")
        if self._lock is None:
            raise StoreError(f"cannot write {what}: the store was released; open it again")
        self._lock.check()
        with self._session.words(f"write {what} to"):
            yield


def _now() -> int:
    return int(time.time() * 1000)
