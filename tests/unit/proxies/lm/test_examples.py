"""Examples of objectives: nothing of the text is lost, and loss is on the targets alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.runs.schedule import Schedule
from mixopt.space import Mixture
from proxies.corpus import CorpusConfig, load_corpus
from proxies.corpus.objectives import DEFAULTS, Objective
from proxies.lm.data import Batches
from proxies.lm.evaluate import validation_sets
from proxies.lm.examples import (
    NOWHERE,
    Example,
    Vocabulary,
    bears_loss,
    example,
    mean_loss,
)
from proxies.lm.model import PackedModel, Shape
from proxies.lm.steps import pack_loss, token_weights

TEXT = 50  # tokens of text, of which 0 ends a document
WORDS = Vocabulary(TEXT, np.arange(TEXT) == 0)


@st.composite
def made(draw: st.DrawFn) -> tuple[Objective, np.ndarray, int, Example]:
    name = draw(st.sampled_from(sorted(DEFAULTS)))
    span = float("inf") if name == "s" else draw(st.floats(1, 20))
    rate = draw(st.floats(0.02, 0.49 if name == "infill" else 0.95))
    context = draw(st.integers(12, 200))
    objective = Objective(name, span, rate)
    length = objective.source_tokens(context)
    hidden, spans = objective.most(length)
    if length < 2 or (name != "s" and spans > min(hidden, length - hidden)):
        objective = DEFAULTS[name]
        context, length = 64, objective.source_tokens(64)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    tokens = rng.integers(0, TEXT, length) * (rng.random(length) > draw(st.floats(0, 0.3)))
    return objective, tokens, context, example(objective, tokens, context, WORDS, rng)


@settings(deadline=None, max_examples=300)
@given(made())
def test_every_token_is_once_in_the_prefix_or_the_targets_and_sentinels_match(case):
    objective, tokens, context, of = case
    assert len(of.ids) == context + 1
    kept = of.places != NOWHERE
    assert sorted(of.places[kept].tolist()) == list(range(len(tokens)))
    assert (of.ids[kept] == tokens[of.places[kept]]).all()

    first = int(np.argmax(of.ids == WORDS.boundary))
    prefix, behind = of.ids[:first], of.ids[first + 1 :]
    targets = behind[behind != WORDS.boundary]
    assert (behind[len(targets) :] == WORDS.boundary).all()  # what fills the sequence
    masks = prefix[prefix >= WORDS.sentinel]
    assert masks.tolist() == list(range(WORDS.sentinel, WORDS.sentinel + len(masks)))
    assert targets[targets >= WORDS.sentinel].tolist() == masks.tolist()
    ends = int((targets == WORDS.end).sum())
    assert ends == {"s": 0, "infill": len(masks)}.get(objective.name, 1)
    assert not (prefix == WORDS.end).any()

    # putting every span back where its sentinel stands gives the text
    text, spans = targets[targets != WORDS.end], {}
    for token in text.tolist():
        if token >= WORDS.sentinel:
            spans[token] = open_span = []
        elif objective.name != "s":
            open_span.append(token)
    whole = [t for token in prefix.tolist() for t in spans.get(token, [token])]
    whole += text.tolist() if objective.name == "s" else []
    assert whole == tokens.tolist()
    assert all(spans.values())

    bears = bears_loss(torch.from_numpy(of.ids), WORDS.boundary).bool().numpy()
    assert not bears[:first].any()
    assert of.ids[1:][bears].tolist() == targets.tolist()
    assert of.bearing == len(targets)


@settings(deadline=None, max_examples=60)
@given(made())
def test_the_lengths_are_those_of_the_formula(case):
    objective, tokens, context, of = case
    lengths = objective.lengths(*objective.most(len(tokens)), len(tokens))
    first = int(np.argmax(of.ids == WORDS.boundary)) + 1
    targets = int((of.ids[first:] != WORDS.boundary).sum())
    if objective.name == "infill":
        assert first + targets <= context + 1
    else:
        assert (first, targets) == lengths


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_infilling_hides_within_one_document(seed: int):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, TEXT, DEFAULTS["infill"].source_tokens(64))
    tokens[rng.choice(len(tokens), 3, replace=False)] = 0
    of = example(DEFAULTS["infill"], tokens, 64, WORDS, rng)
    first = int(np.argmax(of.ids == WORDS.boundary))
    assert not (of.ids[first:] == 0).any()


def test_spans_are_as_long_as_they_should_be_on_average():
    objective, sizes = DEFAULTS["x"], []
    tokens = np.arange(objective.source_tokens(256)) % (TEXT - 1) + 1
    for seed in range(50):
        of = example(objective, tokens, 256, WORDS, np.random.default_rng(seed))
        targets = of.ids[int(np.argmax(of.ids == WORDS.boundary)) + 1 :]
        edges = np.flatnonzero(targets >= WORDS.end)
        sizes += (np.diff(edges) - 1).tolist()
    assert np.mean(sizes) == pytest.approx(3, rel=0.05)
    assert np.std(sizes) > 1.5  # near geometric, as random segmentation makes them


def test_a_text_without_boundary_bears_loss_everywhere():
    ids = torch.tensor([[1, 2, 3, 4], [1, 9, 3, 9]])
    assert bears_loss(ids, 9).tolist() == [[1, 1, 1], [0, 1, 0]]
    each = torch.tensor([[1.0, 2.0, 6.0], [7.0, 5.0, 9.0]])
    assert mean_loss(each, ids, 9).tolist() == [3.0, 5.0]
    assert mean_loss(each, ids, None).tolist() == [3.0, 7.0]


DERIVED = {
    "birds_r": {"source": "birds", "objective": "r"},
    "rocks_fill": {"source": "rocks", "objective": "infill"},
}


@pytest.fixture(scope="module")
def corpus(text, cache):
    config = CorpusConfig(domains={**text, **DERIVED}, vocab=300, validation_fraction=0.2)
    return load_corpus(config, cache)


def test_examples_depend_on_seed_and_number_alone(corpus):
    def rows(seed: int, skipped: int = 0, **weights: float) -> np.ndarray:
        phases = Schedule.constant(Mixture.of(weights), 1).phases
        batches = Batches(corpus, phases, context=32, total=40, seed=seed)
        batches.skip(skipped)
        return batches.take(20)

    alone = rows(0, birds_r=1.0)
    assert (rows(0, skipped=5, birds_r=1.0)[:15] == alone[5:]).all()
    mixed = rows(0, birds_r=0.5, rocks=0.5)
    derived = mixed[(mixed == corpus.boundary).any(axis=1)]
    assert (derived == alone[: len(derived)]).all()
    assert not (rows(1, birds_r=1.0)[0] == alone[0]).all()


def test_the_loss_is_the_mean_over_targets_that_bear_it():
    shape = Shape(vocab=60, width=32, depth=1, heads=1, context=64, bigrams=0)
    model = PackedModel(shape, [0], device=torch.device("cpu"), dtype=torch.float32)
    tokens = np.arange(64) % (TEXT - 1) + 1
    made = example(DEFAULTS["s"], tokens, 64, WORDS, np.random.default_rng(0))
    ids = torch.from_numpy(np.stack([made.ids, np.arange(65) % TEXT]))[None]
    each = torch.zeros(1, 2, 64)
    plain = pack_loss(model, ids, each).item()
    assert plain == pytest.approx(each.mean().item(), rel=1e-5)
    weights = token_weights(ids, WORDS.boundary)
    loss = pack_loss(model, ids, weights=weights).item()
    bears = bears_loss(ids, WORDS.boundary)
    assert bears.sum().item() == 16 + 64
    assert loss == pytest.approx((each * bears).sum().item() / 80, rel=1e-5)
    assert token_weights(ids, None) is None


def test_a_set_is_scored_on_the_text_of_its_targets(corpus):
    sets = {s.name: s for s in validation_sets(corpus, 32, 512, torch.device("cpu"))}
    assert set(sets) == {"birds", "rocks", "birds_r", "rocks_fill"}
    for name in DERIVED:
        data = sets[name]
        scored = data.bytes > 0
        targets = data.ids[:, 1:]
        bears = bears_loss(data.ids, corpus.boundary).bool()
        assert not (scored & ~bears).any()
        assert (targets[scored] < corpus.boundary).all()
        assert scored.any(dim=1).all()
        text = (targets < corpus.boundary) & bears
        assert (data.bytes[text].numpy() == corpus.token_bytes[targets[text].numpy()]).all()
