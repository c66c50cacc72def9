"""Online methods in worlds whose best mixture is known: regret of runs and of their time averages.

    python -m analysis.online_worlds [--worlds 12]

*Quadratics*: gradient descent towards one target, every signal exact; the model forgets what it saw
long ago. *Powers*: losses fall with a domain's own tokens alone, and nothing is forgotten; the
targets are the training domains. Regret is in units of what uniform loses to the best mixture that
never changes: 0 is that mixture, 1 is uniform. Costs are not counted: all train for the same steps.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.mixers import MixerSpec, Recorded, Session, course, mixer
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture, MixtureSpace
from mixopt.space.simplex import Array
from mixopt.testing.mixing import drive, setup_of
from mixopt.testing.mixing_trainer import MixingTrainer
from mixopt.testing.mixing_worlds import Powers

STEPS = 400
NAMES = tuple(f"d{i}" for i in range(5))
UNIFORM = Mixture(NAMES, (0.2,) * 5)
SCALE = Scale(1000, 40_000)
_ADO = {"warmup": 20, "refit": 40, "stride": 2}
LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "aioli": ("aioli", {"every": 80, "rounds": 2}),
    "aioli, eta 5": ("aioli", {"every": 80, "rounds": 2, "eta": 5.0}),
    "odm": ("odm", {"every": 5}),
    "odm, reward loss": ("odm", {"every": 5, "reward": "loss"}),
    "exp3": ("exp3", {"every": 5}),
    "softmax-loss": ("softmax-loss", {"every": 20}),
    "ado": ("ado", _ADO),
    "ado, own counts, credit 1": ("ado", {**_ADO, "own_counts": True, "credit": 1.0}),
    "skill-it": ("skill-it", {"every": 40, "graph_steps": 20}),
    "fd": ("fd", {"every": 40, "probe_steps": 20, "eta": 2.0}),
}
GRADIENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "doge": ("doge", {"rate": 0.1, "mu": 0.05, "targets": "heldout"}),
    "grape": ("grape", {"every": 5, "scaled": True}),
    "fastmix": ("fastmix", {"every": 1}),
    "pike": ("pike", {"every": 5}),
}
"""Of quadratics alone."""

Regrets = tuple[float, float]
World = Callable[[str, Mapping[str, Any]], Regrets]
"""Name and settings of a mixer to the regret of its run and of its time average."""


def quadratics(seed: int) -> World:
    """A world of gradient descent with a random target."""
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(NAMES)))
    target = dict(zip(NAMES, shares.tolist(), strict=True))
    trainer = MixingTrainer(domains=NAMES, targets={"t": target}, steps=STEPS, noise=0.0)

    def run(spec: RunSpec) -> Any:
        (seen,) = trainer.train([spec], Path())
        return seen

    def value(mixture: Mixture) -> float:
        return float(run(RunSpec(mixture, SCALE)).metrics["loss/t"])

    best = value(trainer.optimum({"loss/t": 1.0}))
    unit = value(UNIFORM) - best

    def world(name: str, settings: Mapping[str, Any]) -> Regrets:
        chosen = MixerSpec(name, settings, targets={"loss/t": 1.0})
        seen = run(RunSpec(UNIFORM, SCALE, seed=seed, mixer=chosen))
        record = Recorded.of(seen)
        assert record is not None, seen.error
        average = value(record.course.time_average)
        return (seen.metrics["loss/t"] - best) / unit, (average - best) / unit

    return world


def powers(seed: int) -> World:
    """A world of power laws with random amplitudes and floors."""
    rng = np.random.default_rng(seed)
    amplitude, floor = np.exp(rng.normal(0.0, 1.0, len(NAMES))), rng.uniform(0.5, 3.0, len(NAMES))

    def fresh() -> Powers:
        return Powers(amplitude, floor=floor, counts=np.ones(len(NAMES)))

    def loss(world: Powers) -> float:
        return float(world.signals(frozenset({"heldout"}))["heldout"].sum())

    def value(w: Array) -> float:
        world = fresh()
        world.train(w, np.ones(len(w)), STEPS)
        return loss(world)

    best = value(fresh().optimum)
    unit = value(UNIFORM.array) - best

    def world(name: str, settings: Mapping[str, Any]) -> Regrets:
        setup, here = setup_of(MixtureSpace(NAMES), steps=STEPS, seed=seed), fresh()
        end = drive(Session.begin(mixer(name, **settings), setup), here)
        average = course(setup, end.state).time_average.array
        return (loss(here) - best) / unit, (value(average) - best) / unit

    return world


def table(worlds: int) -> dict[str, dict[str, dict[str, str]]]:
    """Kind of world to method to median regret and quartiles, of the run and of its average."""
    kinds: dict[str, tuple[Callable[[int], World], dict[str, tuple[str, dict[str, Any]]]]] = {
        "quadratics": (quadratics, LOSSES | GRADIENTS),
        "powers": (powers, LOSSES),
    }
    told: dict[str, dict[str, dict[str, str]]] = {}
    for kind, (make, methods) in kinds.items():
        made = [make(seed) for seed in range(worlds)]
        told[kind] = {}
        for label, (name, settings) in methods.items():
            regrets = np.array([world(name, settings) for world in made])
            low, middle, high = np.quantile(regrets, [0.25, 0.5, 0.75], axis=0)
            wins = int((regrets[:, 0] < regrets[:, 1]).sum())
            told[kind][label] = {
                what: f"{middle[i]:.2f} ({low[i]:.2f} to {high[i]:.2f})"
                for i, what in enumerate(("run", "average"))
            } | {"run beats average": f"{wins} of {worlds}"}
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=12)
    print(json.dumps(table(parser.parse_args().worlds), indent=1))
