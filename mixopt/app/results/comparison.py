"""From sweeps on disk to sweeps side by side; nothing is fitted that was concluded before."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mixopt.app.results.publish import concluded
from mixopt.app.results.reports import observations_of
from mixopt.app.running.launch import Sweep, open_sweep
from mixopt.errors import StoreError
from mixopt.evidence.outcome import Outcome
from mixopt.report import side_by_side
from mixopt.report.compared import Compared, Side, compare
from mixopt.report.spent import spent_flops, spent_seconds
from mixopt.report.wording import scale_name
from mixopt.runs.files import write_atomically


def compare_sweeps(paths: Sequence[Path]) -> Compared:
    """Read sweeps and put them side by side.

    Args:
        paths: names, folders or specs of two sweeps or more.

    Raises:
        InputError: see `mixopt.report.compared.compare`.
        StoreError: a sweep cannot be read.
    """
    sides = []
    for path in paths:
        with open_sweep(path) as sweep:
            sides.append(side_of(sweep))
    return compare(sides)


def side_of(sweep: Sweep) -> Side:
    """What a comparison needs of a sweep, as it was concluded."""
    answer, spec, seen = concluded(sweep), sweep.spec, observations_of(sweep)
    side = Side(
        spec.name,
        sweep.problem.space,
        sweep.problem.objective,
        answer.headline,
        answer.verdict,
        question=spec.question,
        owner=spec.owner,
        unit=sweep.info.unit,
        metrics=sweep.info.metrics,
        scales=tuple(scale_name(s) for s in sorted({o.spec.scale for o in seen})),
        data=sweep.info.data,
        runs=len(seen),
        failed=sum(not o.ok for o in seen),
        flops=spent_flops(seen),
        seconds=spent_seconds(seen),
        spec=spec.shown(),
    )
    if not isinstance(answer, Outcome):
        return side
    return replace(
        side,
        objective=answer.objective,
        trust=answer.checkup.trust.level,
        recommendation=answer.recommendation,
        confirmation=answer.confirmation,
    )


def write_page(compared: Compared, path: Path) -> None:
    """Write the HTML page.

    Raises:
        StoreError: the file cannot be written.
    """
    text = side_by_side.render(compared, datetime.now(UTC).astimezone())
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; give another path") from error
