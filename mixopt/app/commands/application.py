"""The application that commands register with, and the arguments that several of them take."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered

app = typer.Typer(
    name="mixopt",
    help="Find the data mixture for the next large language-model run, and prove it.",
    epilog="Start with: mixopt run experiments/quickstart/spec.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SpecArgument = Annotated[
    Path, typer.Argument(help="The spec.yaml of the sweep, or the folder that holds it.")
]
SweepArgument = Annotated[
    Path, typer.Argument(help="The sweep: its name, its folder (runs/<name>), or its spec.yaml.")
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON ('-': to stdout)."),
]


def leave(answer: Outcome | Unanswered) -> None:
    """End with 1 where nothing was concluded."""
    if isinstance(answer, Unanswered):
        raise typer.Exit(1)
