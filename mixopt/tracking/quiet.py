"""MLflow without what it says on the way: this process shows what a sweep does."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mixopt.lazy import require


@contextmanager
def quiet() -> Iterator[None]:
    """No reports home, no links and bars, no lines about tables being made, no import warnings."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    loggers = [logging.getLogger(n) for n in ("alembic", "mlflow.store.db.utils")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        require("mlflow.tracking")  # sets the levels of its loggers
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
