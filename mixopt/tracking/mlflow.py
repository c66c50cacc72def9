"""A sweep in MLflow: the record and the journal. Written by the driver alone.

An experiment per sweep; in it one parent run for the sweep as a whole and a nested run per run
spec. What mixopt reads back is JSON in tags, exact; params and metrics are the view for people.
A run is closed when its observation is in its tags, which is what MLflow writes last.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mixopt.errors import InputError, StoreError
from mixopt.execution.local import as_json, attempts_of
from mixopt.lazy import require
from mixopt.runs import Attempt, Observation, RunSpec
from mixopt.space.redaction import redact
from mixopt.tracking import database_uri, location, records
from mixopt.tracking.locks import FileLock, Lease
from mixopt.tracking.quiet import quiet

_FORMAT = "2"  # of the tags below; a store of another format is refused
_ENTRY, _RUN, _ORDER = "mixopt.entry", "mixopt.run_id", "mixopt.order"  # entry: sweep or run
_KIND, _CANDIDATE = "mixopt.kind", "mixopt.candidate"
_SPEC, _SEEN, _ERROR, _NOTE = "mixopt.spec", "mixopt.observation", "mixopt.error", "mixopt.note."
_DRIVER, _ATTEMPTS = "mixopt.driver", "mixopt.attempts"
_ARTIFACT = "artifact:"
_PAGE = 1000
_TAGS_PER_BATCH = 90


class MLflowStore:
    """A sweep's runs in MLflow.

    Args:
        uri: tracking URI; `sqlite:///<file>` is made if it is not there. The password in it, or
            the variable that stands for it as `$NAME`, is shown nowhere.
        name: of the sweep, and of its experiment.
        artifacts: where a SQLite store keeps files, by default `artifacts` beside the database;
            a server has its own place.
        read_only: look only; does not wait for, or keep out, the driver of the sweep.

    Raises:
        StoreError: the store cannot be reached or written, has no space, was written by another
            version, or another driver is running this sweep.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        artifacts: str | Path | None = None,
        read_only: bool = False,
    ) -> None:
        where = location.locate(uri)
        self.uri, self.name, self.read_only = where.shown, name, read_only
        self._secrets = frozenset({where.password} if where.password else ())
        self._session = ExitStack()
        self._lock: FileLock | Lease | None = None
        self._ids: dict[str, str] = {}  # run_id to MLflow's own, in the order of opening
        self._started: dict[str, int] = {}  # run_id to milliseconds
        self._specs: dict[str, RunSpec] = {}
        self._seen: dict[str, Observation] = {}
        self._attempts: dict[str, tuple[Attempt, ...]] = {}  # of runs that are to be trained again
        self._what = f"sweep {name!r} in {self.uri}"
        location.check(where, read_only=read_only)
        database = where.database
        if database is not None and not read_only:
            safe = re.sub(r"[^0-9A-Za-z._-]", "_", name)
            lock = database.with_name(f"{database.name}.{safe}.lock")
            self._lock = FileLock(lock, self._what)
        with ExitStack() as undo, self._words("open"), quiet():
            undo.callback(self.release)  # unless everything below succeeds
            self._session.enter_context(location.signed_in(where))
            self._entities = require("mlflow.entities")
            self._client = require("mlflow.tracking").MlflowClient(
                where.uri, registry_uri=where.uri
            )
            place = Path(artifacts or database.parent / "artifacts") if database else None
            self._experiment = self._find_experiment(place)
            self._parent = self._find_parent()
            if self._lock is None and not read_only:
                self._lock = Lease(self._read_driver, self._write_driver, self._what)
            self._read_runs()
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let other drivers run the sweep; may be called twice."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self._session.close()

    @property
    def sweep_id(self) -> str:
        """MLflow's id of the parent run, for links and artifacts."""
        return self._parent

    # -- the journal -----------------------------------------------------------------------------

    def open(self, spec: RunSpec) -> None:
        """Note that a run is about to be submitted. Opening it again changes nothing.

        Raises:
            StoreError: it cannot be written.
        """
        if spec.run_id in self._ids:
            if spec.run_id in self._attempts:
                self._client.update_run(self._ids[spec.run_id], status="RUNNING")
            return
        tags = {
            "mlflow.parentRunId": self._parent,
            _ENTRY: "run",
            _RUN: spec.run_id,
            _ORDER: str(len(self._ids)),
            _KIND: str(spec.kind.what),
        }
        if spec.kind.candidate:
            tags[_CANDIDATE] = spec.kind.candidate[: records.PART_CHARS]
        started = _now()
        with self._writing(f"run {spec.run_id}"):
            tags |= self._text_tags(_SPEC, records.write_spec(spec), f"specs/{spec.run_id}.json")
            run = self._client.create_run(
                self._experiment,
                start_time=started,
                tags=tags,
                run_name=f"{str(spec.kind)[:200]} {spec.run_id[:6]}",
            )
            shown = [self._entities.Param(k, v) for k, v in records.params(spec).items()]
            self._client.log_batch(run.info.run_id, params=shown)
        self._ids[spec.run_id] = run.info.run_id
        self._started[spec.run_id] = started
        self._specs[spec.run_id] = spec

    def close(self, observation: Observation) -> None:
        """Note what came of a run. The first observation of a `run_id` stays.

        Raises:
            StoreError: it cannot be written.
        """
        run_id = observation.run_id
        if run_id in self._seen:
            return
        self.open(observation.spec)
        error = redact(observation.error, known=self._secrets)
        attempts = self._attempts.get(run_id, ())
        observation = replace(observation, error=error, attempts=attempts)
        with self._writing(f"run {run_id}"):
            text = records.write_observation(observation)
            tags = self._text_tags(_SEEN, text, f"observations/{run_id}.json")
            if observation.error or attempts:  # of an earlier attempt no reason may be left
                tags[_ERROR] = observation.error[: records.PART_CHARS]
            self._log(run_id, observation, tags)
            status = "FINISHED" if observation.ok else "FAILED"
            self._client.set_terminated(self._ids[run_id], status)
        self._seen[run_id] = observation
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
            tags = self._text_tags(_ATTEMPTS, text, f"attempts/{run_id}-{len(tries)}.json")
            self._tag(self._ids[run_id], tags | {_SEEN: ""})
            self._client.update_run(self._ids[run_id], status="SCHEDULED")
        self._attempts[run_id] = tries
        self._started[run_id] = _now()
        del self._seen[run_id]

    def attempts(self) -> dict[str, tuple[Attempt, ...]]:
        """The failed attempts of runs that are to be trained again, by run id."""
        return dict(self._attempts)

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
        with self._words("read"):
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

    # -- reading and writing ---------------------------------------------------------------------

    def _find_experiment(self, place: Path | None) -> str:
        experiment = self._client.get_experiment_by_name(self.name)
        if experiment is None:
            if self.read_only:
                raise StoreError(f"{self.uri} holds no sweep {self.name!r}; 'mixopt run' starts it")
            location = place.resolve().as_uri() if place is not None else None
            return str(self._client.create_experiment(self.name, artifact_location=location))
        if experiment.lifecycle_stage != "active":
            raise StoreError(
                f"experiment {self.name!r} was deleted in {self.uri}; restore it in the MLflow UI, "
                "or give the sweep another name"
            )
        return str(experiment.experiment_id)

    def _find_parent(self) -> str:
        """The parent run; made if it is not there."""
        parents = self._client.search_runs([self._experiment], f"tags.`{_ENTRY}` = 'sweep'")
        if parents:
            form = parents[0].data.tags.get("mixopt.format")
            if form != _FORMAT:
                raise StoreError(
                    f"sweep {self.name!r} in {self.uri} is of store format {form}, and this mixopt "
                    f"reads {_FORMAT}; use the version that wrote it, or another sweep name"
                )
            return str(parents[0].info.run_id)
        if self.read_only:
            return ""
        tags = {_ENTRY: "sweep", "mixopt.format": _FORMAT}
        return str(
            self._client.create_run(self._experiment, tags=tags, run_name=self.name).info.run_id
        )

    def _read_runs(self) -> None:
        page = None
        runs: list[Any] = []
        while page is None or page:
            batch = self._client.search_runs(
                [self._experiment], f"tags.`{_ENTRY}` = 'run'", max_results=_PAGE, page_token=page
            )
            runs += batch
            page = batch.token or ""
        for run in sorted(runs, key=lambda r: int(r.data.tags[_ORDER])):
            self._read_run(run)

    def _read_run(self, run: Any) -> None:
        tags = run.data.tags
        run_id = tags[_RUN]
        spec = records.read_spec(self._text(_SPEC, tags))
        self._ids.setdefault(run_id, run.info.run_id)
        self._started.setdefault(run_id, run.info.start_time)
        self._specs.setdefault(run_id, spec)
        if tags.get(_SEEN):
            seen = records.read_observation(self._text(_SEEN, tags), spec)
            self._seen.setdefault(run_id, seen)
            if run.info.status == "RUNNING" and not self.read_only:  # killed between two writes
                self._client.set_terminated(run.info.run_id, "FINISHED" if seen.ok else "FAILED")
        elif _ATTEMPTS in tags:
            tries = tuple(map(Attempt.from_dict, json.loads(self._text(_ATTEMPTS, tags))))
            self._attempts.setdefault(run_id, tries)
            self._started[run_id] = max(run.info.start_time, round(1000 * tries[-1].until))

    def _log(self, run_id: str, seen: Observation, tags: Mapping[str, str]) -> None:
        """Metrics and tags, in one batch unless there are more than 900 of them."""
        started, end = self._started[run_id], seen.spec.scale.tokens
        metrics = [
            self._entities.Metric(key, value, started + int(1000 * seen.seconds * step / end), step)
            for key, value, step in records.values(seen)
        ]
        size = records.MAX_VALUES
        batches = [metrics[i : i + size] for i in range(0, len(metrics), size)] or [[]]
        for batch in batches[:-1]:
            self._client.log_batch(self._ids[run_id], metrics=batch)
        last = [self._entities.RunTag(k, v) for k, v in tags.items()]
        self._client.log_batch(self._ids[run_id], metrics=batches[-1], tags=last)

    def _read_driver(self) -> str:
        with self._words("read"):
            return str(self._client.get_run(self._parent).data.tags.get(_DRIVER, ""))

    def _write_driver(self, note: str) -> None:
        with self._words("write"):
            self._client.set_tag(self._parent, _DRIVER, note)

    def _tag(self, mlflow_id: str, tags: Mapping[str, str]) -> None:
        self._client.log_batch(
            mlflow_id, tags=[self._entities.RunTag(k, v) for k, v in tags.items()]
        )

    def _text_tags(self, key: str, text: str, file: str) -> dict[str, str]:
        """A text as tags; one that is too long for them goes to a file of the parent run."""
        tags = records.to_tags(key, text)
        if tags is None:
            self._client.log_text(self._parent, text, file)
            tags = {key: _ARTIFACT + file}
        return tags

    def _text(self, key: str, tags: Mapping[str, str]) -> str:
        text = records.from_tags(key, tags) or "null"
        if not text.startswith(_ARTIFACT):
            return text
        file = self._client.download_artifacts(self._parent, text.removeprefix(_ARTIFACT))
        return Path(file).read_text(encoding="utf-8")

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        if self.read_only:
            raise StoreError(f"cannot write {what}: the store was opened to read only")
        if self._lock is None:
            raise StoreError(f"cannot write {what}: the store was released; open it again")
        self._lock.check()
        with self._words(f"write {what} to"):
            yield

    def _brief(self, error: BaseException) -> str:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        first = redact(lines[0], known=self._secrets)[:300] if lines else ""
        return f"{type(error).__name__}: {first}"

    @contextmanager
    def _words(self, what: str) -> Iterator[None]:
        """What MLflow and its database raise, as a `StoreError`."""
        foreign = (
            require("mlflow.exceptions").MlflowException,
            require("sqlalchemy.exc").SQLAlchemyError,
            OSError,
        )
        try:
            yield
        except foreign as error:
            raise StoreError(
                f"cannot {what} the store {self.uri}: {self._brief(error)}; what was closed before "
                "is safe, and the sweep can be resumed"
            ) from error


def open_mlflow(
    folder: Path, name: str, *, read_only: bool = False, uri: str | None = None
) -> MLflowStore:
    """The record of the sweep `name` of a folder, in MLflow.

    Args:
        folder: of the sweep; holds the artifacts of a store in a file.
        name: of the sweep, and of its experiment.
        read_only: look only.
        uri: tracking URI; by default SQLite in the folder.

    Raises:
        StoreError: see `MLflowStore`.
    """
    return MLflowStore(
        uri or database_uri(folder), name, artifacts=folder / "artifacts", read_only=read_only
    )


def _now() -> int:
    return int(time.time() * 1000)
