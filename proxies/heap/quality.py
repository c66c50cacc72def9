"""Quality of documents: scores, merged and ranked by tokens inside a domain, as QuaDMix does.

A document's rank is the share of its domain's text that is better than it (2504.16511, section 3);
documents of equal quality share the middle of theirs. Scores of different units are brought to one
by ranking each before their mean is ranked.

Notation:
    n, S: documents of a domain, scores
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.lazy import callable_at
from mixopt.runs.document_sampling import tied_ranks
from proxies.corpus.scoring import BUILTIN, as_number, is_field
from proxies.heap.heap import Document


@dataclass(frozen=True)
class Score:
    """What a document is scored by.

    Attributes:
        name: as the user named it.
        function: of its text; None for a field of its record.
        place: of the field in `Document.values`.
        low: whether a low score is a good one.
    """

    name: str
    function: Callable[[str], Any] | None
    place: int
    low: bool

    def of(self, document: Document) -> float:
        """The score, the higher the better; NaN where there is none.

        Raises:
            InputError: what is there is no number.
        """
        given = document.values[self.place] if self.function is None else None
        value = given if self.function is None else self.function(document.text)
        number = as_number(value)
        if number is None:
            raise InputError(
                f"quality {self.name!r} of document {document.number} (counted from 0) is "
                f"{str(value)[:60]!r}, no number; name a field or function of numbers"
            )
        return -number if self.low else number


def scores_of(high: Sequence[str], low: Sequence[str], fields: Sequence[str]) -> tuple[Score, ...]:
    """The scores that a user named.

    Args:
        high: names of those of which high is good: built-in, `module:function`, or a field.
        low: names of those of which low is good.
        fields: that are read of a record.

    Raises:
        InputError: there is no such function.
    """
    return tuple(_score(name, fields, low=name in low) for name in (*high, *low))


def _score(name: str, fields: Sequence[str], *, low: bool) -> Score:
    if is_field(name):
        return Score(name, None, fields.index(name), low)
    function = BUILTIN.get(name) or callable_at(name, "function of a text")
    return Score(name, function, 0, low)


def ranks(scores: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much of a domain's text is better than each document, 0 (the best) to 1, (n,).

    Args:
        scores: the higher the better, (n, S); NaN where a document has none.
        sizes: of the documents, in tokens or bytes, (n,).

    Returns:
        NaN for a document without all of the scores.
    """
    whole = ~np.isnan(scores).any(axis=1)
    out = np.full(len(scores), np.nan)
    known, weights = scores[whole], sizes[whole]
    each = [tied_ranks(-column, weights) for column in known.T]
    # a sum of equal ranks may differ in the last bit
    merged = np.round(np.stack(each).mean(axis=0), 12)
    out[whole] = tied_ranks(merged, weights) if len(each) > 1 else each[0]
    return out


def tiers_of(rank: NDArray[np.float64], tiers: int) -> NDArray[np.int64]:
    """The tier of each document, 0 the best; -1 without a rank, (n,)."""
    known = np.nan_to_num(rank, nan=-1.0)
    tier = np.minimum(np.floor(known * tiers), tiers - 1).astype(np.int64)
    return np.where(np.isnan(rank), -1, tier)
