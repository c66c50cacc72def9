"""How a spec's `store: {use: mlflow, ...}` becomes a store."""

from pathlib import Path
from typing import Annotated

from mixopt.ports import Store
from mixopt.space.numbers import Within
from mixopt.tracking import database_uri
from mixopt.tracking.mlflow import MLflowStore
from mixopt.tracking.patience import PATIENCE_SECONDS, PatientStore


def open_mlflow(
    folder: Path,
    name: str,
    *,
    read_only: bool = False,
    uri: str | None = None,
    namespace: str = "",
    owner: str | None = None,
    patience: Annotated[float, Within(0)] = PATIENCE_SECONDS,
) -> Store:
    """The record of the sweep `name` of a folder, in MLflow.

    Args:
        folder: of the sweep; holds the artifacts of a store in a file.
        name: of the sweep, and of its experiment.
        read_only: look only.
        uri: tracking URI; by default SQLite in the folder.
        namespace: before the name of the experiment, so that teams do not meet.
        owner: of the experiment, see `MLflowStore`.
        patience: seconds that the store may be away at a stretch while the sweep goes on.

    Raises:
        StoreError: see `MLflowStore`.
    """
    store = MLflowStore(
        uri or database_uri(folder),
        name,
        namespace=namespace,
        owner=owner,
        artifacts=folder / "artifacts",
        read_only=read_only,
    )
    return store if read_only else PatientStore(store, patience=patience)
