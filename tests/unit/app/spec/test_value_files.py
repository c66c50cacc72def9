"""JSON and YAML files that a command names: what was written is what is read."""

import json
from pathlib import Path

import pytest

from mixopt import InputError
from mixopt.app.spec.value_files import read_values

VALUES = {"web": 1e-07, "code": [1e22, 0.1], "deep": {"yes": "no", "n": 12345678901234567890123}}


@pytest.mark.parametrize("name", ["state.json", "state", "state.txt", "state.yaml"])
def test_json_is_json_whatever_the_file_is_called(name: str, tmp_path: Path) -> None:
    """A state is kept under the name that the user gave; numbers such as 1e-07 are none in YAML."""
    path = tmp_path / name
    large = VALUES | {"rest": ["x" * 100] * 5000}  # beyond what is read of YAML
    for values in (VALUES, large):
        path.write_text(json.dumps(values))
        assert read_values(path, "give it") == values


def test_braces_of_yaml_are_yaml_and_keys_are_there_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("{web: 0.5, code: 0.5}  # a comment\n")
    assert read_values(path, "give it") == {"web": 0.5, "code": 0.5}
    for text in ('{"web": 1, "web": 2}', "{web: 1, web: 2}", "web: 1\nweb: 2\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="twice"):
            read_values(path, "give it")
    path.write_text('{"web": 1')
    with pytest.raises(InputError, match=r"a\.yaml.* give it"):
        read_values(path, "give it")
