"""Mistakes of a user that a type checker has to see; each line says so."""

import numpy as np

import mixopt
from mixopt import Mixture, MixtureSpace, Observation, Scale, Study
from mixopt.ports import Trainer
from mixopt.strategies import Strategy


class Half:
    """No trainer: it cannot train."""

    def prepare(self, cache: str) -> None:
        return None


space = MixtureSpace(["web", "code"])
scale: str = Scale(1, 2)  # wrong
trainer: Trainer = Half()  # wrong
strategy: Strategy = Half()  # wrong
mixture = Mixture.of(["web", "code"])  # wrong
study = Study(space, minimise="loss")  # wrong
asked: list[Observation] = Study(space, minimize="loss").ask(2)  # wrong
missing = mixopt.Sudy  # wrong
sampled = space.sample("many", rng=np.random.default_rng(0))  # wrong
