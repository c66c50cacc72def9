"""The strict YAML edge: every broken field is named with its path and a remedy."""

import copy
from pathlib import Path
from typing import Any

import pytest

from mixopt import Domain, Scale
from mixopt.app.spec.spec_file import json_schema, parse_spec, read_spec
from mixopt.errors import SpecError

GOOD: dict[str, Any] = {
    "version": 1,
    "name": "study",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer", "config": {"noise": 0.1}},
    "scales": [{"params": "100k", "tokens": 65536}, {"params": "1.5M", "tokens": "1e6"}],
    "space": {"bounds": {"web": [0.1, 0.8]}, "groups": {"text": {"domains": ["web", "books"]}}},
    "objective": {"minimize": "code"},
    "strategy": {"use": "auto", "design": 8},
}
FOUND = (Domain("web", 8e9), Domain("books", 1e9), Domain("code", 1e9))


def changed(path: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(GOOD)
    *parents, key = path.split(".")
    node: Any = values
    for part in parents:
        node = node[int(part)] if part.isdigit() else node[part]
    if value is ...:
        del node[key]
    else:
        node[key] = value
    return values


def test_a_good_spec_becomes_objects() -> None:
    spec = parse_spec(GOOD)
    assert spec.make_scales() == (Scale(100_000, 65_536), Scale(1_500_000, 1_000_000))
    space = spec.make_space(FOUND)
    assert space.lower.tolist() == [0.1, 0.0, 0.0]
    assert space.upper.tolist() == [0.8, 1.0, 1.0]
    assert space.groups[0].domains == ("web", "books")
    assert spec.make_objective().weights == {"code": 1.0}
    assert spec.strategy.settings == {"design": 8}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("executon", {}, "executon: unknown key; .*did you mean 'execution'"),
        ("trainer.confg", {}, "trainer.confg: unknown key; known: config, runtime, use"),
        ("scales.0.token", 5, "scales.0.token: unknown key; .*did you mean 'tokens'"),
        ("space.groups.text.lowr", 0.1, r"space.groups.text.lowr: unknown key; .*'lower'"),
        ("objective", ..., "objective: missing; add it"),
        ("trainer.use", ..., "trainer.use: missing"),
        ("name", "a b", "name: string should match pattern"),
        ("name", 7, "name: input should be a valid string, not 7"),
        ("seed", "1", "seed: input should be a valid integer"),
        ("scales", [], "scales: list should have at least 1 item"),
        ("scales.0.params", "12q", "scales.0.params: '12q' is no count; give a number"),
        ("scales.0.tokens", -5, "scales.0.tokens: input should be greater than 0, not -5"),
        ("scales.0.tokens", 1.5, "scales.0.tokens: "),
        ("scales.0.tokens", True, "scales.0.tokens: give a number"),
        ("space.bounds.web", [0.1, 1.2], "space.bounds.web.1: .*less than or equal to 1"),
        ("space.bounds.web", [0.1], "space.bounds.web.1: missing"),
        (
            "objective.guards",
            {"loss/web": 0.1},
            r"loss/web: 0.1 is no mapping; .* \{tolerance: ...\}; known: tolerance, baseline",
        ),
        ("objective", {}, "objective: name at least one metric"),
        ("execution", {"pack_size": 0}, "execution.pack_size: "),
        (
            "execution",
            {"use": "rya"},
            "execution.use: unknown executor 'rya'.*did you mean 'ray'",
        ),
    ],
)
def test_what_breaks_a_rule_is_named_with_its_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_spec(changed(path, value))


def test_all_broken_fields_are_listed_at_once() -> None:
    values = changed("seed", -1)
    values["executon"] = {}
    with pytest.raises(SpecError, match=r"(?s)seed: .*executon: unknown key"):
        parse_spec(values)


@pytest.mark.parametrize("version", [0, 2, "1", True])
def test_another_version_is_refused_with_what_this_one_reads(version: object) -> None:
    with pytest.raises(SpecError, match="this mixopt reads version 1"):
        parse_spec(changed("version", version))


def test_a_spec_without_a_version_is_told_what_to_begin_with() -> None:
    with pytest.raises(SpecError, match="does not say its version; begin with 'version: 1'"):
        parse_spec(changed("version", None))


def test_bounds_that_cannot_be_met_are_refused_with_the_reason() -> None:
    low = {"web": [0.6, 1.0], "books": [0.5, 1.0]}
    with pytest.raises(SpecError, match=r"space: .*web.*books"):
        parse_spec(changed("space.bounds", low)).make_space(FOUND)
    high = {"web": [0.0, 0.3], "books": [0.0, 0.3], "code": [0.0, 0.3]}
    with pytest.raises(SpecError, match="space: "):
        parse_spec(changed("space.bounds", high)).make_space(FOUND)
    with pytest.raises(SpecError, match=r"space: unknown domain 'wbe'.*did you mean 'web'"):
        parse_spec(changed("space.bounds", {"wbe": [0.0, 0.5]})).make_space(FOUND)


def test_overrides_of_a_domain_win_over_the_data() -> None:
    values = changed("space.domains", {"web": {"tokens": "5T", "tags": {"licence": "cc"}}})
    web = parse_spec(values).make_space(FOUND).domains[0]
    assert (web.tokens, web.tags["licence"]) == (5e12, "cc")
    with pytest.raises(SpecError, match=r"space.domains: unknown domain 'wab'"):
        parse_spec(changed("space.domains", {"wab": {}})).make_space(FOUND)


def test_groups_by_tag_and_ties() -> None:
    values = changed("space.domains", {"web": {"tags": {"licence": "cc"}}})
    values["space"]["groups"] = {"free": {"tag": {"licence": "cc"}, "upper": 0.5}}
    values["space"]["ties"] = {"old": {"books": 2.0, "code": 1.0}}
    space = parse_spec(values).make_space(FOUND)
    assert space.groups[0].domains == ("web",)
    w = space.project([0.9, 0.05, 0.05])
    assert w[0] == pytest.approx(0.5, abs=1e-6)
    assert w[1] == pytest.approx(2 * w[2], abs=1e-6)
    both = changed("space.groups.text", {"domains": ["web"], "tag": {"a": "b"}})
    with pytest.raises(SpecError, match=r"space.groups.text: give either 'domains' or 'tag'"):
        parse_spec(both)


def test_percentages_an_odd_name_and_no_version_are_told_what_to_write() -> None:
    with pytest.raises(SpecError, match=r"a share of 20 % is 0\.2"):
        parse_spec(changed("space", {"bounds": {"web": [20, 80]}}))
    with pytest.raises(SpecError, match="begin with a letter or digit"):
        parse_spec(changed("name", "my study"))
    with pytest.raises(SpecError, match="begin with 'version: 1'"):
        parse_spec({k: v for k, v in changed("name", "x").items() if k != "version"})


def test_maximised_metrics_and_weights() -> None:
    objective = parse_spec(
        changed("objective", {"minimize": {"code": 3.0}, "maximize": {"accuracy": 1.0}})
    ).make_objective()
    assert objective.weights == {"code": 0.75, "accuracy": 0.25}
    assert objective.maximize == {"accuracy"}


def test_files_that_are_no_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        read_spec(tmp_path / "spec.yaml")
    with pytest.raises(SpecError, match=r"the folder holds no spec\.yaml"):
        read_spec(tmp_path)
    (tmp_path / "spec.yaml").write_text("a: [1, 2")
    with pytest.raises(SpecError, match="cannot be read as YAML"):
        read_spec(tmp_path)
    (tmp_path / "spec.yaml").write_text("- 1\n")
    with pytest.raises(SpecError, match="a mapping"):
        read_spec(tmp_path)


def test_yaml_is_read_safely(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("version: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(SpecError, match="cannot be read as YAML"):
        read_spec(tmp_path)


@pytest.mark.parametrize("path", sorted(Path("experiments").rglob("*.yaml")), ids=str)
def test_every_committed_spec_reads(path: Path) -> None:
    """No two of them share a name, and so a folder of runs."""
    folder = path.parent.name
    assert read_spec(path).name == (folder if path.stem == "spec" else f"{folder}-{path.stem}")


def test_the_schema_for_editors_forbids_unknown_keys() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"version", "name", "trainer", "scales", "objective"}
