"""`mixopt domains`: what it shows, writes and refuses; `mixopt init` goes on from there."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from mixopt.app.commands import app
from mixopt.app.spec.spec_file import read_spec
from mixopt.errors import InputError

WORDS = {"sea": ["ship", "sail", "wave", "tide"], "law": ["judge", "court", "jury", "clause"]}


@pytest.fixture
def heap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A heap of two topics in the folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(120):
        topic = str(rng.choice(list(WORDS)))
        rows.append({"body": " ".join(rng.choice(WORDS[topic], size=40)), "topic": topic})
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "crawl.v2.jsonl").write_text("\n".join([*lines, "{broken", '{"body": ""}']))
    return Path("crawl.v2.jsonl")


def call(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_a_heap_becomes_domains_that_init_makes_a_spec_of(heap: Path) -> None:
    result = call("domains", str(heap), "-k", "2", "--json", "cut.json")
    assert result.exit_code == 0, result.exception
    for shown in (
        "ship",
        "judge",
        "121 documents read, 1 of them empty",
        "mixopt init crawl-domains",
    ):
        assert shown in result.output
    assert "no JSON: 1 (first: line 121 of crawl.v2.jsonl" in result.output
    manifest = json.loads(Path("cut.json").read_text())
    topics = [json.loads(line)["topic"] for line in heap.read_text().splitlines()[:120]]
    planted = {topics.count(topic) for topic in WORDS}
    assert {d["documents"] for d in manifest["domains"]} == planted
    names = [d["name"] for d in manifest["domains"]]
    page = Path("crawl-domains/domains.html").read_text()
    assert all(name in page for name in names)
    assert call("init", "crawl-domains").exit_code == 0
    domains = read_spec(Path("experiments/crawl-domains/spec.yaml")).trainer.config["domains"]
    assert domains == {name: f"crawl-domains/{name}.jsonl" for name in names}


def test_json_on_standard_output_is_all_that_stands_there(heap: Path) -> None:
    result = call("domains", str(heap), "--field", "topic", "--json", "-", "-o", "by-topic")
    assert result.exit_code == 0, result.exception
    values = json.loads(result.stdout)
    assert {d["name"] for d in values["domains"]} == {"sea", "law"}
    assert Path("by-topic/sea.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-k", "many"], "clusters is 'many'; give a whole number, or auto"),
        (["--field", "topc"], "did you mean 'topic'"),
        (["-o", "."], "holds files; name another folder"),
    ],
)
def test_wrong_input_ends_in_words(words: list[str], message: str, heap: Path) -> None:
    result = call("domains", str(heap), *words)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


@pytest.mark.parametrize(
    ("file", "data", "words", "option"),
    [
        ("a.log", b"some text", [], "--suffix"),
        ("a.txt", "é, è, à\n".encode("latin-1") * 20, [], "--encoding"),
        ("a.jsonl", b'{"body": "a ship"}\n' * 20, ["--text-field", "txt"], "--text-field"),
    ],
)
def test_what_a_source_needs_is_said_as_an_option(
    file: str, data: bytes, words: list[str], option: str, heap: Path
) -> None:
    Path("texts").mkdir()
    (Path("texts") / file).write_bytes(data)
    result = call("domains", "texts", *words)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).endswith(f"On the command line this setting is {option}")


def test_missing_data_ends_in_words(heap: Path) -> None:
    result = call("domains", "nothing")
    assert isinstance(result.exception, InputError)
    assert "'nothing' does not exist" in str(result.exception)
