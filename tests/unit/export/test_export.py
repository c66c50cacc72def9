"""Formats one by one: what each writes beyond the contract, and what it refuses."""

import json
import math
import random
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from mixopt import InputError, Mixture, Schedule
from mixopt.export import Exporter, Facts, Job, Option, Stage, Unit, export, exporter, exporters

MIXTURE = Mixture.of({"web": 0.7, "code": 0.3, "math": 0.0})
LENGTHS = {"web": 1000.0, "code": 250.0}
PATHS = {"web": "/d/web.jsonl", "code": "/d/code.jsonl"}
FACTS = Facts(
    paths=PATHS,
    tokens_per_example=LENGTHS,
    unique={"web": 1e6, "code": 1e5},
    tokens=10**6,
    sequence_length=100,
    batch_tokens=10_000,
)
SCHEDULE = Schedule(
    ((700, Mixture.of({"web": 1.0, "code": 0.0})), (1000, Mixture.of({"web": 0.0, "code": 1.0})))
)


# -- the unit of the weights: the golden numbers of the specification ------------------------------


def test_shares_of_tokens_become_weights_of_examples():
    p = yaml.safe_load(export(MIXTURE, "llm-foundry", FACTS).text)["train_loader"]["dataset"]
    p = p["streams"]
    assert [p[d]["proportion"] for d in p] == pytest.approx([0.368421, 0.631579], abs=1e-6)


def test_shares_of_tokens_become_numbers_of_examples():
    written = export(MIXTURE, "axolotl", FACTS)
    listed = [d["path"] for d in yaml.safe_load(written.files["mixture.yaml"])["datasets"]]
    assert listed == ["web.n700.jsonl", "code.n1200.jsonl"]


def test_shares_of_tokens_become_passes():
    text = export(MIXTURE, "megatron-bridge", FACTS, unit="passes").text
    assert yaml.safe_load(text)["dataset"]["source_weights"] == pytest.approx([0.7, 3.0])


def test_shares_of_tokens_become_a_quota():
    sources = json.loads(export(MIXTURE, "quota", FACTS).text)["stages"][0]["sources"]
    assert [s["tokens"] for s in sources.values()] == [700_000, 300_000]
    assert [s["examples"] for s in sources.values()] == [700, 1200]


@pytest.mark.parametrize("name", ["hf-datasets", "trl", "llama-factory", "ms-swift", "streaming"])
def test_lengths_are_never_guessed(name):
    facts = Facts(paths=PATHS)
    with pytest.raises(InputError, match="depend on the tokens per example, and none are known"):
        export(MIXTURE, name, facts)
    said = Facts(paths=PATHS, equal_lengths=True)
    notes = export(MIXTURE, name, said).realised["notes"]
    assert "taken to be equally long, as you said" in notes[0]


def test_where_lengths_were_measured_is_said():
    facts = Facts(paths=PATHS, tokens_per_example=LENGTHS, measured="the manifest")
    assert export(MIXTURE, "trl", facts).realised["notes"][0].endswith("those of the manifest")


# -- preflight -------------------------------------------------------------------------------------


def test_the_sd_of_a_share_is_that_of_random_draws():
    facts = Facts(paths=PATHS, tokens=10**6, sequence_length=100)
    web = export(MIXTURE, "lingua", facts).realised["domains"]["web"]
    assert web["sd"] == pytest.approx(math.sqrt(0.7 * 0.3 / 10**4))


def test_the_sd_of_a_share_of_tokens_drawn_as_examples_is_that_of_a_simulation():
    facts = Facts(paths=PATHS, tokens_per_example=LENGTHS, tokens=475_000)  # 902.5 examples
    written = export(MIXTURE, "hf-datasets", facts)
    p = written.realised["stages"][0]["weights"]
    rng = random.Random(0)
    shares = []
    for _ in range(3000):
        web = rng.binomialvariate(902, p["web"]) if sys.version_info >= (3, 12) else sum(
            rng.random() < p["web"] for _ in range(902)
        )  # fmt: skip
        tokens = 1000 * web, 250 * (902 - web)
        shares.append(tokens[0] / sum(tokens))
    mean = sum(shares) / len(shares)
    sd = math.sqrt(sum((s - mean) ** 2 for s in shares) / len(shares))
    assert written.realised["domains"]["web"]["sd"] == pytest.approx(sd, rel=0.06)


def test_caps_are_kept_after_rounding():
    cap = 1434 / 2048 - 1e-5  # rounded to blocks, 0.7 would be 1434/2048
    facts = Facts(
        paths=PATHS, unique={"web": cap * 1e9, "code": 1e12}, tokens=10**9, max_epochs=1.0
    )
    weights = yaml.safe_load(export(MIXTURE, "levanter", facts).text)["data"]["train_weights"]
    assert weights == {"web": 1433 / 2048, "code": 615 / 2048}


def test_caps_are_kept_after_rounding_where_weights_count_examples():
    unique = {"web": 1e12, "code": 0.3 * 10**9}  # of code exactly one pass
    facts = Facts(tokens_per_example=LENGTHS, unique=unique, tokens=10**9, max_epochs=1.0)
    written = export(MIXTURE, "mixtera", facts)
    # 646.7 of 1024 samples; 647 would be .30023 of the tokens.
    assert written.realised["stages"][0]["weights"]["code"] == 646 / 1024
    assert written.realised["domains"]["code"]["epochs"] < 1.0


def test_rounding_that_breaks_a_limit_is_refused():
    facts = Facts(
        paths=PATHS, equal_lengths=True, unique={"web": 1e12, "code": 3e8}, tokens=10**9,
        max_epochs=1.0,
    )  # fmt: skip
    # grain draws code by 100 of 333, which is more than .3
    with pytest.raises(InputError, match=r"rounded for this format, domain 'code' .* finer format"):
        export(MIXTURE, "maxtext", facts)


def test_what_is_left_out_is_listed():
    sliver = Mixture.of({"web": 1.0 - 1e-11, "code": 1e-11, "math": 0.0})
    removed = export(sliver, "json").realised["removed"]
    assert removed["math"] == "its share is 0"
    assert "rounds to 0" in removed["code"]


def test_a_summary_for_people_names_epochs_smallest_share_and_sd():
    lines = "\n".join(export(MIXTURE, "nanotron", FACTS).lines())
    assert "web: 70.0000% of the tokens, sd 0.0001, 0.7 epochs, 700000 tokens" in lines
    assert "code: 30.0000% of the tokens, sd 0.0001, 3 epochs" in lines
    assert "Smallest share: code, 0.3." in lines
    assert "Left out: math, its share is 0." in lines


def test_facts_that_are_none_are_refused():
    for wrong in ({"tokens": 0}, {"unique": {"web": -1.0}}, {"tokens_per_example": {"web": 0.0}}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Facts(**wrong)
    with pytest.raises(InputError, match="max_epochs is 0"):
        Facts(max_epochs=0)


# -- schedules -------------------------------------------------------------------------------------


def test_json_holds_a_schedule_phase_by_phase_beside_its_mean():
    values = json.loads(export(SCHEDULE, "json").text)
    assert values["weights"] == {"web": 0.7, "code": 0.3}
    assert values["schedule"] == [
        {"until_tokens": 700, "until_share": 0.7, "weights": {"web": 1.0}},
        {"until_tokens": 1000, "until_share": 1.0, "weights": {"code": 1.0}},
    ]
    assert "schedule" not in json.loads(export(SCHEDULE, "json", mean=True).text)
    assert "schedule" not in json.loads(export(MIXTURE, "json").text)


def test_nanotron_begins_stages_at_steps_from_one():
    stages = yaml.safe_load(export(SCHEDULE, "nanotron", FACTS).text)["data_stages"]
    assert [s["start_training_step"] for s in stages] == [1, 71]


def test_levanter_begins_stages_at_whole_blocks():
    facts = Facts(paths=PATHS, tokens=10**9, sequence_length=1000)
    data = yaml.safe_load(export(SCHEDULE, "levanter", facts, train_batch_size=96).text)["data"]
    # A block of 2048 sequences is whole every 64 steps of 96; 700,000 sequences are 7291.7 steps.
    assert [start for start, _ in data["train_weights"]] == [0, 7296]
    with pytest.raises(InputError, match="the sequences of a step are not known"):
        export(SCHEDULE, "levanter", facts)
    short = Facts(paths=PATHS, tokens=10**6, sequence_length=1000)
    with pytest.raises(InputError, match=r"stages begin at the steps \[0, 0\]"):
        export(SCHEDULE, "levanter", short, train_batch_size=96)


def test_other_formats_get_a_list_of_runs_with_exact_ends():
    written = export(SCHEDULE, "megatron", FACTS, about={"name": "blend.json"})
    assert list(written.files) == ["blend.runs.json", "blend.1.json", "blend.2.json"]
    listing = json.loads(written.files["blend.runs.json"])
    assert listing["transition_steps"] == [70]
    ends = [(run["start_tokens"], run["until_tokens"]) for run in listing["runs"]]
    assert ends == [(0, 700_000), (700_000, 1_000_000)]
    assert json.loads(written.files["blend.2.json"])["train"] == ["1.0", "/d/code.jsonl"]
    with pytest.raises(InputError, match="this export is 3 files"):
        _ = written.text


# -- formats ---------------------------------------------------------------------------------------


def test_megatron_gets_every_split():
    options = {"valid": {"web": "/v/web", "code": "/v/code"}}
    blend = json.loads(export(MIXTURE, "megatron", FACTS, **options).text)
    assert blend["train"] == ["0.7", "/d/web.jsonl", "0.3", "/d/code.jsonl"]
    assert blend["valid"] == blend["test"] == ["0.7", "/v/web", "0.3", "/v/code"]
    with pytest.raises(InputError, match="no path is given for 'code'"):
        export(MIXTURE, "megatron", FACTS, valid={"web": "/v/web"})
    with pytest.raises(InputError, match="whitespace"):
        export(MIXTURE, "megatron", FACTS, test={"web": "/v/web 1", "code": "/v/code"})


def test_megatron_holds_so_many_datasets():
    many = dict.fromkeys(map(str, range(32_767)), 1 / 32_767)
    job = Job((Stage(0, None, many, many),), Facts(), {"valid": None, "test": None})
    with pytest.raises(InputError, match="32767 datasets, and Megatron holds 32766"):
        exporter("megatron").check(job)


def test_olmo_allows_the_epochs_that_the_run_needs():
    sources = yaml.safe_load(export(MIXTURE, "olmo-core", FACTS).text)["sources"]
    assert [s["max_repetition_ratio"] for s in sources] == [1.0, 3.0]
    facts = Facts(paths=PATHS, unique={"web": 1e6, "code": 99_000}, tokens=10**6)
    sources = yaml.safe_load(export(MIXTURE, "olmo-core", facts).text)["sources"]
    assert sources[1]["max_repetition_ratio"] == 3.04  # 3.0303, rounded up
    with pytest.raises(InputError, match=r"max_repetition is 2, .* allow 3\.04"):
        export(MIXTURE, "olmo-core", facts, max_repetition=2)
    unknown = export(MIXTURE, "olmo-core", Facts(paths=PATHS)).realised["notes"]
    assert any("refuses to read them twice" in note for note in unknown)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("hf-datasets", {"stopping_strategy": "first_exhausted"}),
        ("ms-swift", {"stopping_strategy": "first_exhausted"}),
        ("llama-factory", {"mix_strategy": "interleave_under"}),
        ("levanter", {"stop_strategy": "first_exhausted"}),
        ("torchtitan", {"infinite": False}),
    ],
)
def test_an_option_that_stops_before_the_run_ends_is_refused(name, option):
    with pytest.raises(InputError, match=r"first_exhausted|interleave_under|infinite is false"):
        export(MIXTURE, name, FACTS, **option)
    enough = Facts(**{**vars(FACTS), "unique": {"web": 1e9, "code": 1e9}})
    export(MIXTURE, name, enough, **option)


def test_torchtitan_tells_two_stories():
    assert [one.version for one in exporters("torchtitan")] == ["0.3.0", "git"]
    assert "HFDataSource" in export(MIXTURE, "torchtitan", FACTS).text
    main = export(MIXTURE, "torchtitan", FACTS, version="git", unit="examples").text
    assert "DatasetMixConfig" in main
    assert "weight of documents" in main
    with pytest.raises(InputError, match=r"no version '0\.2\.2'; known: 0\.3\.0, git"):
        exporter("torchtitan", "0.2.2")


def test_maxtext_splits_at_commas():
    facts = Facts(paths={**PATHS, "web": "/d/a,b"}, tokens_per_example=LENGTHS)
    with pytest.raises(InputError, match="holds ',', at which MaxText splits"):
        export(MIXTURE, "maxtext", facts, style="files")
    assert export(MIXTURE, "maxtext", facts)


@pytest.mark.parametrize("options", [{}, {"style": "files"}])
def test_what_grain_makes_of_the_weights_is_what_is_promised(options):
    mixture = Mixture.of({"web": 0.6, "code": 0.25, "math": 0.15})
    facts = Facts(paths=dict.fromkeys(mixture.domains, "/d"), equal_lengths=True)
    written = export(mixture, "maxtext", facts, **options)
    if options:
        weights = [float(part.split(",")[1]) for part in written.text.strip().split(";")]
    else:
        weights = [entry["weight"] for entry in json.loads(written.text).values()]
    counts = [int(w / sum(weights) * 100 / (min(weights) / sum(weights))) for w in weights]
    promised = [values["share"] for values in written.realised["domains"].values()]
    assert promised == pytest.approx([k / sum(counts) for k in counts], abs=1e-9)
    assert counts == ([400, 166, 100] if options else [400, 167, 100])  # cut off, and settled


def test_ms_swift_would_cut_a_path_at_a_hash():
    facts = Facts(paths={**PATHS, "web": "/d/web#2"}, tokens_per_example=LENGTHS)
    with pytest.raises(InputError, match="holds '#'"):
        export(MIXTURE, "ms-swift", facts)


def test_lingua_names_domains_by_their_paths():
    facts = Facts(paths={"web": "same", "code": "same"})
    with pytest.raises(InputError, match="two domains have one path"):
        export(MIXTURE, "lingua", facts)


def test_a_domain_of_several_paths_goes_where_there_is_room_for_them():
    facts = Facts(paths={**PATHS, "web": ["/d/a.npy", "/d/b.npy"]}, tokens_per_example=LENGTHS)
    sources = yaml.safe_load(export(MIXTURE, "olmo-core", facts).text)["sources"]
    assert sources[0]["paths"] == ["/d/a.npy", "/d/b.npy"]
    with pytest.raises(InputError, match="'web' has 2 paths, and this format takes one"):
        export(MIXTURE, "megatron", facts)


def test_axolotls_rows_are_counted_out(tmp_path):
    for name, rows in (("web", 400), ("code", 500)):
        lines = [json.dumps({"text": f"{name} {i}"}) for i in range(rows)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n\n")
    paths = {d: str(tmp_path / f"{d}.jsonl") for d in ("web", "code")}
    written = export(MIXTURE, "axolotl", Facts(**{**vars(FACTS), "paths": paths}))
    script = tmp_path / "rows.py"
    script.write_text(written.files["mixture.rows.py"])
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=True, capture_output=True)

    web = (tmp_path / "web.n700.jsonl").read_text().splitlines()
    code = (tmp_path / "code.n1200.jsonl").read_text().splitlines()
    assert (len(web), len(set(web))) == (700, 400)  # a whole pass, and 300 other rows
    assert (len(code), len(set(code))) == (1200, 500)
    assert max(web.count(line) for line in set(web)) == 2


def test_llama_factory_and_its_table_of_datasets_agree():
    paths = {"web": "org/web", "code": "/d/code.jsonl"}
    written = export(MIXTURE, "llama-factory", Facts(**{**vars(FACTS), "paths": paths}))
    info = json.loads(written.files["dataset_info.json"])
    assert info["web"]["hf_hub_url"] == "org/web"
    assert info["code"]["file_name"] == "/d/code.jsonl"


def test_a_users_own_exporter_is_named_by_its_address(monkeypatch):
    module = ModuleType("lab_formats")
    module.MINE = Exporter(
        "ours",
        lambda job: f"{job.options['sep']}".join(f"{d}={w}" for d, w in job.weights.items()),
        units=(Unit.TOKENS,),
        options=(Option("sep", "between domains", " "),),
    )
    module.WRONG = 3
    monkeypatch.setitem(sys.modules, "lab_formats", module)
    facts = Facts(paths=PATHS)
    assert export(MIXTURE, "lab_formats:MINE", facts, sep=";").text == "web=0.7;code=0.3"
    with pytest.raises(InputError, match="'lab_formats:WRONG' is int, no exporter"):
        exporters("lab_formats:WRONG")


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(InputError, match="did you mean 'json'"):
        export(MIXTURE, "jsn")


# -- options ---------------------------------------------------------------------------------------


def test_options_are_read_from_text():
    assert Option("n", "a number", kind=int).read("4M") == 4_000_000
    assert Option("n", "a number", kind=float).read("0.5") == 0.5
    assert Option("n", "a flag", kind=bool).read("no") is False
    assert Option("n", "by domain", kind=dict).read({"web": "/d"}) == {"web": "/d"}


@pytest.mark.parametrize(
    ("option", "given", "message"),
    [
        (Option("n", "h", kind=int), "1.5", "n is '1.5'; give a whole number"),
        (Option("n", "h", kind=int, least=1), "0", "n is 0; give 1 or more"),
        (Option("n", "h", kind=float), "much", "n is 'much'; give a number"),
        (Option("n", "h", kind=bool), "maybe", "n is 'maybe'; give true or false"),
        (Option("n", "h", kind=dict), "x", "n is 'x'; give a mapping from domain"),
        (Option("n", "h", "a", choices=("a", "b")), "c", "n is 'c'; give one of: a, b"),
    ],
)
def test_a_bad_value_is_refused(option, given, message):
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        option.read(given)


# -- Hugging Face datasets -------------------------------------------------------------------------


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
    paths = {"web": "org/web", "code": "/data/co\\d'e"}
    facts = Facts(paths=paths, equal_lengths=True, seed=7)
    text = export(MIXTURE, "hf-datasets", facts, stopping_strategy="first_exhausted").text

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
    facts = Facts(paths={"web": given}, equal_lengths=True)
    text = export(Mixture.of({"web": 1.0}), "hf-datasets", facts).text

    assert run(text)["mixture"]() == "mixture"

    path, options = SOURCES[given]
    assert fake_datasets.loaded == [(path, {**options, "split": "train", "streaming": True})]


@pytest.mark.parametrize("given", ["https://a.org/x", "s3://bucket/folder/", "data/*", "x.bin"])
def test_a_source_that_no_loader_reads_is_refused(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"")
    facts = Facts(paths={"web": given}, equal_lengths=True)
    with pytest.raises(InputError, match=r"path of domain 'web'.*rename it"):
        export(Mixture.of({"web": 1.0}), "hf-datasets", facts)


def test_files_of_one_kind_are_one_source_and_others_are_none(fake_datasets):
    facts = Facts(paths={"web": ["a.jsonl", "b.jsonl.gz"]}, equal_lengths=True)
    run(export(Mixture.of({"web": 1.0}), "hf-datasets", facts).text)["mixture"]()
    assert fake_datasets.loaded[0][1]["data_files"] == ["a.jsonl", "b.jsonl.gz"]
    mixed = Facts(paths={"web": ["a.jsonl", "b.csv"]}, equal_lengths=True)
    with pytest.raises(InputError, match="are not files of one kind"):
        export(Mixture.of({"web": 1.0}), "hf-datasets", mixed)


def test_without_paths_the_file_says_what_to_fill_in(fake_datasets):
    text = export(MIXTURE, "hf-datasets", Facts(equal_lengths=True)).text
    assert "No paths were given" in text
    with pytest.raises(ValueError, match="where these domains are: web, code"):
        run(text)["mixture"]()
    assert fake_datasets.loaded == []  # nobody asks the hub for a domain's name


# -- JSON ------------------------------------------------------------------------------------------


def test_json_keeps_predictions_and_provenance_and_says_its_schema():
    about = {
        "predictions": {"loss": {"mean": 2.5, "sd": float("nan")}},
        "provenance": {"runs": (1, 2)},
    }
    read = json.loads(export(MIXTURE, "json", about=about).text)
    assert (read["schema"], read["version"]) == ("mixopt.mixture", 1)
    assert read["unit"] == "share of training tokens"
    assert read["predictions"] == {"loss": {"mean": 2.5, "sd": None}}
    assert read["provenance"] == {"runs": [1, 2]}
