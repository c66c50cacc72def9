"""Injected texts: their places, the budget, what else a run reads, what is refused."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs import MixerSpec, RunSpec, Scale, Schedule
from mixopt.runs.realised import Realised
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.lm import injecting
from proxies.lm.examples import Examples, bears_loss
from proxies.lm.injecting import Injecting, Pieces, Probes, SharedStart
from proxies.lm.recipe import derive
from proxies.lm.resident import Resident
from proxies.lm.train import opened
from tests.unit.proxies.injected import ODD, SCALE, SPEC, made_with, rows_of

EVEN = {
    "documents": ["gypsum swift", "swift flint"],
    "repetitions": 5,
    "probes": [{"context": "swift gypsum", "continuation": " swift gypsum"}],
    "controls": [{"context": "crane pumice", "continuation": " crane pumice"}, "eagle basalt"],
}
TWO = {"odd": ODD, "even": EVEN}


@pytest.fixture(scope="module")
def make(text):
    def made(injections: Any = TWO, **config) -> LanguageModelTrainer:
        return made_with(text, injections, **config)

    return made


@pytest.fixture(scope="module")
def trainer(make, cache) -> LanguageModelTrainer:
    return make()


texts = st.lists(st.lists(st.integers(2, 9), min_size=1, max_size=3), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(texts, st.integers(1, 6), st.integers(0, 40), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_no_sequence_is_used_twice_and_places_are_spread_evenly(sizes, times, first, spare, seed):
    of = {
        f"i{k}": tuple(np.full(size, 10 * k + j) for j, size in enumerate(piece_sizes))
        for k, piece_sizes in enumerate(sizes)
    }
    pieces = Pieces(of, dict.fromkeys(of, times))
    n = sum(pieces.places.values())
    total = first + n + spare
    placed = pieces.placed(tuple(of), first, total, seed)
    at = np.array(list(placed.at))
    assert len(at) == n  # so that none is there twice
    assert first <= at.min()
    assert at.max() < total
    # every stretch has its share of all of them, and of each
    edges = first + (total - first) * np.arange(5) / 4
    spread = np.diff(np.searchsorted(np.sort(at), edges))
    assert np.abs(spread - n / 4).max() <= 2
    for name, count in pieces.places.items():
        own = sorted(number for number, (owner, _) in placed.at.items() if owner == name)
        gaps = np.diff(np.searchsorted(own, edges))
        assert np.abs(gaps - count / 4).max() <= 2 + len(of)
        read = [int(piece[0]) for owner, piece in placed.at.values() if owner == name]
        assert sorted(read) == sorted(int(p[0]) for p in of[name] for _ in range(times))
    assert placed.at.keys() == pieces.placed(tuple(of), first, total, seed).at.keys()
    alone = pieces.placed(("i0",), first, total, seed)
    assert list(alone.at) == [number for number, (owner, _) in placed.at.items() if owner == "i0"]


def test_long_documents_are_cut_and_every_token_is_a_target_once(trainer, cache):
    corpus = trainer.corpus(cache)
    short, long = (Pieces.cut(corpus, {"odd": 2, "even": 1}, context) for context in (4, 32))
    assert short.tokens == long.tokens
    assert short.places["odd"] > long.places["odd"] == 2
    (document,) = long.of["odd"]
    assert document[0] == document[-1]  # the end of a document is before it and behind it
    assert np.concatenate([p[1:] for p in short.of["odd"]]).tolist() == document[1:].tolist()
    assert all(len(piece) <= 5 for piece in short.of["odd"])


@pytest.mark.parametrize("inject", [[], ["odd"], ["odd", "even"]])
def test_domains_and_injections_are_the_budget(make, cache, inject):
    trainer = make(inject=inject)
    corpus = trainer.corpus(cache)
    recipe = derive(SCALE, corpus.vocab, trainer.model_config)
    plan = Schedule(((10_000, SPEC.mixture), (SCALE.tokens, Mixture.of({"birds": 1, "rocks": 0}))))
    for spec in (SPEC, RunSpec.scheduled(plan, SCALE)):
        run, _ = opened(trainer.setting(corpus, recipe, cache), spec)
        drawn = run.batches.realised(recipe.largest_batch)
        assert sum(drawn.tokens.values()) + sum(drawn.injected.values()) == recipe.tokens
        assert set(drawn.injected) == set(inject)
        pieces = Pieces.cut(corpus, trainer.injecting.repetitions, 32)
        assert all(drawn.injected[name] == pieces.tokens[name] for name in inject)
        assert Realised.from_dict(json.loads(json.dumps(drawn.to_dict()))) == drawn
        assert drawn.follows(spec.mixture)


def test_what_is_not_replaced_is_what_a_run_without_injections_reads(make, trainer, cache):
    plain = rows_of(make(None), SPEC, cache)
    ours = rows_of(trainer, SPEC, cache)
    alone = rows_of(make(inject=["odd"]), SPEC, cache)
    changed = (ours != plain).any(axis=1)
    pieces = Pieces.cut(trainer.corpus(cache), {"odd": 9, "even": 5}, 32)
    assert changed.sum() == sum(pieces.places.values()) == 19
    odd = (alone != plain).any(axis=1)
    assert odd.sum() == 9
    (piece,) = pieces.of["odd"]
    assert (ours[odd][:, : len(piece)] == piece).all()
    assert (ours[odd][:, len(piece) :] == plain[odd][:, len(piece) :]).all()
    assert (ours[odd] == alone[odd]).all()
    assert (rows_of(trainer, replace(SPEC, seed=1), cache) != plain).any(axis=1).sum() > 19


def test_a_run_without_injections_is_the_run_that_it_was(make, cache):
    """The corpus, what it is called, and what a run reads; numbers: tests/integration."""
    plain = make(None)
    assert "injections" not in plain.corpus_config.fingerprint()
    assert (rows_of(plain, SPEC, cache) == rows_of(make(inject=[]), SPEC, cache)).all()
    names = sorted(p.name for p in plain.corpus(cache).path.iterdir())
    assert not [name for name in names if "injection" in name]
    kept = {k: v for k, v in make(None).corpus(cache).manifest.items() if k != "injections"}
    ours = make().corpus(cache).manifest
    assert all(ours[k] == v for k, v in kept.items() if k != "file_sizes")


def test_injections_are_read_on_the_host_and_by_no_mixer(trainer, cache):
    assert Resident.of(trainer.corpus(cache), torch.device("cpu"), 1e9) is None
    assert trainer.capabilities.mixing is None
    assert not trainer.capabilities.continues
    mixed = replace(SPEC, mixer=MixerSpec("odm", {"every": 2}))
    (seen,) = trainer.train([mixed], cache)
    assert not seen.ok
    assert "leave out the mixer, or the injections" in seen.error


def scaled(**changes: Any) -> dict[str, Any]:
    return {"odd": {**ODD, **changes}, "even": EVEN}


def test_too_much_is_refused_by_name_and_the_remedy_is_right(make, tmp_path):
    trainer = make(scaled(repetitions=40))
    trainer.prepare(tmp_path)
    with pytest.raises(InputError, match=r"'odd'.*40 repetitions.*above 0\.5%") as told:
        trainer.check_scale(SCALE, tmp_path)
    enough = int(str(told.value).partition("runs of ")[2].split()[0])
    trainer.check_scale(Scale(20_000, -(-enough // 1024) * 1024), tmp_path)
    with pytest.raises(InputError, match="above"):
        trainer.check_scale(Scale(20_000, enough // 1024 * 1024 - 1024), tmp_path)
    (seen,) = trainer.train([SPEC], tmp_path)
    assert not seen.ok
    assert "40 repetitions" in seen.error
    pieces = Pieces({"a": (np.arange(3),)}, {"a": 20})
    pieces.check(10_000, 20)
    with pytest.raises(InputError, match="need 20 sequences, and there are 19"):
        pieces.check(10_000, 19)
    many = Pieces({f"i{k}": (np.arange(41),) for k in range(5)}, dict.fromkeys("i0i1i2i3i4", 1))
    many = replace(many, repetitions={f"i{k}": 1 for k in range(5)})
    many.check(10_000, 100)
    with pytest.raises(InputError, match=r"200 tokens, 2\.01% .*runs of 10000 tokens or more"):
        many.check(9_940, 100)


def test_settings_of_runs_are_refused_where_they_mean_nothing(make):
    with pytest.raises(InputError, match=r"no injection 'ood'.*odd"):
        make(inject=["ood"])
    with pytest.raises(InputError, match="inject is 'odd'; give a list"):
        make(inject="odd")
    with pytest.raises(InputError, match=r"there are no injections"):
        make(None, inject=[])
    with pytest.raises(InputError, match=r"shared_start is .*whole numbers"):
        make(shared_start={"tokens": 0, "seed": 1})


@pytest.mark.parametrize("tokens", [SCALE.tokens, 40_000])
def test_a_start_as_long_as_the_run_fails_with_the_reason(make, cache, tokens):
    trainer = make(shared_start={"tokens": tokens, "seed": 0})
    trainer.prepare(cache)
    (seen,) = trainer.train([SPEC], cache)
    assert "give a shorter start" in seen.error


def test_a_run_reads_those_that_its_own_configuration_names():
    every = Injecting({"odd": 9, "even": 5, "third": 1}, ("odd",))
    assert every.under({}) == every
    assert every.under({"inject": ["third", "even"]}).active == ("even", "third")
    assert every.under({"inject": []}).active == ()
    parted = every.under({"shared_start": {"tokens": 64, "seed": 3}})
    assert (parted.active, parted.start) == (("odd",), SharedStart(64, 3))
    assert parted.under({"shared_start": None}).start is None


def test_a_difference_is_as_uncertain_as_both_sides(monkeypatch):
    told = {"probes": [(1.0, 3.0), (2.0, np.nan)], "controls": [(0.25, 4.0), (0.5, 1.0)]}
    monkeypatch.setattr(injecting, "_bits", lambda part, nll: told[part])
    one, two = Probes("odd", "probes", "controls").measured(None)
    assert list(one.items()) == [
        ("injection/odd", (1.0, 3.0)),
        ("control/odd", (0.25, 4.0)),
        ("difference/odd", (0.75, 5.0)),
    ]
    assert np.isnan(two["difference/odd"][1])


def test_the_data_do_not_depend_on_how_often_they_are_read(make, cache):
    other = make(scaled(repetitions=3))
    assert other.prepare(cache).data == make().prepare(cache).data
    changed = make({**TWO, "odd": {**ODD, "controls": ["stork basalt stork"]}})
    assert changed.prepare(cache).data != make().prepare(cache).data


DERIVED = {
    "birds_s": {"source": "birds", "objective": "s"},
    "birds_x": {"source": "birds", "objective": "x"},
    "rocks_fill": {"source": "rocks", "objective": "infill"},
}
ALL_FOUR = {"birds": 0.25, "birds_s": 0.25, "birds_x": 0.25, "rocks_fill": 0.25}
HIDING = RunSpec(Mixture.of(ALL_FOUR), SCALE)


@pytest.fixture(scope="module")
def hiding(text):
    """Trainers of domains that hide some of their text."""

    def made(injections: Any = TWO, **config) -> LanguageModelTrainer:
        return made_with({**text, **DERIVED}, injections, **config)

    return made


@pytest.mark.parametrize("name", ["birds", *DERIVED])
def test_a_piece_of_any_length_bears_loss_in_a_sequence_of_any_objective(hiding, cache, name):
    corpus = hiding().corpus(cache)
    examples, stream = Examples(corpus, 32, 7), corpus.train_tokens(name)
    whole, _ = examples.read(name, stream, 64, 2)
    end = int(corpus.token_bytes.argmin())
    assert examples.room == 30
    for length in range(examples.room + 1):
        piece = np.concatenate(([end], np.full(length, 5)))
        ids, own = examples.behind(piece, name, stream, 64, 2)
        bears = bears_loss(torch.from_numpy(ids), corpus.boundary).numpy()
        assert bears.sum() == length + own
        assert len(ids) == len(whole) == 33
        assert ids[0] == end
        first = 1 if name == "birds" else 2  # a boundary before it
        assert (ids[first : first + length] == 5).all()
        assert bears[first - 1 : first - 1 + length].all()
        if name == "birds":
            assert (ids[length + 1 :] == whole[length + 1 :]).all()
            assert bears.all()
            continue
        rest = ids[first + length + 1 :]  # an example by itself, of text from the same place
        assert bears.sum() - length == bears_loss(torch.from_numpy(rest), corpus.boundary).sum()
        text = [t for t in rest.tolist() if t < corpus.boundary]
        assert len(text) <= 30 - length
        if name == "birds_s":
            assert text == stream[64 : 64 + len(text)].tolist()
        else:
            assert sorted(text) == sorted(stream[64 : 64 + len(text)].tolist())
    assert name == "birds" or not text  # no room is left


def test_runs_under_objectives_read_what_is_injected_and_all_else_as_without(hiding, cache):
    trainer = hiding()
    corpus = trainer.corpus(cache)
    recipe = derive(SCALE, corpus.vocab, trainer.model_config)
    plain, ours = (rows_of(t, HIDING, cache) for t in (hiding(None), trainer))
    run, _ = opened(trainer.setting(corpus, recipe, cache), HIDING)
    of_domain = np.array(run.batches.domains(recipe.sequences))
    changed = (ours != plain).any(axis=1)
    assert changed.sum() == 19
    assert set(of_domain[changed]) == set(ALL_FOUR)
    alone = rows_of(hiding(inject=["odd"]), HIDING, cache)
    odd = (alone != plain).any(axis=1)
    assert odd.sum() == 9
    assert (ours[odd] == alone[odd]).all()
    drawn = run.batches.realised(recipe.largest_batch)
    assert sum(drawn.tokens.values()) + sum(drawn.injected.values()) == recipe.tokens
    bears = bears_loss(torch.from_numpy(ours), corpus.boundary).numpy().sum(axis=1)
    read, passed = (opened(trainer.setting(corpus, recipe, cache), HIDING)[0] for _ in range(2))
    read.batches.take(recipe.sequences)
    passed.batches.skip(recipe.sequences)
    told = read.batches.bearing()
    assert passed.batches.bearing() == told
    assert sum(told.values()) + sum(drawn.injected.values()) == bears.sum()
    for name, tokens in told.items():
        others = bears[(of_domain == name) & ~changed].sum()
        assert 0 <= tokens - others <= 31 * (changed & (of_domain == name)).sum()
    assert told["birds"] == drawn.tokens["birds"]


def test_loss_tokens_without_injections_are_counted_as_read_also_behind_a_start(hiding, cache):
    trainer = hiding(inject=[], shared_start={"tokens": 8_192, "seed": 1})
    corpus = trainer.corpus(cache)
    recipe = derive(SCALE, corpus.vocab, trainer.model_config)
    run, _ = opened(trainer.setting(corpus, recipe, cache), HIDING)
    of_domain = np.array(run.batches.domains(recipe.sequences))
    rows = torch.from_numpy(run.batches.take(recipe.sequences))
    bears = bears_loss(rows, corpus.boundary).numpy().sum(axis=1)
    told = run.batches.bearing()
    assert told == {name: bears[of_domain == name].sum() for name in told}


def test_documents_that_are_sampled_carry_injections_like_any_other(text, cache):
    """What stands behind a piece, and all other sequences, are those of the sampled documents."""
    sampling = {"*": {"cut": 0.5, "exponent": 1.0}}

    def made(injections: Any = TWO, **config) -> LanguageModelTrainer:
        own = {"scores": {"letters": "high"}, "sampling": sampling}
        return made_with(text, injections, **(own | config))

    for spec in (SPEC, replace(SPEC, seed=4)):
        plain, ours = rows_of(made(None), spec, cache), rows_of(made(), spec, cache)
        changed = (ours != plain).any(axis=1)
        assert changed.sum() == 19
        pieces = Pieces.cut(made().corpus(cache), {"odd": 9, "even": 5}, 32)
        assert (ours[changed][:, 20:] == plain[changed][:, 20:]).all()
        assert max(len(p) for of in pieces.of.values() for p in of) <= 20
    trainer = made()
    trainer.prepare(cache)
    corpus = trainer.corpus(cache)
    recipe = derive(SCALE, corpus.vocab, trainer.model_config)
    run, _ = opened(trainer.setting(corpus, recipe, cache), SPEC)
    told = run.batches.realised(recipe.largest_batch)
    assert sum(told.tokens.values()) + sum(told.injected.values()) == recipe.tokens
    # one start, another order behind it: the sampled documents are those of the start
    start = {"tokens": 8_192, "seed": 1}
    rows = [
        rows_of(made(inject=i, shared_start=start), replace(SPEC, seed=s), cache)
        for s, i in ((2, []), (3, []), (3, ["odd"]))
    ]
    assert (rows[0][:256] == rows[1][:256]).all()
    assert (rows[0][256:] != rows[1][256:]).any(axis=1).mean() > 0.9
    assert (rows[1] != rows[2]).any(axis=1).sum() == 9


def test_over_a_fixed_number_of_tokens_a_shorter_run_begins_a_longer_one(make, cache, tmp_path):
    trainer = make(inject_over=2 * SCALE.tokens)
    assert trainer.capabilities.continues
    longer, longest = (replace(SPEC, scale=Scale(SCALE.params, n * SCALE.tokens)) for n in (2, 3))
    short, long, over = (rows_of(trainer, spec, cache) for spec in (SPEC, longer, longest))
    n = len(short)
    assert (short == long[:n]).all()
    assert (long == over[: 2 * n]).all()
    plain = rows_of(make(None), longest, cache)
    changed = (over != plain).any(axis=1)
    assert changed.sum() == 19
    assert 9 <= changed[:n].sum() <= 10  # half of them, evenly
    assert not changed[2 * n :].any()  # and none behind
    corpus = trainer.corpus(cache)
    of = {}
    for key, made in {"over": trainer, "spread": make()}.items():
        for spec in (SPEC, longer):
            recipe = derive(spec.scale, corpus.vocab, made.model_config)
            of[key, spec] = made.setting(corpus, recipe, tmp_path).checkpoints(spec).folder
    assert of["over", SPEC] == of["over", longer]
    assert of["spread", SPEC] != of["spread", longer]


def test_what_a_run_would_read_too_little_or_too_much_of_is_refused(make, tmp_path):
    few = scaled(repetitions=1)
    trainer = make(few, inject_over=2 * SCALE.tokens)
    trainer.prepare(tmp_path)
    trainer.check_scale(Scale(20_000, 2 * SCALE.tokens), tmp_path)
    with pytest.raises(InputError, match=r"'odd' has 1 places over 65536 .*less than one; give"):
        trainer.check_scale(SCALE, tmp_path)
    make(few, inject_over=2 * SCALE.tokens, inject=["even"]).check_scale(SCALE, tmp_path)
    dense = make(inject_over=16_384)
    with pytest.raises(InputError, match=r"'odd'.*of an inject_over of 16384, above") as told:
        dense.check_scale(SCALE, tmp_path)
    enough = int(str(told.value).partition("documents, an inject_over of ")[2].split()[0])
    assert 16_384 < enough <= SCALE.tokens
    make(inject_over=SCALE.tokens).check_scale(SCALE, tmp_path)
    late = make(inject_over=8_192, shared_start={"tokens": 8_192, "seed": 0})
    with pytest.raises(InputError, match=r"inject_over is 8192 tokens, of which .* has none"):
        late.check_scale(SCALE, tmp_path)
    with pytest.raises(InputError, match="inject_over"):
        make(inject_over=0)
    with pytest.raises(InputError, match="there are no injections"):
        make(None, inject_over=8_192)
