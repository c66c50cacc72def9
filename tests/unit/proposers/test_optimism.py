"""What a law chooses is predicted too well; halves of the runs say by how much."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from mixopt import InputError, MixtureSpace, Objective
from mixopt.laws.base import Prediction
from mixopt.proposers import Optimism, Surrogate, optimism
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array

SPACE = MixtureSpace({"a": 1.0, "b": 1.0, "c": 1.0})
LOSS = Objective.of("loss")


@dataclass(frozen=True)
class Nearest:
    """Believes the nearest run: of noise it chooses what was lucky. Its sd is 1 by decree."""

    believes: bool = True
    takes_scales: ClassVar[bool] = True

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedNearest":
        del scale, rng
        return FittedNearest(W, Y, self.believes)


@dataclass(frozen=True, eq=False)
class FittedNearest:
    W: Array
    Y: Array
    believes: bool

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        del scale
        away = np.abs(W[:, None] - self.W[None]).sum(axis=2)
        mean = self.Y[away.argmin(axis=1)] + 1e-6 * away.min(axis=1)[:, None]  # no ties
        if not self.believes:
            mean = np.tile(self.Y.mean(axis=0), (len(W), 1))
        return Prediction(mean, np.ones_like(mean), np.ones(mean.shape[1]))

    def to_dict(self) -> dict[str, Any]:
        return {}


def runs(n: int, *, seed: int = 0, repeats: int = 1, smooth: bool = False) -> RunTable:
    rng = np.random.default_rng(seed)
    W = np.repeat(rng.dirichlet(np.ones(3), size=n), repeats, axis=0)
    loss = W[:, 0] if smooth else rng.standard_normal(len(W))
    frame = pd.DataFrame(W, columns=["w/a", "w/b", "w/c"]).assign(**{"m/loss": loss})
    return RunTable.from_frame(frame)


def asked(table: RunTable, law: Nearest = Nearest(), **settings: int) -> Optimism:
    rng = np.random.default_rng(1)
    surrogate = fit_surrogate(table, LOSS, SPACE, law, rng=rng)
    return optimism(surrogate, table, SPACE, rng=rng, **settings)


def test_who_believes_luck_is_optimistic_by_what_luck_is() -> None:
    """The lowest quarter of normals is 1.27 below the mean, and sds are 1."""
    told = asked(runs(800))
    assert told.raw == pytest.approx(1.27, abs=0.15)
    assert 0.95 * told.raw < told.per_sd < told.raw
    assert (told.halves, told.chosen) == (8, 800)
    assert told.corrected(2.0, 0.1) == pytest.approx(2.0 + 0.1 * told.per_sd)


def test_who_is_right_or_believes_nothing_is_not() -> None:
    assert abs(asked(runs(800, smooth=True)).per_sd) < 0.02
    assert abs(asked(runs(800), Nearest(believes=False)).per_sd) < 0.1
    few = [asked(runs(16, seed=i), Nearest(believes=False)) for i in range(9)]
    assert np.mean([t.per_sd == 0.0 for t in few]) > 0.5  # within its error it is no optimism
    assert all(abs(t.per_sd) <= abs(t.raw) for t in few)


def test_one_mixture_is_never_in_both_halves() -> None:
    """Seeds of one mixture would vouch for each other: every run has a twin of the same value."""
    table = runs(200)
    twice = RunTable.joined([table, table])
    assert asked(twice).raw > 1.0


def test_it_says_the_same_whatever_the_order_of_runs_or_of_domains() -> None:
    table = runs(60)
    other = RunTable.from_frame(table.frame.iloc[::-1][["w/c", "m/loss", "w/a", "w/b"]])
    assert asked(table).per_sd == pytest.approx(asked(other).per_sd)


def test_what_cannot_be_halved_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"15 mixtures ran.*train more"):
        asked(runs(15, repeats=4))
    with pytest.raises(InputError, match="splits is 0"):
        asked(runs(40), splits=0)
    table, rng = runs(40), np.random.default_rng(0)
    surrogate: Surrogate = fit_surrogate(table, LOSS, SPACE, Nearest(), rng=rng)
    with pytest.raises(InputError, match="which law was fitted"):
        optimism(replace(surrogate, law=None), table, SPACE, rng=rng)
