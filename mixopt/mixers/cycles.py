"""Cyclical curriculum: from few, easy data to all of them and back (IEEE TNNLS 2023)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.periodic import Learned, Periodic
from mixopt.space import simplex
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Cycles(Periodic):
    """Cyclical curriculum, carried over from documents to domains.

    Published on small classifiers: an epoch uses a fraction n of the data, the easiest first; n
    goes from `low` to `high` and back by a factor. Here n is the exponent of the prior
    (`"temperature"`: n = 1 is the prior, small n is nearly uniform), or the share of the prior that
    is drawn, the domains of the lowest loss first (`"easy"`). It measures nothing.

    Args:
        over: `"temperature"` or `"easy"`.
        losses: domain to the loss of a model that saw the prior; for `"easy"` alone.
        low, high: least and largest n.
        factor: by which n changes, below 1.
        epochs: of the whole run: how many cycles fit.
    """

    over: Literal["temperature", "easy"] = "temperature"
    losses: Mapping[str, float] | None = None
    low: Annotated[float, Within(0.0, 1.0, open=True)] = 0.25
    high: Annotated[float, Within(0.0, 1.0, open=True)] = 1.0
    factor: Annotated[float, Within(0.0, 0.999, open=True)] = 0.5
    epochs: Annotated[float, Within(0.0, 10_000.0, open=True)] = 6.0

    name: ClassVar[str] = "cyclical"

    def needs(self) -> Needs:
        """Nothing."""
        return Needs(frozenset(), 1)

    def begin(self, setup: Setup) -> Learned:
        """The first mixture.

        Raises:
            InputError: easy domains are asked for, and a loss is missing; or low above high.
        """
        if self.low > self.high:
            raise InputError(f"low is {self.low}, above high, {self.high}; lower it")
        if self.over == "easy":
            given = self.losses or {}
            missing = next((d for d in setup.space.names if d not in given), None)
            if missing is not None:
                raise InputError(
                    f"losses has none of {missing!r}; {did_you_mean(missing, given)}; give "
                    "the loss of every domain, of a model that was trained on the prior"
                )
        return Learned(self._weights(setup, 0), {})

    def length(self, setup: Setup, state: State) -> int:
        """Steps of the run, by the fraction of the period."""
        sizes = np.array(self.sizes())
        ends = np.round(setup.steps * np.cumsum(sizes) / sizes.sum()).astype(int)
        return max(1, int(ends[min(state.period, len(ends) - 1)]) - state.step)

    def unmeasured(self, setup: Setup, state: State) -> Learned:
        """The mixture of the next period."""
        return Learned(self._weights(setup, state.period), {})

    def sizes(self) -> tuple[float, ...]:
        """N of each period, until they have added up to the epochs."""
        values, n, rising = [self.low], self.low, self.low < self.high
        while sum(values) < self.epochs - 1e-12:
            n = min(n / self.factor, self.high) if rising else max(n * self.factor, self.low)
            values.append(n)
            if n >= self.high:
                rising = False
            if n <= self.low:
                rising = self.low < self.high
        return tuple(values)

    def _weights(self, setup: Setup, period: int) -> Array:
        sizes, q = self.sizes(), np.array(setup.start)
        n = sizes[min(period, len(sizes) - 1)]
        if self.over == "temperature":
            return simplex.temperature(q, n)
        losses, names = self.losses or {}, setup.space.names
        order = sorted(range(len(q)), key=lambda i: (losses[names[i]], names[i]))
        easier = np.cumsum(np.r_[0.0, q[order]])[:-1]
        w = np.zeros(len(q))
        w[order] = np.clip(n - easier, 0.0, q[order])
        return np.asarray(w / w.sum())
