"""Clusters: planted ones come back, in their number too; what cannot be clustered is refused."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from mixopt.errors import InputError
from proxies.heap.clusters import Candidate, assign, best, curve, fit
from proxies.heap.vectors import Rows, unit_rows


def planted(k: int, n: int = 600, d: int = 16, noise: float = 0.12) -> tuple[Rows, np.ndarray]:
    rng = np.random.default_rng(k)
    labels = rng.integers(k, size=n)
    middles = np.eye(d)[:k]
    return unit_rows(middles[labels] + noise * rng.normal(size=(n, d))), labels


def test_planted_clusters_come_back_with_centres_of_length_one() -> None:
    rows, labels = planted(5)
    centres = fit(rows, 5, seed=0)
    assert np.linalg.norm(centres, axis=1) == pytest.approx(np.ones(5))
    nearest, cosines = assign(rows, centres)
    assert adjusted_rand_score(labels, nearest) == pytest.approx(1.0)
    assert cosines == pytest.approx(np.einsum("nd,nd->n", rows, centres[nearest]), abs=1e-6)


@pytest.mark.parametrize("k", [3, 7])
def test_the_planted_number_of_clusters_is_chosen(k: int) -> None:
    tried = curve(planted(k)[0], seed=0, candidates=(2, 3, 5, 7, 10))
    assert best(tried).k == k
    chosen = next(c for c in tried if c.k == k)
    assert chosen.agreement > 0.95
    assert chosen.separation > 0.5


def test_the_same_seed_gives_the_same_curve() -> None:
    rows = planted(4)[0]
    assert curve(rows, 3, (2, 4)) == curve(rows, 3, (2, 4))


def test_best_is_the_best_separated_of_those_on_which_halves_agree() -> None:
    unsure = Candidate(20, separation=0.9, agreement=0.3)
    sure = Candidate(4, separation=0.4, agreement=0.95)
    nearly = Candidate(6, separation=0.5, agreement=0.9)
    assert best([unsure, sure, nearly]) == nearly


def test_candidates_need_five_different_documents_a_cluster() -> None:
    rows = planted(2, n=22)[0]
    assert [c.k for c in curve(rows, 0, (2, 4, 5))] == [2, 4]
    with pytest.raises(InputError, match=r"too few to tell how many.*say it as k"):
        curve(np.repeat(rows[:3], 10, axis=0), 0)


def test_more_clusters_than_documents_or_different_ones_are_refused() -> None:
    rows = planted(2, n=5)[0]
    with pytest.raises(InputError, match="k is 6 and there are 5 documents"):
        fit(rows, 6, 0)
    with pytest.raises(InputError, match=r"k is 3 and .* 2 different contents"):
        fit(np.repeat(rows[:2], 20, axis=0), 3, 0)
