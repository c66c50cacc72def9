"""A study as one JSON file: question, runs told, runs asked. What was fitted is fitted again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mixopt.errors import InputError
from mixopt.evidence.stored import plain, restored
from mixopt.runs import RunSpec, Scale
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace
from mixopt.study.study import Study
from mixopt.study.whole_files import write_whole

FORMAT = 2


def save_study(study: Study, path: str | Path) -> None:
    """Write a study to a file; `load_study` reads it back, and it answers the same.

    >>> study = Study(MixtureSpace(["web", "code"]), minimize="loss")
    >>> save_study(study, "study.json")
    >>> load_study("study.json")
    <Study of loss over 2 domains: 0 runs; law auto>

    Raises:
        InputError: its law is no name (a law of your own has no form in JSON), or the file cannot
            be written.
    """
    if not isinstance(study.law, str | Mapping):
        raise InputError(
            f"the study's law is {type(study.law).__name__}, an object; name a law to save it: "
            "Study(..., law='auto')"
        )
    runs = study.table.frame.to_dict("records") if len(study) else []
    values = {
        "format": FORMAT,
        "space": plain(study.space),
        "objective": plain(study.objective),
        "law": study.law,
        "scale": plain(study.scale),
        "target": plain(study.target),
        "seed": study.seed,
        "runs": plain(runs),
        "notes": list(study.table.notes) if len(study) else [],
        "asked": [spec.to_dict() for spec in study.asked],
    }
    write_whole(Path(path), json.dumps(values, indent=1, allow_nan=False))


def load_study(path: str | Path) -> Study:
    """The study that `save_study` wrote.

    >>> save_study(Study(MixtureSpace(["web", "code"]), minimize="loss"), "mine.json")
    >>> load_study("mine.json").space.names
    ('web', 'code')

    Raises:
        InputError: no such file, no study in it, or one of another format.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read a study from {path}: {error}") from error
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        form = values.get("format") if isinstance(values, Mapping) else None
        raise InputError(f"{path} holds format {form!r}; this mixopt reads studies of {FORMAT}")
    try:
        return _study(values)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} holds no whole study: {error!r}") from error


def _study(values: Mapping[str, Any]) -> Study:
    study = Study(
        restored(MixtureSpace, values["space"]),
        restored(Objective, values["objective"]),
        law=values["law"],
        scale=None if values["scale"] is None else Scale(**values["scale"]),
        target=None if values["target"] is None else Scale(**values["target"]),
        seed=values["seed"],
    )
    if values["runs"]:
        table = RunTable.from_frame(pd.DataFrame(values["runs"]))
        study.tell(table.with_notes(*values["notes"]))
    study.expect([RunSpec.from_dict(spec) for spec in values["asked"]])
    return study
