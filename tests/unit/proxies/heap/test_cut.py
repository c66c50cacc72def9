"""From a heap to files of domains: what is in them, what is told, and what is refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mixopt.errors import InputError, MixoptError
from proxies.corpus import CorpusConfig
from proxies.heap import Cut, HeapConfig, cut_heap
from proxies.heap import writing as second_reading
from proxies.heap.clusters import best

Rows = list[dict[str, Any]]


def cut(path: Path, out: Path, **config: Any) -> Cut:
    return cut_heap(HeapConfig((str(path),), **config), out)


def written(cut: Cut) -> dict[str, Rows]:
    return {
        part.name: [
            json.loads(line)
            for line in (cut.folder / f"{part.name}.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        for part in cut.domains
    }


def topics(cut: Cut) -> list[set[str]]:
    return [{row["topic"] for row in rows} for rows in written(cut).values()]


def test_clusters_are_the_planted_topics_and_hold_every_document_once(rows, heap_of, tmp_path):
    told = []
    config = HeapConfig((str(heap_of(rows)),), keep=("topic", "id"))
    seen = cut_heap(config, tmp_path / "out", lambda *at: told.append(at))
    assert best(seen.curve).k == 3
    assert sorted(map(sorted, topics(seen))) == [["art"], ["law"], ["sea"]]
    ids = [row["id"] for part in written(seen).values() for row in part]
    assert sorted(ids) == list(range(240))
    texts = {row["text"] for part in written(seen).values() for row in part}
    assert texts == {row["text"] for row in rows}
    assert dict.fromkeys(stage for stage, _, _ in told).keys() == {
        "reading",
        "comparing",
        "clustering",
        "writing",
    }
    assert told[-1][1] == told[-1][2] == seen.bytes


def test_domains_are_told_by_size_with_their_terms_and_examples(rows, heap_of, tmp_path):
    seen = cut(heap_of(rows), tmp_path / "out", k=3, keep=("topic",))
    sizes = [part.bytes for part in seen.domains]
    assert sizes == sorted(sizes, reverse=True)
    for part, own in zip(seen.domains, written(seen).values(), strict=True):
        assert part.documents == len(own)
        assert part.bytes == sum(len(row["text"].encode()) for row in own)
        assert len(part.examples) == 2
        assert all(any(row["text"].startswith(e) for row in own) for e in part.examples)
        assert part.name == "-".join(part.terms[:2])
    assert seen.curve == ()


def test_the_manifest_and_the_section_name_the_files_as_a_spec_does(rows, heap_of, tmp_path):
    seen = cut(heap_of(rows), tmp_path / "out", k=3)
    section = yaml.safe_load(seen.section.read_text(encoding="utf-8"))
    config = CorpusConfig(**section)
    assert config.fingerprint()
    assert [sources[0].path for sources in config.training_sources().values()] == [
        str(tmp_path / "out" / f"{part.name}.jsonl") for part in seen.domains
    ]
    manifest = json.loads((seen.folder / "_manifest.json").read_text(encoding="utf-8"))
    assert manifest == seen.to_dict()
    assert sum(d["share"] for d in manifest["domains"]) == pytest.approx(1.0)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_same_heap_and_seed_give_the_same_bytes(rows, heap_of, tmp_path):
    path = heap_of(rows)
    one, other = (cut(path, tmp_path / name, k=3) for name in ("one", "other"))
    assert one.to_dict() == other.to_dict()
    for part in one.domains:
        files = [cut.folder / f"{part.name}.jsonl" for cut in (one, other)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_duplicates_are_counted_and_dropped_on_request(rows, heap_of, tmp_path):
    again = [rows[0], {**rows[1], "text": f"{rows[1]['text']} end"}]
    path = heap_of([*rows, *again, {"text": " ", "topic": "sea", "id": 0}])
    kept = cut(path, tmp_path / "kept", k=3)
    assert (kept.documents, kept.empty, kept.exact, kept.near) == (243, 1, 1, 2)
    assert sum(part.documents for part in kept.domains) == 242
    assert sum(part.near for part in kept.domains) == 2
    dropped = cut(path, tmp_path / "dropped", k=3, drop_duplicates=True, keep=("id",))
    assert sum(part.documents for part in dropped.domains) == 240
    ids = Counter(row["id"] for part in written(dropped).values() for row in part)
    assert set(ids.values()) == {1}
    assert any("1 of 243 documents are empty" in note for note in kept.notes)


def test_a_field_gives_the_domains_and_documents_without_it_one_of_their_own(
    rows, heap_of, tmp_path
):
    rows[3] = {"text": rows[3]["text"]}
    rows[4]["topic"] = None
    seen = cut(heap_of(rows), tmp_path / "out", field="topic")
    assert {part.name for part in seen.domains} == {"sea", "law", "art", "unlabelled"}
    for name, own in written(seen).items():
        assert {row.get("topic", "unlabelled") for row in own} == {name}
    assert any("2 of 240 documents have no value in 'topic'" in note for note in seen.notes)
    assert any("few documents" in n and "unlabelled (2)" in n for n in seen.notes)
    (sea,) = (part for part in seen.domains if part.name == "sea")
    assert "ship" in sea.terms


def test_fields_inside_of_others_and_columns_of_tables_are_read(rows, tmp_path):
    table = pa.table(
        {
            "body": [row["text"] for row in rows],
            "meta": [{"topic": row["topic"]} for row in rows],
        }
    )
    pq.write_table(table, tmp_path / "heap.parquet", row_group_size=50)
    seen = cut(tmp_path / "heap.parquet", tmp_path / "out", field="meta.topic")
    assert seen.text_field == "body"
    assert Counter(p.name for p in seen.domains) == Counter(["sea", "law", "art"])
    assert {row["meta.topic"] for row in written(seen)["sea"]} == {"sea"}
    csv = tmp_path / "heap.csv"
    quoted = [f'"{row["text"]}\nend",{row["topic"]}' for row in rows]
    csv.write_text("text,topic\n" + "\n".join(quoted) + "\n")
    assert {p.name: p.documents for p in cut(csv, tmp_path / "csv", field="topic").domains} == {
        p.name: p.documents for p in seen.domains
    }


def test_embeddings_give_the_domains_row_by_row(rows, heap_of, tmp_path):
    rows.insert(7, {"text": "", "topic": "none", "id": -1})
    middles = {"sea": (1, 0), "law": (0, 1), "art": (-1, -1), "none": (0, 0)}
    noise = np.random.default_rng(0).normal(scale=0.05, size=(241, 2))
    embeddings = np.array([middles[str(row["topic"])] for row in rows]) + noise
    np.save(tmp_path / "e.npy", embeddings)
    seen = cut(heap_of(rows), tmp_path / "out", embeddings=tmp_path / "e.npy", keep=("topic",))
    assert sorted(map(sorted, topics(seen))) == [["art"], ["law"], ["sea"]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((12, 3)), "has 12 rows and 241 documents were read .1 of them empty; 1 lines"),
        (np.zeros(241), r"float64 of shape \(241,\)"),
        (np.full((241, 2), np.nan), "row 0 .*NaN or infinity"),
        (np.array([["a"]]), "<U1 of shape"),
    ],
)
def test_embeddings_of_other_documents_are_refused(array, message, rows, heap_of, tmp_path):
    np.save(tmp_path / "e.npy", array)
    path = heap_of([*rows, {"text": ""}, "{broken"])
    with pytest.raises(InputError, match=message):
        cut(path, tmp_path / "out", embeddings=tmp_path / "e.npy")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_array_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "e.npy").write_text("1 2 3")
    with pytest.raises(InputError, match=r"e.npy cannot be read"):
        cut(tmp_path / "missing.jsonl", tmp_path / "out", embeddings=tmp_path / "e.npy")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"k": 1}, "k is 1; give 2 to 256"),
        ({"k": 300}, "k is 300"),
        ({"k": 241}, "k is 241 and there are 240 documents"),
        ({"field": "topic", "k": 3}, "'topic' tells the domains, and k is of clusters"),
        ({"field": "topc"}, "no document of 'heap.jsonl' has a field 'topc'.*mean 'topic'"),
        ({"field": "tags"}, "holds a list"),
        ({"field": "sort"}, "every document has 'one' in 'sort', which is one domain alone"),
        ({"keep": ("text",)}, "keep: 'text'"),
        ({"seed": -1}, "seed is -1"),
        ({"text_field": "body"}, "no field 'body': 240"),
    ],
)
def test_what_cannot_be_cut_is_refused_and_leaves_nothing(given, message, rows, heap_of, tmp_path):
    path = heap_of([{**row, "tags": ["a"], "sort": "one"} for row in rows])
    with pytest.raises(InputError, match=message):
        cut(path, tmp_path / "out", **given)
    assert [p.name for p in tmp_path.iterdir()] == ["heap.jsonl"]


def test_a_field_of_too_many_values_and_a_heap_without_text_are_refused(heap_of, tmp_path):
    with pytest.raises(InputError, match=r"more than 256 values \(such as '0', '1', '2'\)"):
        cut(heap_of([{"text": "a", "id": i} for i in range(300)]), tmp_path / "out", field="id")
    with pytest.raises(InputError, match="holds no text: 2 documents, all empty"):
        cut(heap_of([{"text": ""}, {"text": "\n"}]), tmp_path / "out", text_field="text")
    with pytest.raises(InputError, match="none of 2 documents holds a word"):
        cut(heap_of([{"text": "1 2"}, {"text": "3"}]), tmp_path / "out", k=2)


def test_a_folder_that_holds_files_is_left_alone(rows, heap_of, tmp_path):
    path = heap_of(rows)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="out holds files"):
        cut(path, tmp_path / "out", k=3)
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    assert len(cut(path, tmp_path / "empty", k=3).domains) == 3
    with pytest.raises(MixoptError, match="cannot be written"):
        cut(path, path / "out", k=3)


def test_files_that_change_between_the_readings_are_noticed(rows, heap_of, tmp_path, monkeypatch):
    path = heap_of(rows)
    write = second_reading.write

    def later(*arguments: Any) -> Any:
        heap_of(rows[:100])
        return write(*arguments)

    monkeypatch.setattr("proxies.heap.cut.write", later)
    with pytest.raises(InputError, match=r"had 240 documents .* now has fewer"):
        cut(path, tmp_path / "out", k=3)


def test_a_heap_without_clear_parts_is_said_to_have_none(heap_of, tmp_path):
    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "bcdfghjk" for b in ("ab", "ec", "id", "of", "ug")]
    rows = [{"text": " ".join(rng.choice(words, size=30))} for _ in range(150)]
    seen = cut(heap_of(rows), tmp_path / "out")
    assert any("no clear parts" in note for note in seen.notes)
    clear = cut(heap_of(rows), tmp_path / "two", k=2)
    assert not any("no clear parts" in note for note in clear.notes)


def test_fields_that_are_not_written_are_named(rows, heap_of, tmp_path):
    seen = cut(heap_of(rows), tmp_path / "out", k=3, keep=("nix",))
    assert any("topic, id (--keep" in note for note in seen.notes)
    assert any("no record has a value in 'nix'" in note for note in seen.notes)


def test_domains_are_parted_by_quality_inside_each(rows, heap_of, tmp_path):
    rng = np.random.default_rng(0)
    for row in rows:  # planted: one topic is better on the whole, and each has better and worse
        row["score"] = float(rng.normal() + (3 if row["topic"] == "law" else 0))
    rows[5]["score"] = None
    seen = cut(heap_of(rows), tmp_path / "out", field="topic", quality=("score",), tiers=2)
    topic = rows[5]["topic"]
    own = written(seen)
    assert set(own) == {
        *(f"{name}-q{tier}" for name in ("sea", "law", "art") for tier in (1, 2)),
        f"{topic}-unscored",
    }
    for name in ("sea", "law", "art"):
        best, worst = ([row["score"] for row in own[f"{name}-q{tier}"]] for tier in (1, 2))
        assert min(best) > max(worst)
        assert {row["topic"] for row in own[f"{name}-q1"]} == {name}
    sizes = {part.name: part.bytes for part in seen.domains}
    assert sizes["sea-q1"] == pytest.approx(sizes["sea-q2"], rel=0.05)
    assert sum(part.documents for part in seen.domains) == 240
    assert not (seen.folder / "sea.jsonl").exists()
    assert any(f"without a score.*{topic}-unscored" in n or f"{topic}-unscored (1)" in n
               for n in seen.notes)  # fmt: skip
    whole = yaml.safe_load((seen.folder / "space.yaml").read_text())
    space = whole["domains"]
    assert whole["monotone"]["law"] == ["law-q1", "law-q2"]
    assert not any("unscored" in name for tiers in whole["monotone"].values() for name in tiers)
    assert space["law-q2"] == {"tags": {"topic": "law", "quality": "q2"}}
    assert set(space) == set(own)


def test_a_single_source_is_parted_by_quality_alone(rows, heap_of, tmp_path):
    seen = cut(heap_of(rows), tmp_path / "out", k=1, quality_low=("id",), tiers=4)
    assert [part.name for part in seen.domains] == [f"heap-q{tier}" for tier in (1, 2, 3, 4)]
    assert [part.tier for part in seen.domains] == ["q1", "q2", "q3", "q4"]
    ids = [row["id"] for own in written(seen).values() for row in own]
    assert ids == list(range(240)), "low numbers are good ones, and order stays inside a tier"


def test_tiers_know_their_duplicates_and_examples(rows, heap_of, tmp_path):
    again = [{**row, "text": f"{row['text']} end"} for row in rows[:3]]
    seen = cut(heap_of([*rows, *again]), tmp_path / "out", k=3, quality=("length",))
    assert sum(part.near for part in seen.domains) == 3
    for part, own in zip(seen.domains, written(seen).values(), strict=True):
        assert part.documents == len(own)
        assert part.bytes == sum(len(row["text"].encode()) for row in own)
        assert all(any(row["text"].startswith(e) for row in own) for e in part.examples)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tiers": 3}, "tiers is 3 and no score is named"),
        ({"quality": ("length",), "tiers": 1}, "tiers is 1; give 2 to 10"),
        ({"quality": ("length",), "quality_low": ("length",)}, "'length' is named twice"),
        ({"quality": ("scor",)}, "no document of 'heap.jsonl' has a field 'scor'.*length, letters"),
        ({"quality": ("topic",)}, "is 'art', no number|is 'sea', no number|is 'law', no number"),
    ],
)
def test_quality_that_cannot_be_told_is_refused(given, message, rows, heap_of, tmp_path):
    with pytest.raises(InputError, match=message):
        cut(heap_of(rows), tmp_path / "out", field="topic", **given)
    assert [p.name for p in tmp_path.iterdir()] == ["heap.jsonl"]
