"""Fine-tuning a tiny model with random weights, built here; nothing is downloaded."""

import gzip
import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.nn import functional as F

from mixopt import lazy
from mixopt.errors import InputError, TrainerError
from mixopt.mixers import Recorded
from mixopt.runs import MixerSpec, Point, RunSpec, Scale
from mixopt.runs.schedule import Phases, Schedule
from mixopt.space import Mixture
from mixopt.testing.trainer_contract import TrainerContract
from proxies.corpus.sources import Source
from proxies.corpus.userfiles import TextFile, find_files
from proxies.finetune.data import Examples, draw, encode_rows, read_rows

transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")
from proxies.finetune import FineTuneTrainer  # noqa: E402 - after the skip

SCALE = Scale(params=20_000, tokens=4_000)
QUICK = {"learning_rate": 3e-3, "batch": 8, "evaluation_examples": 16, "device": "cpu"}
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
TEMPLATE += "{% if add_generation_prompt %}<assistant>{% endif %}"


def rows(kind: str, count: int = 60) -> list[dict[str, Any]]:
    """Questions about numbers; answers are digits in one set, letters in the other."""
    rng = np.random.default_rng(len(kind))
    found = []
    for a, b in rng.integers(10, 99, size=(count, 2)):
        question = f"{kind} {a} {b} ?"
        answer = str(a + b) if kind == "add" else "even" if (a + b) % 2 == 0 else "odd"
        found.append({"prompt": question, "completion": answer})
    return found


def write(path: Path, content: list[Any]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in content) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A folder with a two-layer Llama and a byte-level tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate(["<pad>", "<eos>", *alphabet])}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", chat_template=TEMPLATE
    )
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("sets")
    return {kind: write(folder / f"{kind}.jsonl", rows(kind)) for kind in ("add", "even")}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def make(model: str, sets: dict[str, str], **more: Any) -> FineTuneTrainer:
    return FineTuneTrainer(
        model=model, domains=sets, **(QUICK | {"validation_fraction": 0.3} | more)
    )


def spec(seed: int = 0, **weights: float) -> RunSpec:
    return RunSpec(Mixture.of(weights), SCALE, seed=seed)


# -- the sets --------------------------------------------------------------------------------------


def whole(weights: dict[str, float]) -> Phases:
    return ((1, Mixture.of(weights)),)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.1),
    st.integers(0, 99),
)
def test_draws_keep_the_shares_of_tokens_at_any_time(weights, seed):
    lengths = {"a": 3, "b": 10, "c": 40}
    sets = {
        n: Examples(np.zeros(5 * k, np.int32), np.arange(1, 6) * k, np.ones(5, np.int32))
        for n, k in lengths.items()
    }
    shares = dict(zip(lengths, np.array(weights) / sum(weights), strict=True))
    used = dict.fromkeys(lengths, 0)
    for _, name, _ in islice(draw(sets, whole(shares), seed), 60):
        used[name] += lengths[name]
        total = sum(used.values())
        assert all(abs(used[n] - shares[n] * total) <= 2 * 40 for n in used)
    assert all(used[n] == 0 for n in used if shares[n] == 0)


def test_draws_follow_the_phases():
    sets = {
        n: Examples(np.zeros(8 * k, np.int32), np.arange(1, 9) * k, np.ones(8, np.int32))
        for n, k in {"a": 3, "b": 10}.items()
    }
    a, even, b = (Mixture.of(w) for w in ({"a": 1.0}, {"a": 0.5, "b": 0.5}, {"b": 1.0}))
    phases = Schedule(((300, a), (900, even), (1000, b))).phases
    used: list[dict[str, int]] = [{}, {}, {}]
    drawn = list(islice(draw(sets, phases, 0), 300))
    for phase, name, _ in drawn:
        used[phase][name] = used[phase].get(name, 0) + (3 if name == "a" else 10)
    assert used[0] == {"a": 300}
    assert used[1]["a"] == pytest.approx(300, abs=10)
    assert used[1]["b"] == pytest.approx(300, abs=10)
    assert set(used[2]) == {"b"}  # the last phase goes on
    order = [i for _, name, i in drawn if name == "a"]
    alone = [i for _, _, i in islice(draw(sets, whole({"a": 1.0}), 0), len(order))]
    assert order == alone


def test_every_example_is_drawn_once_per_epoch_in_an_order_of_its_own():
    one = {"a": Examples(np.zeros(20, np.int32), np.arange(1, 21), np.ones(20, np.int32))}
    both = one | {"b": one["a"]}
    alone = [i for _, _, i in islice(draw(one, whole({"a": 1.0}), 0), 40)]
    assert sorted(alone[:20]) == sorted(alone[20:]) == list(range(20))
    assert alone[:20] != alone[20:]
    mixed = [i for _, n, i in islice(draw(both, whole({"a": 0.5, "b": 0.5}), 0), 80) if n == "a"]
    assert mixed == alone


def test_rows_of_all_forms_become_prompt_and_answer(model, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    given = [{"prompt": "ab", "completion": "cd"}, {"text": "abc"}, {"messages": chat}]
    found = encode_rows(tokenizer, given, max_length=64)
    texts = []
    for i in range(3):
        ids, answer = found[i]
        assert ids[-1] == tokenizer.eos_token_id
        texts.append((tokenizer.decode(ids[:answer]), tokenizer.decode(ids[answer:-1])))
    assert texts == [("ab", "cd"), ("a", "bc"), ("<user>hi<assistant>", "yo")]
    short = encode_rows(tokenizer, [*given, {"prompt": "x" * 99, "completion": "y"}], max_length=4)
    assert [len(short[i][0]) for i in range(len(short))] == [4, 4]


def files(path: Path) -> list[TextFile]:
    return find_files("qa", (Source(str(path)),)).files


@pytest.mark.parametrize(
    "line", ["not json", "[1]", '{"prompt": "a"}', '{"messages": [{"role": "user"}]}']
)
def test_a_row_of_no_known_form_is_refused_by_line(tmp_path, line):
    path = tmp_path / "set.jsonl"
    path.write_text('{"text": "fine"}\n\n' + line)
    with pytest.raises(InputError, match=r"'qa': line 3 of .*set\.jsonl"):
        list(read_rows("qa", files(path)))


def test_missing_files_are_refused_and_duplicates_count_once(tmp_path):
    with pytest.raises(InputError, match=r"'qa'.*gone\.jsonl' does not exist"):
        files(tmp_path / "gone.jsonl")
    write(tmp_path / "a.jsonl", [{"text": "one"}, {"text": "one"}])
    write(tmp_path / "b.jsonl", [{"text": "two"}, {"text": "one"}])
    assert [r["text"] for r in read_rows("qa", files(tmp_path))] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", "\ufeff" + '{"text": "été"}\n{"text": "two"}'),
        ("a.json", '[{"text": "été"}, {"text": "two"}]'),
        ("a.jsonl.gz", '{"text": "été"}\n{"text": "two"}'),
    ],
)
def test_sets_are_read_in_every_form_of_records(tmp_path, name, data):
    packed = gzip.compress(data.encode()) if name.endswith(".gz") else data.encode("utf-8")
    (tmp_path / name).write_bytes(packed)
    (tmp_path / "README.md").write_text("about the set")
    assert [r["text"] for r in read_rows("qa", files(tmp_path))] == ["été", "two"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_a_set_in_an_unknown_encoding_is_refused_and_read_once_it_is_named(tmp_path, encoding):
    (tmp_path / "a.jsonl").write_bytes('{"text": "one"}\n{"text": "été"}\n'.encode(encoding))
    with pytest.raises(InputError, match=r"'qa'.*a\.jsonl"):
        list(read_rows("qa", files(tmp_path)))
    sources = (Source(str(tmp_path), encoding=encoding),)
    named = find_files("qa", sources).files
    assert [r["text"] for r in read_rows("qa", named)] == ["one", "été"]


# -- the trainer -----------------------------------------------------------------------------------


class TestContract(TrainerContract):
    scale = replace(SCALE, tokens=1500)
    runtime: ClassVar = {"device": "auto"}

    @pytest.fixture(autouse=True)
    def _data(self, model, sets, store):
        self._model, self._sets, self._store = model, sets, store

    def cache(self, tmp_path: Path) -> Path:
        return self._store

    def make(self, **more: Any) -> Any:
        return make(self._model, self._sets, **more)


@pytest.mark.parametrize("lora", [None, {"rank": 4, "alpha": 8}])
def test_each_set_teaches_itself_best(model, sets, store, lora):
    trainer = make(model, sets, lora=lora, learning_rate=1e-2 if lora else 3e-3)
    add, even = trainer.train([spec(add=1.0), spec(even=1.0)], store)
    assert add.ok, add.error
    assert add.metrics["add"] < even.metrics["add"]
    assert even.metrics["even"] < add.metrics["even"]
    assert [p.tokens < SCALE.tokens for p in add.curve] == [True, True]
    assert add.curve[0].metrics["add"] > add.metrics["add"]
    assert add.tokens["add"] >= SCALE.tokens
    assert add.tokens["even"] == 0
    trained = add.info["trained_params"] / add.info["params"]
    assert trained < 0.3 if lora else trained == 1


def test_only_answers_are_scored(model, sets, store):
    trainer = make(model, sets, learning_rate=1e-12, curve_points=0)
    (seen,) = trainer.train([replace(spec(add=1.0), scale=Scale(1, 1))], store)
    network = transformers.AutoModelForCausalLM.from_pretrained(model).eval()
    examples = trainer._sets(store).validation["add"].take(16)
    nats, count = 0.0, 0
    for i in range(len(examples)):
        ids, answer = examples[i]
        with torch.no_grad():
            logits = network(torch.from_numpy(ids)[None].long()).logits[0, answer - 1 : -1]
        nats += float(
            F.cross_entropy(logits, torch.from_numpy(ids[answer:]).long(), reduction="sum")
        )
        count += len(ids) - answer
    assert seen.metrics["add"] == pytest.approx(nats / count, rel=1e-4)


def test_separate_validation_sets_are_the_metrics(model, sets, store, tmp_path):
    target = write(tmp_path / "target.jsonl", rows("add", 20))
    trainer = make(model, sets, validation={"exam": target})
    info = trainer.prepare(store)
    assert info.metrics == ("exam",)
    assert info.notes["examples"] == {"add": 60, "even": 60}
    assert info.data != make(model, sets).prepare(store).data


def test_a_damaged_cache_is_made_anew(model, sets, tmp_path):
    trainer = make(model, sets)
    info = trainer.prepare(tmp_path)
    (file,) = (tmp_path / "finetune").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert make(model, sets).prepare(tmp_path) == info


def test_long_examples_are_counted_in_a_warning(model, sets, store, tmp_path):
    long = write(tmp_path / "long.jsonl", [{"prompt": "x" * 50, "completion": "y"}, *rows("add")])
    exam = {"validation": {"exam": sets["add"]}}
    (warning,) = make(model, {"long": long}, max_length=40, **exam).prepare(store).warnings
    assert warning.startswith("train/long: 1 of 61 examples are left out")
    with pytest.raises(InputError, match=r"none of .* rows is left"):
        make(model, sets, max_length=3).prepare(store)


def test_faults_fail_their_run_with_the_reason(model, sets, store):
    diverged, unknown = make(model, sets, learning_rate=1e30).train(
        [spec(add=1.0), spec(adds=1.0)], store
    )
    assert "diverged" in diverged.error
    assert "did you mean 'add'" in unknown.error
    with pytest.raises(TrainerError, match="made for data"):
        make(model, sets).train([replace(spec(add=1.0), data="0" * 64)], store)
    (broken,) = make(model, sets, lora={"targets": ["nothing"]}).train([spec(add=1.0)], store)
    assert "nothing" in broken.error


def test_random_state_is_left_alone_and_points_are_reported(model, sets, store):
    state = torch.get_rng_state()
    reported: list[Point] = []
    (seen,) = make(model, sets).train([spec(add=1.0)], store, lambda _, p: reported.append(p))
    assert torch.equal(torch.get_rng_state(), state)
    assert reported == list(seen.curve)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domains": {}}, "domains is empty"),
        ({"batch": 0}, "batch is 0"),
        ({"learning_rate": "5e-3"}, "is the text '5e-3'"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"device": "tpu"}, "'tpu'.*known: auto, cpu, cuda"),
        ({"lora": {"ranks": 4}}, "did you mean 'rank'"),
        ({"max_lenght": 4}, "did you mean 'max_length'"),
    ],
)
def test_settings_that_break_a_rule_are_refused(sets, change, message):
    values = {"model": "unread", "domains": sets} | change
    with pytest.raises(InputError, match=message):
        lazy.build(FineTuneTrainer, values, "trainer")


def test_a_model_that_is_not_there_is_refused(sets, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="save_pretrained"):
        make(str(tmp_path / "empty"), sets).prepare(tmp_path)


def test_a_mixer_steers_by_losses_of_sets_and_by_examples_that_judge_nothing(model, sets, store):
    trainer = make(model, sets, learning_rate=3e-3, evaluation_examples=2)
    plain = spec(add=0.5, even=0.5)
    by_loss = replace(plain, mixer=MixerSpec("softmax-loss", {"every": 4}))
    by_look = replace(plain, mixer=MixerSpec("skill-it", {"every": 4, "graph": [[1, 0], [0, 1]]}))
    static, first, second = trainer.train([plain, by_loss, by_look], store)
    for seen, signal in ((first, "train_loss"), (second, "heldout")):
        assert seen.ok, seen.error
        record = Recorded.of(seen)
        assert record is not None
        assert seen.info["mixer"]["work"][signal] > 1
        assert seen.info["mixer"]["skipped"] == 0
        drawn = np.array([seen.tokens["add"], seen.tokens["even"]])
        average = record.course.time_average.array
        np.testing.assert_allclose(drawn / drawn.sum(), average, atol=0.02)
        assert abs(average[0] - 0.5) > 0.01
        assert seen.metrics != static.metrics
    assert Recorded.of(first).cost_ratio == 1.0
    assert 1.0 < Recorded.of(second).cost_ratio < 3.0
    assert second.flops == pytest.approx(static.flops * Recorded.of(second).cost_ratio, rel=0.02)


def test_mixers_that_cannot_be_told_what_they_need_fail_their_run(model, sets, store):
    trainer = make(model, sets, evaluation_examples=1000)
    plain = spec(add=0.5, even=0.5)
    chosen = [
        MixerSpec("doremi"),
        MixerSpec("skill-it", {"graph": [[1, 0], [0, 1]]}),
        MixerSpec("velocitune", {"goals": {"add": 1.0, "even": 1.0}}, targets={"odd": 1.0}),
    ]
    reasons = [
        "needs the signal 'excess', loss weights, a frozen reference",
        "none are left to steer by; lower evaluation_examples",
        "steers by 'odd', none of add, even",
    ]
    seen = trainer.train([replace(plain, mixer=mixer) for mixer in chosen], store)
    for run, reason in zip(seen, reasons, strict=True):
        assert not run.ok
        assert reason in run.error
