"""How many seeds a gain takes."""

import numpy as np
import pytest

from mixopt import Scale
from mixopt.evidence.power import Power, chance_of, seeds_needed

POWER = Power(
    "natural", 0.02, 0.0, 0.01, "measured", Scale(10**6, 10**8), 4, 3, 0.6, 5, 12, 7.2e15, 6e14
)


def test_the_chance_is_that_of_simulated_promotions() -> None:
    """Against 20,000 draws of two plans with the noise pooled over four."""
    rng = np.random.default_rng(0)
    gain, sd, seeds, plans, draws = 0.8, 1.0, 4, 4, 20_000
    values = rng.normal(0.0, sd, size=(draws, plans, seeds))
    values[:, 0] -= gain
    pooled = np.sqrt(values.var(axis=2, ddof=1).mean(axis=1))
    difference = values[:, 1].mean(axis=1) - values[:, 0].mean(axis=1)
    t = difference / (pooled * np.sqrt(2 / seeds))
    shown = (t > 1.782288).mean()  # t of 12 degrees of freedom at 95 %, by a table
    assert chance_of(gain, sd, seeds=seeds, plans=plans) == pytest.approx(shown, abs=0.01)


def test_two_groups_need_what_the_textbook_says() -> None:
    """d = 1, one-sided 5 %, 80 %: 14 of each group are enough and 13 are not (G*Power: 14)."""
    assert seeds_needed(1.0, 1.0, plans=2) == 14
    assert chance_of(1.0, 1.0, seeds=13, plans=2) < 0.8 <= chance_of(1.0, 1.0, seeds=14, plans=2)


def test_more_candidates_and_smaller_gains_need_more() -> None:
    alone = seeds_needed(0.5, 1.0, plans=5)
    shared = seeds_needed(0.5, 1.0, plans=5, tests=3)
    assert alone is not None
    assert shared is not None
    assert shared > alone
    assert seeds_needed(0.0, 1.0, plans=5) is None
    assert seeds_needed(-1.0, 1.0, plans=5) is None
    assert seeds_needed(1e-3, 1.0, plans=5) is None
    assert seeds_needed(1.0, 0.0, plans=5) == 2
    assert seeds_needed(1.0, float("nan"), plans=5) is None
    assert chance_of(1e3, 1.0, seeds=2, plans=2) == 1.0


def test_it_is_said_what_it_takes_and_costs() -> None:
    first, expected, need = POWER.lines()
    assert "4 plans, 3 fresh seeds of each; 12 runs to train (7.2PFLOP)" in first
    assert "over natural: 0.0200 better" in expected
    assert "takes 5 seeds of every plan (20 runs, 12PFLOP in all)" in need
    assert "with 3 the chance is 60 %" in need
