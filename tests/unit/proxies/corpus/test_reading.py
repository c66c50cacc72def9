import gzip
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixopt.errors import InputError
from proxies.corpus import CorpusConfig, load_corpus, reading, records
from proxies.corpus.counts import Counts, total
from proxies.corpus.reading import read_records, read_texts, spans_of
from proxies.corpus.sources import Source
from proxies.corpus.userfiles import find_files

TEXTS = [f"document {i}: " + "some words of it " * (i % 7) + "é" for i in range(300)]


def lines(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": t}) + "\n" for t in texts).encode()


def arrow(path: Path, texts: list[str], new=pa.ipc.new_stream) -> None:
    table = pa.table({"text": texts})
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=64)


def write(folder: Path, form: str) -> Path:
    """TEXTS in one of the forms; the path to name."""
    folder.mkdir()
    data = lines(TEXTS)
    match form:
        case "jsonl":
            (folder / "a.jsonl").write_bytes(data)
        case "gz":  # two members, as concatenated files have
            half = lines(TEXTS[:100])
            packed = gzip.compress(half) + gzip.compress(data[len(half) :])
            (folder / "a.jsonl.gz").write_bytes(packed)
        case "zst":
            half = lines(TEXTS[:100])
            frames = (pa.compress(d, "zstd", asbytes=True) for d in (half, data[len(half) :]))
            (folder / "a.json.zst").write_bytes(b"".join(frames))
        case "mixed":  # what is packed is seen by the bytes, not by the name
            (folder / "a.jsonl.gz").write_bytes(lines(TEXTS[:100]))
            (folder / "b.jsonl").write_bytes(gzip.compress(lines(TEXTS[100:200])))
            (folder / "c.ndjson").write_bytes(lines(TEXTS[200:]))
        case "parquet":
            pq.write_table(pa.table({"text": TEXTS}), folder / "a.parquet", row_group_size=50)
        case "datasets":  # what `Dataset.save_to_disk` writes
            arrow(folder / "data-00000-of-00002.arrow", TEXTS[:120])
            arrow(folder / "data-00001-of-00002.arrow", TEXTS[120:])
            (folder / "state.json").write_text("{}")
            (folder / "dataset_info.json").write_text("{}")
        case "datasetdict":
            (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
            for split, texts in (("train", TEXTS), ("test", ["a test"])):
                (folder / split).mkdir()
                arrow(folder / split / "data-00000-of-00001.arrow", texts)
        case "arrow file":
            arrow(folder / "a.arrow", TEXTS, pa.ipc.new_file)
    return folder


def read(path: str, counts: Counts | None = None) -> list[str]:
    counts = Counts() if counts is None else counts
    files = find_files("web", (Source(path),)).files
    return [t for file in files for t in read_texts("web", file, counts)]


FORMS = ["jsonl", "gz", "zst", "mixed", "parquet", "datasets", "datasetdict", "arrow file"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_documents_from_disk_and_through_fsspec(form, tmp_path):
    folder = write(tmp_path / "data", form)
    assert read(str(folder)) == TEXTS
    if form != "datasetdict":  # of a URL, the folder of the split is named
        assert read(folder.as_uri()) == TEXTS


@pytest.mark.parametrize("form", ["jsonl", "gz", "parquet"])
@pytest.mark.parametrize("size", [37, 1000, 10**9])
def test_the_parts_of_a_file_hold_every_document_once(form, size, tmp_path):
    (file,) = find_files("web", (Source(str(write(tmp_path / "data", form))),)).files
    parts = spans_of("web", file, size)
    found = [t for span in parts for t in read_texts("web", file, Counts(), span)]
    assert found == TEXTS


def test_large_txt_files_are_cut_at_line_ends_and_lose_nothing(tmp_path, monkeypatch):
    for module in (reading, records):
        monkeypatch.setattr(module, "PIECE", 500)
    path = tmp_path / "book.txt"
    path.write_text("".join(f"line {i} of a book\n" for i in range(1000)))
    (file,) = find_files("web", (Source(str(path)),)).files
    spans = spans_of("web", file, 3000)
    found = [t for span in spans for t in read_texts("web", file, Counts(), span)]
    assert "".join(found) == path.read_text()
    assert len(found) > 20
    assert all(text.endswith("\n") for text in found)


def test_broken_lines_and_empty_documents_are_counted_and_the_rest_is_read(tmp_path, monkeypatch):
    for module in (reading, records):
        monkeypatch.setattr(module, "MAX_LINE", 4000)
    path = tmp_path / "a.jsonl"
    rows = [b'{"text": "good"}', b"{broken", b"", b'["no object"]', b'{"text": null}']
    rows += [b'{"text": "   "}', b'{"text": "' + b"x" * 9000 + b'"}', b"[" * 3000]
    rows += [b'{"text": "\xff is no UTF-8"}', b'{"text": "last, without a newline"}']
    path.write_bytes(b"\n".join(rows))
    counts = Counts()
    assert read(str(path), counts) == [
        "good",
        "   ",
        "last, without a newline",
    ]
    assert (counts.documents, counts.empty, total(counts.broken)) == (3, 1, 6)
    del counts.broken["not UTF-8"]  # of so few lines, one in another encoding is refused
    lost, empty = counts.check("web", {})
    assert "'web': 5 of 8 lines" in lost
    assert "line 2 of" in lost
    assert "1 of 3 documents are empty" in empty


def test_a_file_cut_off_in_the_middle_is_refused_by_name(tmp_path):
    for name, data in (
        ("a.jsonl.gz", gzip.compress(lines(TEXTS), mtime=0)),
        ("b.jsonl.zst", pa.compress(lines(TEXTS), "zstd", asbytes=True)),
    ):
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(InputError, match=rf"{name} is damaged or cut off"):
            read(str(tmp_path / name))
    for form, name in (("parquet", "a.parquet"), ("arrow file", "a.arrow")):
        path = write(tmp_path / form, form) / name
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(InputError, match=rf"{name} is damaged or cut off"):
            read(str(path))


def test_a_saved_dict_without_train_and_a_missing_url_say_what_to_name(tmp_path):
    folder = write(tmp_path / "data", "datasetdict")
    (folder / "train").rename(folder / "validation")
    with pytest.raises(InputError, match="without a split 'train'"):
        read(str(folder))
    with pytest.raises(InputError, match="does not exist"):
        read(f"{tmp_path.as_uri()}/absent")
    with pytest.raises(InputError, match=r"cannot be opened.*fsspec"):
        read("nosuchprotocol://bucket/web")


def test_counts_stand_in_the_manifest_and_its_warnings(tmp_path, text):
    folder = write(tmp_path / "data", "mixed")
    (folder / "d.jsonl").write_text('{"text": ""}\n{oops\n')
    config = CorpusConfig(domains=dict(text, web=str(folder)), vocab=300)
    corpus = load_corpus(config, tmp_path / "cache")
    (record,) = corpus.manifest["sources"]["train/web"]
    assert (record["files"], record["documents"], record["empty"]) == (4, 301, 1)
    assert record["broken"]["no JSON"]["number"] == 1
    assert any(
        "'web'" in w and "no JSON: 1 (first: line 2 of d.jsonl" in w for w in corpus.warnings
    )
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "data")
    again = CorpusConfig(domains=dict(text, web=str(moved)), vocab=300)
    assert load_corpus(again, tmp_path / "cache").sha256 == corpus.sha256


@pytest.mark.parametrize("form", ["jsonl", "parquet", "arrow", "csv"])
def test_other_fields_of_a_record_come_with_its_text(form, tmp_path):
    labels = ["a", None, "c"]
    path = tmp_path / f"a.{form}"
    table = pa.table({"text": ["one", "two", "three"], "label": labels, "n": [1, 2, 3]})
    if form == "jsonl":
        rows = table.to_pylist()
        del rows[1]["label"]
        path.write_text("\n".join(json.dumps(row) for row in [*rows[:2], {"label": "x"}, rows[2]]))
    elif form == "csv":
        path.write_text('text,label,n\none,a,1\n"two",,2\nlonger,by,one,cell\nthree,c,3\n')
        labels[1] = ""
    elif form == "parquet":
        pq.write_table(table, path, row_group_size=2)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    (file,) = find_files("domain", [Source(str(path))]).files
    counts = Counts()
    seen = list(read_records("domain", file, counts, ("n", "label", "missing")))
    assert [text for text, _ in seen] == ["one", "two", "three"]
    assert [values[1:] for _, values in seen] == [(label, None) for label in labels]
    assert [str(values[0]) for _, values in seen] == ["1", "2", "3"]
    assert total(counts.broken) == (form in ("jsonl", "csv"))
