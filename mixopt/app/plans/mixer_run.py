"""The run that `mixopt mixer` steers: from the command line to a session, and its state on disk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mixopt.app.plans.manifest import number, pairs, whole
from mixopt.app.plans.writing import write_together
from mixopt.app.spec.space_spec import SpaceSpec
from mixopt.app.spec.value_files import read_values
from mixopt.errors import InputError, shorten
from mixopt.mixers import Session, Setup, SteeredRun, mixer
from mixopt.space import Domain, Mixture, MixtureSpace

_OPTIONS = {"name": "NAME", "settings": "--set"} | {
    name: f"--{name}"
    for name in ("domains", "tokens", "steps", "targets", "start", "space", "seed", "state")
}
_SPACE = "give the keys of 'space' in a spec: bounds, groups, ties, budget, epochs"


@dataclass(frozen=True)
class Asked:
    """The command line, as it was given.

    Attributes:
        name: of the mixer.
        domains: `NAME` or `NAME=TOKENS`, with commas between.
        tokens, steps: of the run.
        targets: `NAME` or `NAME=WEIGHT`, with commas; the domains by default.
        start: `uniform`, `natural` or `NAME=SHARE`, with commas.
        space: a file of constraints.
        settings: `NAME=VALUE` of the mixer, values as in YAML.
        seed: of the run.
        state: file in which the run's state is kept.
    """

    name: str
    domains: str
    tokens: str
    steps: str
    targets: str = ""
    start: str = "uniform"
    space: Path | None = None
    settings: Sequence[str] = ()
    seed: int = 0
    state: Path | None = None

    def of_file(self, path: Path) -> SteeredRun:
        """The run of a file that a trainer wrote, which says all but the steps.

        Raises:
            InputError: more than the steps was given beside it, or it is no such file.
        """
        given = vars(self) | {"settings": tuple(self.settings)}
        blank = vars(Asked("", "", "", self.steps))
        beside = [_OPTIONS[name] for name, value in given.items() if value != blank[name]]
        if beside:
            raise InputError(f"--run {path} says {', '.join(beside)} itself; leave it out")
        return SteeredRun.open(path, _steps(self.steps))

    def session(self) -> Session:
        """Where the run is: at its start, or where the state's file left off.

        Raises:
            InputError: anything that was given breaks a rule.
        """
        if not (self.name and self.domains and self.tokens):
            raise InputError(
                "a mixer needs NAME, --domains and --tokens; give them, or --run FILE "
                "of a run that a trainer started"
            )
        made = mixer(self.name, **self._settings())
        setup = self._setup()
        if self.state is None or not self.state.exists():
            return Session.begin(made, setup)
        saved = read_values(self.state, "delete it to start anew")
        try:
            return Session.resume(made, setup, saved)
        except InputError as error:
            raise InputError(
                f"--state {self.state}: {error}; delete the file to start the run anew"
            ) from error

    def keep(self, session: Session) -> None:
        """Write the state, if a file was named: all of it, or what was there stays.

        Raises:
            InputError: the file cannot be written.
        """
        if self.state is not None:
            text = json.dumps(session.to_dict(), allow_nan=False)
            write_together(self.state.parent, {self.state.name: text})

    def _settings(self) -> dict[str, Any]:
        given = pairs(self.settings, "--set")
        try:
            return {name: yaml.safe_load(value) for name, value in given.items()}
        except yaml.YAMLError as error:
            raise InputError(f"--set: {shorten(str(error))}; write values as in YAML") from error

    def _setup(self) -> Setup:
        space = self._space()
        targets = _listed(self.targets, "--targets") or dict.fromkeys(space.names, None)
        weights = [1.0 if w is None else number(w, f"--targets {t}") for t, w in targets.items()]
        tokens, steps = whole(self.tokens, "--tokens"), _steps(self.steps)
        assert tokens is not None
        if not sum(weights) > 0:
            raise InputError("--targets have no weight; give one above 0")
        shares = tuple(w / sum(weights) for w in weights)
        return Setup(space, self._start(space), tuple(targets), shares, tokens, steps, self.seed)

    def _space(self) -> MixtureSpace:
        named = _listed(self.domains, "--domains")
        domains = tuple(
            Domain(name, None if count is None else number(count, f"--domains {name}"))
            for name, count in named.items()
        )
        values = {} if self.space is None else dict(read_values(self.space, _SPACE))
        try:
            return SpaceSpec.model_validate(values).make(domains)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise InputError(f"{self.space}: {place}: {first['msg']}; {_SPACE}") from error

    def _start(self, space: MixtureSpace) -> tuple[float, ...]:
        if self.start in {"uniform", "natural"}:
            return (space.uniform if self.start == "uniform" else space.natural).weights
        shares = {
            name: number(share, f"--start {name}")
            for name, share in _listed(self.start, "--start").items()
            if share is not None
        }
        space.mixture(shares)
        return space.mixture(Mixture.of(shares).to_dict()).weights


def _steps(text: str) -> int:
    steps = whole(text, "--steps")
    assert steps is not None
    return steps


def _listed(text: str, option: str) -> dict[str, str | None]:
    """`A,B=1` as name to value, None where there is none."""
    named: dict[str, str | None] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = part.partition("=")
        if name in named or not name or (equals and not value):
            raise InputError(f"{option} {text!r}: write NAME or NAME=VALUE, each name once")
        named[name] = value if equals else None
    return named
