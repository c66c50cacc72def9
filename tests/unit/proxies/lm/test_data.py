import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proxies.corpus import CorpusConfig, load_corpus
from proxies.lm.data import Batches, domain_order, sequence_starts, spread
from proxies.lm.resident import Resident, room_for_tokens

weights = st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(lambda w: sum(w) > 0.01)


def order(w: list[float], total: int, seed: int) -> np.ndarray:
    return domain_order(w, np.random.default_rng(seed).random(len(w)), total)


@settings(deadline=None)
@given(weights, st.integers(1, 500), st.integers(0, 2**32 - 1))
def test_every_prefix_of_a_run_holds_its_share_of_each_domain(w, total, seed):
    found = order(w, total, seed)
    assert len(found) == total
    seen = np.cumsum(found[:, None] == np.arange(len(w)), axis=0)
    share = np.array(w) / sum(w)
    expected = np.arange(1, total + 1)[:, None] * share
    # each domain is within 1 of its own schedule; ranking them together adds the others'
    assert np.abs(seen - expected).max() <= 1 + share.max() * len(w)
    assert not set(found) & set(np.flatnonzero(share == 0))


@settings(deadline=None)
@given(weights, st.integers(1, 300), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_the_order_of_a_longer_run_begins_with_that_of_a_shorter_one(w, total, more, seed):
    assert np.array_equal(order(w, total + more, seed)[:total], order(w, total, seed))


@settings(deadline=None)
@given(st.integers(1, 3000))
def test_spread_is_a_permutation_whose_prefixes_cover_the_range(count: int):
    order = spread(count)
    assert sorted(order.tolist()) == list(range(count))
    half = order[: max(1, count // 2)]
    gaps = np.diff(np.sort(half), prepend=-1, append=count)
    assert gaps.max() <= 5


def test_an_epoch_reads_every_sequence_once_and_the_next_differs():
    starts = sequence_starts(tokens=1001, context=10, seed=3, name="a")
    first = list(itertools.islice(starts, 100))
    second = list(itertools.islice(starts, 100))
    assert sorted(first) == sorted(second) == list(range(0, 1000, 10))
    assert first != second


@pytest.fixture(scope="module")
def corpus(text, cache):
    return load_corpus(CorpusConfig(domains=text, vocab=300, validation_fraction=0.2), cache)


def sequences(corpus, mixture: dict[str, float], seed: int = 0) -> dict[str, list[bytes]]:
    """The sequences of a run by domain, in the order in which they are trained on."""
    names = {"birds": b"", "rocks": b""}
    found: dict[str, list[bytes]] = {name: [] for name in names}
    starts = {
        name: {
            np.asarray(corpus.train_tokens(name)[i : i + 17], dtype=np.int64).tobytes()
            for i in range(0, len(corpus.train_tokens(name)) - 16, 16)
        }
        for name in names
    }
    batches = Batches(corpus, mixture, context=16, total=40, seed=seed)
    for _ in range(10):
        batch = batches.take(4)
        assert batch.shape == (4, 17)
        for row in batch:
            owner = next(name for name in names if row.tobytes() in starts[name])
            found[owner].append(row.tobytes())
    assert {name: len(rows) for name, rows in found.items() if rows} == batches.counts
    return found


def test_one_seed_gives_a_domain_the_same_sequences_in_every_mixture(corpus):
    half = sequences(corpus, {"birds": 0.5, "rocks": 0.5})
    most = sequences(corpus, {"birds": 0.8, "rocks": 0.2})
    alone = sequences(corpus, {"birds": 0.0, "rocks": 1.0})
    assert len(half["birds"]) == 20
    assert abs(len(most["birds"]) - 32) <= 1
    assert most["birds"][:20] == half["birds"]
    assert alone["rocks"][:20] == half["rocks"]
    assert sequences(corpus, {"birds": 0.5, "rocks": 0.5}, seed=1) != half


def test_sequences_gathered_on_the_device_are_those_of_the_files(corpus):
    mixtures = ({"birds": 0.5, "rocks": 0.5}, {"birds": 0.9, "rocks": 0.1})

    def batches() -> list[Batches]:
        return [Batches(corpus, m, context=16, total=24, seed=s) for s, m in enumerate(mixtures)]

    size = sum(corpus.train_tokens(name).nbytes for name in corpus.domains)
    resident = Resident.of(corpus, torch.device("cpu"), room=size)
    assert resident is not None
    plain, placed = batches(), batches()
    for _ in range(6):
        expected = np.stack([run.take(4) for run in plain])
        found = resident.sequences([run.places(4) for run in placed], 16)
        np.testing.assert_array_equal(found.numpy(), expected)
        assert found.dtype == torch.int64
    assert Resident.of(corpus, torch.device("cpu"), room=size - 1) is None
    assert room_for_tokens(torch.device("cpu")) == 0.0


def test_the_largest_token_of_a_shard_stays_positive(corpus, monkeypatch):
    high = np.array([65_535, 0, 40_000], dtype=np.uint16)
    monkeypatch.setattr(type(corpus), "train_tokens", lambda self, name: high)
    resident = Resident.of(corpus, torch.device("cpu"), room=1e6)
    found = resident.sequences([[("birds", 0)], [("rocks", 0)]], 2)
    assert found.tolist() == [[[65_535, 0, 40_000]], [[65_535, 0, 40_000]]]
