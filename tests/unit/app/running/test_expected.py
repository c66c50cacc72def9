"""What is said before a sweep starts, or a table is fitted."""

import numpy as np

from mixopt import Objective
from mixopt.app.running import expected
from mixopt.runs.run_table import RunTable
from mixopt.strategies import Problem, strategy
from mixopt.testing.tables import known_table
from mixopt.testing.worlds import make_world

WORLD = make_world(3, 2, seed=1)
PROBLEM = Problem(WORLD.space, WORLD.objective, WORLD.scales)


def test_a_sweep_says_it_by_its_design_and_one_without_a_design_says_nothing() -> None:
    lines = expected.of_sweep(PROBLEM, strategy("auto"))
    assert len(lines) == 2
    assert all(line.startswith("Beforehand: with noise of 0.") for line in lines)
    assert all("32 runs" in line for line in lines)
    assert expected.of_sweep(PROBLEM, strategy("auto", design=6)) == []


def test_a_table_says_it_by_its_repeats_where_it_has_some() -> None:
    known = known_table("repeated-4", 0)
    (line,) = expected.of_table(known.table, known.objective, known.space)
    assert f"{len(known.table)} runs" in line
    noise = float(line.partition("noise of ")[2].partition(" ")[0])
    F = known.value(known.table.W)
    assert abs(noise - known.noise() / F.std()) < 0.1
    plain = known_table("smooth-4", 0)
    assert len(expected.of_table(plain.table, plain.objective, plain.space)) == 2


def test_of_one_mixture_nothing_is_said() -> None:
    known = known_table("smooth-4", 0)
    W = np.tile(known.table.W[:1], (len(known.table), 1))
    table = RunTable(known.table.domains, known.table.metrics, W, known.table.Y, known.table.facts)
    assert expected.of_table(table, Objective.of("loss-0"), known.space) == []
