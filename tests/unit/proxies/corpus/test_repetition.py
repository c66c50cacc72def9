import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.corpus import CorpusConfig, load_corpus
from proxies.corpus.repetition import RepetitionMatch, epoch_ratios, mismatches, pool_sizes
from proxies.lm.data import Batches

counts = st.integers(100, 10**7)


def test_the_pool_shrinks_by_the_factor_of_the_budget():
    match = RepetitionMatch(1e12, {"code": 1e9})  # METHODS: arXiv 2606.07597
    assert match.wanted("code", 3e9) == 3e6
    pools = pool_sizes(match, {"code": 10**8, "web": 777}, proxy_tokens=3 * 10**9, context=100)
    assert pools == {"code": 3_000_001, "web": 777}


@given(counts, counts, st.integers(1000, 10**8), st.sampled_from([16, 64, 256]))
def test_pools_are_whole_sequences_within_what_is_there(tokens, there, proxy, context):
    match = RepetitionMatch(1e9, {"a": tokens})
    (pool,) = pool_sizes(match, {"a": there}, proxy_tokens=proxy, context=context).values()
    assert min(there, context + 1) <= pool <= there
    if pool < there:
        assert (pool - 1) % context == 0
        assert abs(pool - 1 - match.wanted("a", proxy)) <= context


@given(st.floats(0.02, 1.0), counts, st.integers(10**5, 10**7))
def test_epochs_of_proxy_and_target_are_equal_at_every_mixture(share, tokens, proxy):
    match, context = RepetitionMatch(1e9, {"a": tokens}), 16
    there = 10**9
    pools = pool_sizes(match, {"a": there}, proxy_tokens=proxy, context=context)
    target = share * match.budget / tokens
    if match.wanted("a", proxy) > 20 * context:
        assert share * proxy / (pools["a"] - 1) == pytest.approx(target, rel=0.03)


def test_too_little_text_and_too_small_a_pool_are_pointed_out_where_it_matters():
    match = RepetitionMatch(1e9, {"scarce": 1e8, "rare": 1e8, "tiny": 1e3, "good": 1e8})
    there = {"scarce": 3001, "rare": 3001, "tiny": 10**6, "good": 10**6}
    pools = pool_sizes(match, there, proxy_tokens=10**5, context=64)
    ratios = epoch_ratios(match, pools, proxy_tokens=10**5)
    assert ratios["scarce"] == pytest.approx(1e4 / 3000)
    weights = {"scarce": 0.3, "rare": 0.009, "tiny": 0.1, "good": 0.591}
    scarce, tiny = mismatches(ratios, weights)
    assert "'scarce'" in scarce
    assert "max_bytes" in scarce
    assert "'tiny'" in tiny
    assert "smaller context" in tiny


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "give {budget"),
        ({"budget": 1e9}, "give {budget"),
        ({"budgets": 1e9, "tokens": {}}, "did you mean 'budget'"),
        ({"budget": 0, "tokens": {"a": 1}}, "budget is 0"),
        ({"budget": 1e9, "tokens": {"a": math.nan}}, "'a' is nan"),
    ],
)
def test_bad_settings_are_refused(value, message):
    with pytest.raises(InputError, match=message):
        RepetitionMatch.of(value)


def test_off_means_off():
    assert RepetitionMatch.of(None) is RepetitionMatch.of(False) is None
    assert pool_sizes(None, {"a": 5}, proxy_tokens=9, context=2) == {"a": 5}


def sequences(corpus, pool: int, steps: int) -> set[bytes]:
    whole = ((4 * steps * 16, Mixture.of({"birds": 1.0})),)
    batches = Batches(corpus, whole, context=16, total=4 * steps, seed=0, pools={"birds": pool})
    return {row.tobytes() for row in batches.take(4 * steps)}


def test_pools_are_nested_and_repeat_as_often_as_they_should(text, cache):
    corpus = load_corpus(CorpusConfig(domains=text, vocab=300, validation_fraction=0.2), cache)
    small = sequences(corpus, 10 * 16 + 1, steps=10)
    large = sequences(corpus, 40 * 16 + 1, steps=40)
    assert len(small) == 10  # 40 draws: four epochs of ten
    assert len(large) == 40
    assert small < large


def test_a_run_records_whether_its_epochs_match_and_learns_less_from_less(text, cache):
    tiny = {
        "domains": text,
        "vocab": 300,
        "validation_fraction": 0.2,
        "context": 32,
        "width": 32,
        "bigrams": 512,
    }
    target = {"budget": 1e9, "tokens": {"birds": 2e7, "rocks": 1e9}}
    scale = Scale(20_000, 8_192)
    config = tiny | {"match_repetition": target}
    run = RunSpec(Mixture.of({"birds": 0.9, "rocks": 0.1}), scale, config=config)
    (matched,) = LanguageModelTrainer(**config).train([run], cache)
    (free,) = LanguageModelTrainer(**tiny).train([run], cache)
    assert free.info["repetition"] == {"matched": False}
    kept = matched.info["repetition"]
    assert kept["matched"]
    assert kept["pools"]["birds"] == 5 * 32 + 1  # 2 % of 8192 tokens
    assert matched.info["epochs"]["birds"] == pytest.approx(0.9 * 8192 / 161, rel=0.02)
    assert np.isclose(kept["ratios"]["birds"], 8192 * 0.02 / 160, rtol=1e-3)
    assert matched.metrics["birds"] > free.metrics["birds"]
    assert RunSpec(run.mixture, scale, config=tiny).run_id != run.run_id


def test_tokens_of_an_unknown_domain_are_refused(text, cache):
    trainer = LanguageModelTrainer(
        domains=text, vocab=300, match_repetition={"budget": 1e9, "tokens": {"bird": 1e6}}
    )
    with pytest.raises(InputError, match="did you mean 'birds'"):
        trainer.prepare(cache)
