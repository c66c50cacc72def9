"""Gradient-boosted trees, one model per metric (RegMix, 2407.01492), without its leak.

RegMix trains up to 1,000 trees at rate .01 and stops early on the *test* runs. Here the number of
trees is fixed, so no run outside the training set is looked at; `min_data_in_leaf` follows the
number of runs, for LightGBM's 20 makes the model constant below about 40 runs.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mixopt.laws.base import JSON, Prediction, Runs, as_mixtures, check_runs, numbers, one_scale
from mixopt.laws.folds import group_folds
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.lazy import require
from mixopt.space.simplex import Array

lightgbm = require("lightgbm")
_FOLDS = 5


@dataclass(frozen=True)
class Trees:
    """RegMix's regressor.

    Args:
        rounds: number of trees.
        rate: the learning rate of each.
        leaves: of a tree, at most.
        min_data: runs per leaf at least; None takes n / 10 within 2 and 20.
        noise_rounds: trees of the models that measure the error on held-out folds.
    """

    rounds: int = 1000
    rate: float = 0.01
    leaves: int = 31
    min_data: int | None = None
    noise_rounds: int = 300

    takes_scales: ClassVar[bool] = False

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedTrees":
        """Fit one model per metric; the sd is the error on held-out folds.

        Raises:
            InputError: see `check_runs`; or runs of several scales.
        """
        runs = one_scale(check_runs(W, Y, scale), "lightgbm")
        standard = Standard.learn(runs.Y)
        T = standard.forward(runs.Y)
        seed = int(rng.integers(2**31))
        folds = group_folds(runs.groups, _FOLDS, rng)
        models, errors = [], []
        for column in range(T.shape[1]):
            seen = np.isfinite(runs.Y[:, column])
            y = T[seen, column]
            models.append(self._train(runs.W[seen], y, self.rounds, seed).model_to_string())
            errors.append(self._error(runs, y, seen, folds, seed))
        return FittedTrees(standard, tuple(models), np.array(errors), runs.W.shape[1])

    def _error(
        self, runs: Runs, y: Array, seen: Array, folds: "np.ndarray[Any, Any]", seed: int
    ) -> float:
        """Root mean square error on held-out folds, with fewer and stronger trees."""
        W, fold = runs.W[seen], folds[seen]
        squares = []
        for held in np.unique(fold):
            out = fold == held
            if out.all() or (~out).sum() < 2:
                return float(y.std())
            model = self._train(W[~out], y[~out], self.noise_rounds, seed, boost=self.rounds)
            squares.append((model.predict(W[out], num_threads=1) - y[out]) ** 2)
        return float(np.sqrt(np.concatenate(squares).mean())) if squares else float(y.std())

    def _train(self, W: Array, y: Array, rounds: int, seed: int, *, boost: int = 0) -> Any:
        n = len(y)
        rate = self.rate * boost / rounds if boost else self.rate
        settings = {
            "objective": "regression",
            "learning_rate": rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_data or int(np.clip(n // 10, 2, 20)),
            "min_data_in_bin": 1 if n < 100 else 3,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        return lightgbm.train(settings, lightgbm.Dataset(W, y), num_boost_round=rounds)


@dataclass(frozen=True, eq=False, repr=False)
class FittedTrees(Shown):
    """Models as LightGBM writes them (text), errors (k,) on held-out folds, standardised."""

    standard: Standard
    models: tuple[str, ...]
    errors: Array
    domains: int

    @cached_property
    def boosters(self) -> tuple[Any, ...]:
        """One per metric."""
        return tuple(lightgbm.Booster(model_str=m) for m in self.models)

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Trees know no distances: the sd is the same everywhere, the held-out error."""
        del scale
        w = as_mixtures(W, self.domains)
        predict: Callable[..., Array]
        columns = []
        for booster in self.boosters:
            predict = booster.predict
            columns.append(np.asarray(predict(w, num_threads=1), dtype=float))
        mean = np.column_stack(columns)
        # The held-out error holds noise and ignorance; which is which, trees cannot tell.
        half = self.errors / np.sqrt(2.0)
        return self.standard.prediction(mean, np.tile(half, (len(w), 1)), half)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "lightgbm",
            "standard": self.standard.to_dict(),
            "models": list(self.models),
            "errors": self.errors.tolist(),
            "domains": self.domains,
        }


def read(values: JSON) -> FittedTrees:
    """The fitted law that `to_dict` wrote."""
    return FittedTrees(
        Standard.read(values["standard"]),
        tuple(values["models"]),
        numbers(values["errors"]),
        int(values["domains"]),
    )
