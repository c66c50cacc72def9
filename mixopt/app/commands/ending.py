"""How commands end."""

import typer

from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered


def leave(answer: Outcome | Unanswered) -> None:
    """End with 1 where nothing was concluded."""
    if isinstance(answer, Unanswered):
        raise typer.Exit(1)
