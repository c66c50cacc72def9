"""ALP-GMM: a teacher that goes where the learner's reward changes (1910.07224).

Notation:
    x: (d,) a task, a point of a box; r: its reward; alp: |r - reward of the nearest past task|
For mixtures: x are the m - 1 log-ratio coordinates, r is minus the objective after a period.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from mixopt.lazy import require
from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.periodic import Learned, Periodic, Seen
from mixopt.space import simplex
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array

_STORED = 5  # tasks before the first progress is measured
_WINDOW = 250
_COMPONENTS = range(2, 11)


@dataclass(frozen=True)
class Teacher(Periodic):
    """ALP-GMM (1910.07224), by its authors' code.

    At first tasks are random; then, every `refit` tasks, mixtures of 2 to 10 Gaussians are fitted
    to the last 250 points (x, alp) and the one of the least AIC is kept. A fifth of the tasks stays
    random; the others come from a Gaussian drawn in proportion to its mean alp. It needs hundreds
    of periods: for short ones, branches or fine-tuning, not for pre-training.

    Departs from the code: rewards are scaled to [0, 1] by the range seen so far; the box is that of
    log-ratio coordinates, `width` to either side of the equal mixture.

    Args:
        every: steps of a task.
        first: random tasks at the start; 250.
        refit: tasks between fits; 250.
        random: share of random tasks; .2.
        width: half the side of the box.
    """

    every: Annotated[int, Within(1)] = 10
    first: Annotated[int, Within(6)] = 250
    refit: Annotated[int, Within(1)] = 250
    random: Annotated[float, Within(0.0, 1.0)] = 0.2
    width: Annotated[float, Within(0.0, open=True)] = 3.0

    name: ClassVar[str] = "alp-gmm"

    def needs(self) -> Needs:
        """Held-out losses."""
        return Needs(frozenset({"heldout"}), self.every)

    def begin(self, setup: Setup) -> Learned:
        """A random task.

        Raises:
            MissingDependencyError: scikit-learn is not installed: better now than at the first fit.
        """
        require("sklearn.mixture")
        d = setup.space.dim - 1
        return self._next(setup, 0, empty(d))

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """Note the reward of the task, and draw the next."""
        reward = -float(np.array(setup.target_weights) @ seen[-1].values["heldout"])
        memory = noted(state.memory, state.memory["task"], reward)
        rng = setup.rng(self.name, state.period)
        if self.due(memory):
            memory = fitted(memory, int(rng.integers(2**31)))
        return self._next(setup, state.period, memory)

    def due(self, memory: Mapping[str, Array]) -> bool:
        """Whether Gaussians are to be fitted now."""
        count = len(memory["rewards"])
        return count >= self.first and (count - self.first) % self.refit == 0

    def task(self, memory: Mapping[str, Array], box: Array, rng: np.random.Generator) -> Array:
        """(d,) the next task.

        Args:
            memory: of `empty`, `noted` and `fitted`.
            box: (2, d) least and largest coordinates.
            rng: random numbers.
        """
        mixture = memory["mixture"]
        if not len(mixture) or rng.random() < self.random:
            return np.asarray(rng.uniform(box[0], box[1]))
        D = box.shape[1] + 1
        progress = np.maximum(mixture[:, D], 0.0)
        total = float(progress.sum())
        chances = progress / total if total > 0 else np.full(len(mixture), 1.0 / len(mixture))
        chosen = mixture[int(rng.choice(len(mixture), p=chances))]
        drawn = rng.multivariate_normal(chosen[1 : D + 1], chosen[D + 1 :].reshape(D, D))
        return np.asarray(np.clip(drawn[:-1], box[0], box[1]))

    def _next(self, setup: Setup, period: int, memory: Mapping[str, Array]) -> Learned:
        names = setup.space.names
        d = len(names) - 1
        box = np.array([[-self.width] * d, [self.width] * d])
        x = self.task(memory, box, setup.rng(f"{self.name}/task", period))
        by_name = sorted(range(len(names)), key=names.__getitem__)
        w = np.zeros(len(names))
        w[by_name] = simplex.inverse_ilr(x)
        return Learned(w, dict(memory) | {"task": x})


def empty(d: int) -> dict[str, Array]:
    """What a teacher of tasks with d coordinates knows at the start."""
    return {
        "tasks": np.zeros((0, d)),
        "rewards": np.zeros(0),
        "progress": np.zeros(0),
        "mixture": np.zeros((0, 1 + (d + 1) + (d + 1) ** 2)),
    }


def noted(memory: Mapping[str, Array], task: Array, reward: float) -> dict[str, Array]:
    """What it knows with one more task (d,) and its reward."""
    d = len(task)
    tasks, rewards = memory["tasks"].reshape(-1, d), memory["rewards"]
    progress = 0.0
    if len(tasks) > _STORED:
        nearest = int(np.argmin(((tasks - task) ** 2).sum(axis=1)))
        progress = abs(reward - float(rewards[nearest]))
    return dict(memory) | {
        "tasks": np.vstack([tasks, task]),
        "rewards": np.append(rewards, reward),
        "progress": np.append(memory["progress"], progress),
    }


def fitted(memory: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """What it knows with Gaussians fitted to the last 250 points.

    A row of `mixture` holds weight, mean (d + 1,) and covariance (d + 1, d + 1) of a Gaussian.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    sklearn: Any = require("sklearn.mixture")
    span = float(np.ptp(memory["rewards"])) or 1.0
    points = np.column_stack([memory["tasks"], memory["progress"] / span])[-_WINDOW:]
    fits = [
        sklearn.GaussianMixture(k, covariance_type="full", random_state=seed).fit(points)
        for k in _COMPONENTS
        if k < len(points)
    ]
    best = min(fits, key=lambda fit: float(fit.aic(points)))
    flat = best.covariances_.reshape(len(best.weights_), -1)
    return dict(memory) | {"mixture": np.column_stack([best.weights_, best.means_, flat])}
