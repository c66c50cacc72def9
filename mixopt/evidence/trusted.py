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
        unasked = _MEASURED if answer.domain_values is None else f"what a law is asked ({ALONE})"
        untested = judge(confirmation).state == "untested"
        told = trust([_measured(answer)] if untested else [], (unasked,))
    if answer.remedied is not None:
        told = told.after(answer.remedied.before, answer.remedied.runs)
    verdict, broken = weighed(told, confirmation), burnt(observations)
    return verdict if broken is None else verdict.asked(broken)


def _measured(answer: Answer) -> Gate:
    """What may be said of an answer that was measured, before fresh seeds have judged it."""
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
