"""`mixopt ui`."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from mixopt.app import console, launch, preparation
from mixopt.app.commands.application import SweepArgument, app


@app.command()
def ui(
    sweep: SweepArgument = preparation.RUNS / "quickstart",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Open MLflow's pages on a sweep's store; Ctrl-C closes them.

    Example: mixopt ui runs/quickstart
    """
    store = launch.store_location(sweep)
    if store.is_server:
        console.say(f"The runs are on a server that has pages of its own: {store.shown}")
        return
    console.say(f"MLflow on http://127.0.0.1:{port} (Ctrl-C closes it)")
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": store.uri,  # as an argument, everybody could read a password
        # MLflow's job workers take 2 GB and serve none of its tracking pages.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    try:
        done = subprocess.run(command, env=environment, check=False)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    raise typer.Exit(done.returncode)
