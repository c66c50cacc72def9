"""The site: what is generated for it names every key and every public name; pages are rendered."""

import doctest
import re
from pathlib import Path

import pytest
import yaml

from docs.site.reference import TABLES, names_page, public_names, python_pages, spec_keys, spec_page
from mixopt import Domain
from mixopt.app.commands.table import COMMANDS
from mixopt.app.spec.spec_file import json_schema, parse_spec

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "guide"
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
PAGES = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FIRST = {
    "version": 1,
    "name": "x",
    "trainer": {"use": "proxies:LanguageModelTrainer"},
    "scales": [{"params": "1M", "tokens": "1M"}],
    "objective": {"minimize": "web"},
}


def test_every_key_of_the_schema_has_a_row_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*) \| .* \| .* \|$", spec_page(), re.MULTILINE))
    assert [key for key in spec_keys() if not rows.get(key, "").strip()] == []
    assert "| `seed` | Of the search; confirmation uses the next. | integer from 0" in spec_page()


def test_a_new_key_would_appear() -> None:
    schema = json_schema()
    changed = {**schema, "properties": {**schema["properties"], "new": {"description": "News."}}}
    assert "| `new` | News. |" in spec_page(changed)


def test_every_name_that_a_spec_takes_has_its_settings() -> None:
    page = names_page()
    names = [name for table in TABLES.values() for name in table]
    assert [name for name in names if f"### `{name}`\n" not in page] == []
    auto = page.partition("### `auto`")[2].partition("### ")[0]
    assert "| `design` | runs of the design. | `32` |" in auto
    without = re.findall(r"^\| `(\w+)` \|  \|", page, re.MULTILINE)
    assert without == []


def test_every_public_name_has_a_page() -> None:
    pages = python_pages()
    for module, names in public_names().items():
        page = pages[f"python/{module}.md"]
        assert [n for n in names if f'"{n}"' not in page and f".{n}\n" not in page] == [], module
    assert {"mixopt", "mixopt.ports", "mixopt.laws", "proxies"} < set(public_names())


def test_the_site_asks_no_other_host() -> None:
    assert "font: false" in SITE
    assert "http" not in SITE.replace("https://json-schema.org", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"^(?:    |\$ )mixopt ([a-z]+)", text, re.MULTILINE)
    named = {*lines, *re.findall(r"`mixopt ([a-z]+)", text)}
    assert named - set(COMMANDS) == set()
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    made = {*re.findall(r"`make ([\w-]+)`", text), *re.findall(r"^    make ([\w-]+)", text, re.M)}
    assert made - set(targets) == set()


def test_the_page_on_optuna_runs() -> None:
    pytest.importorskip("optuna")
    result = doctest.testfile(str(GUIDE / "optuna.md"), module_relative=False)
    assert (result.attempted > 15, result.failed) == (True, 0)


@pytest.mark.parametrize("name", ["constraints", "reuse"])
def test_examples_of_a_page_run_and_its_specs_are_read(name: str) -> None:
    path = GUIDE / f"{name}.md"
    result = doctest.testfile(str(path), module_relative=False)
    assert (result.attempted > 0, result.failed) == (True, 0)
    for block in re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        spec = parse_spec(FIRST | yaml.safe_load(block))
        if spec.space.domains:
            space = spec.make_space(tuple(Domain(domain) for domain in spec.space.domains))
            assert dict(zip(space.names, space.upper, strict=True))["books"] == 0.05
