"""Streams of MosaicML Streaming, shared by its own format and LLM-Foundry's."""

from typing import Any

from mixopt.export.exporter import Job, Option, Unit

_KEYS = {Unit.EXAMPLES: "proportion", Unit.COUNTS: "choose", Unit.PASSES: "repeat"}
UNITS = tuple(_KEYS)
OPTIONS = (
    Option("split", "subfolder of every stream, e.g. train"),
    Option("remote", "per domain where its shards are copied from", kind=dict),
)


def streams(job: Job) -> dict[str, dict[str, Any]]:
    """Domain to the keyword arguments of its `Stream`; one of three keys has the weight."""
    remote = job.options["remote"] or {}
    made: dict[str, dict[str, Any]] = {}
    for domain, weight in job.weights.items():
        stream: dict[str, Any] = {"remote": remote[domain]} if domain in remote else {}
        stream["local"] = job.place(domain)
        if job.options["split"]:
            stream["split"] = job.options["split"]
        made[domain] = {**stream, _KEYS[job.unit]: weight}
    return made
