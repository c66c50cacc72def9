"""Folders of random text files: a corpus that accounts for every document, or a clear refusal.

`MIXOPT_FUZZ_CASES` is the number of random folders; the examples of known kinds come on top.
"""

import bz2
import contextlib
import gzip
import json
import lzma
import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt.errors import InputError
from proxies.corpus import CorpusConfig, load_corpus
from proxies.corpus.corpus import Corpus
from proxies.corpus.streaming import extract, plan

CASES = int(os.environ.get("MIXOPT_FUZZ_CASES", "30"))
SCREEN = 24 * 80
SECONDS = 10
FILLER = [f"filler {i} of plain words, so that there is text to learn from" for i in range(40)]
SKIPPABLE = b"\x50\x2a\x4d\x18\x05\x00\x00\x00abcde"


def lz4(data: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "lz4") as stream:
        stream.write(data)
        stream.flush()
        stream.close()
    return buffer.getvalue().to_pybytes()


def zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


PACKINGS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
}


def jsonl(texts: list[str], field: str = "text") -> str:
    rows = ({"id": number, **nested(field, text)} for number, text in enumerate(texts))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def nested(field: str, text: str) -> dict[str, Any]:
    outer, _, inner = field.partition(".")
    return {outer: {inner: text}} if inner else {outer: text}


def array(texts: list[str]) -> str:
    return json.dumps([{"text": text} for text in texts], ensure_ascii=False, indent=1)


def pretty(texts: list[str]) -> str:
    return "\n".join(json.dumps({"text": text}, ensure_ascii=False, indent=2) for text in texts)


def csv(texts: list[str], sign: str = ",") -> str:
    cells = ('"' + text.replace('"', '""') + '"' for text in texts)
    return f"id{sign}text\n" + "".join(f"{i}{sign}{cell}\n" for i, cell in enumerate(cells))


def tsv(texts: list[str]) -> str:
    return csv(texts, "\t")


def parquet(texts: list[str]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), sink, row_group_size=3)
    return sink.getvalue().to_pybytes()


def arrow(texts: list[str]) -> bytes:
    table = pa.table({"text": pa.array(texts, pa.string())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue().to_pybytes()


FORMS = {
    ".jsonl": jsonl,
    ".ndjson": jsonl,
    ".json": array,
    ".csv": csv,
    ".tsv": tsv,
    ".txt": "\n".join,
    ".md": "\n".join,
    ".py": "\n".join,
}
TABLES = {".parquet": parquet, ".arrow": arrow}
MARKED = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",
    "utf-32": b"",
    "utf-16-be": b"\xfe\xff",
    "utf-32-be": b"\x00\x00\xfe\xff",
}


@dataclass(frozen=True)
class File:
    """A file of a folder: name, bytes, and how many documents it holds; None: it may be damaged."""

    name: str
    data: bytes
    documents: int | None


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
names = st.text("abcd é'", min_size=1, max_size=5).map(str.strip).filter(bool)


@st.composite
def sound_files(draw: st.DrawFn) -> File:
    """A file that can be read whole."""
    texts = draw(st.lists(words.filter(str.strip), min_size=1, max_size=6))
    folder = draw(st.sampled_from(["", "sub/", "sub/deep er/"]))
    form = draw(st.sampled_from([*FORMS, *TABLES]))
    packing = draw(st.sampled_from(list(PACKINGS)))
    name = f"{folder}{draw(names)}{form}{packing}"
    if form in TABLES:
        return File(name, PACKINGS[packing](TABLES[form](texts)), len(texts))
    encoding, mark = draw(st.sampled_from(list(MARKED.items())))
    body = mark + FORMS[form](texts).encode(encoding)
    documents = 1 if FORMS[form] not in (jsonl, array, csv, tsv) else len(texts)
    data = PACKINGS[packing](body)
    if packing == ".gz":
        data += b"\0" * draw(st.sampled_from([0, 1, 512]))
    if packing == ".zst":
        data = draw(st.sampled_from([b"", SKIPPABLE])) + data
    return File(name, data, documents)


@st.composite
def odd_files(draw: st.DrawFn) -> File:
    """A file that is damaged, of another form than its name says, or nothing but bytes."""
    file = draw(sound_files())
    what = draw(st.sampled_from(["cut", "flip", "tail", "rename", "bytes", "encoding", "lines"]))
    data = file.data
    match what:
        case "cut":
            data = data[: draw(st.integers(0, len(data)))]
        case "flip":
            at = draw(st.integers(0, max(0, len(data) - 1)))
            data = data[:at] + draw(st.binary(min_size=1, max_size=4)) + data[at + 1 :]
        case "tail":
            data += draw(st.binary(max_size=40))
        case "bytes":
            data = draw(st.binary(max_size=200))
        case "encoding":
            text = draw(words) * 3
            data = json.dumps({"text": text}, ensure_ascii=False).encode("cp1252", "replace")
        case "lines":
            lines = draw(st.lists(st.sampled_from(LINES), max_size=8))
            data = b"\n".join(lines)
    ends = [*FORMS, *TABLES, ".jsonl.gz", ".parquet.xz", ".pdf", ".bak", "", ".JSON", ".csv.zst"]
    name = draw(names) + draw(st.sampled_from(ends)) if what == "rename" else file.name
    return File(name, data, None)


LINES = [
    b'{"text": "fine"}',
    b'{"text": null}',
    b'{"text": 3.5}',
    b'{"text": ["a"]}',
    b'{"body": "x"}',
    b'{"text": ',
    b"[1, 2]",
    b"null",
    b"[" * 2000,
    b'{"text": ' + b"9" * 5000 + b"}",
    b'{"text": "\\ud800"}',
    b'{"text": "\xe9"}',
    b"\0\0\0",
    b"",
]


@contextlib.contextmanager
def folder_of(files: list[File]) -> Iterator[tuple[Path, list[File]]]:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "data"
        folder.mkdir()
        written: dict[str, File] = {}
        for file in files:
            path = folder / file.name
            with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.data)
                written[file.name] = file
        yield folder, list(written.values())


def build(folder: Path, streaming: bool, **source: Any) -> Corpus | str:
    """A corpus of a folder, or the message of its refusal."""
    filler = folder.parent / "filler.jsonl"
    filler.write_text(jsonl(FILLER))
    config = CorpusConfig(
        {"filler": str(filler), "web": {"path": str(folder), **source}}, vocab=300
    )
    began = sum(os.times()[:4])  # CPU seconds, those of its workers too
    try:
        return load_corpus(config, folder.parent / f"{streaming}", streaming=streaming, workers=1)
    except InputError as error:
        return str(error)
    finally:
        assert sum(os.times()[:4]) - began < SECONDS


def record(corpus: Corpus) -> dict[str, Any]:
    (entry,) = corpus.manifest["sources"]["train/web"]
    return entry


def counted(entry: dict[str, Any], key: str) -> int:
    return sum(met["number"] for met in entry.get(key, {}).values())


def check(folder: Path, files: list[File], **source: Any) -> Corpus | str:
    """Both builders agree; what is refused is refused clearly, what is built is accounted for."""
    memory, streamed = (build(folder, streaming, **source) for streaming in (False, True))
    if isinstance(memory, str):
        assert memory == streamed
        assert len(memory) < SCREEN
        assert "'web'" in memory
        assert any(Path(f.name).name in memory or str(folder) in memory for f in files) or not files
        return memory
    assert isinstance(streamed, Corpus), streamed
    assert memory.sha256 == streamed.sha256
    assert memory.manifest["warnings"] == streamed.manifest["warnings"]
    assert memory.manifest["sources"] == streamed.manifest["sources"]
    entry = record(memory)
    assert entry["files"] + counted(entry, "skipped") == len(files)
    said = "\n".join(memory.warnings)
    for key in ("broken", "unread", "changed", "skipped"):
        assert all(reason in said for reason in list(entry.get(key, {}))[:3]), (key, said)
    assert all(len(warning) < SCREEN for warning in memory.warnings)
    return memory


def settled(cases: int) -> Any:
    return settings(
        max_examples=max(1, cases),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@pytest.mark.timeout(60 + CASES * 3)
@settled(CASES // 2)
@given(st.lists(sound_files(), min_size=1, max_size=5))
def test_of_sound_files_every_document_is_read(files: list[File]):
    with folder_of(files) as (folder, written):
        found = check(folder, written)
        if isinstance(found, str):
            # what stands beside lines or tables, and nothing else, is no reason to refuse
            assert "no text of its own" in found, found
            return
        entry = record(found)
        ends = [f".{Path(f.name).name.partition('.')[2].partition('.')[0]}" for f in written]
        lines = any(end in LINED for end in ends)
        lines = lines or 0 < ends.count(".json") >= ends.count(".md") + ends.count(".py")
        read = [f for f in written if not (lines and f.name.partition(".")[2][:2] in ("md", "py"))]
        assert entry["documents"] == sum(f.documents or 0 for f in read)
        assert not entry.get("broken")
        assert not entry.get("unread")


LINED = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")


@pytest.mark.timeout(60 + CASES * 3)
@settled(CASES - CASES // 2)
@given(st.lists(odd_files(), min_size=1, max_size=3), st.lists(sound_files(), max_size=2))
def test_odd_files_are_counted_or_refused(odd: list[File], sound: list[File]):
    with folder_of(sound + odd) as (folder, written):
        check(folder, written)


TEXTS = [f"document number {i} speaks of été and of {i * i} other things" for i in range(30)]
BODY = jsonl(TEXTS).encode()
READ = {
    "mark of UTF-8": ("a.jsonl", jsonl(TEXTS).encode("utf-8-sig")),
    "mark of UTF-8, packed": ("a.jsonl.gz", gzip.compress(jsonl(TEXTS).encode("utf-8-sig"))),
    "UTF-16": ("a.jsonl", jsonl(TEXTS).encode("utf-16")),
    "UTF-16, big end first": ("a.jsonl", b"\xfe\xff" + jsonl(TEXTS).encode("utf-16-be")),
    "UTF-32": ("a.jsonl", jsonl(TEXTS).encode("utf-32")),
    "UTF-16, packed": ("a.jsonl.xz", lzma.compress(jsonl(TEXTS).encode("utf-16"))),
    "UTF-16, csv": ("a.csv", csv(TEXTS).encode("utf-16")),
    "mark of UTF-8, csv": ("a.csv", csv(TEXTS).encode("utf-8-sig")),
    "mark of UTF-8, json": ("a.json", array(TEXTS).encode("utf-8-sig")),
    "bzip2": ("a.jsonl.bz2", bz2.compress(BODY[:500]) + bz2.compress(BODY[500:])),
    "xz in two members": ("a.jsonl.xz", lzma.compress(BODY[:500]) + lzma.compress(BODY[500:])),
    "gzip in two members": ("a.jsonl.gz", gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])),
    "lz4": ("a.jsonl.lz4", lz4(BODY)),
    "lz4 behind a skippable frame": ("a.jsonl.lz4", SKIPPABLE + lz4(BODY)),
    "zstd in two frames": ("a.jsonl.zst", zstd(BODY[:500]) + SKIPPABLE + zstd(BODY[500:])),
    "zstd behind a skippable frame": ("a.jsonl.zst", SKIPPABLE * 3 + zstd(BODY)),
    "zeros behind gzip": ("a.jsonl.gz", gzip.compress(BODY) + b"\0" * 10_000),
    "array in gzip": ("a.json.gz", gzip.compress(array(TEXTS).encode())),
    "array": ("a.json", json.dumps([{"text": t} for t in TEXTS]).encode()),
    "array under .jsonl": ("a.jsonl", array(TEXTS).encode()),
    "objects over several lines": ("a.json", pretty(TEXTS).encode()),
    "lines under .json": ("a.json", BODY),
    "gzip under .jsonl": ("a.jsonl", gzip.compress(BODY)),
    "plain under .gz": ("a.jsonl.gz", BODY),
    "packed twice": ("a.jsonl.gz", gzip.compress(bz2.compress(BODY))),
    "csv with quotes and line ends": ("a.csv", csv([t + '\n"x", y' for t in TEXTS]).encode()),
    "csv with semicolons": ("a.csv", csv(TEXTS, ";").encode()),
    "tsv": ("a.tsv.bz2", bz2.compress(tsv(TEXTS).encode())),
    "packed parquet": ("a.parquet.gz", gzip.compress(parquet(TEXTS))),
    "Windows line ends": ("a.jsonl", BODY.replace(b"\n", b"\r\n")),
    "no last line end": ("a.jsonl", BODY.rstrip()),
}


@pytest.mark.parametrize("kind", READ)
def test_what_can_be_read_is_read_whole(kind: str, tmp_path: Path):
    name, data = READ[kind]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(data)
    corpus = check(tmp_path / "data", [File(name, data, 30)])
    assert isinstance(corpus, Corpus), corpus
    plain = tmp_path / "plain"
    (plain / "data").mkdir(parents=True)
    texts = [t + '\n"x", y' for t in TEXTS] if "quotes" in kind else TEXTS
    (plain / "data" / "b.jsonl").write_text(jsonl(texts))
    expected = check(plain / "data", [File("b.jsonl", b"", 30)])
    assert isinstance(expected, Corpus)
    assert corpus.manifest["train"]["web"] == expected.manifest["train"]["web"]
    assert record(corpus)["documents"] == 30


REFUSED = {
    "Latin-1": ("a.jsonl", jsonl(TEXTS).encode("latin-1"), r"not UTF-8.*encoding: cp1252"),
    "Latin-1 text": ("a.txt", "\n".join(TEXTS).encode("latin-1"), r"a\.txt.*encoding: cp1252"),
    "Latin-1 csv": ("a.csv", csv(TEXTS).encode("latin-1"), r"row 1 of a\.csv.*encoding: cp1252"),
    "Latin-1 array": ("a.json", array(TEXTS).encode("latin-1"), r"a\.json.*encoding: cp1252"),
    "UTF-16 without a mark": ("a.jsonl", jsonl(TEXTS).encode("utf-16-le"), "encoding: utf-16-le"),
    "the other UTF-16": ("a.csv", csv(TEXTS).encode("utf-16-be"), "encoding: utf-16-be"),
    "cut gzip": ("a.jsonl.gz", gzip.compress(BODY)[:-9], r"a\.jsonl\.gz is damaged or cut off"),
    "cut bzip2": ("a.jsonl.bz2", bz2.compress(BODY)[:-9], "damaged or cut off"),
    "cut xz": ("a.jsonl.xz", lzma.compress(BODY)[:-9], "damaged or cut off"),
    "cut zstd": ("a.jsonl.zst", zstd(BODY)[:-9], "damaged or cut off"),
    "cut lz4": ("a.jsonl.lz4", lz4(BODY)[:-9], "damaged or cut off"),
    "cut array": ("a.json", array(TEXTS).encode()[:-30], r"a\.json is damaged.*line"),
    "cut parquet": ("a.parquet", parquet(TEXTS)[:-30], r"a\.parquet is damaged or cut off"),
    "behind gzip": ("a.jsonl.gz", gzip.compress(BODY) + b"more", "damaged or cut off"),
    "zip": ("a.jsonl", b"PK\x03\x04" + BODY, r"a zip archive.*a\.jsonl"),
    "parquet under .jsonl": ("a.jsonl", parquet(TEXTS), r"parquet under another name"),
    "pointer": ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "another field": (
        "a.jsonl",
        jsonl(TEXTS, "data.body").encode(),
        r"no field 'text'.*data\.body",
    ),
    "another column": ("a.csv", csv(TEXTS).replace("text", "body", 1).encode(), "id, body"),
    "numbers": ("a.jsonl", b'{"text": 3}\n' * 9, r"a number under 'text': 9.*line 1 of a\.jsonl"),
    "conversations": ("a.jsonl", b'{"text": [{"content": "x"}]}\n', "a conversation under 'text'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_reason(kind: str, tmp_path: Path):
    name, data, message = REFUSED[kind]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(data)
    found = check(tmp_path / "data", [File(name, data, None)])
    assert isinstance(found, str)
    with pytest.raises(InputError, match=message):
        raise InputError(found)


OBEYED = {
    "cp1252": ("a.jsonl", jsonl(TEXTS).encode("cp1252"), {"encoding": "cp1252"}),
    "latin-1 csv": ("a.csv", csv(TEXTS).encode("latin-1"), {"encoding": "latin-1"}),
    "utf-16-le": ("a.jsonl", jsonl(TEXTS).encode("utf-16-le"), {"encoding": "utf-16-le"}),
    "utf-16": ("a.json", array(TEXTS).encode("utf-16-le"), {"encoding": "utf-16"}),
    "nested": ("a.jsonl", jsonl(TEXTS, "data.body").encode(), {"text_field": "data.body"}),
    "flat dot": (
        "a.jsonl",
        jsonl(TEXTS).replace('"text"', '"a.b"').encode(),
        {"text_field": "a.b"},
    ),
    "renamed": ("a.log", "\n".join(TEXTS).encode(), {"suffixes": [".log"]}),
}


@pytest.mark.parametrize("kind", OBEYED)
def test_obeying_a_remedy_gives_the_text(kind: str, tmp_path: Path):
    name, data, source = OBEYED[kind]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(data)
    assert isinstance(build(tmp_path / "data", streaming=False), str)
    found = check(tmp_path / "data", [File(name, data, None)], **source)
    assert isinstance(found, Corpus), found
    assert record(found)["documents"] == (1 if name == "a.log" else 30)
    train = found.manifest["train"]["web"]["bytes"] + found.manifest["validation"]["web"]["bytes"]
    assert train >= sum(len(text.encode()) for text in TEXTS)


def test_a_few_lines_in_another_encoding_are_left_out_and_many_if_it_is_said(tmp_path: Path):
    (tmp_path / "data").mkdir()
    bad = '{"text": "été"}\n'.encode("latin-1")
    (tmp_path / "data" / "a.jsonl").write_bytes(BODY * 10 + bad)
    found = check(tmp_path / "data", [File("a.jsonl", b"", None)])
    assert isinstance(found, Corpus), found
    assert "not UTF-8: 1 (first: line 301 of a.jsonl)" in "\n".join(found.warnings)
    (tmp_path / "data" / "a.jsonl").write_bytes(BODY + bad * 5)
    assert "6" not in str(build(tmp_path / "data", streaming=False)).partition(" lines")[0]
    found = check(tmp_path / "data", [File("a.jsonl", b"", None)], encoding="utf-8")
    assert isinstance(found, Corpus), found
    assert counted(record(found), "broken") == 5


@pytest.mark.parametrize("seed", range(3))
def test_parts_of_large_files_count_what_whole_files_count(seed: int, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(plan, "PART_BYTES", 400)
    monkeypatch.setattr(extract, "SEGMENT_BYTES", 1000)
    rng = random.Random(seed)
    (tmp_path / "data").mkdir()
    sound = [
        json.dumps({"text": f"text {i} {'x' * rng.randrange(60)}"}).encode() for i in range(300)
    ]
    rows = sound + [rng.choice(LINES[:11]) for _ in range(20)]
    rng.shuffle(rows)
    (tmp_path / "data" / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join(rows))
    (tmp_path / "data" / "b.parquet").write_bytes(parquet([*TEXTS, None]))
    memory, streamed = (build(tmp_path / "data", streaming) for streaming in (False, True))
    assert isinstance(memory, Corpus), memory
    assert isinstance(streamed, Corpus), streamed
    assert memory.manifest["train"] == streamed.manifest["train"]
    one, other = record(memory), record(streamed)
    for key in ("files", "documents", "empty", "sha256"):
        assert one.get(key) == other.get(key), key
    assert {r: met["number"] for r, met in one["broken"].items()} == {
        r: met["number"] for r, met in other["broken"].items()
    }
    assert one["changed"] == other["changed"]
