"""The documentation says what the code does: keys, commands, links and examples."""

import ast
import dataclasses
import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest

from mixopt import MixtureSpace, Objective, Scale, designs, export, laws, mixers, strategies
from mixopt.app.commands.table import COMMANDS
from mixopt.app.spec.spec_file import json_schema
from mixopt.execution.local import LocalExecutor, MemoryStore
from mixopt.execution.sweep import run_sweep
from mixopt.lazy import load
from mixopt.strategies import Problem, strategy

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "guide"
PAGES = [*sorted(GUIDE.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
LOG = sorted((ROOT / "docs" / "log").glob("*.md"))
ENTRIES = [page for page in LOG if page.name != "index.md"]


def spec_keys(schema: dict[str, Any]) -> list[str]:
    definitions = schema["$defs"]
    found = []
    for key, value in schema["properties"].items():
        references = re.findall(r"#/\$defs/(\w+)", json.dumps(value))
        by_name = {"DomainSpec", "GroupSpec", "GuardSpec", "KnobSpec"}  # explained in one row each
        inner = [r for r in references if r not in by_name]
        if key == "scales" or not inner:
            found.append(key)
        else:
            found += [f"{key}.{k}" for k in definitions[inner[0]]["properties"]]
    return found


@pytest.mark.parametrize("key", spec_keys(json_schema()))
def test_every_key_of_the_spec_is_in_the_guide(key: str) -> None:
    assert f"`{key}`" in (GUIDE / "spec.md").read_text(encoding="utf-8")


def test_the_committed_schema_is_todays() -> None:
    committed = json.loads((ROOT / "docs" / "spec.schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema(), "run: mixopt schema > docs/spec.schema.json"


def test_every_command_is_in_the_documentation() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in COMMANDS:
        assert f"mixopt {name}" in text


@pytest.mark.parametrize("page", [*PAGES, *LOG], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ENTRIES, ids=lambda p: p.name)
def test_an_entry_of_the_log_asks_a_question_and_decides(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.match(r"# [^\n]+\?\n\nDates: 20\d\d-\d\d-\d\d", text)
    sections = ["Question", "What was run", "Result", "Decision"]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == sections


def test_the_index_of_the_log_names_every_entry_once() -> None:
    text = (ROOT / "docs" / "log" / "index.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\(([\w-]+\.md)\)", text)) == [page.name for page in ENTRIES]


def test_every_page_of_the_guide_is_in_the_navigation() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [p.name for p in GUIDE.glob("*.md") if f"guide/{p.name}" not in site] == []
    index = (GUIDE / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"\]\(([\w]+\.md)\)", index)) | {"index.md"}
    assert sorted({p.name for p in GUIDE.glob("*.md")} - listed) == []


def test_the_index_of_decisions_names_every_record_once() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d[\w-]+\.md)\)", (folder / "index.md").read_text(encoding="utf-8"))
    assert listed == sorted(page.name for page in folder.glob("[0-9]*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_blocks_are_python(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        if ">>>" not in block:
            ast.parse(block)


def test_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert found.attempted > 8
    assert found.failed == 0


def test_the_trainer_of_the_guide_works(tmp_path: Path) -> None:
    text = (GUIDE / "plugins.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(from mixopt import Domain.*?)```", text, re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {}
    exec(block.group(1), names)  # the guide is ours
    simulator = names["Simulator"](slope=2.0)
    info = simulator.prepare(tmp_path)
    problem = Problem(
        MixtureSpace(info.domains), Objective.of("loss"), (Scale(1, 1),), trainer="guide:Simulator"
    )
    store = MemoryStore()
    recipe = strategy("auto", design=6, proposals=2, law="log-linear", confirm_seeds=1)
    run_sweep(
        recipe, problem, LocalExecutor(tmp_path, trainers={"guide:Simulator": simulator}), store
    )
    best = min(store.observations(), key=lambda o: o.metrics["loss"])
    assert best.spec.mixture["code"] == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize(
    ("table", "page"),
    [
        (laws.LAWS, "laws.md"),
        (designs.DESIGNS, "strategies.md"),
        (strategies.STRATEGIES, "strategies.md"),
        (export.EXPORTERS, "exporters.md"),
        (mixers.MIXERS, "online.md"),
    ],
    ids=["laws", "designs", "strategies", "exporters", "mixers"],
)
def test_every_name_that_a_user_may_write_is_in_the_guide(table: dict[str, Any], page: str) -> None:
    text = (GUIDE / page).read_text(encoding="utf-8")
    assert [name for name in table if f"`{name}`" not in text] == []


def test_every_key_of_the_language_model_is_in_the_guide() -> None:
    config = load("proxies.lm.recipe:LanguageModelConfig")
    text = (GUIDE / "trainers.md").read_text(encoding="utf-8")
    assert [f.name for f in dataclasses.fields(config) if f"`{f.name}`" not in text] == []
    corpus = load("proxies.corpus.config:CorpusConfig")
    text = (GUIDE / "data.md").read_text(encoding="utf-8")
    assert [f.name for f in dataclasses.fields(corpus) if f"{f.name}" not in text] == []
