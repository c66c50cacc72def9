"""The commands, one a module: each parses its arguments, calls the library and shows the result."""

import signal
import sys
from pathlib import Path

from mixopt.app.commands.application import app
from mixopt.errors import InputError, MixoptError
from mixopt.lazy import require

__all__ = ["app", "main"]


def main() -> None:
    """The entry point: errors that mixopt raises on purpose end in words, not in a traceback."""
    # A trainer of the user's own is found in the folder that the command runs from.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    # Told to stop by a scheduler, a command ends as after Ctrl-C: workers ended, store closed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except MixoptError as error:
        require("mixopt.app.output.console").show_error(error)
        sys.exit(2 if isinstance(error, InputError) else 1)
