"""Which documents a large run reads and how often, as a rule on their scores: no data are needed.

A sampler goes by ranks within a domain, and ranks are known of the documents that a proxy has. A
large run has other documents of the same sources; what carries over is which score stands at which
rank. A rule keeps that, so that a document's scores say how often it is to be read.

Notation:
    n documents of a domain, N scores; sigma: (n, N) ranks by each score; q: (n,) merged quality,
    sum_j alpha_j sigma_j; r: ranks by q, 0 the best (`mixopt.runs.document_sampling`)
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import InputError
from mixopt.runs.document_sampling import Sampler, tied_ranks
from mixopt.space.simplex import Array

FORMAT = 1
"""Of the JSON; another one is refused."""
HIGH, LOW = "high", "low"
_KNOTS = 256  # values of a score, or of q, that are kept
_GRID = (np.arange(64) + 0.5) / 64  # of the ranks that documents of one q share


@dataclass(frozen=True, eq=False)
class ScoredDocuments:
    """The documents of a domain, as the data of a proxy have them.

    Attributes:
        names: (N,) of the scores.
        good: (N,) which side of each is good, `"high"` or `"low"`.
        values: (n, N) the scores.
        sizes: (n,) tokens.
    """

    names: tuple[str, ...]
    good: tuple[str, ...]
    values: Array
    sizes: NDArray[Any]


@dataclass(frozen=True)
class Score:
    """One score of a domain: which value stands at which rank.

    Attributes:
        name: of the score.
        good: which side is, `"high"` or `"low"`.
        weight: alpha, of its rank in the merged quality.
        values: the best first.
        ranks: share of the domain's tokens that is better; equal values share the middle of theirs.
    """

    name: str
    good: str
    weight: float
    values: tuple[float, ...]
    ranks: tuple[float, ...]

    def rank(self, values: ArrayLike) -> Array:
        """(n,) ranks of documents by this score, between the known ones on a straight line."""
        sign = -1.0 if self.good == HIGH else 1.0
        known = sign * np.array(self.values)
        asked = sign * np.asarray(values, dtype=float)
        return np.asarray(np.interp(asked, known, np.array(self.ranks)))


@dataclass(frozen=True)
class DocumentRule:
    """How often documents of a domain are read, by their scores.

    Attributes:
        sampler: cut, exponent, sharpness and floor.
        scores: those that weigh something.
        merged: values of q, rising.
        begin: rank at which documents of that q begin.
        end: rank at which they end.
        documents: of the proxies' data, from which this was learned.
        tokens: of them.
    """

    sampler: Sampler
    scores: tuple[Score, ...]
    merged: tuple[float, ...]
    begin: tuple[float, ...]
    end: tuple[float, ...]
    documents: int
    tokens: int

    @classmethod
    def of(cls, given: ScoredDocuments, sampler: Sampler) -> "DocumentRule":
        """The rule of a sampler in a domain.

        Raises:
            InputError: no document, or the sampler weighs a score that there is none of.
        """
        if not len(given.sizes):
            raise InputError("a domain has no document, so that no score stands at any rank")
        alpha = sampler.weights(given.names)
        sizes = np.asarray(given.sizes, dtype=float)
        q, scores = np.zeros(len(sizes)), []
        for name, good, weight, values in zip(
            given.names, given.good, alpha, given.values.T, strict=True
        ):
            if weight == 0:
                continue
            signed = -values if good == HIGH else values
            sigma = tied_ranks(signed, sizes)
            q += weight * sigma
            _, first = np.unique(signed, return_index=True)
            kept = _knots(sigma[first])
            best_first = values[first][kept]
            ranks = sigma[first][kept]
            table = tuple(best_first.tolist()), tuple(ranks.tolist())
            scores.append(Score(name, good, float(weight), *table))
        values, group = np.unique(np.round(q, 12), return_inverse=True)
        own = np.bincount(group, weights=sizes) / sizes.sum()
        end = np.minimum(np.cumsum(own), 1.0)
        begin = np.concatenate([[0.0], end[:-1]])
        kept = _knots((begin + end) / 2)
        return cls(
            replace(sampler, scores={}),
            tuple(scores),
            tuple(values[kept].tolist()),
            tuple(begin[kept].tolist()),
            tuple(end[kept].tolist()),
            documents=len(sizes),
            tokens=int(np.asarray(given.sizes).sum()),
        )

    def expected(self, scores: Mapping[str, ArrayLike]) -> Array:
        """(n,) how often documents are read on average, by their scores (n,) each.

        The whole part of that is how often; once more with the chance of what is left
        (`mixopt.runs.document_sampling.copies`). Documents of one merged quality that lie on both
        sides of the cut are read alike, so often as they are together.

        Raises:
            InputError: a score is missing, or is no finite number.
        """
        q = self.quality(scores)
        begin, end = (np.interp(q, self.merged, of) for of in (self.begin, self.end))
        ranks = begin[:, None] + (end - begin)[:, None] * _GRID
        return np.asarray(self.sampler.expected(ranks).mean(axis=1))

    def quality(self, scores: Mapping[str, ArrayLike]) -> Array:
        """(n,) merged quality q of documents, 0 the best; see `expected`.

        Raises:
            InputError: see `expected`.
        """
        total: Array | float = 0.0
        for score in self.scores:
            if score.name not in scores:
                raise InputError(
                    f"documents have no score {score.name!r}; give all of "
                    f"{', '.join(s.name for s in self.scores)}"
                )
            values = np.atleast_1d(np.asarray(scores[score.name], dtype=float))
            if not np.isfinite(values).all():
                at = int(np.argmin(np.isfinite(values)))
                raise InputError(
                    f"document {at} has {values[at]} as score {score.name!r}; give a finite "
                    "number, or leave the document out"
                )
            total = total + score.weight * score.rank(values)
        return np.asarray(total)

    @property
    def quality_at_cut(self) -> float:
        """The merged quality q of a document at the cut: smaller ones are kept."""
        middle = (np.array(self.begin) + np.array(self.end)) / 2
        return float(np.interp(self.sampler.cut, middle, self.merged))

    @property
    def score_at_cut(self) -> float | None:
        """The score of a document at the cut, where one alone weighs something; None elsewhere."""
        if len(self.scores) != 1:
            return None
        (score,) = self.scores
        return float(np.interp(self.sampler.cut, score.ranks, score.values))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        sampler = {k: v for k, v in asdict(self.sampler).items() if k != "scores"}
        return {
            "sampler": sampler,
            "scores": [asdict(score) for score in self.scores],
            "merged": {"quality": self.merged, "from_rank": self.begin, "to_rank": self.end},
            "at_cut": {"quality": self.quality_at_cut, "score": self.score_at_cut},
            "copies": {
                "of_the_best": float(self.sampler.expected(np.zeros(1))[0]),
                "below_the_cut": self.sampler.floor,
                "on_average": self.sampler.mean,
            },
            "learned_from": {"documents": self.documents, "tokens": self.tokens},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DocumentRule":
        """The rule that `to_dict` wrote."""
        merged, of = values["merged"], values["learned_from"]
        scores = (
            Score(**{**s, "values": tuple(s["values"]), "ranks": tuple(s["ranks"])})
            for s in values["scores"]
        )
        return cls(
            Sampler(**values["sampler"]),
            tuple(scores),
            tuple(merged["quality"]),
            tuple(merged["from_rank"]),
            tuple(merged["to_rank"]),
            **of,
        )


def rules_as_json(rules: Mapping[str, DocumentRule | None]) -> dict[str, Any]:
    """Plain JSON values of all domains; None: a domain of which every document is read once."""
    of = {name: None if rule is None else rule.to_dict() for name, rule in rules.items()}
    return {"format": FORMAT, "domains": of}


def read_rules(values: Mapping[str, Any]) -> dict[str, DocumentRule | None]:
    """What `rules_as_json` made.

    Raises:
        InputError: it was written in another format.
    """
    if values.get("format") != FORMAT:
        raise InputError(
            f"the rules have format {values.get('format')!r}, and this mixopt reads {FORMAT}; "
            "write them again with 'mixopt documents'"
        )
    of = values["domains"].items()
    return {name: None if rule is None else DocumentRule.from_dict(rule) for name, rule in of}


def _knots(ranks: Array) -> NDArray[np.intp]:
    """Which of some rising ranks are kept: all, or the first and last of each of 128 equal parts.

    So a rank between two of them is known to 1/128.
    """
    if len(ranks) <= _KNOTS:
        return np.arange(len(ranks))
    bins = np.minimum((np.asarray(ranks) * (_KNOTS // 2)).astype(int), _KNOTS // 2 - 1)
    first = np.flatnonzero(np.diff(bins, prepend=-1))
    last = np.flatnonzero(np.diff(bins, append=_KNOTS))
    return np.unique(np.concatenate([first, last]))
