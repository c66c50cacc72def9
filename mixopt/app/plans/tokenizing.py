"""Text into shards of tokens: the tasks of a writer, on an executor."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixopt.execution import executor
from mixopt.lazy import load
from mixopt.runs import Observation

_WRITER = "proxies.token_shards.writing:ShardWriter"
_PACE = 0.5  # seconds between looks at the executor


def tokenize(
    config: Mapping[str, Any],
    execution: tuple[str, Mapping[str, Any]],
    on_change: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[list[Observation], list[str]]:
    """Write all shards that are not there.

    Args:
        config: of the writer: domains, tokenizer, out.
        execution: an executor's name and its settings.
        on_change: called with the number of shards that are there, and of all.

    Returns:
        One observation for each shard, in their order; and what was not read, in words.

    Raises:
        MixoptError: the data or the tokenizer cannot be used, or the executor cannot be started.
    """
    writer = load(_WRITER)(**config)
    out = Path(str(config["out"]))
    info = writer.prepare(out)
    specs = writer.runs(config, info.data)
    use, settings = execution
    workers = executor(use, out, settings)
    came: dict[str, Observation] = {}
    waiting = list(reversed(specs))
    try:
        under_way = 0
        while len(came) < len(specs):
            while waiting and under_way < workers.slots:
                workers.submit([waiting.pop()])
                under_way += 1
            for event in workers.wait(_PACE):
                if isinstance(event, Observation):
                    came[event.spec.run_id] = event
                    under_way -= 1
                    on_change(len(came), len(specs))
    finally:
        workers.close()
    seen = [came[spec.run_id] for spec in specs]
    notes = [n for o in seen if o.ok for n in o.info["receipt"]["left_out"]]
    return seen, list(dict.fromkeys([*info.warnings, *notes]))


def by_domain(seen: Sequence[Observation]) -> dict[str, dict[str, float]]:
    """Shards, documents, tokens and bytes of each domain."""
    sums: dict[str, dict[str, float]] = {}
    for observation in seen:
        (name,) = observation.spec.mixture.to_dict()
        own = sums.setdefault(name, {"shards": 0, "documents": 0, "tokens": 0, "bytes": 0})
        own["shards"] += 1
        for key, value in observation.metrics.items():
            own[key] += value
    return sums
