"""Documents as points: what is looked at, and which words bring documents together."""

import numpy as np
import pytest

from proxies.heap.vectors import PIECE, TextVectors, extract, unit_rows

SEA = ["ship and sail on wave", "wave, ship and sail", "sail, wave and harbour"]
LAW = ["court and judge of appeal", "judge, court and appeal", "appeal, judge and jury"]


def test_a_long_document_is_judged_by_its_beginning_middle_and_end() -> None:
    text = "a" * PIECE + "x" * 5000 + "b" * 5000 + "y" * 5000 + "c" * PIECE
    pieces = extract(text).split("\n")
    assert [len(piece) for piece in pieces] == [PIECE] * 3
    assert [set(piece) for piece in pieces] == [{"a"}, {"b"}, {"c"}]
    assert extract(text[: 3 * PIECE]) == text[: 3 * PIECE]


def test_points_of_a_topic_are_nearer_to_each_other_than_to_another() -> None:
    rows = TextVectors.fit(SEA + LAW, seed=0).rows(SEA + LAW)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    cosines = rows @ rows.T
    within = min(cosines[0, 1], cosines[0, 2], cosines[3, 4], cosines[3, 5])
    assert within > cosines[:3, 3:].max() + 0.2


def test_a_text_without_known_words_is_a_point_of_zeros() -> None:
    vectors = TextVectors.fit(SEA + LAW, seed=0)
    assert not vectors.rows(["", "1 2 3 ..."]).any()
    assert np.array_equal(unit_rows(np.zeros((1, 3))), np.zeros((1, 3)))


def test_words_that_most_documents_have_and_words_of_one_alone_count_for_nothing() -> None:
    texts = [f"common only{'x' * n} {'left' if n % 2 else 'right'}" for n in range(60)]
    rows = TextVectors.fit(texts, seed=0).rows(["common", "onlyxx", "left", "right"])
    assert [bool(row.any()) for row in rows] == [False, False, True, True]


def test_text_without_blanks_between_words_has_words_too() -> None:
    chinese = ["北京大学的学生很多", "北京大学的教授很多", "今天天气非常好啊", "明天天气非常好啊"]
    rows = TextVectors.fit(chinese, seed=0).rows(chinese)
    cosines = rows @ rows.T
    assert cosines[0, 1] > cosines[0, 2] + 0.3
    assert cosines[2, 3] > cosines[1, 3] + 0.3
