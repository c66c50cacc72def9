"""A connection to MLflow: its client, and what it raises in our words."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mixopt.errors import StoreAwayError, StoreError
from mixopt.execution.environment import variables_set
from mixopt.lazy import require
from mixopt.space.redaction import redact
from mixopt.tracking import location, records
from mixopt.tracking.location import Location
from mixopt.tracking.quiet import quiet

# MLflow alone would try for four minutes before it says that nobody answers.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
_ARTIFACT = "artifact:"
_FULL = ("disk is full", "disk i/o error", "no space left", "database is locked")


class Session:
    """MLflow's public client for one store, from opening to `close`.

    Args:
        where: the store.

    Attributes:
        client: `mlflow.tracking.MlflowClient`.
        entities: the module `mlflow.entities`.
        shown: the address for people.
        pages: where a server's own pages begin; empty without a server.
    """

    def __init__(self, where: Location) -> None:
        self.shown = where.shown
        self.pages = where.uri.rstrip("/") if where.is_server else ""
        self._secrets = frozenset({where.password} if where.password else ())
        self._stack = ExitStack()
        with self.words("open"), quiet():
            self._stack.enter_context(location.signed_in(where))
            self._stack.enter_context(variables_set(_PATIENCE))
            self._stack.enter_context(_without_tracebacks())
            self.entities: Any = require("mlflow.entities")
            client = require("mlflow.tracking").MlflowClient
            self.client: Any = client(where.uri, registry_uri=where.uri)

    def close(self) -> None:
        """Give the environment back; may be called twice."""
        self._stack.close()

    def hidden(self, text: str) -> str:
        """A text without the store's password."""
        hidden: str = redact(text, known=self._secrets)
        return hidden

    def text_tags(self, run: str, key: str, text: str, file: str) -> dict[str, str]:
        """A text as tags; one that is too long for them goes to a file of a run.

        Args:
            run: MLflow's id of the run that holds the file.
            key: of the tags.
            text: what is to be kept.
            file: path of the file in the run.
        """
        tags = records.to_tags(key, text)
        if tags is None:
            self.client.log_text(run, text, file)
            tags = {key: _ARTIFACT + file}
        return tags

    def text(self, run: str, key: str, tags: Mapping[str, str]) -> str:
        """The text that `text_tags` put into tags, `null` if there is none."""
        text = records.from_tags(key, tags) or "null"
        if not text.startswith(_ARTIFACT):
            return text
        file = self.client.download_artifacts(run, text.removeprefix(_ARTIFACT))
        return Path(file).read_text(encoding="utf-8")

    @contextmanager
    def words(self, what: str) -> Iterator[None]:
        """What MLflow and its database raise, as a `StoreError`.

        Raises:
            StoreAwayError: the store does not answer, or has no room; later it may.
            StoreError: it cannot do this.
        """
        errors = require("mlflow.exceptions"), require("sqlalchemy.exc")
        foreign = (errors[0].MlflowException, errors[1].SQLAlchemyError, OSError)
        try:
            yield
        except foreign as error:
            kind = StoreAwayError if _may_pass(error) else StoreError
            raise kind(
                f"cannot {what} the store {self.shown}: {self._brief(error)}; what was closed "
                "before is safe, and the sweep can be resumed"
            ) from error

    def _brief(self, error: BaseException) -> str:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        first = self.hidden(lines[0])[:300] if lines else ""
        return f"{type(error).__name__}: {first}"


def _may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later: nobody answers, or a disk is full."""
    text = str(error).lower()
    if any(sign in text for sign in _FULL):
        return True
    if isinstance(error, require("mlflow.exceptions").MlflowException):
        code: int = error.get_http_status_code()
        return code >= 500 or code in {408, 429}
    database = require("sqlalchemy.exc")
    if isinstance(error, database.SQLAlchemyError):
        passing = database.OperationalError, database.InterfaceError, database.TimeoutError
        return isinstance(error, passing)
    return not isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError)


@contextmanager
def _without_tracebacks() -> Iterator[None]:
    """MLflow logs what its database raises, ninety lines each; we raise it in one."""

    def has_none(record: logging.LogRecord) -> bool:
        return record.exc_info is None

    logger = logging.getLogger("mlflow.store.db.utils")
    logger.addFilter(has_none)
    try:
        yield
    finally:
        logger.removeFilter(has_none)
