"""Commands whose mixture a mixer changes on the way: what they offer, what comes of their runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixopt.errors import InputError, did_you_mean
from mixopt.mixers import mixer_of, refused
from mixopt.mixers.steered_run import Finished, finished, write_run
from mixopt.ports import Mixing
from mixopt.runs import RunSpec

MIXER = "mixer_file"
_FILE, _STATE = "mixer.json", "mixer.state.json"
_LISTS, _SWITCHES = ("signals", "scopes"), ("loss_weights", "branches", "references")


def offered(given: Mapping[str, Any]) -> Mixing:
    """What a command offers, from its setting `mixing`.

    Raises:
        InputError: an unknown key, signal or scope, or a value of another kind.
    """
    for key, value in given.items():
        if key not in {*_LISTS, *_SWITCHES}:
            known = did_you_mean(key, [*_LISTS, *_SWITCHES])
            raise InputError(f"mixing: there is no {key!r}; {known}")
        if key in _LISTS and (isinstance(value, str) or not isinstance(value, Sequence)):
            raise InputError(f"mixing: {key} is {value!r}; give a list of names")
        if key in _SWITCHES and not isinstance(value, bool):
            raise InputError(f"mixing: {key} is {value!r}; give true or false")
    try:
        return Mixing(
            frozenset(given.get("signals", ())),
            frozenset(given.get("scopes", ())),
            loss_weights=given.get("loss_weights", False),
            branches=given.get("branches", False),
            references=given.get("references", False),
        )
    except InputError as error:
        raise InputError(f"mixing: {error}") from error


def start_mixing(spec: RunSpec, offer: Mixing, domains: Sequence[str], folder: Path) -> Path | None:
    """The file that stands for `{mixer_file}`; None of a run without a mixer.

    Args:
        spec: the run.
        offer: of the command.
        domains: of the command, whose metrics a mixer steers by that names no targets.
        folder: of the run; its state is kept in `out`, and goes with it.

    Raises:
        InputError: the mixer needs what the command does not give.
    """
    if spec.mixer is None:
        return None
    if reason := refused(mixer_of(spec.mixer).needs(), offer, f"mixer {spec.mixer.name!r}"):
        raise InputError(reason)
    write_run(folder / _FILE, spec, domains, folder / "out" / _STATE)
    return folder / _FILE


def end_mixing(file: Path | None) -> Finished | None:
    """What came of a run with a mixer; None of one without.

    Raises:
        InputError: its program did not follow the mixer to the end.
    """
    return None if file is None else finished(file)
