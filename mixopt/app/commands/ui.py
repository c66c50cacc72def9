"""`mixopt ui`."""

import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from typing import Annotated

import typer

from mixopt.app.commands.application import SweepArgument, app
from mixopt.app.output import console
from mixopt.app.results import recorded
from mixopt.app.running import durable, launch
from mixopt.tracking.shown import deep_link

_START_SECONDS = 90.0


@app.command()
def ui(
    sweep: SweepArgument = durable.RUNS / "quickstart",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    browse: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show a sweep's runs in MLflow's pages; Ctrl-C closes them.

    Example: mixopt ui runs/quickstart --open
    """
    folder, spec = launch.remembered(sweep)
    pages = recorded.pages_of(spec, folder)
    if pages.store.is_server:
        link = deep_link(pages.store.uri, pages.experiment)
        console.say(f"The runs are on a server that has pages of its own: {link}")
        if browse:
            webbrowser.open(link)
        return
    server = f"http://127.0.0.1:{port}"
    link = deep_link(server, pages.experiment)
    console.say(f"The sweep's runs are at {link} once MLflow has started (Ctrl-C closes it)")
    # One worker is enough for one reader, and takes 250 MB; the default are four.
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port), "--workers", "1"]
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": pages.store.uri,  # an argument could be read by everybody
        # MLflow's job workers take 2 GB and serve none of its tracking pages.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if browse:
        threading.Thread(target=_browse, args=(server, link), daemon=True).start()
    try:
        done = subprocess.run(command, env=environment, check=False)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    raise typer.Exit(done.returncode)


def _browse(server: str, link: str) -> None:
    """Open the page as soon as somebody answers."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{server}/health", timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            webbrowser.open(link)
            return
