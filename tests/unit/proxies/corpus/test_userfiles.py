import gzip
import json
import os
from pathlib import Path

import pytest

from mixopt.errors import InputError
from proxies import LanguageModelTrainer
from proxies.corpus import CorpusConfig, load_corpus
from proxies.corpus.counts import Counts, total
from proxies.corpus.forms import choose
from proxies.corpus.reading import read_texts
from proxies.corpus.sources import Source, sources_of
from proxies.corpus.userfiles import Listing, find_files

LINE = b'{"text": "x"}\n'


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(LINE)
    return folder


def listed(given: object, field: str = "text") -> Listing:
    return find_files("web", sources_of("web", given, field))


def labels(listing: Listing) -> list[str]:
    return [file.label for file in listing.files]


def skipped(listing: Listing) -> dict[str, tuple[int, str]]:
    return {reason: (met.number, met.first) for reason, met in listing.skipped.items()}


def test_forms_that_hold_records_are_read_beside_each_other(tmp_path):
    names = ["a.jsonl", "b.jsonl.xz", "c.json.bz2", "d.csv", "e.parquet", "f.tsv.gz", "g.txt.zst"]
    assert labels(listed(str(put(tmp_path, *names)))) == names


def test_what_is_not_read_is_named_by_its_reason(tmp_path):
    put(tmp_path, "a.jsonl", "x.pdf", "y.pdf", "part-0", "notes.md", "sub/b.py.gz", "t.tar.gz")
    put(tmp_path, ".h.jsonl", ".git/c.txt", ".ipynb_checkpoints/a-checkpoint.jsonl")
    put(tmp_path, "_SUCCESS", "a.jsonl~", "a.jsonl.bak", "a-checkpoint.jsonl", "z-checkpoint.jsonl")
    put(tmp_path, "_temporary/0/part.jsonl", "dataset_info.json")
    found = listed(str(tmp_path))
    assert labels(found) == ["a.jsonl", "z-checkpoint.jsonl"]
    assert skipped(found) == {
        "suffix .pdf": (2, "x.pdf"),
        "suffix none": (1, "part-0"),
        "suffix .md beside lines or tables": (1, "notes.md"),
        "suffix .py.gz beside lines or tables": (1, "sub/b.py.gz"),
        "suffix .tar.gz": (1, "t.tar.gz"),
        "hidden file": (3, ".git/c.txt"),
        "marker file": (1, "_SUCCESS"),
        "backup copy": (2, "a.jsonl.bak"),
        "checkpoint copy": (1, "a-checkpoint.jsonl"),
        "inside a working folder": (1, "_temporary/0/part.jsonl"),
        "bookkeeping of datasets": (1, "dataset_info.json"),
    }


def test_a_folder_of_code_or_markdown_is_a_document_each(tmp_path):
    put(tmp_path, "a.py", "pkg/__init__.py", "pkg/b.rs", "README.md", "requirements.txt")
    assert len(listed(str(tmp_path)).files) == 5
    assert {file.kind for file in listed(str(tmp_path)).files} == {"txt"}
    put(tmp_path, "package.json")
    assert len(listed(str(tmp_path)).files) == 6


def test_a_description_beside_an_array_of_records_is_not_read(tmp_path):
    found = listed(str(put(tmp_path, "data.json", "README.md")))
    assert labels(found) == ["data.json"]
    assert skipped(found) == {"suffix .md beside lines or tables": (1, "README.md")}


def test_suffixes_choose_what_is_read(tmp_path):
    put(tmp_path, "a.jsonl", "b.py", "c.log", "d.log.gz")
    assert labels(listed({"path": str(tmp_path), "suffixes": [".py"]})) == ["b.py"]
    assert labels(listed({"path": str(tmp_path), "suffixes": ".log"})) == ["c.log", "d.log.gz"]
    assert labels(listed({"path": str(tmp_path), "suffixes": [".log.gz"]})) == ["d.log.gz"]
    with pytest.raises(InputError, match=r"'web'.*no .*suffix \.jsonl: 1 \(first: a\.jsonl\)"):
        listed({"path": str(tmp_path), "suffixes": [".txt"]})


def test_links_are_followed_and_nothing_is_read_twice(tmp_path):
    inside, outside = (
        put(tmp_path / "in", "a.jsonl", "sub/b.jsonl"),
        put(tmp_path / "out", "c.jsonl"),
    )
    (inside / "loop").symlink_to(inside)
    (inside / "sub" / "up").symlink_to(inside)
    (inside / "linked").symlink_to(outside)
    (outside / "back").symlink_to(inside / "sub")
    (inside / "again.jsonl").symlink_to(inside / "a.jsonl")
    (inside / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    os.link(inside / "a.jsonl", inside / "hard.jsonl")
    os.mkfifo(inside / "pipe.jsonl")
    found = listed(str(inside))
    assert labels(found) == ["a.jsonl", "linked/c.jsonl", "sub/b.jsonl"]
    assert {reason: number for reason, (number, _) in skipped(found).items()} == {
        "second name of a file": 2,
        "link to a folder met before": 3,
        "link that leads nowhere": 1,
        "pipe, socket or device": 1,
    }


def test_links_to_files_without_suffix_are_read_as_the_hub_keeps_them(tmp_path):
    put(tmp_path, "blobs/0a1b")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "a.jsonl").symlink_to(tmp_path / "blobs" / "0a1b")
    assert labels(listed(str(tmp_path))) == ["snapshot/a.jsonl"]


def test_a_pipe_a_missing_path_and_a_folder_that_cannot_be_searched(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(InputError, match=r"'web'.*pipe\.jsonl.*neither a file nor a folder"):
        listed(str(tmp_path / "pipe.jsonl"))
    with pytest.raises(InputError, match=r"'web'.*does not exist"):
        listed(str(tmp_path / "gone"))

    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(InputError, match=r"'web'.*cannot be searched.*access rights"):
        listed(str(tmp_path))


def test_a_file_that_cannot_be_opened_is_named_and_not_the_cache(tmp_path, monkeypatch):
    (file,) = listed(str(put(tmp_path, "a.jsonl"))).files
    Path(file.path).unlink()
    with pytest.raises(InputError, match=r"'web'.*a\.jsonl cannot be read.*access rights"):
        list(read_texts("web", file, Counts()))


def test_names_that_are_no_utf8_are_shown_in_ascii(tmp_path):
    name = os.fsdecode(b"\xff bad\nname.jsonl")
    (tmp_path / name).write_bytes(LINE * 200 + b"{oops\n")
    listing, counts = listed(str(tmp_path)), Counts()
    texts = [text for file in listing.files for text in read_texts("web", file, counts)]
    (warning,) = counts.check("web", listing.skipped)
    assert len(texts) == 200
    assert r"line 201 of \udcff bad\nname.jsonl" in warning
    warning.encode()


def test_every_source_has_its_own_field_and_encoding(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"body": "été"}\n', encoding="cp1252")
    (tmp_path / "b.jsonl").write_text('{"data": {"text": "nested"}, "text": 3}\n')
    (tmp_path / "c.jsonl").write_text('{"text": "plain"}\n')
    given = [
        {"path": str(tmp_path / "a.jsonl"), "text_field": "body", "encoding": "cp1252"},
        {"path": [str(tmp_path / "b.jsonl")], "text_field": "data.text"},
        str(tmp_path / "c.jsonl"),
    ]
    counts = Counts()
    texts = [t for file in listed(given).files for t in read_texts("web", file, counts)]
    assert texts == ["été", "nested", "plain"]
    assert total(counts.broken) == 0
    assert counts.changed["decoded from cp1252"].number == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "a", "text_fild": "b"}, "no setting 'text_fild'.*did you mean 'text_field'"),
        ({"text_field": "b"}, "names no text"),
        ({"path": "a", "text_field": 3}, "text_field is 3"),
        ({"path": "a", "encoding": "klingon"}, "encoding is 'klingon'.*cp1252"),
        ({"path": "a", "encoding": "base64"}, "encoding is 'base64'"),
        ({"path": "a", "encoding": 8}, "encoding is 8"),
        ({"path": "a", "suffixes": "py"}, "suffixes is 'py'.*dot"),
        ({"path": "builtin:python", "encoding": "utf-8"}, "built in and takes no settings"),
        ([["a"]], "names no text"),
        ("a\0b", "names no text"),
        ({"path": "x" * 5000, "path2": 1}, "no setting 'path2'"),
    ],
)
def test_sources_of_another_form_are_refused_with_a_remedy(given, message):
    with pytest.raises(InputError, match=message) as error:
        CorpusConfig(domains={"web": given})
    assert len(str(error.value)) < 1000


def test_choose_knows_bookkeeping_from_data():
    assert choose(["data.arrow", "state.json", "more.json"]) == {
        "data.arrow": "arrow",
        "state.json": "bookkeeping of datasets",
        "more.json": "json",
    }


def test_what_is_not_read_reaches_the_trainers_warnings_and_leaves_the_data_as_it_is(
    text, tmp_path
):
    folder = tmp_path / "web"
    rows = [json.dumps({"text": f"a line of text, number {i}, for the web"}) for i in range(200)]
    folder.mkdir()
    (folder / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    domains = dict(text, web=str(folder))
    before = load_corpus(CorpusConfig(domains=domains, vocab=300), tmp_path / "cache")
    put(folder, ".DS_Store", "notes.pdf")
    trainer = LanguageModelTrainer(domains=domains, vocab=300, context=16)
    info = trainer.prepare(tmp_path / "cache")
    (said,) = [warning for warning in info.warnings if "'web'" in warning and "not read" in warning]
    assert "files not read: 2" in said
    assert "hidden file: 1 (first: .DS_Store)" in said
    assert "suffix .pdf: 1 (first: notes.pdf)" in said
    (record,) = info.notes["sources"]["train/web"]
    assert record["skipped"]["suffix .pdf"] == {"number": 1, "first": "notes.pdf"}
    assert info.data == before.sha256


def test_a_source_is_the_same_by_path_and_by_mapping():
    assert sources_of("web", "a", "body") == sources_of("web", {"path": "a"}, "body")
    assert sources_of("web", "builtin:python", "text") == (Source("builtin:python"),)
