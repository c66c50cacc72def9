"""Parts of the swarms with exact answers: small weights, distances."""

import numpy as np

from mixopt.designs.swarms import _drop_small, _far_apart


def test_small_weights_go_and_those_at_the_threshold_stay() -> None:
    W = np.array([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(_drop_small(W, 0.125), W)
    np.testing.assert_allclose(_drop_small(W[:1], 0.2), [[2 / 3, 1 / 3, 0, 0]])
    # A row of nothing but small weights keeps its largest.
    np.testing.assert_allclose(_drop_small(np.array([[0.4, 0.3, 0.3]]), 0.5), [[1, 0, 0]])


def test_rows_are_kept_at_a_distance_and_only_so_many() -> None:
    W = np.array([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])
    assert _far_apart(W, None, 0.2, 9) == [0, 2, 3]
    assert _far_apart(W, None, 0.2, 2) == [0, 2]
    assert _far_apart(W, np.array([[0.5, 0.5]]), 0.2, 9) == [0, 3]
    assert _far_apart(W, None, 0.0, 9) == [0, 1, 2, 3]
    edge = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert _far_apart(edge, None, float(np.sqrt(2)), 9) == [0, 1]  # at the radius is far enough
