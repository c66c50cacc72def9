"""Sending a sweep to a Ray cluster as a job: what goes along, where its results stay, its command.

The command is the one a person would type there. What decides which sweep it goes on with is the
sweep's name and its folder on the cluster, never the working folder that was sent.
"""

import os
import shlex
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mixopt.app.jobs.package import Package, left_behind, pack
from mixopt.app.running.checks import by_setting
from mixopt.app.running.durable import CODE, runs_folder
from mixopt.app.running.preparation import STORE_VARIABLE
from mixopt.app.spec.spec_file import read_spec
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError, SpecError
from mixopt.execution import check_executor
from mixopt.lazy import load
from mixopt.space.redaction import password_of

_RUNS = "MIXOPT_RUNS"


@dataclass(frozen=True)
class Submission:
    """A sweep that is ready to be sent.

    Attributes:
        spec: its checked spec.
        spec_path: the spec in the working folder.
        package: the working folder.
        out: its folder on the cluster; None where a server has its results.
        python: the Python of the cluster that has mixopt.
    """

    spec: Spec
    spec_path: Path
    package: Package
    out: PurePosixPath | None
    python: str = "python"

    @property
    def entrypoint(self) -> str:
        """The command of the job, for a shell."""
        return f"exec {shlex.join(self._command)}"

    @property
    def facts(self) -> dict[str, str]:
        """What the cluster keeps beside the job."""
        out = "" if self.out is None else str(self.out)
        return {"out": out, "spec": self.spec_path.as_posix(), "python": self.python}

    @property
    def runtime_env(self) -> dict[str, Any]:
        """Of driver and workers: that of the spec, and where sweeps are on the cluster."""
        given = dict(self.spec.execution.settings.get("runtime_env") or {})
        variables = dict(given.get("env_vars") or {})
        if self.out is not None:
            variables.setdefault(_RUNS, str(self.out.parent))
        server = os.environ.get(STORE_VARIABLE, "")
        if _is_server(server) and not password_of(server):  # else the cluster's own, if any
            variables.setdefault(STORE_VARIABLE, server)
        return {**given, **({"env_vars": variables} if variables else {})}

    @property
    def _command(self) -> list[str]:
        command = [self.python, "-m", "mixopt", "run", self.spec_path.as_posix()]
        return command if self.out is None else [*command, "--out", str(self.out)]


def ready(
    spec: Path,
    out: str | None,
    *,
    folder: Path = Path(),
    exclude: Sequence[str] = (),
    python: str = "python",
) -> Submission:
    """Check a sweep that is to be sent; nothing is sent.

    Args:
        spec: path of the spec, or the folder that holds it; inside of the working folder.
        out: folder of the sweep on the cluster, absolute; by default `$MIXOPT_RUNS/<name>`.
        folder: the working folder: trainers of the user's own are imported from there.
        exclude: patterns of what stays, see `mixopt.app.jobs.package.pack`.
        python: the Python of the cluster that has mixopt.

    Raises:
        SpecError: the spec cannot run as a job.
        InputError: a place that does not last, or a folder that cannot be sent.
    """
    checked = read_spec(spec)
    file = (spec / "spec.yaml" if spec.is_dir() else spec).resolve()
    root = folder.resolve()
    if not file.is_relative_to(root):
        raise InputError(
            f"the spec {file} is not in the working folder {root}, which is all that the job gets; "
            "run the command from a folder that holds it, or name one with --working-dir"
        )
    _check_execution(checked)
    runs = checked.execution
    by_setting("execution", runs.settings, lambda: check_executor(runs.use, runs.settings))
    package = pack(root, exclude)
    relative = file.relative_to(root)
    if not package.has(relative):
        raise InputError(
            f"the spec {relative} is left out of the package; move it, or --exclude less"
        )
    stays = left_behind(checked.trainer.config, package, "trainer.config")
    if stays is not None:
        raise SpecError(
            f"{stays[1]!r} is here and does not go along with the job; put it on a disk that the "
            "cluster shares and give its absolute path",
            stays[0],
        )
    return Submission(checked, relative, package, _place(checked, out), python)


def send(jobs: Any, submission: Submission) -> str:
    """Send a sweep; the id of its job.

    Args:
        jobs: the cluster's job server, a `mixopt.execution.ray.jobs.Jobs`.
        submission: what to send.

    Raises:
        InputError: a job of this sweep runs already.
        MixoptError: the cluster does not take it.
    """
    _check_alone(jobs, submission.spec.name, submission.facts["out"])
    with tempfile.TemporaryDirectory(prefix="mixopt-job-") as name:
        submission.package.copy_to(Path(name))
        environment = {**submission.runtime_env, "working_dir": name}
        identifier: str = jobs.submit(
            submission.spec.name, submission.entrypoint, submission.facts, environment
        )
    return identifier


def resume(jobs: Any, name: str) -> str:
    """Go on with a sweep by its name, with the code that its newest job had; the id of the new job.

    Raises:
        InputError: it is running, unknown, or its code is not kept on the cluster.
        MixoptError: the cluster does not take it.
    """
    last = jobs.find(name)
    _check_alone(jobs, last.sweep, last.out)
    environment = {k: v for k, v in last.runtime_env.items() if k != "working_dir"}
    uploaded = [m for m in environment.get("py_modules") or () if str(m).startswith("gcs://")]
    if not last.out or uploaded:
        what = "its code was not kept" if not last.out else "its modules were sent with the job"
        raise InputError(
            f"sweep {last.sweep!r} cannot be resumed by name: {what}; 'mixopt submit' with its "
            "spec goes on with it"
        )
    code = shlex.quote(str(PurePosixPath(last.out) / CODE))
    command = [last.python, "-m", "mixopt", "run", last.spec, "--out", last.out]
    facts = {"out": last.out, "spec": last.spec, "python": last.python}
    identifier: str = jobs.submit(
        last.sweep, f"cd {code} && exec {shlex.join(command)}", facts, environment
    )
    return identifier


def stop(jobs: Any, name: str, wait: float) -> Any:
    """Ask a sweep's job to stop, and wait for its end; the job as it then is.

    Args:
        jobs: the cluster's job server.
        name: of the sweep, or the id of its job.
        wait: seconds at most.

    Raises:
        InputError: there is no such job, or it is over.
    """
    job = jobs.find(name)
    if job.is_over:
        raise InputError(
            f"sweep {job.sweep!r} does not run: job {job.identifier} is {job.state.lower()}"
        )
    jobs.stop(job.identifier)
    deadline = time.monotonic() + wait
    while not (job := jobs.state(job.identifier)).is_over and time.monotonic() < deadline:
        time.sleep(0.5)
    return job


def connect(address: str) -> Any:
    """The job server of a cluster: a `mixopt.execution.ray.jobs.Jobs`.

    Raises:
        MixoptError: see there.
    """
    return load("mixopt.execution.ray.jobs:Jobs")(address)


def _check_alone(jobs: Any, name: str, out: str) -> None:
    """Two drivers of one sweep would train the same runs; the store's lock is the last resort."""
    for job in jobs.list():
        if not job.is_over and job.sweep == name and job.out == out:
            raise InputError(
                f"sweep {name!r} is running already as job {job.identifier}; 'mixopt logs {name}' "
                f"follows it, 'mixopt stop {name}' stops it"
            )


def _check_execution(spec: Spec) -> None:
    settings: Mapping[str, Any] = spec.execution.settings
    if "working_dir" in (settings.get("runtime_env") or {}):
        raise SpecError(
            "a job has one working folder, the one that 'mixopt submit' sends; leave working_dir "
            "out",
            "execution.runtime_env.working_dir",
        )
    if str(settings.get("address") or "auto") != "auto":
        raise SpecError(
            f"the job runs on the cluster itself, so its address is 'auto', not "
            f"{settings['address']!r}; leave it out",
            "execution.address",
        )
    if spec.store.use == "memory":
        raise SpecError("a store in memory ends with the job; use mlflow", "store.use")


def _place(spec: Spec, out: str | None) -> PurePosixPath | None:
    """Where the sweep is on the cluster."""
    default = runs_folder()
    if out is None and default.is_absolute():
        return PurePosixPath(default) / spec.name
    if out is None:
        lasting = Path(spec.execution.cache or "").is_absolute()
        if _is_server(str(spec.store.settings.get("uri") or "")) and lasting:
            return None
        raise InputError(
            "where are the sweep's results to stay? Give --out with an absolute path on a disk "
            "that the cluster keeps and all its machines see, e.g. --out "
            f"/shared/runs/{spec.name}, or export {_RUNS} with the folder of all sweeps; a store "
            "on a server with an absolute execution.cache needs neither"
        )
    place = PurePosixPath(out)
    if not place.is_absolute() or ".." in place.parts:
        raise InputError(
            f"--out is {out!r}; give an absolute path on the cluster, e.g. /shared/runs/{spec.name}"
        )
    return place


def _is_server(uri: str) -> bool:
    """Whether a tracking URI is a server or a database on one."""
    return "://" in uri and not uri.startswith("sqlite:")
