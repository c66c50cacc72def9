import hashlib
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.runs.schedule import Phases, Schedule
from mixopt.space import Mixture
from proxies.corpus import CorpusConfig, load_corpus
from proxies.lm.data import Batches, Drawing, losses_by_domain, sequence_starts, spread
from proxies.lm.resident import Resident, room_for_tokens

weights = st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(lambda w: sum(w) > 0.01)


def whole(mixture: dict[str, float]) -> Phases:
    return Schedule.constant(Mixture.of(mixture), 1).phases


def order(w: list[float], total: int, seed: int) -> np.ndarray:
    drawing = Drawing.start(np.random.default_rng(seed).random(len(w)))
    return drawing.phase(np.array(w), total)[0]


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
    batches = Batches(corpus, whole(mixture), context=16, total=40, seed=seed)
    for _ in range(10):
        batch = batches.take(4)
        assert batch.shape == (4, 17)
        for row in batch:
            owner = next(name for name in names if row.tobytes() in starts[name])
            found[owner].append(row.tobytes())
    assert {name: len(rows) for name, rows in found.items() if rows} == batches.counts[0]
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
        return [
            Batches(corpus, whole(m), context=16, total=24, seed=s) for s, m in enumerate(mixtures)
        ]

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


# -- phases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("w", "seed", "total", "expected"),
    [
        ([0.5, 0.3, 0.2], 0, 4096, "9720eff78689ed79"),
        ([1 / 3, 1 / 3, 1 / 3], 1, 1000, "c4d51d3c21d13c76"),
        ([0.001, 0.989, 0.01], 2, 5000, "42832db5d0ade2bb"),
        ([1.0], 3, 64, "076a27c79e5ace2a"),
        ([0.1] * 10, 4, 999, "5b26c828ee19e377"),
    ],
)
def test_one_phase_is_drawn_in_the_order_of_before_there_were_phases(w, seed, total, expected):
    """Hashes of the orders that the commit before schedules came (3b72ce6) drew."""
    found = order(w, total, seed).astype("<i8").tobytes()
    assert hashlib.sha256(found).hexdigest()[:16] == expected


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=5, max_size=5).filter(lambda w: max(w) > 0),
    st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), max_size=6),
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.999]), min_size=5, max_size=5),
    st.integers(0, 128),
)
def test_taking_one_by_one_and_sorting_draw_the_same(last, before, offsets, length):
    """Also where domains are owed something, are due at the same moment, or have hardly a share."""
    drawing = Drawing.start(np.array(offsets))
    for w in before:
        if max(w) > 0:
            _, drawing = drawing.phase(np.array(w), 7)
    w = np.array(last) / sum(last)
    used = np.flatnonzero(w * (length + 5) > 1e-9)
    assert np.array_equal(drawing._merged(w, used, length), drawing._sorted(w, used, length))


phases = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.lists(st.integers(0, 5), min_size=4, max_size=4).filter(any),
    ),
    min_size=1,
    max_size=5,
)


def drawn(plan: list[tuple[int, list[int]]], seed: int) -> list[np.ndarray]:
    drawing = Drawing.start(np.random.default_rng(seed).random(4))
    orders = []
    for length, w in plan:
        found, drawing = drawing.phase(np.array(w) / sum(w), length)
        orders.append(found)
    return orders


@settings(deadline=None)
@given(phases, st.integers(0, 2**32 - 1))
def test_every_phase_holds_its_share_of_each_domain(plan, seed):
    due, seen = np.zeros(4), np.zeros(4)
    for (length, w), found in zip(plan, drawn(plan, seed), strict=True):
        share = np.array(w) / sum(w)
        assert len(found) == length
        counts = np.bincount(found, minlength=4)
        assert not counts[share == 0].any()
        due, seen = due + share * length, seen + counts
        # what is due adds up over phases: a domain never falls further behind
        assert np.abs(seen - due).max() <= 4


@settings(deadline=None)
@given(phases, phases, st.integers(0, 2**32 - 1))
def test_what_is_drawn_depends_on_nothing_that_follows(plan, more, seed):
    alone, followed = drawn(plan, seed), drawn([*plan, *more], seed)
    for one, other in zip(alone, followed, strict=False):
        assert np.array_equal(one, other)
    length, w = plan[-1]
    longer = drawn([*plan[:-1], (length + 50, w)], seed)
    assert np.array_equal(longer[-1][:length], alone[-1])


def test_what_short_phases_owe_a_domain_is_paid_later():
    """No phase is long enough for one sequence of the rare domains; together they are."""
    plan = [(3, [6, 1, 1, 0]), (3, [6, 0, 1, 1])] * 40
    seen = np.bincount(np.concatenate(drawn(plan, seed=1)), minlength=4)
    np.testing.assert_allclose(seen, [180, 15, 30, 15], atol=2)


def test_a_domain_that_comes_back_goes_on_in_its_own_order(corpus):
    birds, rocks = Mixture.of({"birds": 1.0}), Mixture.of({"rocks": 1.0})
    plan = Schedule(((160, birds), (320, rocks), (480, birds))).phases
    alone = Batches(corpus, whole({"birds": 1.0}), context=16, total=20, seed=0).places(20)
    batches = Batches(corpus, plan, context=16, total=30, seed=0)
    assert batches.ends == [10, 20, 30]
    assert batches.domains(12) == ["birds"] * 10 + ["rocks"] * 2
    found = batches.places(30)
    assert found[:10] + found[20:] == alone
    assert {name for name, _ in found[10:20]} == {"rocks"}
    assert batches.domains(12) == []


def test_what_is_realised_is_told_phase_by_phase(corpus):
    birds, both = Mixture.of({"birds": 1.0}), Mixture.of({"birds": 0.5, "rocks": 0.5})
    plan = Schedule(((165, birds), (330, both), (400, birds))).phases
    batches = Batches(corpus, plan, context=16, total=20, seed=0)  # ends before the last phase
    realised = batches.realised(batch=4)
    assert realised.phases == ((160, {"birds": 160}), (320, {"birds": 80, "rocks": 80}))
    assert realised.tokens == {"birds": 240, "rocks": 80}
    assert realised.grain == 5 * 16


def test_pools_do_not_depend_on_phases(corpus):
    pools = {"birds": 65, "rocks": 65}
    both = Mixture.of({"birds": 0.5, "rocks": 0.5})
    plan = Schedule(((160, Mixture.of({"birds": 1.0})), (640, both))).phases
    batches = Batches(corpus, plan, context=16, total=40, seed=0, pools=pools)
    starts: dict[str, list[int]] = {"birds": [], "rocks": []}
    for name, start in batches.places(40):
        starts[name].append(start)
    for found in starts.values():  # every epoch of 4 sequences reads all of the pool
        epochs = [found[i : i + 4] for i in range(0, len(found) - 3, 4)]
        assert epochs
        assert all(sorted(epoch) == [0, 16, 32, 48] for epoch in epochs)


def test_losses_are_averaged_over_the_sequences_of_a_domain():
    found = losses_by_domain(np.array([1.0, 2.0, 4.0]), ["rocks", "birds", "rocks"])
    assert found == {"birds": 2.0, "rocks": 2.5}
