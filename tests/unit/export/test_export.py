import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from mixopt import InputError, Mixture, Schedule
from mixopt.export import export
from mixopt.export.shares import exact_shares, shares_of_examples

MIXTURE = Mixture.of({"web": 0.7, "code": 0.3, "math": 0.0})


@pytest.fixture
def fake_datasets(monkeypatch):
    """A `datasets` module that notes how it is called."""
    calls = SimpleNamespace(loaded=[], interleaved=[])

    def load_dataset(path, **options):
        calls.loaded.append((path, options))
        return f"dataset {path}"

    def interleave_datasets(parts, **options):
        calls.interleaved.append((parts, options))
        return "mixture"

    module = ModuleType("datasets")
    module.load_dataset, module.interleave_datasets = load_dataset, interleave_datasets
    monkeypatch.setitem(sys.modules, "datasets", module)
    return calls


def run(text):
    space = {}
    exec(compile(text, "mixture.py", "exec"), space)
    return space


def test_the_hugging_face_file_interleaves_as_told(fake_datasets):
    text = export(
        MIXTURE,
        "hf-datasets",
        paths={"web": "org/web", "code": "/data/co\\d'e"},
        seed=7,
        stopping_strategy="first_exhausted",
    )

    assert run(text)["mixture"](name="x") == "mixture"

    assert [path for path, _ in fake_datasets.loaded] == ["org/web", "/data/co\\d'e"]
    assert fake_datasets.loaded[0][1] == {"split": "train", "streaming": True, "name": "x"}
    parts, options = fake_datasets.interleaved[0]
    assert parts == ["dataset org/web", "dataset /data/co\\d'e"]
    assert options == {
        "probabilities": [0.7, 0.3],
        "seed": 7,
        "stopping_strategy": "first_exhausted",
    }


def test_shares_of_tokens_become_shares_of_examples(fake_datasets):
    lengths = {"web": 500.0, "code": 2000.0}
    text = export(MIXTURE, "hf-datasets", tokens_per_example=lengths)

    shares = run(text)["PROBABILITIES"]

    tokens = {d: p * lengths[d] for d, p in shares.items()}
    assert tokens["web"] / sum(tokens.values()) == pytest.approx(0.7, abs=1e-6)
    assert shares["web"] == pytest.approx(0.7 / 500 / (0.7 / 500 + 0.3 / 2000), abs=1e-6)
    assert "WARNING" not in text


def test_without_lengths_the_file_warns_that_examples_are_no_tokens():
    assert "WARNING: these are shares of tokens" in export(MIXTURE, "hf-datasets")


SOURCES = {
    "data/a.jsonl": ("json", {"data_files": "data/a.jsonl"}),
    "a.json": ("json", {"data_files": "a.json"}),
    "/data/A.JSONL.GZ": ("json", {"data_files": "/data/A.JSONL.GZ"}),
    "data/*.jsonl.zst": ("json", {"data_files": "data/*.jsonl.zst"}),
    "data/v1.2/x.parquet": ("parquet", {"data_files": "data/v1.2/x.parquet"}),
    "x.pq": ("parquet", {"data_files": "x.pq"}),
    "x.csv.xz": ("csv", {"data_files": "x.csv.xz"}),
    "x.tsv": ("csv", {"data_files": "x.tsv", "sep": "\t"}),
    "notes/it's \"it\".txt": ("text", {"data_files": "notes/it's \"it\".txt"}),
    "x.arrow": ("arrow", {"data_files": "x.arrow"}),
    "https://a.org/x.jsonl.gz?download=1": (
        "json", {"data_files": "https://a.org/x.jsonl.gz?download=1"},
    ),
    "s3://bucket/a/*.parquet": ("parquet", {"data_files": "s3://bucket/a/*.parquet"}),
    "hf://datasets/org/name/x.csv": ("csv", {"data_files": "hf://datasets/org/name/x.csv"}),
    "https://huggingface.co/datasets/org/name": ("org/name", {}),
    "https://huggingface.co/datasets/org/name/": ("org/name", {}),
    "org/name": ("org/name", {}),
    "org/name-v1.5": ("org/name-v1.5", {}),
    "wikitext": ("wikitext", {}),
    "/data/folder": ("/data/folder", {}),
    "./folder": ("./folder", {}),
    "../folder": ("../folder", {}),
    "folder/": ("./folder/", {}),
    "data/a/b/c": ("./data/a/b/c", {}),
    "here": ("./here", {}),  # a folder of that name is there
    "here/data.json": ("./here/data.json", {}),  # a folder, whatever its name says
}  # fmt: skip


@pytest.mark.parametrize("given", SOURCES)
def test_every_source_is_loaded_from_where_it_is(given, fake_datasets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "data.json").mkdir(parents=True)
    text = export(Mixture.of({"web": 1.0}), "hf-datasets", paths={"web": given})

    assert run(text)["mixture"]() == "mixture"

    path, options = SOURCES[given]
    assert fake_datasets.loaded == [(path, {**options, "split": "train", "streaming": True})]


def test_the_real_loaders_read_the_files_that_they_are_given(tmp_path):
    pytest.importorskip("datasets")
    rows = [{"text": f"line {i}"} for i in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "b.txt").write_text("\n".join(row["text"] for row in rows))
    paths = {"web": str(tmp_path / "a.jsonl"), "code": str(tmp_path / "b.txt")}
    mixture = run(export(MIXTURE, "hf-datasets", paths=paths))["mixture"]()
    assert {row["text"] for row in mixture} == {row["text"] for row in rows}


@pytest.mark.parametrize("given", ["https://a.org/x", "s3://bucket/folder/", "data/*", "x.bin"])
def test_a_source_that_no_loader_reads_is_refused(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"path of domain 'web'.*rename it"):
        export(Mixture.of({"web": 1.0}), "hf-datasets", paths={"web": given})


def test_without_paths_the_file_says_what_to_fill_in(fake_datasets):
    text = export(MIXTURE, "hf-datasets")
    assert "No paths were given" in text
    with pytest.raises(ValueError, match="where these domains are: web, code"):
        run(text)["mixture"]()
    assert fake_datasets.loaded == []  # nobody asks the hub for a domain's name
    paths = {"web": "w", "code": "c"}
    assert "No paths were given" not in export(MIXTURE, "hf-datasets", paths=paths)


@pytest.mark.parametrize("bad", [{"web": 500.0}, {"web": 500.0, "code": 0.0}])
def test_a_missing_or_zero_length_is_refused(bad):
    with pytest.raises(InputError, match="tokens_per_example of domain 'code'"):
        shares_of_examples(MIXTURE, bad)


def test_a_bad_stopping_strategy_is_refused():
    with pytest.raises(InputError, match="stopping_strategy is 'never'"):
        export(MIXTURE, "hf-datasets", stopping_strategy="never")


def test_json_keeps_predictions_and_provenance_and_says_its_schema():
    read = json.loads(
        export(
            MIXTURE,
            "json",
            predictions={"loss": {"mean": 2.5, "sd": float("nan")}},
            provenance={"runs": (1, 2)},
        )
    )
    assert (read["schema"], read["version"]) == ("mixopt.mixture", 1)
    assert read["unit"] == "share of training tokens"
    assert read["predictions"] == {"loss": {"mean": 2.5, "sd": None}}
    assert read["provenance"] == {"runs": [1, 2]}


def test_megatron_gets_every_split_and_no_weight_of_zero():
    blend = json.loads(
        export(
            MIXTURE,
            "megatron",
            paths={"web": "/d/web_text_document", "code": "/d/code_text_document"},
            validation={"web": "/v/web", "code": "/v/code"},
        )
    )
    assert blend["train"] == ["0.7", "/d/web_text_document", "0.3", "/d/code_text_document"]
    assert blend["valid"] == blend["test"] == ["0.7", "/v/web", "0.3", "/v/code"]


def test_megatron_refuses_paths_with_whitespace():
    with pytest.raises(InputError, match="whitespace"):
        export(MIXTURE, "megatron", paths={"web": "/d/my web", "code": "/d/code"})


def test_thirds_add_up_and_slivers_vanish():
    thirds = exact_shares(Mixture(("a", "b", "c"), (1 / 3, 1 / 3, 1 / 3)))
    assert sorted(thirds.values()) == [0.333333333, 0.333333333, 0.333333334]
    assert exact_shares(Mixture(("a", "b"), (1.0 - 1e-11, 1e-11))) == {"a": 1.0}


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(InputError, match="did you mean 'json'"):
        export(MIXTURE, "jsn")


SCHEDULE = Schedule(
    ((700, Mixture.of({"web": 1.0, "code": 0.0})), (1000, Mixture.of({"web": 0.0, "code": 1.0})))
)


def test_json_holds_a_schedule_phase_by_phase_beside_its_mean():
    values = json.loads(export(SCHEDULE, "json"))
    assert values["weights"] == {"web": 0.7, "code": 0.3}
    assert values["schedule"] == [
        {"until_tokens": 700, "until_share": 0.7, "weights": {"web": 1.0}},
        {"until_tokens": 1000, "until_share": 1.0, "weights": {"code": 1.0}},
    ]
    assert "schedule" not in json.loads(export(SCHEDULE, "json", mean=True))
    assert "schedule" not in json.loads(export(MIXTURE, "json"))


@pytest.mark.parametrize("name", ["hf-datasets", "megatron"])
def test_a_format_of_one_mixture_refuses_a_schedule_until_its_mean_is_asked_for(name):
    paths = {"web": "/web", "code": "/code"}
    with pytest.raises(InputError, match=f"'{name}' holds one mixture, and this is a schedule of"):
        export(SCHEDULE, name, paths=paths)
    as_mean = export(SCHEDULE, name, paths=paths, mean=True)
    assert as_mean == export(SCHEDULE.mean, name, paths=paths)
    constant = Schedule.constant(SCHEDULE.mean, 1000)
    assert export(constant, name, paths=paths) == as_mean
