"""Rules on scores: what the sampler of a domain says of documents that nobody has seen."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import InputError
from mixopt.runs.document_rule import DocumentRule, ScoredDocuments, read_rules, rules_as_json
from mixopt.runs.document_sampling import Sampler, ranks

RNG = np.random.default_rng(0)
SHARP = Sampler(sharpness=500, cut=0.3, exponent=1.0, floor=0.05)


def documents(values, good=("high", "low"), sizes=None):
    values = np.asarray(values, dtype=float)
    names = ("edu", "noise")[: values.shape[1]]
    own = RNG.integers(1, 9, len(values)) if sizes is None else np.asarray(sizes)
    return ScoredDocuments(names, good[: values.shape[1]], values, own)


def test_the_documents_that_a_rule_is_of_are_read_as_their_sampler_says():
    """More documents than a rule keeps, two scores: ranks are known to 1/128."""
    given = documents(RNG.normal(size=(3000, 2)))
    sampler = Sampler(20, 0.6, 1.0, 0.05, scores={"edu": 3, "noise": 1})
    rule = DocumentRule.of(given, sampler)
    signed = given.values * [-1, 1]
    r = ranks(signed, given.sizes, np.array([0.75, 0.25]))
    told = rule.expected({"edu": given.values[:, 0], "noise": given.values[:, 1]})
    away = np.abs(r - 0.6) > 0.02  # from the cut, where S jumps
    np.testing.assert_allclose(told[away], sampler.expected(r)[away], atol=0.05)
    assert float(told @ given.sizes) / given.sizes.sum() == pytest.approx(sampler.mean, rel=0.01)
    kept = rule.quality({"edu": given.values[:, 0], "noise": given.values[:, 1]})
    share = given.sizes[kept <= rule.quality_at_cut].sum() / given.sizes.sum()
    assert share == pytest.approx(0.6, abs=0.01)
    assert rule.score_at_cut is None
    assert max(len(rule.merged), *(len(s.values) for s in rule.scores)) <= 256


def test_one_score_has_a_threshold_and_others_of_its_source_are_cut_there():
    given = documents(RNG.normal(size=(4000, 1)), sizes=np.ones(4000))
    rule = DocumentRule.of(given, SHARP)
    assert rule.score_at_cut == pytest.approx(np.quantile(given.values, 0.7), abs=0.02)
    fresh = np.random.default_rng(1).normal(size=5000)
    told = rule.expected({"edu": fresh})
    assert told[fresh > rule.score_at_cut + 0.05].min() > 1.0
    np.testing.assert_allclose(told[fresh < rule.score_at_cut - 0.05], 0.05, atol=1e-9)
    np.testing.assert_allclose(rule.expected({"edu": [99.0, -99.0]}), [2.05, 0.05], atol=1e-9)
    assert told.mean() == pytest.approx(SHARP.mean, rel=0.1)


def test_equal_scores_on_both_sides_of_a_cut_are_read_alike_and_so_often_as_together():
    """Half have the score 2, half 1; of the latter three fifths are above the cut."""
    given = documents(np.repeat([[2.0], [1.0]], 50, axis=0), sizes=np.ones(100))
    rule = DocumentRule.of(given, Sampler(cut=0.8))
    told = rule.expected({"edu": [2.0, 1.0]})
    np.testing.assert_allclose(told, [1.0, 0.6], atol=1 / 64)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20),
    st.sampled_from(["high", "low"]),
    st.floats(0, 1),
    st.floats(0, 4),
    st.floats(0, 1),
)
def test_better_documents_are_never_read_less_often(values, good, cut, exponent, floor):
    sampler = Sampler(100.0, cut, exponent, floor)
    rule = DocumentRule.of(documents([[v] for v in values], (good,)), sampler)
    best_first = np.sort(values)[:: -1 if good == "high" else 1]
    told = rule.expected({"edu": best_first})
    assert (np.diff(told) <= 1e-9).all()
    assert (told >= floor - 1e-9).all()
    assert (told <= 2.0**exponent + floor + 1e-9).all()
    again = read_rules(json.loads(json.dumps(rules_as_json({"a": rule, "b": None}))))
    assert again == {"a": rule, "b": None}


def test_what_cannot_be_read_is_named():
    rule = DocumentRule.of(documents(RNG.normal(size=(9, 2))), Sampler(cut=0.5))
    with pytest.raises(InputError, match="no score 'noise'; give all of edu, noise"):
        rule.expected({"edu": [1.0]})
    with pytest.raises(InputError, match="document 1 has nan as score 'noise'"):
        rule.expected({"edu": [1.0, 1.0], "noise": [1.0, np.nan]})
    with pytest.raises(InputError, match="no document"):
        DocumentRule.of(documents(np.zeros((0, 1))), Sampler())
    with pytest.raises(InputError, match="format 0"):
        read_rules({"format": 0, "domains": {}})
