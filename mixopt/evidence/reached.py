"""What is said of an answer for a scale at which no run was trained: JSON, warnings, trust."""

from typing import Any

from mixopt.diagnostics.gates import Gate, Remedy
from mixopt.diagnostics.trust import Trust
from mixopt.evidence.checkup import Checkup
from mixopt.evidence.confirmation import Confirmation
from mixopt.proposers import Recommendation, Surrogate
from mixopt.runs import Scale
from mixopt.runs.reach import Reach, named
from mixopt.runs.run_table import RunTable


def predictions(answer: Recommendation) -> dict[str, Any]:
    """What is predicted of an answer, at which scale, and what that says of the one it is for."""
    value, sd = (answer.value, answer.sd) if answer.levels else (None, None)
    reach = answer.reach
    return {
        "objective": {"mean": value, "sd": sd},
        "metrics": {k: {"mean": m, "sd": s} for k, (m, s) in answer.metrics.items()},
        "gains": {
            k: {"raw": g.raw, "shrunk": g.shrunk, "sd": g.sd} for k, g in answer.gains.items()
        },
        "scale": None if answer.scale is None else _sizes(answer.scale),
        "reach": None
        if reach is None
        else {"asked": _sizes(reach.asked), "says": reach.level, "line": reach.line},
    }


def _sizes(scale: tuple[float, float]) -> dict[str, float]:
    return {"params": scale[0], "tokens": scale[1]}


def reach_of(target: Scale, runs: RunTable) -> Reach | None:
    """What predictions from these runs say at the target; None where the runs state no scale."""
    reach = Reach.to(target, runs.scales)
    return reach if reach.seen else None


def reached(answer: Recommendation) -> tuple[str, ...]:
    """That the answer is for a scale at which no run was trained, and what follows."""
    if answer.reach is None or not answer.reach.line:
        return ()
    if answer.levels and not answer.reach.levels and answer.scale is not None:
        return (
            f"values are predicted for {named(answer.scale)}, the scale of the runs that the law "
            f"rests on; at {answer.reach.where}, which the answer is for, they tell the ranking "
            "only",
        )
    return (answer.reach.line,)


def unlevelled(answer: Recommendation, scale: Scale) -> str:
    """Why what a study's model predicts is no value at a scale, in words; empty where it is one.

    The model is asked there, if its runs lead there; that over schedules is asked where it was.
    """
    reach = None if answer.reach is None else Reach(scale.sizes, answer.reach.seen)
    if reach is None:
        return ""
    if reach.levels and answer.schedule is not None and answer.scale not in (None, scale.sizes):
        where = "" if answer.scale is None else f" for {named(answer.scale)}"
        return f"ranking only: schedules are predicted{where}, and not for {scale}"
    return "" if reach.levels else reach.line


def asked_at(surrogate: Surrogate, answer: Recommendation, scale: Scale) -> Surrogate:
    """The model at a scale to which its runs lead; as it is, where they do not or are of one."""
    if surrogate.scale in (None, scale.sizes) or answer.reach is None:
        return surrogate
    return surrogate if unlevelled(answer, scale) else surrogate.at(scale)


def far(checkup: Checkup, answer: Recommendation, shown: Confirmation | None) -> Trust:
    """What the law says of a scale without runs is the ranking, until fresh seeds say more.

    Not even that, where proxies are not to be expected to rank as that scale does.
    """
    trust, expected = checkup.trust, checkup.expected_transfer
    if shown is not None or answer.reach is None or answer.reach.levels:
        return trust
    remedy = Remedy(
        f"the recommended mixture and a baseline with 3 fresh seeds each at {answer.reach.where}", 6
    )
    told = f"the law rests on no run at {answer.reach.where}, which the answer is for"
    gate = Gate("scale of the answer", "no", told, allows="ranking only", remedy=remedy)
    return trust.asked(gate if expected is None else expected.gate(gate))
