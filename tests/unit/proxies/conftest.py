"""The text that proxies are tried on, and where it is prepared: once for all tests."""

from pathlib import Path

import pytest

from tests.unit.proxies.texts import write_domains


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_domains(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")
