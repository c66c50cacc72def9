"""Mixtures compiled to whole tokens, and shares under another tokenizer."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import InputError, Mixture, Schedule
from mixopt.errors import InfeasibleError
from mixopt.export import Facts
from mixopt.export.retokenize import retokenized, tokens_per_byte
from mixopt.export.token_plan import TokenPlan, compile_plan, read_plan

MIXTURE = Mixture.of({"web": 0.7, "code": 0.3, "math": 0.0})
LENGTHS = {"web": 1000.0, "code": 250.0}
SCHEDULE = Schedule(((600, MIXTURE), (1000, Mixture.of({"web": 0.2, "code": 0.3, "math": 0.5}))))


def test_tokens_documents_and_epochs_are_exact():
    facts = Facts(tokens=10**6, tokens_per_example=LENGTHS, unique={"web": 1e6, "code": 1e5})
    plan = compile_plan(MIXTURE, facts)
    assert {d: p.tokens for d, p in plan.domains.items()} == {"web": 700_000, "code": 300_000}
    assert {d: p.documents for d, p in plan.domains.items()} == {"web": 700, "code": 1200}
    assert {d: p.epochs for d, p in plan.domains.items()} == {"web": 0.7, "code": 3.0}
    assert plan.order is None


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=9).filter(any), st.integers(1, 10**15)
)  # fmt: skip
def test_tokens_sum_to_the_budget_and_lie_within_one_of_the_share(numbers, tokens):
    mixture = Mixture.of({f"d{i}": n for i, n in enumerate(numbers)}, renormalize=True)
    plan = compile_plan(mixture, Facts(tokens=tokens))
    assert sum(p.tokens for p in plan.domains.values()) == tokens
    for domain in plan.domains.values():
        share = Fraction(round(domain.share * 10**9), 10**9)
        assert abs(domain.tokens - share * tokens) < 1


def test_a_schedule_is_stretched_and_its_stages_are_exact():
    plan = compile_plan(SCHEDULE, Facts(tokens=10**6), block=1000)
    assert plan.stages == (
        (600_000, {"web": 420_000, "code": 180_000}),
        (1_000_000, {"web": 80_000, "code": 120_000, "math": 200_000}),
    )
    assert plan.domains["math"].share == pytest.approx(0.2)
    assert plan.domains["math"].blocks == 200
    assert all(block.domain != "math" for block in plan.order if block.number < 600)


@given(
    shares=st.lists(st.integers(1, 50), min_size=2, max_size=6),
    unique=st.lists(st.integers(1, 10**6), min_size=6, max_size=6),
    epochs=st.sampled_from([0.5, 1.0, 4.0]),
)
def test_the_largest_feasible_run_is_feasible_and_the_next_is_not(shares, unique, epochs):
    mixture = Mixture.of({f"d{i}": n for i, n in enumerate(shares)}, renormalize=True)
    known = {f"d{i}": float(n) for i, n in enumerate(unique[: len(shares)])}
    with pytest.raises(InfeasibleError, match="passes are allowed") as refused:
        compile_plan(mixture, Facts(tokens=10**9, unique=known, max_epochs=epochs))
    told = str(refused.value)
    if "leave the domain out" in told:
        return
    most = int(told.partition("give ")[2].split()[0])
    plan = compile_plan(mixture, Facts(tokens=most, unique=known, max_epochs=epochs))
    assert all(p.tokens <= epochs * known[d] for d, p in plan.domains.items())
    over = most + 2 * len(shares) + 50 * len(shares)  # what rounding can hide
    with pytest.raises(InfeasibleError):
        compile_plan(mixture, Facts(tokens=over, unique=known, max_epochs=epochs))


def test_whole_blocks_keep_the_limits_too():
    facts = Facts(tokens=571_428, unique={"web": 100_000}, max_epochs=4)
    assert compile_plan(MIXTURE, facts).domains["web"].tokens == 400_000
    with pytest.raises(InfeasibleError, match="401 blocks of 1000 tokens pass over the 100") as no:
        compile_plan(MIXTURE, facts, block=1000)
    fewer = int(str(no.value).rpartition("about ")[2].split()[0])
    less = Facts(tokens=fewer, unique={"web": 100_000}, max_epochs=4)
    assert compile_plan(MIXTURE, less, block=1000).domains["web"].blocks <= 400
    with pytest.raises(InputError, match="has 200000 tokens, and domain 'web' has 100000"):
        compile_plan(MIXTURE, facts, block=200_000)


def test_a_plan_is_read_back_with_its_order(tmp_path):
    facts = Facts(tokens=123_456, unique={"web": 5000}, seed=3)
    plan = compile_plan(SCHEDULE, facts, block=1000, about={"source": "mixture.json"})
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan.to_dict()))
    read = read_plan(file)
    assert read == plan
    assert list(read.order) == list(plan.order)
    assert read.about == {"source": "mixture.json"}


def test_what_is_no_plan_is_refused(tmp_path):
    with pytest.raises(InputError, match="the tokens of the run are not given"):
        compile_plan(MIXTURE, Facts())
    with pytest.raises(InputError, match="cannot read"):
        read_plan(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"is no mixopt\.token_plan of version 1"):
        TokenPlan.from_dict({"schema": "mixopt.mixture", "version": 1})
    broken = {**compile_plan(MIXTURE, Facts(tokens=10), block=1).to_dict(), "order": {"seed": 1}}
    with pytest.raises(InputError, match="cannot read a token plan"):
        TokenPlan.from_dict(broken)


# -- another tokenizer -----------------------------------------------------------------------------


def byte_tokenizer(path, merges):
    """A byte-level tokenizer that joins these pairs of letters."""
    tokenizers = pytest.importorskip("tokenizers")
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    vocab = {c: i for i, c in enumerate(sorted(alphabet))}
    vocab |= {a + b: len(vocab) + i for i, (a, b) in enumerate(merges)}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=merges))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.save(str(path))
    return path


def test_shares_of_text_are_kept_under_another_tokenizer(tmp_path):
    bytes_, pairs = (
        byte_tokenizer(tmp_path / "bytes.json", []),
        byte_tokenizer(tmp_path / "pairs.json", [("a", "b")]),
    )
    (tmp_path / "web.jsonl").write_text((json.dumps({"text": "ab" * 50}) + "\n") * 3)
    (tmp_path / "code.txt").write_text("xy" * 50)
    samples = {"web": [tmp_path / "web.jsonl"], "code": [tmp_path / "code.txt"]}

    had, wanted = tokens_per_byte(bytes_, samples), tokens_per_byte(pairs, samples)
    assert had == {"web": 1.01, "code": 1.01}  # an end of document for every hundred bytes
    assert wanted == {"web": 0.51, "code": 1.01}

    ratios = {d: wanted[d] / had[d] for d in samples}
    facts = Facts(unique={"web": 101.0}, tokens_per_example=LENGTHS)
    plan, changed = retokenized(MIXTURE, facts, ratios)
    web = 0.7 * 51 / 101
    assert plan["web"] == pytest.approx(web / (web + 0.3))
    assert changed.unique["web"] == pytest.approx(51.0)
    assert changed.tokens_per_example == {"web": pytest.approx(1000 * 51 / 101), "code": 250.0}
    schedule, _ = retokenized(SCHEDULE, facts, {**ratios, "math": 2.0})
    assert [end for end, _ in schedule.phases] == [600, 1000]
    with pytest.raises(InputError, match="domain 'math' has a share and no sample"):
        retokenized(SCHEDULE, facts, ratios)


def test_samples_and_tokenizers_that_cannot_be_read_are_refused(tmp_path):
    good = byte_tokenizer(tmp_path / "bytes.json", [])
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "odd.jsonl").write_text('{"body": 1}\n')
    (tmp_path / "no.json").write_text("{}")
    for tokenizer, name, message in (
        (good, "empty.txt", "holds no text"),
        (good, "odd.jsonl", "line 1: there is no text in a field 'text'"),
        (good, "absent.txt", "cannot read the sample"),
        (tmp_path / "no.json", "empty.txt", "cannot read the tokenizer"),
    ):
        with pytest.raises(InputError, match=message):
            tokens_per_byte(tokenizer, {"web": [tmp_path / name]})
