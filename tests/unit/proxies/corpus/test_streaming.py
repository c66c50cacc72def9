import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt.errors import InputError
from proxies.corpus import Corpus, CorpusConfig, load_corpus
from proxies.corpus.builtin import BUILTIN, Builtin, Source
from proxies.corpus.documents import whole
from proxies.corpus.streaming import extract, plan
from proxies.corpus.streaming.duplicates import bucket_range, slice_of

WORDS = np.array(
    [
        "heron",
        "basalt",
        "swift",
        "quartz",
        "raven",
        "gypsum",
        "finch",
        "marble",
        "crane",
        "slate",
        "robin",
    ]
)


def document(rng: np.random.Generator, shared: list[str]) -> str:
    """Paragraphs of random words, some of them met in other documents."""
    found = []
    for _ in range(int(rng.integers(1, 6))):
        if rng.random() < 0.2:
            found.append(shared[int(rng.integers(len(shared)))])
        else:
            found.append(" ".join(rng.choice(WORDS, size=int(rng.integers(3, 60)))))
    return "\n\n".join(found)


def write(path: Path, texts: list[str]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    return str(path.parent)


@pytest.fixture(scope="module")
def domains(tmp_path_factory) -> dict[str, str]:
    """Three domains: many documents with duplicates, some long ones, and few documents."""
    root = tmp_path_factory.mktemp("domains")
    rng = np.random.default_rng(0)
    shared = [" ".join(rng.choice(WORDS, size=40)) for _ in range(5)]
    many = [document(rng, shared) for _ in range(500)]
    others = [document(rng, shared) for _ in range(260)] + many[:30]
    others += ["\n".join(" ".join(rng.choice(WORDS, 12)) for _ in range(700)) for _ in range(3)]
    few = ["\n".join(" ".join(rng.choice(WORDS, 12)) for _ in range(80)) for _ in range(9)]
    write(root / "many/a.jsonl", many[:300])
    return {
        "many": write(root / "many/b.jsonl", many[280:]),
        "others": write(root / "others/a.jsonl", [*others, "", "  "]),
        "few": write(root / "few/a.jsonl", few),
    }


@pytest.fixture(autouse=True)
def _many_pieces(monkeypatch):
    """Cut even small inputs into many parts, segments and buckets."""
    monkeypatch.setattr(plan, "PART_BYTES", 60_000)
    monkeypatch.setattr(plan, "BUCKET_BYTES", 30_000)
    monkeypatch.setattr(plan, "KEYS_PER_BUCKET_BYTES", 100_000)
    monkeypatch.setattr(extract, "SEGMENT_BYTES", 20_000)


def config(domains: dict[str, str], **rest) -> CorpusConfig:
    return CorpusConfig(domains=domains, **({"vocab": 300} | rest))


def shards(corpus: Corpus) -> dict[str, tuple]:
    return {
        f"{split}/{name}": tuple(e[k] for k in ("documents", "bytes", "tokens", "sha256"))
        for split in ("train", "validation")
        for name, e in corpus.manifest[split].items()
    }


@pytest.mark.parametrize("separate", [False, True])
def test_streaming_gives_the_shards_that_memory_gives(domains, separate, tmp_path):
    rest, chosen = {"max_validation_bytes": 10**6}, dict(domains)
    if separate:
        rest["validation"] = {name: chosen.pop(name) for name in ("others", "few")}
    made = config(chosen, **rest)
    memory = load_corpus(made, tmp_path / "a", streaming=False)
    streamed = load_corpus(made, tmp_path / "b", streaming=True, workers=1)
    assert shards(streamed) == shards(memory)
    assert streamed.vocab == memory.vocab
    for name, entry in streamed.manifest["train"].items():
        assert entry["available_bytes"] == memory.manifest["train"][name]["available_bytes"]
    assert sorted(os.listdir(streamed.path)) == sorted(os.listdir(memory.path))
    assert not list((tmp_path / "b").glob(".building*"))


@pytest.mark.parametrize(("train", "validation"), [(30_000, 6_000), (150_000, 1_000)])
def test_so_it_does_under_caps(domains, train, validation, tmp_path):
    # domains that share no paragraph: streaming counts text beyond a cap as met, memory does not
    chosen = {name: domains[name] for name in ("many", "few")}
    made = config(chosen, max_bytes=train, max_validation_bytes=validation)
    memory = load_corpus(made, tmp_path / "a", streaming=False)
    streamed = load_corpus(made, tmp_path / "b", streaming=True, workers=1)
    assert shards(streamed) == shards(memory)
    for name, entry in streamed.manifest["train"].items():
        expected = memory.manifest["train"][name]["available_bytes"]
        assert entry["available_bytes"] == pytest.approx(expected, rel=0.1)


def test_two_processes_give_the_bytes_of_one(domains, tmp_path):
    one = load_corpus(config(domains), tmp_path / "a", streaming=True, workers=1)
    two = load_corpus(config(domains), tmp_path / "b", streaming=True, workers=2)
    for file in one.path.iterdir():
        assert file.read_bytes() == (two.path / file.name).read_bytes(), file.name


def test_a_stopped_build_goes_on_where_it_was(domains, tmp_path, monkeypatch):
    whole = load_corpus(config(domains), tmp_path / "a", streaming=True, workers=1)
    cache, calls = tmp_path / "b", []
    build = extract._flush

    def stop(*args):
        if len(calls) == 12:
            raise KeyboardInterrupt
        calls.append(args[1])
        return build(*args)

    monkeypatch.setattr(extract, "_flush", stop)
    with pytest.raises(KeyboardInterrupt):
        load_corpus(config(domains), cache, streaming=True, workers=1)
    assert not list(cache.glob("corpus-*"))
    done = {int(file.stem) for file in cache.glob(".building-*/extract/*.json")}
    assert done
    again = []
    monkeypatch.setattr(extract, "_flush", lambda *args: (again.append(args[1]), build(*args)))
    resumed = load_corpus(config(domains), cache, streaming=True, workers=1)
    assert done.isdisjoint(again)
    assert resumed.sha256 == whole.sha256


PROGRAM = """
import sys
from pathlib import Path
from proxies.corpus import CorpusConfig, load_corpus
from proxies.corpus.builtin import BUILTIN, Builtin, Source
from proxies.corpus.documents import whole
from proxies.corpus.streaming import extract, plan
plan.PART_BYTES = 60_000
load_corpus(CorpusConfig(domains={"many": sys.argv[1]}, vocab=300), Path(sys.argv[2]),
            streaming=True, workers=2)
"""


def test_a_killed_driver_leaves_no_process_and_can_be_followed(domains, tmp_path):
    """A script without `if __name__ == "__main__"`, killed hard while its workers are at work."""
    command = [sys.executable, "-c", PROGRAM, domains["many"], str(tmp_path / "cache")]
    driver = subprocess.Popen(command, start_new_session=True)
    while not list((tmp_path / "cache").glob(".building-*/worker-1.log")):
        time.sleep(0.05)
        assert driver.poll() is None
    driver.kill()
    driver.wait()
    monkeyed = config({"many": domains["many"]})
    corpus = load_corpus(monkeyed, tmp_path / "cache", streaming=True, workers=1)
    assert corpus.unique_tokens()["many"] > 0
    deadline = time.monotonic() + 120
    while _group_lives(driver.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _group_lives(driver.pid)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)  # asks only
    except ProcessLookupError:
        return False
    return True


def test_a_domain_that_others_hold_already_is_refused_by_name(domains, tmp_path):
    twice = {"many": domains["many"], "copy": domains["many"]}
    with pytest.raises(InputError, match=r"'copy'.*no text of its own"):
        load_corpus(config(twice), tmp_path, streaming=True, workers=1)
    assert not list(tmp_path.glob(".building*"))


def test_a_builtin_domain_can_stand_beside_a_large_one(domains, tmp_path, monkeypatch):
    monkeypatch.setattr(extract, "SEGMENT_BYTES", 10**7)
    source = Source("json", "", "PSF-2.0", "json/*.py")
    monkeypatch.setitem(BUILTIN, "python", Builtin((source,), whole))
    mixed = {"many": domains["many"], "python": "builtin:python"}
    corpus = load_corpus(config(mixed), tmp_path, streaming=True, workers=1)
    assert corpus.manifest["train"]["python"]["bytes"] > 10_000
    assert corpus.manifest["sources"]["train/python"][0]["licence"]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.sampled_from([1, 2, 8, 4096]))
def test_buckets_share_all_numbers_out(numbers: list[int], buckets: int):
    table = np.sort(np.array(numbers, dtype="<u8"))
    shared = [table[slice_of(table, buckets, b)] for b in range(buckets)]
    assert np.array_equal(np.concatenate(shared), table)
    assert bucket_range(buckets, buckets - 1)[1] == 2**64 - 1
