"""From a sweep, or a fitted table, to its report; nothing is fitted here."""

from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mixopt import report
from mixopt.app.running.launch import Sweep
from mixopt.errors import StoreError
from mixopt.evidence.decision import ANNOTATION as PROMOTED
from mixopt.evidence.decision import Decision
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered
from mixopt.ports import Dated
from mixopt.runs import Observation
from mixopt.runs.files import write_atomically
from mixopt.runs.objective import judged
from mixopt.threads import one_blas_thread

REPORT = "report.html"


def observations_of(sweep: Sweep) -> list[Observation]:
    """The runs as the objective sees them: one without a metric that it needs has failed."""
    return [judged(o, sweep.problem.objective) for o in sweep.store.observations()]


def write_report(
    sweep: Sweep, outcome: Outcome | Unanswered, path: Path | None = None, *, running: str = ""
) -> Path:
    """Write the sweep's HTML report; `report.html` in its folder by default.

    Args:
        sweep: finished, or as far as it has got.
        outcome: what was concluded, or why nothing was.
        path: where to write.
        running: what is under way, in words; the page then loads itself again.

    Raises:
        StoreError: the file cannot be written.
    """
    target = path or sweep.folder / REPORT
    _write(target, sweep_data(sweep, outcome, running=running))
    return target


def write_picture(sweep: Sweep, outcome: Outcome | Unanswered, path: Path) -> Path:
    """Draw the answer as one still picture; the ending of the name decides the format.

    Args:
        sweep: finished, or as far as it has got.
        outcome: what was concluded, or why nothing was.
        path: where to write; `.svg`, `.png` or `.pdf`.

    Raises:
        InputError: another ending, or there is no answer yet.
        StoreError: the file cannot be written.
    """
    drawn = report.picture(sweep_data(sweep, outcome), path.suffix.removeprefix(".").lower())
    _write_bytes(path, drawn)
    return path


def sweep_data(
    sweep: Sweep, outcome: Outcome | Unanswered, *, running: str = ""
) -> report.ReportData:
    """What the report of a sweep shows."""
    decision, unread = _promoted(sweep)
    facts = {
        "mixopt": version("mixopt"),
        **unread,
        "spec": sweep.spec.shown(),
        "data": dict(sweep.info.notes),
    }
    observations, space = tuple(observations_of(sweep)), sweep.problem.space
    if not any(o.spec.data for o in observations):  # where they say it themselves, they are asked
        facts = {"Data manifest": sweep.info.data, **facts}
    origin = _origin(sweep, running)
    if isinstance(outcome, Outcome):
        data = report.outcome_data(
            outcome, space, sweep.spec.name, observations, origin=origin, facts=facts
        )
        return replace(data, promotion=decision, past=sweep.past)
    return report.ReportData(
        sweep.spec.name,
        space,
        sweep.problem.objective,
        observations,
        unit=sweep.info.unit,
        facts=facts,
        warnings=outcome.warnings,
        reason=outcome.reason,
        origin=origin,
        promotion=decision,
    )


def _promoted(sweep: Sweep) -> tuple[Decision | None, dict[str, Any]]:
    """The last decision of promotion; where it cannot be read, why, as a fact."""
    kept = sweep.store.annotations().get(PROMOTED)
    if kept is None:
        return None, {}
    try:
        return Decision.from_dict(kept), {}
    except StoreError as error:
        return None, {"promotion": str(error)}


@one_blas_thread
def _write(path: Path, data: report.ReportData) -> None:
    _write_bytes(path, report.render(data).encode())


def _write_bytes(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; give another path") from error


def _origin(sweep: Sweep, running: str) -> report.Origin:
    store, spec = sweep.store, sweep.spec
    entries = store.entries() if isinstance(store, Dated) else {}
    closed = [e.closed for e in entries.values() if e.closed is not None]
    hint = ""
    if spec.store.use == "mlflow" and not any(e.page for e in entries.values()):
        hint = f"To see every run with its curves in MLflow: mixopt ui {sweep.folder}"
    return report.Origin(
        spec.question,
        spec.owner,
        datetime.now(UTC).astimezone(),
        _local(min((e.opened for e in entries.values()), default=None)),
        None if running else _local(max(closed, default=None)),
        running,
        {run_id: e.page for run_id, e in entries.items() if e.page},
        hint,
    )


def _local(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).astimezone()
