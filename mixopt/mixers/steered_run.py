"""A run with a mixer that a program of its own trains: a file says what it is, another where it is.

Whoever starts the program writes the first (`write_run`). The program opens it (`SteeredRun.open`,
or `mixopt mixer --run FILE` from any language), trains segment by segment, and keeps the session
after each; `finished` reads what came of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.errors import InputError
from mixopt.mixers.base import Setup
from mixopt.mixers.course import record
from mixopt.mixers.named import mixer_of
from mixopt.mixers.session import Session
from mixopt.runs import Realised, RunSpec
from mixopt.runs.files import write_atomically

FORMAT = 1


@dataclass(frozen=True)
class SteeredRun:
    """A run with a mixer, for the program that trains it.

        from mixopt.mixers import Measured, SteeredRun

        run = SteeredRun.open("mixer.json", steps=1000)
        session = run.session()
        while (segment := session.segment) is not None:
            ...  # train segment.steps by segment.sampling, and measure segment.measure
            session = session.after(Measured(session.step + segment.steps, tokens, values))
            run.keep(session)

    Attributes:
        spec: the run.
        setup: of its mixer.
        state: file in which its session is kept.
    """

    spec: RunSpec
    setup: Setup
    state: Path

    @classmethod
    def open(cls, path: str | Path, steps: int) -> "SteeredRun":
        """The run of a file that `write_run` wrote.

        Args:
            path: of the file.
            steps: that the program will take over the run's tokens.

        Raises:
            InputError: the file is none of `write_run`, or of another format version.
        """
        path = Path(path)
        values = _read(path, "give the file that stands for {mixer_file}")
        if values.get("format") != FORMAT:
            raise InputError(
                f"{path} has format {values.get('format')!r}, and this mixopt reads {FORMAT}; use "
                "the mixopt that started the run"
            )
        try:
            spec = RunSpec.from_dict(values["run"])
            targets, state = list(values["targets"]), Path(values["state"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path} is no file of a steered run ({type(error).__name__}: {error}); give the "
                "file that stands for {mixer_file}"
            ) from error
        return cls(spec, Setup.of(spec, steps, targets), state)

    def session(self) -> Session:
        """Where the run is: at its start, or where `keep` left off.

        Raises:
            InputError: the state is of another mixopt, mixer or number of steps.
        """
        assert self.spec.mixer is not None
        mixer = mixer_of(self.spec.mixer)
        if not self.state.exists():
            return Session.begin(mixer, self.setup)
        kept = _read(self.state, "delete it to start the run anew")
        if kept.get("steps") != self.setup.steps:
            raise InputError(
                f"{self.state} is of a run of {kept.get('steps')} steps, and this one has "
                f"{self.setup.steps}; give the same steps, or delete the file to start anew"
            )
        return Session.resume(mixer, self.setup, kept["session"])

    def keep(self, session: Session) -> None:
        """Write where the run is, all of it or nothing.

        Raises:
            OSError: the file cannot be written.
        """
        values = {"steps": self.setup.steps, "session": session.to_dict()}
        write_atomically(self.state, json.dumps(values, allow_nan=False).encode())


@dataclass(frozen=True)
class Finished:
    """What came of a steered run.

    Attributes:
        record: see `mixopt.mixers.record`.
        cost_ratio: of its steps, branches and reference run over its steps alone; what looks cost
            is the program's own.
        realised: what the program said that it drew.
    """

    record: Mapping[str, Any]
    cost_ratio: float
    realised: Realised


def write_run(path: Path, spec: RunSpec, targets: Sequence[str], state: Path) -> None:
    """Write the file that says what a run is, for `SteeredRun.open`.

    Args:
        path: of the file.
        spec: of a run that has a mixer.
        targets: metrics of the training domains, used where the mixer names no targets.
        state: file in which the program keeps its session.

    Raises:
        OSError: the file cannot be written.
    """
    values = {
        "format": FORMAT,
        "run": spec.to_dict(),
        "targets": list(targets),
        "state": str(state),
    }
    write_atomically(path, json.dumps(values, indent=1).encode())


def finished(path: Path) -> Finished:
    """What came of the run of a file.

    Args:
        path: of the file that `write_run` wrote.

    Raises:
        InputError: its program kept no session, or did not come to its end.
    """
    run = SteeredRun.open(path, 1)  # the state knows its steps
    if not run.state.exists():
        raise InputError(
            f"its mixer was never asked: there is no {run.state}; open {{mixer_file}} with "
            "mixopt.mixers.SteeredRun or `mixopt mixer --run`, and keep the session"
        )
    steps = _read(run.state, "train the run anew").get("steps")
    if not isinstance(steps, int):
        raise InputError(f"{run.state} is no state of a steered run; train the run anew")
    session = SteeredRun.open(path, steps).session()
    if session.segment is not None:
        raise InputError(
            f"its mixer is at step {session.step} of {steps}: the program ended before its run; "
            "report every segment, the last one too"
        )
    work = session.state.work
    ratio = 1.0 + work.get("branch_steps", 0) / max(1, work.get("steps", 0))
    ratio += run.setup.reference(session.mixer.needs()) is not None
    names, used = session.setup.space.names, session.state.used
    drawn = {name: round(tokens) for name, tokens in zip(names, used, strict=True)}
    batch = round(sum(used) / steps)
    return Finished(
        record(session, ratio), ratio, Realised.whole(drawn, (len(names) + 1) * max(1, batch))
    )


def _read(path: Path, remedy: str) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({error}); {remedy}") from error
    if not isinstance(values, Mapping):
        raise InputError(f"{path} holds no JSON object; {remedy}")
    return values
