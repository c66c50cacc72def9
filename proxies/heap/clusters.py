"""Clusters of points on the sphere: mini-batch k-means, and how many there are.

How many: each candidate is fitted to a sample, and to two halves of it. `separation` is the mean
silhouette (Rousseeuw 1987); `agreement` is how far the two halves tell the same documents apart
(adjusted Rand index; Ben-Hur, Elisseeff and Guyon 2002). Chosen is the best separated of those on
which the halves agree nearly as well as on any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

from mixopt.errors import InputError
from proxies.heap.vectors import Rows, unit_rows

CANDIDATES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24)
MOST = 256
"""Clusters; a sweep over more domains than that is out of reach."""

_MEMBERS = 5  # documents of the sample that a cluster of a candidate has on average, at least
_CURVE = 4000  # documents by which candidates are compared
_SILHOUETTE = 2000
_NEARLY = 0.9  # of the best agreement

CLEAR = 0.5
"""Agreement below which a heap has no clear parts, whatever their number."""


@dataclass(frozen=True)
class Candidate:
    """A number of clusters and how good it is.

    Attributes:
        k: clusters.
        separation: mean silhouette, -1 to 1.
        agreement: adjusted Rand index of two halves, about 0 where they agree by chance, 1 at most.
    """

    k: int
    separation: float
    agreement: float


def fit(rows: Rows, k: int, seed: int) -> Rows:
    """Centres of k clusters, (k, d), of length 1.

    Raises:
        InputError: there are fewer than k different points.
    """
    if len(rows) < k:
        raise InputError(
            f"k is {k} and there are {len(rows)} documents to put together; give a smaller k, or "
            "more documents (a .txt file is one; one a line is .jsonl)"
        )
    different = len(np.unique(rows, axis=0))
    if different < k:
        raise InputError(
            f"k is {k} and the documents have {different} different contents; give a smaller k"
        )
    model = MiniBatchKMeans(k, random_state=seed, n_init=5, batch_size=1024).fit(rows)
    return unit_rows(model.cluster_centers_)


def assign(rows: Rows, centres: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
    """The cluster of each point, (n,), and the cosine to its centre, (n,)."""
    cosines = rows @ centres.T
    nearest = np.argmax(cosines, axis=1)
    return nearest, cosines[np.arange(len(rows)), nearest]


def curve(rows: Rows, seed: int, candidates: Sequence[int] = CANDIDATES) -> list[Candidate]:
    """How good each number of clusters is.

    Args:
        rows: points of a sample, (n, d).
        seed: of the fits and of what is compared.
        candidates: numbers of clusters; those with under five documents each are left out.

    Raises:
        InputError: there are too few different documents for any.
    """
    rng = np.random.default_rng(seed)
    rows = rows[rng.permutation(len(rows))[:_CURVE]]
    usable = [k for k in candidates if k * _MEMBERS <= len(np.unique(rows, axis=0))]
    if not usable:
        raise InputError(
            f"there are {len(rows)} documents to put together, too few to tell how many clusters "
            f"they form (at least {min(candidates) * _MEMBERS} different ones); say it as k, or "
            "give more documents (a .txt file is one; one a line is .jsonl)"
        )
    return [_judged(rows, k, seed) for k in usable]


def _judged(rows: Rows, k: int, seed: int) -> Candidate:
    labels, _ = assign(rows, fit(rows, k, seed))
    several = len(np.unique(labels)) > 1
    separation = (
        silhouette_score(rows[:_SILHOUETTE], labels[:_SILHOUETTE], metric="cosine")
        if several and len(np.unique(labels[:_SILHOUETTE])) > 1
        else 0.0
    )
    half = len(rows) // 2
    halves = [_labels_by(rows, part, k, seed) for part in (rows[:half], rows[half:])]
    return Candidate(k, float(separation), float(adjusted_rand_score(*halves)))


def _labels_by(rows: Rows, part: Rows, k: int, seed: int) -> NDArray[Any]:
    """All points, told apart by the centres of a part of them."""
    different = len(np.unique(part, axis=0))
    return assign(rows, fit(part, min(k, different), seed))[0]


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The best separated of those on which the halves agree about as well as on any."""
    enough = _NEARLY * max(c.agreement for c in candidates)
    return max((c for c in candidates if c.agreement >= enough), key=lambda c: c.separation)
