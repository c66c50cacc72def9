"""Tables of runs with a known truth are what their recipes say."""

import numpy as np
import pytest
from scipy import stats

from mixopt.errors import InputError
from mixopt.space.simplex import hellinger_distance
from mixopt.testing.tables import RECIPES, known_table


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_its_runs_and_no_mixture_beats_the_optimum(name: str) -> None:
    known = known_table(name, 1)
    recipe = known.recipe
    assert len(known.table) == recipe.runs + recipe.shared
    assert known.table.W.shape[1] == recipe.domains
    best = known.value(known.optimum()[None])[0]
    seen = known.space.sample(2000, np.random.default_rng(0))
    seen = seen[known.beyond(seen) <= 0]
    assert known.beyond(known.optimum()[None])[0] < 1e-3
    assert best <= known.value(seen).min() + 1e-6 * known.spread()
    again = known_table(name, 1)
    np.testing.assert_array_equal(again.table.Y, known.table.Y)
    assert not np.array_equal(known_table(name, 2).table.Y, known.table.Y)


def test_both_halves_have_easy_and_hard_tables() -> None:
    for half in ("choose", "report"):
        easy = [r.easy for r in RECIPES.values() if r.half == half]
        assert 5 <= sum(easy) < len(easy) - 10


@pytest.mark.parametrize("name", ["smooth-5", "power-law-3"])
def test_noise_is_as_loud_as_stated(name: str) -> None:
    off = []
    for seed in range(12):
        known = known_table(name, seed)
        off.append(known.table.Y - known.truth(known.table.W))
    assert np.std(np.concatenate(off)) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize(("name", "rho"), [("opposite-eight", -0.5), ("two-scales-faithful", 0.97)])
def test_the_small_scale_ranks_as_stated(name: str, rho: float) -> None:
    found = []
    for seed in range(8):
        known = known_table(name, seed)
        small = known.table.scales[:, 0] == 1e6
        assert (~small).sum() == 8
        truth = known.value(known.table.W[small])
        seen = known.objective.value(known.table.Y[small], known.table.metrics)
        found.append(stats.spearmanr(seen, truth).statistic)
    assert np.mean(found) == pytest.approx(rho, abs=0.2)


def test_no_run_is_near_a_hidden_valley() -> None:
    for seed in range(4):
        known = known_table("hidden-valley-3", seed)
        near = hellinger_distance(known.optimum()[None], known.table.W).min()
        assert near > 0.2


def test_a_guard_is_what_the_natural_mixture_has_and_a_ridge_hides_where_it_is_broken() -> None:
    known = known_table("guard-unseen-4", 0)
    assert [g.metric for g in known.objective.guards] == ["loss-1"]
    assert known.beyond(known.space.prior[None])[0] == 0.0
    seen = known.space.sample(4000, np.random.default_rng(0))
    Y = known.truth(seen)
    best = seen[int(Y[:, 0].argmin())]
    near = hellinger_distance(seen, best[None])[:, 0] < 0.06
    around = hellinger_distance(seen, best[None])[:, 0] < 0.4
    assert Y[near, 1].mean() > np.median(Y[around, 1]) + 1.5
    assert known.beyond(best[None])[0] > 1.0


def test_an_unknown_recipe_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="smooth-4"):
        known_table("smoth-4")
