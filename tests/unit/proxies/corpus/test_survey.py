"""A first look at a folder: what is a domain, where its text is, how much there is."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mixopt import InputError
from proxies.corpus.survey import survey

WORDS = "the quick brown fox jumps over the lazy dog and says so at some length\n"


def lines(path: Path, rows: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text)


def test_folders_and_files_of_records_are_domains(tmp_path: Path) -> None:
    lines(tmp_path / "forum" / "2024" / "a.jsonl.gz", [{"data": {"body": WORDS}, "by": "me"}] * 9)
    lines(tmp_path / "web pages.jsonl", [{"content": WORDS, "title": WORDS * 3}] * 5)
    lines(tmp_path / "valid" / "v.jsonl", [{"text": WORDS}])
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.txt").write_text(WORDS)
    seen = survey(tmp_path)
    assert set(seen.domains) == {"forum", "web pages"}
    assert set(seen.validation) == {"valid"}
    forum, web = seen.domains["forum"], seen.domains["web pages"]
    assert forum.source == {"path": str(tmp_path / "forum"), "text_field": "data.body"}
    assert web.text_field == "content", "a name that says text goes before a longer field"
    assert seen.validation["valid"].source == str(tmp_path / "valid")
    assert (forum.size, forum.whole) == (9 * len(WORDS), True)


def test_the_longest_field_is_the_text_where_no_name_says_so(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", [{"id": "x" * 9, "passage": WORDS, "n": 3}] * 3)
    lines(tmp_path / "b.jsonl", [{"n": 3}] * 3)
    seen = survey(tmp_path)
    assert seen.domains["a"].text_field == "passage"
    assert "no field of b.jsonl holds text (it has n)" in seen.skipped[0]


def test_documents_in_the_folder_itself_are_domains_by_kind(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "c.md"):
        (tmp_path / name).write_text(WORDS * 2)
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    seen = survey(tmp_path)
    assert {name: part.files for name, part in seen.domains.items()} == {"md": 1, "py": 2}
    assert len(seen.domains["py"].source) == 2


def test_what_lies_beside_domains_and_is_not_read_is_named(tmp_path: Path) -> None:
    lines(tmp_path / "forum" / "a.jsonl", [{"text": WORDS}])
    for name in ("README.md", "scan.pdf", "notes.txt"):
        (tmp_path / name).write_text(WORDS)
    seen = survey(tmp_path)
    assert set(seen.domains) == {"forum", "notes"}
    assert seen.skipped == (
        "not read: README.md, scan.pdf (by their names no text, or about the data)",
    )
    (tmp_path / "forum" / "a.jsonl").unlink()
    (tmp_path / "forum").rmdir()
    assert "md" in survey(tmp_path).domains  # beside no domain a README is text like any other


def test_of_much_text_a_part_is_read_and_the_rest_estimated(tmp_path: Path) -> None:
    rows = [{"text": WORDS * (1 + i % 7), "url": "https://example.org"} for i in range(40_000)]
    lines(tmp_path / "web" / "a.jsonl", rows)
    seen = survey(tmp_path).domains["web"]
    assert not seen.whole
    assert seen.size == pytest.approx(sum(len(row["text"]) for row in rows), rel=0.02)


@pytest.mark.parametrize("made", [None, "file", "empty"])
def test_what_holds_no_domain_is_refused(tmp_path: Path, made: str | None) -> None:
    path = tmp_path / "data"
    if made == "file":
        path.write_text(WORDS)
    elif made == "empty":
        path.mkdir()
    with pytest.raises(InputError, match=r"name the folder|name a folder|one folder or file per"):
        survey(path)
