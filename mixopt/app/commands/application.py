"""The application that commands register with, and the arguments that several of them take."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt import __version__
from mixopt.app.commands.group import Commands
from mixopt.lazy import require

app = typer.Typer(
    name="mixopt",
    cls=Commands,
    help="Find the data mixture for the next large language-model run, and prove it.",
    epilog="Start with: mixopt run experiments/quickstart/spec.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SpecArgument = Annotated[
    Path, typer.Argument(help="The spec.yaml of the sweep, or the folder that holds it.")
]
SweepArgument = Annotated[
    Path, typer.Argument(help="The sweep: its name, its folder (runs/<name>), or its spec.yaml.")
]
OutOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the sweep (default: runs/<name>).")
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON ('-': to stdout)."),
]

AddressOption = Annotated[
    str,
    typer.Option(
        envvar="RAY_API_SERVER_ADDRESS",
        metavar="URL",
        help="The cluster's dashboard, e.g. http://head:8265.",
    ),
]
JobArgument = Annotated[str, typer.Argument(help="The sweep's name, or the id of its job.")]


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"mixopt {__version__}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which mixopt."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress and notes; results and errors.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on standard error what is done.")
    ] = False,
) -> None:
    """Find the data mixture for the next large language-model run, and prove it."""
    if quiet or verbose:
        require("mixopt.app.output.console").set_verbosity(quiet=quiet, verbose=verbose)
