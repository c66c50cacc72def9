"""Where a process learns nothing, the answer is what was measured; where it learns, its own."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt import MixtureSpace, Objective, Observation
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs.kinds import DESIGN
from mixopt.runs.objective import Guard
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array
from mixopt.strategies import Problem, strategy
from mixopt.strategies.ladder import quick_process
from mixopt.strategies.unlearned import unlearned
from mixopt.testing.worlds import LARGE

SPACE = MixtureSpace({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0})
POOL = np.random.default_rng(5).dirichlet(np.ones(4), size=60).round(3)
MIXTURES = tuple(SPACE.mixture(w / w.sum()) for w in POOL)
LOSS = Objective.of("loss")
SMOOTH = np.array([m["a"] for m in MIXTURES])


def runs(problem: Problem, values: Array, n: int, **more: Array) -> list[Observation]:
    metrics = {"loss": values, **more}
    return [
        Observation.of(problem.run(m, DESIGN), {name: float(v[i]) for name, v in metrics.items()})
        for i, m in enumerate(MIXTURES[:n])
    ]


def in_pool(objective: Objective = LOSS) -> Problem:
    return Problem(SPACE, objective, (LARGE,), pool={LARGE: MIXTURES})


@pytest.mark.parametrize("seed", [0, 1])  # of the third the process believes chance
def test_of_what_no_law_can_predict_the_best_run_is_the_answer(seed: int) -> None:
    values, problem = np.random.default_rng(seed).standard_normal(60), in_pool()
    answer = strategy("ladder").answer(problem, runs(problem, values, 24))  # type: ignore[attr-defined]
    assert answer.measured
    assert answer.mixture == MIXTURES[int(values[:24].argmin())]
    assert "no better than chance" in answer.notes[0]


def test_what_is_learned_is_answered_by_the_law_for_all_its_noise() -> None:
    rng, problem = np.random.default_rng(0), in_pool()
    values = SMOOTH + 0.5 * SMOOTH.std() * rng.standard_normal(60)
    answer = strategy("ladder").answer(problem, runs(problem, values, 24))  # type: ignore[attr-defined]
    assert not answer.measured
    assert not answer.notes
    assert answer.mixture["a"] < 0.05


def test_the_best_run_keeps_the_guards() -> None:
    rng = np.random.default_rng(0)
    values, held = rng.standard_normal(60), np.where(np.arange(60) % 2, 1.0, 3.0)
    asked = Objective({"loss": 1.0}, guards=(Guard("held"),))
    problem = in_pool(asked)
    answer = strategy("ladder").answer(problem, runs(problem, values, 24, held=held))  # type: ignore[attr-defined]
    assert answer.measured
    odd = [i for i in range(24) if i % 2]
    assert answer.mixture == MIXTURES[min(odd, key=lambda i: values[i])]


def test_few_runs_flat_metrics_and_a_pull_to_natural_are_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise, rng = np.random.default_rng(0).standard_normal(60), np.random.default_rng(0)
    problem = in_pool()

    def asked(values: Array, n: int, objective: Objective = LOSS) -> str:
        table = RunTable.from_observations(runs(problem, values, n), SPACE.names)
        return unlearned(fit_surrogate(table, objective, SPACE, quick_process(), rng=rng))

    assert asked(noise, 24)
    assert not asked(noise, 7)
    # one standard error of 24 runs: 1 / sqrt(21)
    for rho, n, chance in ((0.215, 24, True), (0.221, 24, False), (0.4, 8, True), (0.5, 8, False)):
        monkeypatch.setattr("mixopt.strategies.unlearned.spearman", lambda x, y, rho=rho: rho)
        assert bool(asked(noise, n)) is chance
    monkeypatch.undo()
    assert not asked(np.ones(60), 24)
    assert not asked(noise, 24, replace(LOSS, kl=0.05))
    assert not asked(SMOOTH, 24)
