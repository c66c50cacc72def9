"""Every exporter passes the contract, read back by a short reader of its documented grammar."""

import ast
import csv
import io
import json
import math
import shlex
from itertools import pairwise

import pytest
import yaml

from mixopt import InputError, Mixture
from mixopt.export import EXPORTERS, exporters
from mixopt.testing.exporter_contract import ODD, ExporterContract


def first(files):
    return next(iter(files.values()))


def literals(text):
    """The constants that a Python file assigns; the file must compile."""
    tree = ast.parse(text)
    compile(tree, "mixture.py", "exec")
    values = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            values[node.targets[0].id] = ast.literal_eval(node.value)
    return values


def blend(items, paths):
    """Megatron's get_blend_from_list: weight and prefix in turn, or, silently, prefixes alone."""
    assert len(items) % 2 == 0
    weights = [float(w) for w in items[::2]]
    assert all(w > 0 for w in weights)
    return {paths[p]: w for p, w in zip(items[1::2], weights, strict=True)}


def read_json(files, paths):
    return json.loads(first(files))["weights"]


def read_yaml(files, paths):
    return yaml.safe_load(first(files))["weights"]


def csv_stages(files, paths):
    stages = {}
    for row in csv.DictReader(io.StringIO(first(files))):
        stages.setdefault(row["stage"], {})[row["domain"]] = float(row["share"])
    return list(stages.values())


def quota_stages(files, paths):
    stages = json.loads(first(files))["stages"]
    return [{d: s["tokens"] for d, s in stage["sources"].items()} for stage in stages]


def read_megatron(files, paths):
    values = json.loads(first(files))
    assert set(values) == {"train", "valid", "test"}
    return blend(values["train"], paths)


def read_words(files, paths):
    return blend(first(files).split(), paths)


def read_bridge(files, paths):
    dataset = yaml.safe_load(first(files))["dataset"]
    if "data_path" in dataset:
        return blend(dataset["data_path"].split(), paths)
    places, weights = dataset.get("blend") or (dataset["source"], dataset["source_weights"])
    return {paths[p]: w for p, w in zip(places, weights, strict=True)}


def read_nemo(files, paths):
    return blend(json.loads(first(files))["paths"], paths)


def read_olmo(files, paths):
    sources = yaml.safe_load(first(files))["sources"]
    assert all(0 < s["target_ratio"] <= 1 and s["max_repetition_ratio"] >= 1 for s in sources)
    assert math.isclose(sum(s["target_ratio"] for s in sources), 1.0, abs_tol=1e-8)
    assert [paths[p] for s in sources for p in s["paths"]] == [s["source_name"] for s in sources]
    return {s["source_name"]: s["target_ratio"] for s in sources}


def read_composable(files, paths):
    sources = literals(first(files))["SOURCES"]
    assert all(s["ratio"] > 0 and s["max_repetition_factor"] >= 1 for s in sources)
    return {s["label"]: s["ratio"] for s in sources}


def read_torchtitan(files, paths):
    sources = literals(first(files))["SOURCES"]
    assert len({s["infinite"] for s in sources}) == 1
    return {paths[s["dataset_path"]]: s["weight"] for s in sources}


def read_weights(files, paths):
    return literals(first(files))["WEIGHTS"]


def nanotron_stages(files, paths):
    read, start = [], 0
    for stage in yaml.safe_load(first(files))["data_stages"]:
        dataset = stage["data"]["dataset"]
        assert start < stage["start_training_step"]  # from 1, and each after the last
        start = stage["start_training_step"]
        assert isinstance(dataset["dataset_folder"], list)
        pairs = zip(dataset["dataset_folder"], dataset["dataset_weights"], strict=True)
        read.append({paths[p]: w for p, w in pairs})
    return read


def levanter_stages(files, paths):
    data = yaml.safe_load(first(files))["data"]
    weights, block = data["train_weights"], data["mixture_block_size"]
    stages = weights if isinstance(weights, list) else [[0, weights]]
    assert stages[0][0] == 0
    for start, shares in stages:
        assert start * 2048 % block == 0  # the contract's step has 2048 sequences
        assert set(shares) <= set(data["components"])
        # What Levanter makes of a weight: floor(w block), the rest to the largest.
        assert [int(w * block + 1e-9) / block for w in shares.values()] == list(shares.values())
    return [shares for _, shares in stages]


def read_maxtext(files, paths):
    values = json.loads(first(files))
    return {paths[v["path"]]: v["weight"] for v in values.values()}


def read_grain_files(files, paths):
    pairs = [part.split(",") for part in first(files).strip().split(";")]
    assert all(round(float(w), 4) == float(w) > 0 for _, w in pairs)
    return {paths[p]: float(w) for p, w in pairs}


def stream_weights(streams, paths):
    keys = {"proportion", "repeat", "choose"}
    assert all(len(keys & set(s)) == 1 for s in streams)
    return {paths[s["local"]]: s[(keys & set(s)).pop()] for s in streams}


def read_streaming(files, paths):
    return stream_weights(json.loads(first(files))["streams"], paths)


def read_foundry(files, paths):
    streams = yaml.safe_load(first(files))["train_loader"]["dataset"]["streams"]
    assert list(streams) == [paths[s["local"]] for s in streams.values()]
    return stream_weights(streams.values(), paths)


def read_hf(files, paths):
    values = literals(first(files))
    p = values["PROBABILITIES"]
    assert abs(sum(p.values()) - 1) < 1e-8  # numpy's choice
    assert [paths[s["data_files"]] for s in values["SOURCES"].values()] == list(p)
    return p


def read_trl(files, paths):
    values = yaml.safe_load(first(files))
    assert not values["streaming"]
    return {paths[d["data_files"]]: d["fraction"] for d in values["datasets"]}


def read_axolotl(files, paths):
    listed = [d["path"] for d in yaml.safe_load(first(files))["datasets"]]
    script = next(text for name, text in files.items() if name.endswith(".rows.py"))
    rows = literals(script)["ROWS"]
    assert list(rows) == listed
    return {paths[path]: count for path, count in rows.values()}


def axolotl_stages(files, paths):
    names = [n for n in files if n.endswith(".yaml")]
    return [
        read_axolotl({n: files[n], "x.rows.py": files[n.replace(".yaml", ".rows.py")]}, paths)
        for n in names
    ]


def read_llama_factory(files, paths):
    values = yaml.safe_load(first(files))
    info = json.loads(files["dataset_info.json"])
    names = values["dataset"].split(",")
    if len(names) == 1:
        assert "interleave_probs" not in values
        return {paths[info[names[0]]["file_name"]]: 1.0}
    probabilities = [float(p) for p in values["interleave_probs"].split(",")]
    pairs = zip(names, probabilities, strict=True)
    return {paths[info[name]["file_name"]]: p for name, p in pairs}


def read_swift(files, paths):
    words = shlex.split(first(files))
    ends = [i for i, word in enumerate(words) if word.startswith("--")] + [len(words)]
    given = {words[a]: words[a + 1 : b] for a, b in pairwise(ends)}
    probabilities = given.get("--interleave_prob", ["1"])
    pairs = zip(given["--dataset"], probabilities, strict=True)
    return {paths[path]: float(p) for path, p in pairs}


def mixtera_stages(files, paths):
    values = literals(first(files))
    for shares in values["STAGES"].values():
        # Mixtera's own largest remainder has nothing left to give away.
        assert (
            sum(int(w * values["CHUNK_SIZE"] + 1e-9) for w in shares.values())
            == (values["CHUNK_SIZE"])
        )
    return list(values["STAGES"].values())


def read_lingua(files, paths):
    return {paths[p]: w for p, w in yaml.safe_load(first(files))["data"]["sources"].items()}


def read_juicer(files, paths):
    configs = yaml.safe_load(first(files))["dataset"]["configs"]
    return {paths[c["path"]]: c.get("max_sample_num", c["weight"]) for c in configs}


def of(name, read=None, stages=None, version=None, **options):
    """The contract for a format, read back by `read`, or by `stages` where it holds schedules."""

    class Case(ExporterContract):
        def read(self, files, paths):
            return read(files, paths) if read else stages(files, paths)[0]

        if stages:

            def read_stages(self, files, paths):
                return stages(files, paths)

    Case.name, Case.version, Case.options = name, version, options
    return Case


def over_grain(*case, **options):
    """The contract for a trainer over grain, whose grain is a hundredth of the smallest weight."""
    made = of(*case, **options)
    made.tolerance = 0.005
    return made


def plain_stages(parse):
    def read(files, paths):
        values = parse(first(files))
        return [s["weights"] for s in values["schedule"]] if "schedule" in values else [
            values["weights"]
        ]  # fmt: skip

    return read


TestJson = of("json", stages=plain_stages(json.loads))
TestYaml = of("yaml", stages=plain_stages(yaml.safe_load))
TestCsv = of("csv", stages=csv_stages)
TestQuota = of("quota", stages=quota_stages)
TestMegatron = of("megatron", read_megatron)
TestMegatronArgs = of("megatron", read_words, style="args")
TestBridge = of("megatron-bridge", read_bridge)
TestBridgeText = of("megatron-bridge", read_bridge, style="data-path")
TestBridgePasses = of("megatron-bridge", read_bridge, unit="passes")
TestNemo = of("nemo", read_nemo)
TestOlmo = of("olmo-core", read_olmo)
TestOlmo25 = of("olmo-core", read_olmo, version="2.5")
TestOlmoComposable = of("olmo-core", read_composable, version="composable")
TestTorchtitan = of("torchtitan", read_torchtitan, version="0.3.0")
TestTorchtitanGit = over_grain("torchtitan", read_weights, version="git")
TestTorchtitanGitDocuments = over_grain("torchtitan", read_weights, version="git", unit="examples")
TestNanotron = of("nanotron", stages=nanotron_stages)
TestLevanter = of("levanter", stages=levanter_stages)
TestLevanterBlock = of("levanter", stages=levanter_stages, mixture_block_size=4096)
TestMaxtext = over_grain("maxtext", read_maxtext)
TestMaxtextFiles = of("maxtext", read_grain_files, style="files")
TestMaxtextFiles.drift = 0.005  # grain cuts off what is beyond a hundredth of the smallest
TestStreaming = of("streaming", read_streaming)
TestStreamingCounts = of("streaming", read_streaming, unit="counts")
TestStreamingPasses = of("streaming", read_streaming, unit="passes")
TestFoundry = of("llm-foundry", read_foundry)
TestLitdata = of("litdata", read_weights)
TestLitdataItems = of("litdata", read_weights, unit="examples")
TestLitgpt = of("litdata", read_weights, version="litgpt")
TestHfDatasets = of("hf-datasets", read_hf)
TestTrl = of("trl", read_trl)
TestLlamaFactory = of("llama-factory", read_llama_factory)
TestSwift = of("ms-swift", read_swift)
TestMixtera = of("mixtera", stages=mixtera_stages)
TestMixteraTokens = of("mixtera", stages=mixtera_stages, unit="tokens", chunk_size=2048)
TestLingua = of("lingua", read_lingua)
TestPremixdb = of("premixdb", read_weights)
TestDataJuicer = of("data-juicer", read_juicer)
TestDataJuicerCounts = of("data-juicer", read_juicer, unit="counts")


class TestAxolotl(of("axolotl", read_axolotl)):
    def read_stages(self, files, paths):
        return axolotl_stages(files, paths)


def test_every_version_of_every_format_is_tried_here():
    tried = {
        (case.name, case.version or exporters(case.name)[0].version)
        for name, case in globals().items()
        if name.startswith("Test")
    }
    assert tried == {(name, one.version) for name in EXPORTERS for one in exporters(name)}


@pytest.mark.parametrize("name", ["levanter", "mixtera", "maxtext"])
def test_a_share_below_the_grain_is_refused_and_the_remedy_helps(name):
    case = {"levanter": TestLevanter, "mixtera": TestMixtera, "maxtext": TestMaxtextFiles}[name]()
    finer = {
        "levanter": {"mixture_block_size": 65535},
        "mixtera": {"chunk_size": 2**17},
        "maxtext": {"style": "json"},
    }[name]
    mixture = Mixture((ODD[0], ODD[1]), (1 - 4e-5, 4e-5))
    with pytest.raises(InputError, match="would get no weight: the smallest"):
        case.write(mixture)
    assert case.write(mixture, options=finer)
