"""The commands, one a module: each parses its arguments, calls the library and shows the result."""

import sys
from pathlib import Path

from mixopt.app import console
from mixopt.app.commands import compile, export, fit, listing, report, run, schema, status, ui
from mixopt.app.commands.application import app
from mixopt.errors import InputError, MixoptError

__all__ = [
    "app",
    "compile",
    "export",
    "fit",
    "listing",
    "main",
    "report",
    "run",
    "schema",
    "status",
    "ui",
]


def main() -> None:
    """The entry point: errors that mixopt raises on purpose end in words, not in a traceback."""
    # A trainer of the user's own is found in the folder that the command runs from.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        app()
    except MixoptError as error:
        console.show_error(error)
        sys.exit(2 if isinstance(error, InputError) else 1)
