"""Fronts: our expected growth of the hypervolume against BoTorch's qLogNEHVI, on synthetic worlds.

    python -m analysis.fronts --seeds 4 --rounds 2

Both have the same design, law, number of runs and candidates (ours, within the constraints) and
differ in who chooses among them. A line of JSON for each world and seed: hypervolume of the true
values of the runs that keep the guard, as a share of the box that random mixtures span; CPU
seconds of a round without the fit.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.sampling.normal import SobolQMCNormalSampler

from analysis.side_by_side import side_by_side
from mixopt import Objective, designs
from mixopt.proposers.botorch import LawModel, outcome_constraints
from mixopt.proposers.hypervolume import choose_front, front_candidates
from mixopt.proposers.pareto import hypervolume
from mixopt.proposers.surrogate import Surrogate, fit_surrogate
from mixopt.runs import RunSpec
from mixopt.runs.objective import Guard
from mixopt.runs.run_table import RunTable
from mixopt.strategies.ladder import quick_process
from mixopt.testing.worlds import LARGE, World, make_world

DESIGN, BATCH, CANDIDATES, SAMPLES = 12, 4, 60, 32


@dataclass(frozen=True)
class FrontWorld:
    """A world, how many of its metrics are objectives, and whether the one after is guarded."""

    name: str
    world: World
    objectives: int
    guarded: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics that are objectives."""
        return self.world.metrics[: self.objectives]

    @property
    def objective(self) -> Objective:
        """The mean of the objectives, with the guard."""
        guards = (Guard(self.world.metrics[self.objectives], 0.0),) if self.guarded else ()
        return Objective(dict.fromkeys(self.names, 1.0), guards=guards)

    def kept(self, W: np.ndarray) -> np.ndarray:
        """(n, d) true objectives of those mixtures that keep the guard."""
        truth = self.world.truth(W)
        if self.guarded:
            limit = self.world.truth(self.world.space.prior[None])[0, self.objectives]
            truth = truth[truth[:, self.objectives] <= limit + 1e-9]
        return np.asarray(truth[:, : self.objectives])

    def volume(self, W: np.ndarray) -> float:
        """Share of the box from the best of 4000 random mixtures in each to their 90 % points."""
        many = self.kept(self.world.space.sample(4000, np.random.default_rng(0)))
        reference = np.quantile(many, 0.9, axis=0)
        box = float(np.prod(reference - many.min(axis=0)))
        return hypervolume(self.kept(W), reference) / box


def worlds() -> list[FrontWorld]:
    """Two to four objectives; two of the four with a guard on a metric that is none of them."""
    bent = make_world(5, 4, seed=3, kind="interactions", noise=0.1)
    return [
        FrontWorld("two", make_world(5, 2, seed=0, noise=0.1), 2),
        FrontWorld("two, guard", make_world(5, 3, seed=1, noise=0.1), 2, guarded=True),
        FrontWorld("three, guard", bent, 3, guarded=True),
        FrontWorld("four", make_world(6, 4, seed=4, noise=0.1), 4),
    ]


def played(made: FrontWorld, seed: int, rounds: int, botorch: bool) -> tuple[float, float]:
    """Hypervolume of the runs, and CPU seconds of a round."""
    space, spent = made.world.space, 0.0
    W = designs.design("regmix", space, DESIGN, rng=np.random.default_rng([seed, 0]))
    done = [made.world.run(RunSpec(space.mixture(w), LARGE, seed=seed)) for w in W]
    each = [Objective.of(name) for name in made.names]
    for _ in range(rounds):
        rng = np.random.default_rng([seed, len(done)])
        runs = RunTable.from_observations(done, space.names)
        surrogate = fit_surrogate(runs, made.objective, space, quick_process(), rng=rng)
        began = time.process_time()
        X = front_candidates(surrogate, each, space, runs=runs.W, rng=rng)
        if botorch:
            X = X[:CANDIDATES]
            picked = _nehvi(surrogate, made, X, runs.W)
        else:
            picked = choose_front(surrogate, each, X, BATCH, runs=runs.W, rng=rng)
        spent += time.process_time() - began
        done += [made.world.run(RunSpec(space.mixture(w), LARGE, seed=seed)) for w in X[picked]]
    return made.volume(np.array([o.spec.mixture.array for o in done])), spent / rounds


def _nehvi(surrogate: Surrogate, made: FrontWorld, X: np.ndarray, runs: np.ndarray) -> list[int]:
    """Positions of the candidates that BoTorch chooses one after the other."""
    outputs = list(surrogate.metrics)
    places = [outputs.index(name) for name in made.names]
    at_runs = -surrogate.expected(runs).mean[:, places]
    spread = np.ptp(at_runs, axis=0)
    points, chosen = torch.tensor(X, dtype=torch.double), list[int]()
    acquisition = qLogNoisyExpectedHypervolumeImprovement(
        LawModel(surrogate, outputs),
        ref_point=(np.quantile(at_runs, 0.1, axis=0) - 0.1 * spread).tolist(),
        X_baseline=torch.tensor(np.unique(runs, axis=0), dtype=torch.double),
        objective=IdentityMCMultiOutputObjective(outcomes=places),
        constraints=outcome_constraints(surrogate, outputs) if made.guarded else None,
        sampler=SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=0),
        prune_baseline=True,
        cache_root=False,
        cache_pending=True,
    )
    while len(chosen) < BATCH:
        if chosen:
            acquisition.set_X_pending(points[chosen])
        with torch.no_grad():
            score = acquisition(points[:, None]).numpy().copy()
        score[chosen] = -np.inf
        chosen.append(int(score.argmax()))
    return chosen


def main() -> None:
    """Print a line of JSON for each world and seed."""
    side_by_side(__doc__, worlds, played, seeds=4)


if __name__ == "__main__":
    main()
