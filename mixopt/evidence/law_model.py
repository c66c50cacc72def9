"""A fitted law as others call it: a table of mixtures in, a table of predicted metrics out.

What is kept is JSON: nothing but mixopt itself is needed to read it, and no code is in it.

Notation:
    n mixtures, m domains, k metrics
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixopt.errors import InputError, StoreError, did_you_mean
from mixopt.evidence.stored import plain, restored
from mixopt.proposers import Surrogate
from mixopt.runs.reach import Reach
from mixopt.space.simplex import Array, dirichlet

FORMAT = 4
"""Of the JSON; another one is refused."""
_ANYWHERE = 256  # random mixtures that `order` is read against
_SUM = 1e-3  # by which the shares of a row may miss 1: what rounding to three digits leaves


@dataclass(frozen=True, eq=False)
class LawModel:
    """Predicts metrics for any mixture.

    Attributes:
        domains: (m,) names, in the order of the law's.
        surrogate: the fitted law with the objective of its study, asked at the scale that it is
            for, if its runs lead there.
        reach: what it may say at that scale; None where its runs state none.
    """

    domains: tuple[str, ...]
    surrogate: Surrogate
    reach: Reach | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """(m,) columns that it reads."""
        return tuple(f"w/{name}" for name in self.domains)

    @property
    def levels(self) -> bool:
        """Whether it predicts values; else the ranking only."""
        return self.reach is None or self.reach.levels

    @property
    def outputs(self) -> tuple[str, ...]:
        """Columns that it writes: every metric and its sd, then the objective (lower is better).

        Ranking only: `rank` (1 is best of the rows given) and `order` (lower is better).
        """
        if not self.levels:
            return "rank", "order"
        both = [column for k in self.surrogate.metrics for column in (f"m/{k}", f"sd/{k}")]
        return (*both, "objective", "sd/objective")

    def predict(self, mixtures: pd.DataFrame) -> pd.DataFrame:
        """Metrics of mixtures, at the scale that the answer is for.

        Where the law's runs do not lead to that scale (`reach.line` says why), what may carry over
        is how they rank mixtures: `rank` among the rows, and `order`, the objective less its mean
        over random mixtures in units of its sd there, so that rows of several tables can be put in
        order. Nothing else may be read from that: there are no values and no intervals then.

        The sd is what the law does not know of the expected metric; one run scatters around that.

        Args:
            mixtures: (n, ...) with the columns `w/<domain>`; others are left aside. Rows sum to 1.

        Returns:
            (n, ...) the columns `outputs`, with the index of the input.

        Raises:
            InputError: a domain has no column, an unknown domain has one, or a row is no mixture.
        """
        W = self._weights(mixtures)
        mean, sd = self.surrogate.moments(W)
        if not self.levels:
            ranks = mean.argsort(kind="stable").argsort(kind="stable") + 1.0
            return pd.DataFrame({"rank": ranks, "order": self._order(mean)}, index=mixtures.index)
        seen = self.surrogate.predict(W)
        columns: dict[str, Any] = {}
        for j, name in enumerate(self.surrogate.metrics):
            columns |= {f"m/{name}": seen.mean[:, j], f"sd/{name}": seen.sd[:, j]}
        columns |= {"objective": mean, "sd/objective": sd}
        return pd.DataFrame(columns, index=mixtures.index)

    def to_json(self) -> str:
        """Text that `read` reads back."""
        values = {
            "format": FORMAT,
            "domains": list(self.domains),
            "reach": plain(self.reach),
            "surrogate": plain(self.surrogate),
        }
        return json.dumps(values, allow_nan=False)

    @classmethod
    def read(cls, text: str) -> "LawModel":
        """The model that `to_json` wrote.

        Raises:
            StoreError: it was written in another format.
        """
        try:
            values: Mapping[str, Any] = json.loads(text)
            form = values["format"]
            if form == FORMAT:
                return cls(
                    tuple(values["domains"]),
                    restored(Surrogate, values["surrogate"]),
                    restored(Reach | None, values["reach"]),
                )
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the stored law cannot be read ({error}); register it again with 'mixopt promote'"
            ) from error
        raise StoreError(
            f"the stored law has format {form}, and this mixopt reads {FORMAT}; use the mixopt "
            "that wrote it"
        )

    def _order(self, mean: Array) -> Array:
        rng = np.random.default_rng(0)
        anywhere = self.surrogate.moments(dirichlet(np.ones((_ANYWHERE, len(self.domains))), rng))[
            0
        ]
        return np.asarray((mean - anywhere.mean()) / (anywhere.std() or 1.0))

    def _weights(self, mixtures: pd.DataFrame) -> Array:
        names = [str(c) for c in mixtures.columns]
        missing = [c for c in self.inputs if c not in names]
        if missing:
            raise InputError(
                f"no column {missing[0]!r}; give one column for each of the {len(self.domains)} "
                f"domains ({did_you_mean(missing[0], names)})"
            )
        odd = [c for c in names if c.startswith("w/") and c not in self.inputs]
        if odd:
            raise InputError(
                f"unknown domain {odd[0][2:]!r}; {did_you_mean(odd[0][2:], self.domains)}"
            )
        W = mixtures[list(self.inputs)].to_numpy(dtype=float)
        sums = W.sum(axis=1)
        wrong = ~np.isfinite(W).all(axis=1) | (W < 0).any(axis=1) | (np.abs(sums - 1) > _SUM)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"row {row} is no mixture (shares {np.round(W[row], 4).tolist()}, sum "
                f"{sums[row]:.4g}); give shares of at least 0 that sum to 1"
            )
        return np.asarray(W / sums[:, None])
