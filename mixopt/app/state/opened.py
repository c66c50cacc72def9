"""A sweep for notebooks: its runs, where it stands, what it answers, and a study to go on with."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mixopt.app.results import publish
from mixopt.app.running import launch
from mixopt.app.state.state import SweepState, state_of
from mixopt.errors import InputError
from mixopt.evidence.outcome import Outcome
from mixopt.runs import Observation
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace, html
from mixopt.study import Study


@dataclass(frozen=True)
class OpenedSweep:
    """A sweep as its record had it when it was opened, finished or running; nothing is held open.

    Attributes:
        name: of the sweep.
        folder: of the sweep.
        space: the mixtures that are allowed.
        objective: what is to be minimised.
        observations: the runs that came in, failed ones included.
        state: where it stood: runs, cost, failures by cause, hosts.
    """

    name: str
    folder: Path
    space: MixtureSpace
    objective: Objective = field(hash=False)
    observations: tuple[Observation, ...] = field(hash=False, repr=False)
    state: SweepState = field(hash=False, repr=False)
    _source: Path = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"<sweep {self.name!r}: {self.state.state}, {len(self.observations)} runs over "
            f"{self.space.dim} domains>"
        )

    def _repr_html_(self) -> str:
        head = html.paragraph(repr(self).strip("<>"), strong=True)
        said = "".join(html.paragraph(line) for line in self.state.answer)
        runs = self.table._repr_html_() if any(o.ok for o in self.observations) else ""
        return head + said + runs

    @property
    def table(self) -> RunTable:
        """The runs that succeeded.

        Raises:
            InputError: none did.
        """
        return RunTable.from_observations(self.observations, self.space.names)

    @property
    def frame(self) -> pd.DataFrame:
        """The same, tidy: facts, `w/<domain>`, `m/<metric>`."""
        return self.table.frame

    def outcome(self) -> Outcome:
        """What its runs have shown by now, as the report has it; laws are fitted if runs are new.

        Raises:
            InputError: no search run succeeded, or the strategy gives no answer.
        """
        with launch.open_sweep(self._source) as sweep:
            return publish.conclude(sweep)

    def study(self, law: str = "auto") -> Study:
        """Its runs as a study, for other laws, predictions and questions of one's own.

        Args:
            law: name of the law that the study uses.

        Raises:
            InputError: no run succeeded.
        """
        study = Study(self.space, self.objective, law=law)
        study.tell(self.table)
        return study

    def refresh(self) -> "OpenedSweep":
        """The sweep as it is now."""
        return open_sweep(self._source)


def open_sweep(sweep: str | Path) -> OpenedSweep:
    """Open a sweep, also while it is running; nothing is trained or written.

    Args:
        sweep: its folder, its spec.yaml (which has the address and password of a store elsewhere),
            or its name below `runs`.

    Raises:
        InputError: it is the address of a server.
        StoreError: there is no such sweep, or it cannot be read.
    """
    if "://" in str(sweep):
        raise InputError(
            f"{sweep} is an address, and many sweeps may be there; name the sweep's folder or its "
            "spec.yaml, whose store.uri is followed"
        )
    with launch.open_sweep(Path(sweep)) as opened:
        return OpenedSweep(
            opened.spec.name,
            opened.folder,
            opened.problem.space,
            opened.problem.objective,
            tuple(opened.store.observations()),
            state_of(opened, time.time()),
            Path(sweep).absolute() if Path(sweep).exists() else Path(sweep),
        )
