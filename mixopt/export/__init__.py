"""Exporters: a mixture in the format of a large trainer; one file per format, found by name.

An exporter is a function `(mixture, **options) -> str`; one that can write a schedule has an option
`schedule` (a `Schedule` or None), and `mixture` is then its mean. Others are never given one. Zero
shares are never exported, and names and paths are written so that no character of theirs can change
the meaning of the file.
"""

import inspect
from typing import Any

from mixopt.errors import InputError
from mixopt.lazy import build, lookup
from mixopt.runs import Schedule
from mixopt.space import Mixture

EXPORTERS: dict[str, str] = {
    "json": "mixopt.export.plain:export",
    "hf-datasets": "mixopt.export.hf_datasets:export",
    "megatron": "mixopt.export.megatron:export",
}
"""Name of a format to the function that writes it."""


def export(
    plan: Mixture | Schedule, target_format: str, *, mean: bool = False, **options: Any
) -> str:
    """The mixture in a trainer's own format, as the text of a file.

    Args:
        plan: shares of training tokens; or a schedule of them.
        target_format: a name of `EXPORTERS`.
        mean: of a schedule, write the mixture that it draws in total, without its order.
        options: of the format, e.g. `paths={"web": "/data/web"}`. `provenance` (plain JSON values)
            is taken by every format.

    Raises:
        InputError: an unknown format or option, a path that is missing or has a form that the
            format cannot hold; a schedule where the format holds one mixture.

    >>> print(export(Mixture.of({"web": 0.75, "code": 0.25}), "json", indent=None)[:44])
    {"schema": "mixopt.mixture", "version": 1, "
    """
    writer = lookup(target_format, EXPORTERS, "export format")
    given: dict[str, Any] = {"mixture": plan}
    if isinstance(plan, Schedule):
        given = {"mixture": plan.mean}
        if len(plan.phases) > 1 and not mean:
            _check_schedules(writer, target_format, plan)
            given["schedule"] = plan
    text: str = build(writer, {**given, **options}, what=f"export format {target_format!r}")
    return text


def _check_schedules(writer: Any, name: str, schedule: Schedule) -> None:
    """Refuse a schedule where the exporter takes none: one that does has a parameter for it."""
    if "schedule" not in inspect.signature(writer).parameters:
        raise InputError(
            f"export format {name!r} holds one mixture, and this is a schedule of "
            f"{len(schedule.phases)} phases; export it as 'json', or ask for its mean "
            "(mean=True, --mean), which leaves the order out"
        )


__all__ = ["EXPORTERS", "export"]
