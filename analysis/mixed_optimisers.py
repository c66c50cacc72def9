"""Strategy `joint` with its own optimiser against BoTorch's alternating one, on synthetic worlds.

    python -m analysis.mixed_optimisers --seeds 6 --rounds 2

Both sides have the same design, law, number of runs and answer; they differ in who chooses. A
line for each world and seed: regret of the answers in spreads, CPU seconds of a choice.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from analysis.botorch_mixed import propose_mixed
from analysis.side_by_side import side_by_side
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Observation, RunSpec
from mixopt.runs.kinds import PROPOSAL
from mixopt.runs.knobs import Choice, Continuous, Knob, SearchSpace, Value, read_knobs
from mixopt.runs.run_table import RunTable
from mixopt.strategies import Problem
from mixopt.strategies.knob_search import KnobSearch
from mixopt.strategies.ladder import quick_process
from mixopt.testing.worlds import LARGE, World, make_world

DESIGN, BATCH = 12, 1


@dataclass(frozen=True)
class JointWorld:
    """A world of mixtures, and what knobs cost beside it (in spreads, 0 at best or near it).

    Attributes:
        name: of it. world: mixtures. knobs: what is searched with them.
        cost: of a mixture and values.
    """

    name: str
    world: World
    knobs: tuple[Knob, ...]
    cost: Callable[[np.ndarray, dict[str, Value]], float]

    def regret(self, w: np.ndarray, values: dict[str, Value]) -> float:
        """In spreads of the world."""
        own = float(self.world.value(w[None])[0] - self.world.best) / self.world.spread
        return float(own + self.cost(w, values))

    def run(self, spec: RunSpec) -> Observation:
        """A run: the world's metrics, all worse by what the knobs cost."""
        seen = self.world.run(spec)
        values = read_knobs(spec.config, self.knobs) or {}
        more = self.cost(spec.mixture.array, values) * self.world.spread
        return replace(seen, metrics={k: v + more for k, v in seen.metrics.items()})


def _rate(values: dict[str, Value], at: float) -> float:
    return float(2.0 * (np.log10(float(values["lr"])) - at) ** 2)


def worlds() -> list[JointWorld]:
    """Three: knobs apart from the mixture, knobs whose best depends on it, knobs that interact."""
    rate = Continuous("lr", 1e-3, 1e-1, log=True)
    sizes = Choice("batch", (64, 128, 256, 512))
    acts = Choice("act", ("relu", "silu", "gelu"))
    first, second, third = (make_world(m, 2, seed=i, noise=0.05) for i, m in enumerate((4, 6, 5)))
    of_batch = {64: -2.4, 128: -2.1, 256: -1.8, 512: -1.5}
    leaning = third.optimum

    def apart(_: np.ndarray, v: dict[str, Value]) -> float:
        return float(_rate(v, -1.7) + 0.7 * (v["act"] != "silu"))

    def leans(w: np.ndarray, v: dict[str, Value]) -> float:
        # The best rate moves with the batch and with the largest share of the optimum.
        at = of_batch[int(v["batch"])] + 0.5 * (w[second.optimum.argmax()] - second.optimum.max())
        return float(_rate(v, at) + 0.15 * abs(np.log2(int(v["batch"]) / 256)))

    def interacts(w: np.ndarray, v: dict[str, Value]) -> float:
        good = {("relu", 64): 0.4, ("silu", 256): 0.0, ("gelu", 512): 0.2}
        pair = good.get((str(v["act"]), int(v["batch"])), 0.8)
        drop = 3.0 * (float(v["dropout"]) - 0.15) ** 2 / 0.1
        return float(pair + drop + _rate(v, -2.0) + 0.5 * np.abs(w - leaning).sum() * (pair > 0.5))

    drop = Continuous("dropout", 0.0, 0.5)
    return [
        JointWorld("apart", first, (rate, acts), apart),
        JointWorld("leaning", second, (rate, sizes), leans),
        JointWorld("interacting", third, (rate, drop, acts, sizes), interacts),
    ]


def played(world: JointWorld, seed: int, rounds: int, botorch: bool) -> tuple[float, float]:
    """Regret of the answer, and CPU seconds of a choice (its law's fit left out)."""
    problem = Problem(
        world.world.space, world.world.objective, (LARGE,), knobs=world.knobs, seed=seed
    )
    recipe = KnobSearch(design=DESIGN, runs=DESIGN + BATCH * rounds, batch=BATCH)
    done = [world.run(s) for s in recipe.next(problem, [], [])]
    joint, spent = SearchSpace(problem.space, problem.knobs), 0.0
    for _ in range(rounds):
        if botorch:
            P = _points(joint, done)
            rng = np.random.default_rng([seed, len(done)])
            table = RunTable.from_observations(done, problem.space.names)
            surrogate = fit_surrogate(
                replace(table, domains=joint.simplex.names, W=P), problem.objective,
                joint.simplex, quick_process(), rng=rng,
            )  # fmt: skip
            began = time.process_time()
            picked = propose_mixed(surrogate, joint, BATCH, runs=P, rng=rng)
            specs = [problem.run(problem.space.mixture(w), PROPOSAL, values=v) for w, v in picked]
        else:
            recipe.answer(problem, done)  # fits the law, which is kept
            began = time.process_time()
            specs = recipe.next(problem, done, [])
        spent += time.process_time() - began
        done += [world.run(s) for s in specs]
    answer = recipe.answer(problem, done)
    return world.regret(answer.mixture.array, dict(answer.settings)), spent / rounds


def _points(joint: SearchSpace, done: list[Observation]) -> np.ndarray:
    values = [read_knobs(o.spec.config, joint.knobs) or {} for o in done]
    return joint.join(np.array([o.spec.mixture.array for o in done]), values)


def main() -> None:
    """Print a line of JSON for each world and seed."""
    side_by_side(__doc__, worlds, played, seeds=6)


if __name__ == "__main__":
    main()
