"""Where a sweep stands, counted as runs come in: what a status costs does not grow with the store.

Notation:
    k metrics that the objective names; Y: (n, k) metrics of the successful search runs of a scale
"""

from dataclasses import dataclass, field, replace

import numpy as np

from mixopt.runs import Observation, Scale
from mixopt.runs.objective import Objective
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Best:
    """The best run so far.

    Attributes:
        value: its objective, in units of spread where the objective asks for them.
        run: the run.
    """

    value: float
    run: Observation


class Standing:
    """What is counted of the runs of a sweep.

    Args:
        objective: by which runs are compared.

    Attributes:
        done: runs that came in, failed ones included.
        failed: of these, failed.
        flops: spent.
        work: nominal FLOPs of the runs that came in, 6 N D, whatever their trainers say.
        error: of the newest failed run.
    """

    def __init__(self, objective: Objective) -> None:
        self.done = self.failed = 0
        self.flops = self.work = 0.0
        self.error = ""
        self._objective = objective
        self._scales: dict[Scale, _ScaleRuns] = {}
        self._best: Best | None = None
        self._fresh = True  # whether `_best` is that of all runs

    def add(self, seen: Observation) -> None:
        """One more run, as the objective sees it (see `mixopt.runs.objective.judged`)."""
        self.done += 1
        self.flops += seen.flops
        self.work += seen.spec.scale.flops
        if not seen.ok:
            self.failed += 1
            self.error = seen.error
        elif seen.spec.kind.in_search:
            metrics = np.array([seen.metrics[name] for name in self._objective.needed])
            scale = seen.spec.scale
            if scale not in self._scales:
                self._scales[scale] = _ScaleRuns(len(metrics))
            self._scales[scale].add(seen, metrics)
            self._fresh = False

    @property
    def best(self) -> Best | None:
        """The lowest objective among search runs of the smallest scale that has any.

        Like with like: runs of another scale are no rivals. Of equal ones, the first to come in.
        """
        if not self._fresh:
            self._best, self._fresh = self._lowest(), True
        return self._best

    def _lowest(self) -> Best:
        here = self._scales[min(self._scales)]
        objective, names = self._objective, self._objective.needed
        if objective.standardize:
            # As `mixopt.runs.reliability.resolved`: units of the scale with the most runs.
            most = max(sorted(self._scales), key=lambda s: len(self._scales[s].runs))
            sds = dict(zip(names, self._scales[most].spread().tolist(), strict=True))
            scales = {k: sds[k] if sds[k] > 1e-12 else 1.0 for k in objective.metrics}
            objective = replace(objective, scales=scales, standardize=False)
            values = objective.value(here.Y, names)
        else:
            values = here.extended(objective, names)
        row = int(np.argmin(np.where(np.isnan(values), np.inf, values)))
        return Best(float(values[row]), here.runs[row])


@dataclass
class _ScaleRuns:
    """Successful search runs of one scale; arrays grow by doubling, moments by Welford's rule."""

    k: int
    runs: list[Observation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._Y = np.empty((16, self.k))
        self._values = np.empty(16)  # (n,) of an objective that does not change
        self._valued = 0
        self._count = np.zeros(self.k)
        self._mean = np.zeros(self.k)
        self._squares = np.zeros(self.k)

    @property
    def Y(self) -> Array:
        return self._Y[: len(self.runs)]

    def add(self, seen: Observation, metrics: Array) -> None:
        n = len(self.runs)
        if n == len(self._Y):
            self._Y = np.concatenate([self._Y, np.empty_like(self._Y)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._Y[n] = metrics
        self.runs.append(seen)
        finite = np.isfinite(metrics)
        self._count += finite
        step = np.where(finite, metrics - self._mean, 0.0)
        self._mean += step / np.maximum(self._count, 1)
        self._squares += np.where(finite, step * (metrics - self._mean), 0.0)

    def spread(self) -> Array:
        """(k,) sd of every metric over the runs."""
        return np.sqrt(np.maximum(self._squares, 0.0) / np.maximum(self._count, 1))

    def extended(self, objective: Objective, names: tuple[str, ...]) -> Array:
        """(n,) objective of every run; only those that are new are computed."""
        n = len(self.runs)
        new = slice(self._valued, n)
        self._values[new] = objective.value(self._Y[new], names)
        self._valued = n
        return self._values[:n]
