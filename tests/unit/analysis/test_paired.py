"""The same mixtures at every scale, and what the tables made with them show."""

from pathlib import Path

import numpy as np

from analysis.paired import Paired
from mixopt.diagnostics import noise, transfer
from mixopt.runs.kinds import What
from mixopt.runs.objective import Objective
from mixopt.runs.reading import read_table
from mixopt.runs.table_space import table_space
from mixopt.strategies import Problem
from mixopt.testing.worlds import make_world

TABLES = Path(__file__).parents[3] / "experiments"


def test_every_mixture_runs_at_every_scale_and_some_twice() -> None:
    world = make_world(3, 2, kind="two-scales")
    problem = Problem(world.space, world.objective, world.scales)
    recipe = Paired(runs=6, repeats=2)
    small = recipe.next(problem, [], [])
    large = recipe.next(problem, [], small)
    assert recipe.next(problem, [], [*small, *large]) == []
    assert [s.scale for s in (*small, *large)] == recipe.planned(problem)
    assert [s.mixture for s in small] == [s.mixture for s in large]
    again = [s for s in small if s.kind.what is What.REPEAT]
    assert [s.mixture for s in again] == [s.mixture for s in small[:2]]
    assert {s.seed for s in again} == {problem.seed + 1}
    assert len({s.run_id for s in (*small, *large)}) == 16


def test_losses_of_real_proxies_carry_over_and_their_levels_do_not() -> None:
    runs = read_table(TABLES / "transfer" / "runs.csv")
    told = transfer(runs, Objective.of("code_target"))
    assert told.pairs == 24
    assert told.ok
    losses = [m for m in runs.metrics if m != "quiz/accuracy"]
    assert min(told.rho[runs.metrics.index(m)] for m in losses) > 0.95
    sizes = runs.facts["params"].to_numpy()
    small, large = (runs.take(sizes == n) for n in (164_000, 920_000))
    column = runs.metrics.index("code_target")
    apart = abs(small.Y[:, column].mean() - large.Y[:, column].mean())
    assert apart > 2 * noise(small).sd[column]
    accuracy = runs.metrics.index("quiz/accuracy")
    reliable = 1 - (noise(small).sd[accuracy] / small.Y[:, accuracy].std()) ** 2
    assert reliable < 0.5


def test_a_table_with_epochs_says_how_scarce_its_domain_is() -> None:
    runs = read_table(TABLES / "repetition" / "runs.csv")
    space = table_space(runs)
    assert space.budget == 131_072
    np.testing.assert_allclose(space.tokens, [2048, 131_072, 131_072, 131_072], rtol=0.01)
