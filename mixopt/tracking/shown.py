"""What people see of a sweep in MLflow: names, descriptions, where it came from, its data.

Nothing here is read back.
"""

import getpass
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from mixopt.ports import Entry, TrainerInfo
from mixopt.runs import RunSpec, short_number
from mixopt.space import Mixture

_LARGEST = 2  # domains in the name of a run
_NAME_CHARS = 20  # of a domain there
_PROFILE_CHARS = 60_000
_SOURCE_CHARS = 8_000


def run_name(number: int, spec: RunSpec) -> str:
    """What a run is called: `017 design 1M web .41 code .38`.

    Args:
        number: of the run in its sweep, from 1.
        spec: the run.
    """
    words = [f"{number:03d}", str(spec.kind)[:60], short_number(spec.scale.params)]
    if spec.kind.candidate:
        words.append(f"seed {spec.seed}")
    if spec.mixer is not None:
        words.append(spec.mixer.name[:_NAME_CHARS])
    if spec.schedule is not None:
        words.append(f"{len(spec.phases)} phases")
    return " ".join([*words, largest(spec.mixture)])


def largest(mixture: Mixture) -> str:
    """The largest shares: `web .41 code .38`."""
    shares = sorted(mixture.to_dict().items(), key=lambda item: -item[1])[:_LARGEST]
    return " ".join(f"{name[:_NAME_CHARS]} {_share(w)}" for name, w in shares if w > 0)


def _share(w: float) -> str:
    """Two digits.

    >>> _share(0.412), _share(1.0), _share(0.001)
    ('.41', '1', '<.01')
    """
    if w < 0.005:
        return "<.01"
    return f"{w:.2f}".removeprefix("0") if round(w, 2) < 1 else "1"


def origin() -> dict[str, str]:
    """Tags that say who started a sweep, with what and from which commit; what is unknown is out.

    The source is the working folder's commit, where that is a Git repository: trainers, specs and
    data that it holds are found again by it.
    """
    tags = {
        "mlflow.user": user(),
        "mlflow.source.name": "mixopt",
        "mlflow.source.type": "LOCAL",
    }
    commit = _git("rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = commit
        changed = _git("status", "--porcelain", "--untracked-files=no")
        tags["mixopt.source.changed"] = "yes" if changed else "no"
    return tags


def user() -> str:
    """Who runs this process, by name where it has one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container with a number for a user
        return str(os.getuid())


def _git(*arguments: str) -> str:
    """What git says of the working folder; empty where it says nothing."""
    git = shutil.which("git")
    if git is None:
        return ""
    try:
        done = subprocess.run(
            [git, *arguments], capture_output=True, text=True, timeout=10, check=False, cwd=Path()
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def dataset(info: TrainerInfo, trainer: str) -> dict[str, str]:
    """The training data as fields of an MLflow dataset: one per sweep, its domains as profile."""
    tokens = {d.name: d.tokens for d in info.domains}
    profile = {"domains": len(tokens), "tokens": sum(t or 0.0 for t in tokens.values())}
    whole = json.dumps({**profile, "tokens_per_domain": tokens}, separators=(",", ":"))
    source = json.dumps({"trainer": trainer, "manifest": info.data}, separators=(",", ":"))
    return {
        "name": trainer.rpartition(":")[2][:400] or "data",
        "digest": info.data[:36] or "unknown",
        "source_type": "mixopt",
        "source": source[:_SOURCE_CHARS],
        "profile": whole if len(whole) <= _PROFILE_CHARS else json.dumps(profile),
    }


def description(text: str, links: Mapping[str, str]) -> str:
    """Text and links as MLflow shows them (Markdown); the text's own marks do nothing."""
    lines = [_plain(line) for line in text.splitlines()]
    lines += [f"[{_plain(name)}]({address})" for name, address in links.items()]
    return "\n\n".join(line for line in lines if line)[: _SOURCE_CHARS - 1]


def _plain(line: str) -> str:
    """Without a meaning in Markdown or HTML."""
    for mark in "\\`*_{}[]<>#|":
        line = line.replace(mark, f"\\{mark}")
    return line


def deep_link(server: str, experiment: str) -> str:
    """The page of a sweep's runs as a table; MLflow itself opens an experiment on its traces.

    Args:
        server: address of the pages.
        experiment: its id.
    """
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs?workflowType=machine_learning"


def fields_of(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among figures, as metrics of the sweep's own run."""
    return {k: float(v) for k, v in values.items() if isinstance(v, int | float) and isfinite(v)}


def entries(
    pages: str,
    experiment: str,
    ids: Mapping[str, str],
    started: Mapping[str, int],
    ended: Mapping[str, int],
) -> dict[str, Entry]:
    """Every run as a reader finds it, by its `run_id`.

    Args:
        pages: where the pages of the server begin; empty without a server.
        experiment: MLflow's id of it.
        ids: `run_id` to MLflow's own.
        started: `run_id` to milliseconds since 1970.
        ended: the same, of runs that are closed.
    """
    made = {}
    for run_id, mlflow_id in ids.items():
        closed = ended[run_id] / 1000 if run_id in ended else None
        page = f"{pages}/#/experiments/{experiment}/runs/{mlflow_id}" if pages else ""
        made[run_id] = Entry(started[run_id] / 1000, closed, page)
    return made
