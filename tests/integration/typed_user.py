"""What a user writes: a study, a law, a trainer, a table; types are asserted."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import assert_type

import numpy as np

import mixopt
from mixopt import Domain, Mixture, MixtureSpace, Observation, RunSpec, Scale, Study
from mixopt.laws import law
from mixopt.laws.base import FittedLaw, Prediction
from mixopt.ports import Report, Trainer, TrainerInfo, ignore_report


class Simulator:
    """A trainer of the user's own."""

    def __init__(self, slope: float = 1.0) -> None:
        self.slope = slope

    def prepare(self, cache: Path) -> TrainerInfo:
        domains = (Domain("web", tokens=8e9), Domain("code", tokens=1e9))
        return TrainerInfo(domains, metrics=("loss",), unit="nats/token", data="1")

    def train(
        self, specs: Sequence[RunSpec], cache: Path, report: Report = ignore_report
    ) -> list[Observation]:
        return [Observation.of(s, {"loss": self.loss(s.mixture)}, flops=1.0) for s in specs]

    def loss(self, mixture: Mixture) -> float:
        return 2 + self.slope * (mixture["code"] - 0.3) ** 2


trainer: Trainer = Simulator()
space = MixtureSpace({"web": 8e9, "code": 1e9})
study = Study(space, minimize="loss")
specs = study.ask(4)
assert_type(specs[0], RunSpec)
for spec in specs:
    study.tell(spec, {"loss": Simulator().loss(spec.mixture)})
assert_type(study.recommend().mixture, Mixture)
assert_type(space.natural["web"], float)
assert_type(Scale(1, 2).tokens, int)
rng = np.random.default_rng(0)
W = space.sample(9, rng=rng)
fitted = law("gp").fit(W, W[:, :1], rng=rng)
assert_type(fitted, FittedLaw)
assert_type(fitted.predict(np.array([[0.5, 0.5]])), Prediction)
assert_type(mixopt.read_table(sys.argv[1]), mixopt.RunTable)
