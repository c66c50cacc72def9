"""The JSON schema takes what mixopt takes, and describes every key."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mixopt.app.spec.spec_file import json_schema, parse_spec
from mixopt.app.spec.strict_yaml import read_yaml

ROOT = Path(__file__).parents[3]
SCHEMA = jsonschema.Draft202012Validator(json_schema())
# What the blocks of the guides leave out, which are parts of a spec.
REST: dict[str, Any] = {
    "version": 1,
    "name": "part",
    "trainer": {"use": "module:Trainer"},
    "scales": [{"params": "1M", "tokens": "20M"}],
    "objective": {"minimize": "loss"},
}


def yaml_blocks() -> Iterator[tuple[str, str]]:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, block in enumerate(
            re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        ):
            if not block.startswith("# ray_cluster.yaml\n"):  # Ray's file, not a spec
                yield f"{page.relative_to(ROOT)}:{number}", block
    for file in sorted((ROOT / "experiments").rglob("*.yaml")):
        yield str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")


@pytest.mark.parametrize(("where", "text"), list(yaml_blocks()), ids=lambda v: v[:40])
def test_every_spec_that_is_shown_is_valid(where: str, text: str) -> None:
    values = read_yaml(text.encode(), lambda path: False).values
    whole = {**REST, **values}
    whole["trainer"] = {**REST["trainer"], **whole["trainer"]}
    SCHEMA.validate(whole)
    parse_spec(whole)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    json.dumps(json_schema(), allow_nan=False)


def keys() -> Iterator[tuple[str, Any]]:
    for name, part in json_schema()["$defs"].items():
        yield from ((f"{name}.{k}", v) for k, v in part["properties"].items())
    yield from json_schema()["properties"].items()


def test_every_key_is_described() -> None:
    assert [path for path, node in keys() if not node.get("description")] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("strategy.use", "atuo"),
        ("strategy.use", "optuna:"),
        ("trainer.use", "LanguageModelTrainer"),
        ("execution.use", "slurmy"),
        ("objective.reduce", "median"),
        ("objective.guards", {"a": {"baseline": "nature"}}),
        ("scales", []),
        ("scales", [{"params": "12q", "tokens": 1}]),
        ("scales", [{"params": "010", "tokens": 1}]),
        ("space.bounds", {"a": [0, 2]}),
        ("seed", -1),
        ("sead", 1),
    ],
)
def test_the_schema_refuses_what_mixopt_refuses(path: str, value: Any) -> None:
    first, _, second = path.partition(".")
    values = {**REST, first: {**REST.get(first, {}), second: value} if second else value}
    assert not SCHEMA.is_valid(values)
