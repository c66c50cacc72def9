"""The cluster file is what `ray up` accepts, and installs what the project installs."""

import json
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parent.parent
CONFIG = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text(encoding="utf-8"))


def test_the_cluster_file_satisfies_rays_own_schema() -> None:
    found = find_spec("ray")
    if found is None or found.origin is None:
        pytest.skip("Ray comes with the extra 'ray'")
    schema = Path(found.origin).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(CONFIG, json.loads(schema.read_text(encoding="utf-8")))


def test_its_parts_agree() -> None:
    types = CONFIG["available_node_types"]
    assert CONFIG["head_node_type"] in types
    assert all(kind.get("max_workers", 0) <= CONFIG["max_workers"] for kind in types.values())
    assert any("constraints.txt" in command for command in CONFIG["setup_commands"])
