"""Sweeps at work: the loop, and the executors that train its runs, here, on Ray or on Slurm."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mixopt.lazy import build, check_settings, lookup
from mixopt.ports import Executor
from mixopt.space.numbers import check_arguments

EXECUTORS: dict[str, str] = {
    "ray": "mixopt.execution.ray:RayExecutor",
    "slurm": "mixopt.execution.slurm:SlurmExecutor",
    "local": "mixopt.execution.local:LocalExecutor",
}
"""Name of an executor to where it lives: called with the folder of prepared data, `cache`, and its
settings as keyword arguments."""


@runtime_checkable
class Checking(Protocol):
    """A class of executors whose settings have rules beyond the types of their annotations."""

    @staticmethod
    def check(settings: Mapping[str, Any]) -> None:
        """Refuse settings, as they were given by name, that break a rule; start nothing.

        Raises:
            InputError: names the setting, its value and the rule.
        """
        ...


def check_executor(use: str, settings: Mapping[str, Any]) -> None:
    """See that an executor is there and takes these settings and values; none is started.

    Args:
        use: a name of `EXECUTORS`, or `"module:attribute"`.
        settings: by name.

    Raises:
        InputError: it is not there, or has no such setting, or not with this value.
    """
    factory = lookup(use, EXECUTORS, "executor")
    check_settings(factory, {"cache": ".", **settings}, _what(use))
    check_arguments(factory, settings)
    if isinstance(factory, Checking):
        factory.check(settings)


def executor(use: str, cache: Path, settings: Mapping[str, Any]) -> Executor:
    """The executor of that name, started.

    Raises:
        InputError: see `check_executor`, or a setting breaks its rule.
        MixoptError: it cannot be started.
    """
    made: Executor = build(
        lookup(use, EXECUTORS, "executor"), {"cache": cache, **settings}, _what(use)
    )
    return made


def _what(use: str) -> str:
    return f"executor {use!r}"
