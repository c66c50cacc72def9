"""How far an answer is to be trusted, by how it came about: predicted, or measured and chosen."""

from collections.abc import Sequence

from mixopt.diagnostics import Gate, Trust, trust
from mixopt.diagnostics.trust import CONFIRM
from mixopt.evidence.confirmation import Confirmation
from mixopt.evidence.failures import burnt
from mixopt.evidence.verdict import judge, weighed
from mixopt.runs import Observation
from mixopt.strategies import Answer

_MEASURED = "what a law is asked (the answer was measured against its rivals, not predicted)"
ALONE = "every domain was tried alone, and what is left out says nothing of the others"
"""Why no run can be held out where domains were measured one by one."""
_ONE_MIXTURE = "all runs have one mixture, and tell experiments apart"


def one_by_one(answer: Answer) -> str:
    """Why no run can be held out; empty where one can."""
    if answer.dependence is not None:
        return _ONE_MIXTURE
    return "" if answer.domain_values is None else ALONE


def trusted(
    answer: Answer,
    told: Trust,
    confirmation: Confirmation | None,
    observations: Sequence[Observation],
) -> Trust:
    """The verdict of the gates in the light of how the answer came about, and of fresh seeds.

    Args:
        answer: of the strategy.
        told: what the gates say of its law.
        confirmation: what fresh seeds showed; None before the first.
        observations: all runs.
    """
    if answer.measured:
        apart = one_by_one(answer)
        unasked = f"what a law is asked ({apart})" if apart else _MEASURED
        untested = judge(confirmation).state == "untested"
        told = trust([_measured(answer)] if untested else [], (unasked,))
    if answer.remedied is not None:
        told = told.after(answer.remedied.before, answer.remedied.runs)
    verdict, broken = weighed(told, confirmation), burnt(observations)
    return verdict if broken is None else verdict.asked(broken)


def _measured(answer: Answer) -> Gate:
    """What may be said of an answer that was measured, before fresh seeds have judged it."""
    if answer.dependence is not None:
        return Gate(
            "mixture",
            "yes",
            "none was searched: all runs have this one, and say whether experiments interfere",
            allows="ranking only",
        )
    if answer.domain_values is not None and answer.schedule is None:
        return Gate(
            "last stages",
            "yes",
            "none that was tried beats the control beyond luck, and of others nothing is known",
            allows="ranking only",
        )
    return Gate(
        "fresh seeds of what was chosen",
        "no",
        "it was chosen for what it measured, and without fresh seeds luck is not told from merit",
        allows="do not trust",
        remedy=CONFIRM,
    )
