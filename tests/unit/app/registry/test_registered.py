"""Where a registered version is looked for."""

from pathlib import Path

import pytest

from mixopt.app.plans.plan_source import read_source
from mixopt.errors import InputError


@pytest.mark.parametrize(
    "address",
    ["models:/", "models:/a", "models:/a@", "models:/a/x", "models:/a/b/1", "models:/a/1@b"],
)
def test_what_names_no_version_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="names no version; write models:/mixopt"):
        read_source(address)


def test_a_registry_that_nobody_names_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="no sweep 'study' below runs, and MLFLOW_TRACKING_URI is"):
        read_source("models:/mixopt.study@champion")
