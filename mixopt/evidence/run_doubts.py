"""Reasons for doubt that lie in how runs were trained: repetition, precision, failures."""

from collections import Counter
from collections.abc import Sequence

from mixopt.evidence.failures import failures
from mixopt.proposers import Surrogate
from mixopt.runs import Observation
from mixopt.runs.kinds import RECOMMENDED
from mixopt.runs.run_table import RunTable
from mixopt.strategies import Problem


def doubts_of_runs(observations: Sequence[Observation]) -> tuple[str, ...]:
    """All of them, in plain words."""
    return (
        *_repetition(observations),
        *_precisions(observations),
        *failures(observations),
    )


def _repetition(observations: Sequence[Observation]) -> tuple[str, ...]:
    """Where proxies of the recommendation saw domains more or less often than the target will."""
    told = [
        str(line)
        for o in observations
        if o.spec.kind.confirms == RECOMMENDED
        for line in o.info.get("repetition", {}).get("warnings", ())
    ]
    return tuple(dict.fromkeys(told))


def _precisions(observations: Sequence[Observation]) -> tuple[str, ...]:
    """Runs of a sweep that moved between machines may have been trained in other precisions."""
    count = Counter(str(o.info["precision"]) for o in observations if "precision" in o.info)
    if len(count) < 2:
        return ()
    told = ", ".join(f"{n} in {name}" for name, n in count.most_common())
    return (
        f"runs were trained in different precisions ({told}); what that changes may pass for an "
        "effect of mixtures: where the noise is that small, set precision in the next sweep",
    )


def unpredicted(problem: Problem, runs: RunTable, surrogate: Surrogate) -> tuple[str, ...]:
    """Metrics that the law could not start from, where it fits metrics one by one.

    With one scale and no earlier study a law starts from nothing: what it does not predict then,
    nobody asked it for.
    """
    if len(problem.scales) == 1 and not problem.earlier:
        return ()
    left = ", ".join(name for name in runs.metrics if name not in surrogate.metrics)
    if not left or not set(surrogate.metrics) <= set(runs.metrics):
        return ()
    return (f"Not predicted: {left}; the earlier study or the smallest scale has not measured it",)
