"""What tells clusters apart in words, and names for them.

A term's score in a cluster is its part in the divergence between the cluster's documents and all
others (pointwise Kullback-Leibler; Tomokiyo and Hurst 2003): frequent here, and less so elsewhere.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from proxies.heap.vectors import PAIR

TERMS = 8
_TERM = PAIR + r"|[^\W\d_]{3,24}"
_USUAL = 0.25  # share of all other documents; a word that is in more tells little
_IN_NAME = 2
_LONGEST = 60  # characters of a name
_KNOWN = 50_000  # words that are looked at
_SURE = 5  # documents of a cluster in which a term must be, where it has many

_UNFIT = re.compile(r"[^\w-]+")


def telling_terms(texts: Sequence[str], labels: NDArray[Any], k: int) -> list[tuple[str, ...]]:
    """The most telling terms of each cluster, the first the most so.

    Args:
        texts: of a sample.
        labels: the cluster of each, 0 to k - 1, (n,).
        k: clusters; one without texts has no terms.
    """
    counter = CountVectorizer(token_pattern=_TERM, binary=True, max_features=_KNOWN)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # not a word in all of them
        return [()] * k
    words = counter.get_feature_names_out()
    members = np.bincount(labels, minlength=k)
    within = np.stack([np.asarray(counts[labels == c].sum(axis=0)).ravel() for c in range(k)])
    here = (within + 0.5) / (members + 1)[:, None]
    elsewhere = (within.sum(axis=0) - within + 0.5) / (len(labels) - members + 1)[:, None]
    scores = here * np.log(here / elsewhere)
    least = np.maximum(1, np.minimum(_SURE, np.ceil(members / 4)))
    scores[(within < least[:, None]) | (elsewhere > _USUAL)] = 0.0
    return [_best(words, scores[c]) for c in range(k)]


def _best(words: Any, scores: NDArray[Any]) -> tuple[str, ...]:
    order = np.argsort(-scores, kind="stable")[: 4 * TERMS]
    chosen: list[str] = []
    for place in order:
        word = str(words[place])
        if scores[place] <= 0 or len(chosen) == TERMS:
            break
        # `node` and `nodes` say one thing
        if not any(word.startswith(other) or other.startswith(word) for other in chosen):
            chosen.append(word)
    return tuple(chosen)


def names_of_terms(terms: Sequence[Sequence[str]]) -> list[str]:
    """A name for each cluster: its two most telling terms, more or a number where two are alike.

    >>> names_of_terms([("sea", "ship", "sail"), ("sea", "ship", "war"), ()])
    ['sea-ship', 'sea-ship-war', 'cluster-3']
    """
    taken: set[str] = set()
    names = []
    for number, own in enumerate(terms, start=1):
        longer = ["-".join(own[:length]) for length in range(min(_IN_NAME, len(own)), len(own) + 1)]
        options = [name for name in longer if name] or [f"cluster-{number}"]
        fresh = [name for name in options if name not in taken]
        names.append(fresh[0] if fresh else f"{options[0]}-{number}")
        taken.add(names[-1])
    return names


def names_of_values(values: Sequence[str]) -> list[str]:
    """A name for each value of a field: the value, with a hyphen for what no file name should hold.

    >>> names_of_values(["C++ code", "c-code", "..."])
    ['C-code', 'c-code-2', 'value-3']
    """
    taken: set[str] = set()
    names = []
    for number, value in enumerate(values, start=1):
        name = _UNFIT.sub("-", value)[:_LONGEST].strip("-_") or f"value-{number}"
        # some file systems take names that differ in case for one
        if name.lower() in taken:
            name = f"{name}-{number}"
        taken.add(name.lower())
        names.append(name)
    return names
