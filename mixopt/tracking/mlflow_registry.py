"""Promoted mixtures as versions of a registered model in MLflow.

A version is made in this order, so that nothing half-written is ever found: a run that holds the
files, the version that points to them, its aliases. Each step is looked up before it is made, and a
promotion that was killed in between goes on.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Self

import pandas as pd

from mixopt.errors import StoreError
from mixopt.lazy import require
from mixopt.tracking import location
from mixopt.tracking.quiet import quiet
from mixopt.tracking.registry import PREFIX, Entry, Version, check_unmoved, no_version
from mixopt.tracking.session import Session

_PROMOTION, _RECORDS, _RUNS = "mixopt.promotion", "mixopt.records", "mixopt.runs"
_FOLDER, _LAW = "model", "law.json"
_PLACES = {_LAW: f"artifacts/{_LAW}"}  # where MLflow puts what a model reads; the rest lies beside
_DIGEST = 36  # characters of a dataset's digest, in MLflow
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # the latter: of an alias, SQLite
_SERVE = '''"""Serves the fitted law of a mixopt study; its parameters are in artifacts/law.json."""

from pathlib import Path

import mlflow
import pandas as pd

from mixopt.evidence.law_model import LawModel


class Law(mlflow.pyfunc.PythonModel):
    """Columns w/<domain> in; m/<metric>, sd/<metric> and the objective out, or the ranking."""

    def load_context(self, context):
        self.law = LawModel.read(Path(context.artifacts["law"]).read_text(encoding="utf-8"))

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        return self.law.predict(model_input)


mlflow.models.set_model(Law())
'''


class MLflowRegistry:
    """Registered models of an MLflow server or database.

    Args:
        uri: tracking URI, as of the store.
        experiment: full name of the sweep's, which holds the runs of promotions; to register.

    Raises:
        StoreError: it cannot be reached, or has no registry.
    """

    def __init__(self, uri: str, experiment: str = "") -> None:
        place = location.locate(uri)
        self.where, self._experiment = f"MLflow at {place.shown}", experiment
        location.check(place, read_only=True)
        self._session = Session(place)
        self._client = self._session.client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Forget the password again; may be called twice."""
        self._session.close()

    def versions(self, name: str) -> tuple[Version, ...]:
        """See `Registry`."""
        models = sorted(self._search(f"name = '{name}'"), key=lambda v: int(v.version))
        return tuple(Version(name, str(v.version), v.tags.get(_PROMOTION, "")) for v in models)

    def register(self, entry: Entry) -> Version:
        """See `Registry`."""
        made = next((v for v in self.versions(entry.name) if v.promotion == entry.promotion), None)
        if made is not None:
            return made
        with self._words(f"register {entry.name} in"), quiet():
            run = self._run(entry)
            self._model(entry.name)
            version = self._client.create_model_version(
                entry.name,
                source=f"{run.info.artifact_uri}/{_FOLDER}",
                run_id=run.info.run_id,
                tags={
                    _PROMOTION: entry.promotion,
                    _RECORDS: json.dumps([dict(entry.record)]),
                    _RUNS: json.dumps(list(entry.runs)),
                },
                description=entry.description,
                await_creation_for=None,  # files are there already: it is made at once
            )
        return Version(entry.name, str(version.version), entry.promotion)

    def alias(self, name: str, alias: str) -> str:
        """See `Registry`."""
        with self._words("read"):
            try:
                return str(self._client.get_model_version_by_alias(name, alias).version)
            except require("mlflow.exceptions").MlflowException as error:
                if error.error_code in _ABSENT:
                    return ""
                raise

    def move(self, version: Version, alias: str, *, seen: str) -> None:
        """See `Registry`.

        MLflow has no compare-and-set: between the look and the move lies one call. Drivers of one
        study keep each other out by the store's lock; what remains is somebody at MLflow's own
        pages within that instant.
        """
        now = self.alias(version.name, alias)
        if now == version.number:
            return
        check_unmoved(version.name, alias, seen=seen, now=now)
        with self._words(f"move the alias {alias!r} in"):
            self._client.set_registered_model_alias(version.name, alias, version.number)
        if self.alias(version.name, alias) != version.number:
            raise StoreError(
                f"the alias {alias!r} of {version.name} was moved by somebody else at the same "
                "moment; look at it in MLflow"
            )

    def text(self, name: str, version: str, file: str) -> str:
        """See `Registry`."""
        number = self.alias(name, version[1:]) if version.startswith("@") else version
        known = self.versions(name)
        if number not in {v.number for v in known}:
            raise no_version(name, version, self.where, known)
        with self._words(f"read {file} of {name} in"), quiet(), tempfile.TemporaryDirectory() as to:
            source = self._client.get_model_version_download_uri(name, number)
            download = require("mlflow.artifacts").download_artifacts
            path = download(
                artifact_uri=f"{source}/{_PLACES.get(file, file)}",
                dst_path=to,
                tracking_uri=self._client.tracking_uri,
            )
            return Path(path).read_text(encoding="utf-8")

    def note(self, version: Version, record: Mapping[str, Any]) -> None:
        """See `Registry`."""
        with self._words("write"):
            tags = self._client.get_model_version(version.name, version.number).tags
            records = json.loads(tags.get(_RECORDS, "[]"))
            if dict(record) not in records:
                text = json.dumps([*records, dict(record)])
                self._client.set_model_version_tag(version.name, version.number, _RECORDS, text)

    def records(self) -> tuple[Mapping[str, Any], ...]:
        """See `Registry`."""
        models = self._search(f"name LIKE '{PREFIX}%'")
        ordered = sorted(models, key=lambda v: (v.creation_timestamp, v.name, int(v.version)))
        return tuple(
            {**record, "version": str(v.version)}
            for v in ordered
            for record in json.loads(v.tags.get(_RECORDS, "[]"))
        )

    def _search(self, condition: str) -> list[Any]:
        with self._words("read"):
            page, models = None, list[Any]()
            while page is None or page:
                batch = self._client.search_model_versions(condition, page_token=page or None)
                models += batch
                page = batch.token or ""
            return models

    def _run(self, entry: Entry) -> Any:
        """The run that holds the files of an entry; a killed promotion's goes on."""
        client, experiment = self._client, self._client.get_experiment_by_name(self._experiment)
        ids = [experiment.experiment_id]
        made = client.search_runs(ids, f"tags.`{_PROMOTION}` = '{entry.promotion}'")
        if made and made[0].info.status == "FINISHED":
            return made[0]
        parents = client.search_runs(ids, "tags.`mixopt.entry` = 'sweep'")
        tags = {
            "mixopt.entry": "promotion",
            _PROMOTION: entry.promotion,
            _RUNS: json.dumps(self._lineage(ids, entry.runs)),
            **({"mlflow.parentRunId": parents[0].info.run_id} if parents else {}),
        }
        run = (
            made[0]
            if made
            else client.create_run(ids[0], tags=tags, run_name=f"promotion {entry.promotion[:6]}")
        )
        run_id = run.info.run_id
        entities = self._session.entities
        with tempfile.TemporaryDirectory() as folder:
            self._save(entry, Path(folder))
            client.log_artifacts(run_id, str(Path(folder) / _FOLDER), _FOLDER)
        for name, value in entry.metrics.items():
            client.log_metric(run_id, name, value)
        client.log_inputs(run_id, [_dataset(entities, n, t) for n, t in entry.tables.items()])
        client.set_terminated(run_id, "FINISHED")
        return run

    def _lineage(self, experiments: list[str], runs: tuple[str, ...]) -> list[str]:
        """MLflow's own ids of runs."""
        page, ids = None, dict[str, str]()
        while page is None or page:
            batch = self._client.search_runs(
                experiments, "tags.`mixopt.entry` = 'run'", page_token=page or None
            )
            ids |= {r.data.tags["mixopt.run_id"]: str(r.info.run_id) for r in batch}
            page = batch.token or ""
        return [ids[run] for run in runs if run in ids]

    def _model(self, name: str) -> None:
        try:
            self._client.get_registered_model(name)
        except require("mlflow.exceptions").MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            self._client.create_registered_model(name, description="Mixtures of a mixopt study")

    def _save(self, entry: Entry, folder: Path) -> None:
        """A model in MLflow's own form: code that reads JSON, no pickle."""
        for name, text in entry.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "serve.py").write_text(_SERVE, encoding="utf-8")
        types = require("mlflow.types")
        schemas = [
            types.Schema([types.ColSpec("double", column) for column in columns])
            for columns in (entry.inputs, entry.outputs)
        ]
        require("mlflow.pyfunc").save_model(
            str(folder / _FOLDER),
            python_model=str(folder / "serve.py"),
            artifacts={"law": str(folder / _LAW)},
            signature=require("mlflow.models").ModelSignature(*schemas),
            pip_requirements=[f"mixopt[laws,mlflow]=={installed('mixopt')}"],
        )
        for name, text in entry.files.items():
            if name not in _PLACES:
                (folder / _FOLDER / name).write_text(text, encoding="utf-8")

    @contextmanager
    def _words(self, what: str) -> Iterator[None]:
        """What MLflow and its database raise, as a `StoreError`."""
        errors = require("mlflow.exceptions")
        foreign = (errors.MlflowException, require("sqlalchemy.exc").SQLAlchemyError, OSError)
        try:
            yield
        except foreign as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            told = self._session.hidden(lines[0])[:300] if lines else ""
            code = error.error_code if isinstance(error, errors.MlflowException) else ""
            remedy = (
                "ask for the permission to register models there"
                if code in {"PERMISSION_DENIED", "UNAUTHENTICATED"}
                else "the runs and the decision are safe in the store; mend it, and run the same "
                "command again: nothing is trained twice"
            )
            raise StoreError(
                f"cannot {what} the registry of {self.where}: {type(error).__name__}: {told}; "
                f"{remedy}"
            ) from error


def _dataset(entities: Any, name: str, table: pd.DataFrame) -> Any:
    """A table as MLflow keeps datasets: name, digest, columns and size, without its rows."""
    made = require("mlflow.data").from_pandas(table, name=name).to_dict()
    kept = ("name", "digest", "source_type", "source", "schema", "profile")
    values = {key: made[key] for key in kept}
    values["digest"] = str(values["digest"])[:_DIGEST]
    tag = entities.InputTag("mlflow.data.context", name)
    return entities.DatasetInput(entities.Dataset(**values), [tag])
