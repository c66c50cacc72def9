"""Sweeps as jobs of a Ray cluster, over the port of its dashboard.

The cluster keeps a job's id, state and log, and beside it what we say of it: the name of the sweep
and where its results are. So any machine that reaches the port finds a sweep by its name.
"""

import asyncio
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from mixopt.errors import InputError, MixoptError
from mixopt.execution.ray.session import TOKEN_REMEDY, brief
from mixopt.space.redaction import known_secrets, redact

_SWEEP, _OUT, _SPEC, _PYTHON = "mixopt-sweep", "mixopt-out", "mixopt-spec", "mixopt-python"
_ADDRESSES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # Ray prefers these to what is given
_NOT_YET = "try again later"
_PATIENCE_SECONDS = 60.0
_CHATTY = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
_RAYS_OWN = re.compile(r"^[-\d]+ [:,\d]+\tINFO job_\w+\.py:\d+ -- .*\n?", re.MULTILINE)
_ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


@dataclass(frozen=True)
class Job:
    """A sweep that was given to a cluster.

    Attributes:
        identifier: Ray's submission id.
        sweep: name of the sweep.
        out: its folder on the cluster.
        spec: path of its spec in the working folder.
        python: with which it was started.
        state: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        started, ended: seconds since 1970; 0 where not yet.
        message: what Ray says of its state.
        exit_code: of the driver; None before its end.
        runtime_env: of driver and workers.
    """

    identifier: str
    sweep: str
    out: str
    spec: str
    python: str
    state: str
    started: float = 0.0
    ended: float = 0.0
    message: str = ""
    exit_code: int | None = None
    runtime_env: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in _ENDED


class Jobs:
    """The job server of a cluster.

    Args:
        address: of its dashboard, e.g. `http://head:8265`.

    Raises:
        InputError: the address has another form.
        MixoptError: nobody answers there, or it asks for a token.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", self.address):
            raise InputError(
                f"address is {redact(address)!r}; give that of the cluster's dashboard, e.g. "
                "http://head:8265 (through a tunnel: http://127.0.0.1:8265)"
            )
        for name in _CHATTY:  # what is sent, and that it is, we say ourselves
            logging.getLogger(name).setLevel(logging.WARNING)
        with self._translated(), _without(_ADDRESSES):
            self._client = JobSubmissionClient(self.address)

    def submit(
        self,
        sweep: str,
        entrypoint: str,
        facts: Mapping[str, str],
        runtime_env: Mapping[str, Any],
    ) -> str:
        """Start a job; its id begins with the sweep's name.

        Args:
            sweep: name.
            entrypoint: a command line for a shell, all of whose values are quoted.
            facts: `out`, `spec` and `python`, see `Job`.
            runtime_env: of driver and workers; a local `working_dir` is uploaded.

        Raises:
            MixoptError: the cluster does not take it.
        """
        identifier = f"mixopt-{_plain(sweep)}-{secrets.token_hex(4)}"
        told = {_SWEEP: sweep, _OUT: facts["out"], _SPEC: facts["spec"], _PYTHON: facts["python"]}
        request: dict[str, Any] = {"entrypoint": entrypoint, "submission_id": identifier}
        request |= {"runtime_env": dict(runtime_env), "metadata": told}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with self._translated(known_secrets(runtime_env)):
            while True:
                try:
                    self._client.submit_job(**request)
                    return identifier
                except RuntimeError as error:  # a head that was started just now
                    if _NOT_YET not in str(error) or time.monotonic() > deadline:
                        raise
                time.sleep(1.0)

    def list(self) -> list[Job]:
        """The sweeps of the cluster, the newest first; jobs of others are passed over."""
        with self._translated():
            details = self._client.list_jobs()
        mine = [_job(d) for d in details if d.submission_id and _SWEEP in (d.metadata or {})]
        return sorted(mine, key=lambda job: -job.started)

    def find(self, name: str) -> Job:
        """The newest job of a sweep, by its name or the job's own id; one that runs comes first.

        Raises:
            InputError: there is none, or several run under that name.
        """
        jobs = self.list()
        mine = [job for job in jobs if name in {job.identifier, job.sweep}]
        if not mine:
            known = ", ".join(dict.fromkeys(job.sweep for job in jobs)) or "none"
            raise InputError(
                f"no job of a sweep {name!r} at {self.shown} (there are: {known}); 'mixopt "
                "submit' starts one"
            )
        running = [job for job in mine if not job.is_over]
        if len(running) > 1:
            places = "; ".join(f"{job.identifier} in {job.out}" for job in running)
            raise InputError(
                f"{len(running)} jobs run under {name!r}: {places}; name one by its id"
            )
        return (running or mine)[0]

    def state(self, identifier: str) -> Job:
        """A job as of now."""
        with self._translated():
            return _job(self._client.get_job_info(identifier))

    def stop(self, identifier: str) -> None:
        """Ask a job to stop; its driver closes the store."""
        with self._translated():
            self._client.stop_job(identifier)

    def logs(self, identifier: str) -> str:
        """What a job has written so far, without the notes of Ray's job server."""
        with self._translated():
            text: str = self._client.get_job_logs(identifier)
            return _RAYS_OWN.sub("", text)

    def follow(self, identifier: str, write: Callable[[str], None]) -> None:
        """Hand on what a job writes, from its beginning, until it has ended.

        Args:
            identifier: of the job.
            write: called with every piece.

        Raises:
            MixoptError: the connection is lost; the job goes on.
        """

        async def read() -> None:
            async for text in self._client.tail_job_logs(identifier):
                write(_RAYS_OWN.sub("", text))

        with self._translated():
            asyncio.run(read())

    @property
    def shown(self) -> str:
        """The address for people: without a password."""
        return str(redact(self.address))

    @contextmanager
    def _translated(self, secrets: frozenset[str] = frozenset()) -> Iterator[None]:
        """Errors of Ray's client in words, with what to do."""
        try:
            yield
        except AuthenticationError:
            raise MixoptError(f"{self.shown} refuses us: {TOKEN_REMEDY}") from None
        except OSError as error:  # connection errors of all kinds
            why = redact(brief(error)).rstrip(".")
            raise MixoptError(
                f"no Ray job server answers at {self.shown}: {why}; start the cluster, correct "
                "the address, or open a tunnel to the head's port 8265 ('ray dashboard "
                "ray_cluster.yaml', 'kubectl port-forward')"
            ) from None
        except (RuntimeError, ValueError, TypeError) as error:
            text = redact(brief(error), known=secrets)
            if re.search(r"status code 40[13]", text):
                raise MixoptError(f"{self.shown} refuses us: {TOKEN_REMEDY}") from None
            raise MixoptError(f"the job server at {self.shown} says: {text}") from None


def _job(details: JobDetails) -> Job:
    told = details.metadata or {}
    return Job(
        identifier=str(details.submission_id),
        sweep=told.get(_SWEEP, ""),
        out=told.get(_OUT, ""),
        spec=told.get(_SPEC, ""),
        python=told.get(_PYTHON, "python"),
        state=str(details.status.value),
        started=(details.start_time or 0) / 1000,
        ended=(details.end_time or 0) / 1000,
        message=details.message or "",
        exit_code=details.driver_exit_code,
        runtime_env=details.runtime_env or {},
    )


def _plain(name: str) -> str:
    """A name as part of an id, and so of URLs: letters, digits, `-` and `_` alone."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "sweep"


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Without variables of the environment that Ray would prefer to the address that was given."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
