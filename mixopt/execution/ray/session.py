"""Connecting to a Ray cluster, or starting one here; closing undoes exactly that."""

import functools
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError, RayTaskError
from ray.runtime_env import RuntimeEnv

from mixopt.errors import InputError, MixoptError
from mixopt.execution.environment import variables_set
from mixopt.execution.ray.worker import THREAD_VARIABLES
from mixopt.space.redaction import known_secrets, redact

_log = logging.getLogger(__name__)
_OBJECT_STORE_BYTES = 200_000_000  # answers are small; Ray's default is a third of the memory
_PRINT = getattr(ray._private.worker, "print_to_stdstream", None)
_IN_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for the entrypoint of a job

TOKEN_REMEDY = (
    "the cluster asks for a token: export RAY_AUTH_MODE=token, and the token itself as "
    "RAY_AUTH_TOKEN, or its file as RAY_AUTH_TOKEN_PATH (on the head: ~/.ray/auth_token)"
)


def connect(address: str | None, threads: int, runtime_env: Mapping[str, Any] | None) -> ExitStack:
    """Connect to Ray or start it; closing what comes back undoes exactly what this call did.

    Args:
        address: of a running cluster; without, `$RAY_ADDRESS`, else one is started here.
        threads: of numeric libraries in the workers of a cluster that is started here.
        runtime_env: of the workers. A job has that of its submission already.

    Raises:
        MixoptError: Ray does not start, cannot be reached, or asks for a token.
    """
    session = ExitStack()
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_form(address)
    if ray.is_initialized():
        return session
    _check_answer(address)
    options: dict[str, Any] = {
        "address": address,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": dict(runtime_env) if runtime_env and _IN_JOB not in os.environ else None,
    }
    variables = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}  # no FutureWarning about GPUs
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        variables |= {"RAY_USAGE_STATS_ENABLED": "0"}
        variables |= dict.fromkeys(THREAD_VARIABLES, str(threads))
        session.enter_context(_password())
    try:
        with variables_set(variables), _same_answer_to_sigterm():
            ray.init(**options)
    except AuthenticationError as error:
        session.close()
        raise MixoptError(f"Ray cannot be reached at {address!r}: {TOKEN_REMEDY}") from error
    except (RayError, RuntimeError, ConnectionError, ValueError, OSError) as error:
        session.close()
        what = redact(brief(error), known=known_secrets(runtime_env))
        if address == "local":
            raise MixoptError(
                f"Ray cannot start on this machine: {what}; set execution: {{use: local}} to train "
                "in this process"
            ) from error
        token = "" if os.environ.get("RAY_AUTH_MODE") == "token" else f"; or {TOKEN_REMEDY}"
        raise MixoptError(
            f"Ray cannot be reached at {address!r}: {what}; see 'ray status' on the head{token}"
        ) from error
    session.callback(_divert_reports, _PRINT)
    session.callback(ray.shutdown)
    _divert_reports(_to_log)
    return session


def reach(address: str) -> None:
    """See that a cluster answers at an address; leaves it again.

    Args:
        address: as `connect` takes it.

    Raises:
        InputError: it has another form.
        MixoptError: nobody answers there, or it asks for a token.
    """
    _check_form(address)
    _check_answer(address)
    if address == "auto":  # which only Ray itself can look up
        connect(address, 1, None).close()


def check_runtime_env(runtime_env: Mapping[str, Any] | None) -> None:
    """See that Ray takes a runtime environment: its keys and the forms of their values.

    Raises:
        InputError: it does not; Ray itself would pass an unknown key over in silence.
    """
    if not runtime_env or _IN_JOB in os.environ:  # whose files are where it was submitted
        return
    unknown = [str(key) for key in runtime_env if key not in RuntimeEnv.known_fields]
    if unknown:
        known = ", ".join(sorted(k for k in RuntimeEnv.known_fields if not k.startswith("_")))
        raise InputError(f"runtime_env has no key {unknown[0]!r}; Ray knows {known}")
    try:
        RuntimeEnv(**runtime_env)
    except (TypeError, ValueError, OSError) as error:
        text = redact(brief(error), known=known_secrets(runtime_env))
        raise InputError(f"runtime_env: {text}; correct it as Ray's documentation has it") from None


def brief(error: BaseException) -> str:
    """The last line of a Ray error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, RayTaskError):
        return lines[-1] if lines else type(error).__name__
    return " ".join(lines)[:300]


def _check_form(address: str) -> None:
    """Refuse the address of a cluster's page, also where Ray runs already."""
    if address.startswith(("http://", "https://")):
        raise InputError(
            f"address is {address!r}, the page of a cluster, which takes jobs: 'mixopt submit' "
            "sends one there; to run the sweep from this process give host:6379, or 'auto' on a "
            "machine of the cluster"
        )


def _check_answer(address: str) -> None:
    """Find a wrong `host:port` at once: Ray itself tries for minutes.

    Args:
        address: `auto` and other forms are left to Ray, which finds out quickly.

    Raises:
        MixoptError: nobody listens there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise MixoptError(
            f"no Ray cluster answers at {address!r}: {error}; start it ('ray start --head' or "
            "'ray up') or correct the address"
        ) from error


def _to_log(data: Mapping[str, Any], ignore_prefix: bool) -> None:  # noqa: ARG001 - Ray's signature
    _log.debug("%s: %s", data.get("pid"), " ".join(data.get("lines", ())))


def _divert_reports(sink: Any) -> None:
    """Have Ray's reports of dead workers go to `sink` rather than to standard output.

    Ray prints them, log_to_driver or not, into tables and progress bars; the executor says the same
    in a log record and in the observation. Ray has no option for it, hence its private name.
    """
    if _PRINT is not None:
        ray._private.worker.print_to_stdstream = sink


@contextmanager
def _same_answer_to_sigterm() -> Iterator[None]:
    """Ray answers SIGTERM with a stack trace and an end; whoever started us decided otherwise."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        yield
    finally:
        if callable(before):
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _password() -> Iterator[None]:
    """A password for a cluster on this machine, as long as it lasts.

    Ray would write one into the user's home folder, and sets RAY_AUTH_MODE for good.
    """
    has_mode = "RAY_AUTH_MODE" in os.environ
    has_one = (Path.home() / ".ray" / "auth_token").exists() or "RAY_AUTH_TOKEN_PATH" in os.environ
    with variables_set({} if has_one else {"RAY_AUTH_TOKEN": _token()}):
        yield
    if not has_mode:
        os.environ.pop("RAY_AUTH_MODE", None)


@functools.cache
def _token() -> str:
    """One per process, since Ray keeps the first it sees."""
    return secrets.token_hex(32)
