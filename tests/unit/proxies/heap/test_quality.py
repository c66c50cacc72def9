"""Scores of quality, their ranks by tokens, and tiers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from proxies.corpus.scoring import BUILTIN
from proxies.heap.heap import Document
from proxies.heap.quality import ranks, scores_of, tiers_of


def column(*values: float) -> np.ndarray:
    return np.array([[value] for value in values])


def test_ranks_are_the_share_of_better_text_and_half_of_equal_text() -> None:
    sizes = np.array([1, 1, 2, 4])
    assert ranks(column(9, 7, 7, 1), sizes) == pytest.approx([0.5 / 8, 2.5 / 8, 2.5 / 8, 6 / 8])


def test_several_scores_count_alike_whatever_their_units() -> None:
    sizes = np.full(4, 10)
    scores = np.array([[1e6, 0.1], [1e3, 0.4], [10, 0.3], [1, 0.2]])
    # ranks: 1/8 3/8 5/8 7/8 and 7/8 1/8 3/8 5/8; means: 4/8 2/8 4/8 6/8
    assert ranks(scores, sizes) == pytest.approx([0.5, 0.125, 0.5, 0.875])


def test_a_document_without_a_score_has_no_rank_and_no_tier() -> None:
    rank = ranks(column(1, math.nan, 2), np.ones(3, dtype=int))
    assert np.isnan(rank).tolist() == [False, True, False]
    assert tiers_of(rank, 2).tolist() == [1, -1, 0]


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 50)), min_size=1, max_size=30),
    st.integers(2, 5),
)
def test_better_documents_are_never_in_a_worse_tier(
    documents: list[tuple[int, int]], tiers: int
) -> None:
    scores = column(*(float(score) for score, _ in documents))
    sizes = np.array([size for _, size in documents])
    rank = ranks(scores, sizes)
    assert ((rank > 0) & (rank < 1)).all()
    assert (rank * sizes).sum() / sizes.sum() == pytest.approx(0.5)
    tier = tiers_of(rank, tiers)
    assert set(tier.tolist()) <= set(range(tiers))
    for one, own in zip(scores[:, 0], tier, strict=True):
        assert (tier[scores[:, 0] > one] <= own).all()
        assert (tier[scores[:, 0] == one] == own).all()


def test_tiers_of_a_fine_score_hold_equal_text() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(50, 150, size=3000)
    tier = tiers_of(ranks(rng.normal(size=(3000, 1)), sizes), 3)
    text = np.bincount(tier, weights=sizes) / sizes.sum()
    assert text == pytest.approx([1 / 3] * 3, abs=0.002)


def test_built_in_scores_prefer_long_plain_text_that_does_not_repeat_itself() -> None:
    plain = "the quick brown fox jumps over the lazy dog while nobody looks at it"
    assert BUILTIN["length"]("é" * 10) == 20
    assert BUILTIN["letters"]("a b 1 2") == 0.5
    assert BUILTIN["letters"](plain) == 1.0
    assert BUILTIN["variety"](plain) == 1.0
    assert BUILTIN["variety"](plain.replace(" ", " ") * 10) < 0.2
    assert BUILTIN["variety"]("one two") == 1.0


def test_a_field_counts_as_numbers_and_low_turns_it() -> None:
    good, low = scores_of(("score",), ("perplexity",), ("score", "perplexity"))
    document = Document(7, "text", ("0.5", 12))
    assert (good.of(document), low.of(document)) == (0.5, -12.0)
    assert math.isnan(good.of(Document(0, "text", (None, 1))))
    assert math.isnan(good.of(Document(0, "text", ("", 1))))
    with pytest.raises(InputError, match=r"'score' of document 7 .*is 'high', no number"):
        good.of(Document(7, "text", ("high", 1)))


def test_a_function_of_the_users_is_called_with_the_text() -> None:
    (score,) = scores_of(("textwrap:dedent",), (), ())
    assert score.of(Document(0, " 3", ())) == 3.0
    with pytest.raises(InputError, match="no_such_module"):
        scores_of(("no_such_module:f",), (), ())
