"""The pictures of a study: `study.plot.weights()` and its like.

Each is interactive (plotly) by default, for papers with `backend="matplotlib"`, and the numbers
that are drawn with `backend="frame"`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixopt import plots
from mixopt.errors import InputError, did_you_mean
from mixopt.plots import paper
from mixopt.runs.objective import Objective
from mixopt.runs.reliability import resolved
from mixopt.study import views

if TYPE_CHECKING:
    from mixopt.study.study import Study

Backend = Literal["plotly", "matplotlib", "frame"]
_PANELS = 12
_Z90 = 1.645


class Pictures:
    """Pictures of one study; fitted and checked when first needed."""

    def __init__(self, study: "Study") -> None:
        self._study = study

    def weights(self, backend: Backend = "plotly") -> Any:
        """The recommended shares with their intervals, against the natural mixture."""
        answer, space = self._study.recommend(), self._study.space
        frame = views.weights_frame(answer, space)
        prior = space.prior_name
        mixtures = {plots.RECOMMENDED: answer.mixture, prior: space.mixture(space.prior)}
        return _drawn(
            backend,
            frame,
            lambda: plots.mixture_bars(mixtures, intervals=answer.intervals),
            lambda: paper.weights(frame, prior),
        )

    def response(self, domains: Sequence[str] | None = None, backend: Backend = "plotly") -> Any:
        """The predicted objective as each domain's share moves away from the recommendation.

        Args:
            domains: of which; by default the twelve with the largest shares.
            backend: see the module.
        """
        space, answer = self._study.space, self._study.recommend()
        shares = answer.mixture.to_dict()
        largest = sorted(shares, key=lambda d: -shares[d])[:_PANELS]
        chosen = list(domains) if domains is not None else largest
        frame = views.response_frame(self._study.surrogate, space, answer.mixture, chosen)
        size = (len(chosen), -1)

        def interactive() -> Any:
            column = {k: frame[k].to_numpy().reshape(size) for k in ("share", "mean", "high")}
            return plots.response_curves(
                chosen,
                column["share"],
                column["mean"],
                (column["high"] - column["mean"]) / _Z90,
                at=np.array([answer.mixture[d] for d in chosen]),
                against=(space.prior_name, space.prior[space.index(chosen)]),
                axis=self._axis,
            )

        return _drawn(backend, frame, interactive, lambda: paper.response(frame, self._axis))

    def front(self, metrics: Sequence[str] | None = None, backend: Backend = "plotly") -> Any:
        """Mixtures of which none is predicted to be better than another in both of two metrics.

        Args:
            metrics: two or more; by default the first two of the objective. The first two are
                drawn.
            backend: see the module.
        """
        chosen = list(metrics) if metrics is not None else list(self._study.objective.metrics[:2])
        study = self._study
        rng = np.random.default_rng([study.seed, len(study)])
        frame = views.front_frame(study.surrogate, study.space, chosen, rng)
        x, y = (f"m/{name}" for name in chosen[:2])
        W = frame[[f"w/{d}" for d in study.space.names]].to_numpy()
        shares = [list(zip(study.space.names, row.tolist(), strict=True)) for row in W]
        axes = (chosen[0], chosen[1])
        return _drawn(
            backend,
            frame,
            lambda: plots.trade_off(frame[x], frame[y], axes=axes, mixtures=shares),
            lambda: paper.scatter(frame, x, y),
        )

    def fidelity(self, backend: Backend = "plotly") -> Any:
        """Small runs against large ones of the same mixtures, on the objective."""
        frame = views.fidelity_frame(self._study.table, self._objective)
        return _drawn(
            backend,
            frame,
            lambda: plots.small_large(frame["small"], frame["large"], axes=("small", "large")),
            lambda: paper.scatter(frame, "small", "large"),
        )

    def calibration(self, backend: Backend = "plotly") -> Any:
        """Held-out runs: the objective as predicted without them, with its 90 % interval."""
        study, seen = self._study, self._study.outcome.checkup.validation
        if seen is None:
            why = study.outcome.checkup.missing.get("held-out runs", "there are too few runs")
            raise InputError(f"no run could be held out: {why}")
        observed = self._objective.value(seen.observed, seen.metrics)
        mean, sd = self._objective.moments(
            seen.predicted.mean, seen.predicted.total_sd, seen.metrics
        )
        columns = {"observed": observed, "predicted": mean, "half": _Z90 * sd}
        frame = pd.DataFrame(columns)
        return _drawn(
            backend,
            frame,
            lambda: plots.predicted_observed(observed, mean, sd, axis=self._axis),
            lambda: paper.scatter(frame, "observed", "predicted", line=True, error="half"),
        )

    def history(self, backend: Backend = "plotly") -> Any:
        """The objective of every run over what was spent, and the best so far."""
        table = self._study.table
        frame = views.history_frame(table, self._objective)
        kinds = [str(kind) for kind in table.facts.get("kind", ["run"] * len(table))]
        return _drawn(
            backend,
            frame,
            lambda: plots.best_so_far(
                frame["spent"],
                frame["objective"],
                kinds,
                searched=[True] * len(frame),
                axis=self._axis,
                cost_axis="spent",
            ),
            lambda: paper.history(frame, self._axis),
        )

    @property
    def _objective(self) -> Objective:
        """As it is minimised: in units of the runs' sd where that was asked for."""
        return resolved(self._study.objective, self._study.table)

    @property
    def _axis(self) -> str:
        return self._study.objective.describe()


def _drawn(backend: str, frame: pd.DataFrame, interactive: Any, printed: Any) -> Any:
    """One picture in the form that was asked for.

    Raises:
        InputError: an unknown backend.
    """
    made = {"plotly": lambda: interactive().figure(), "matplotlib": printed, "frame": lambda: frame}
    if backend not in made:
        raise InputError(f"unknown backend {backend!r}; {did_you_mean(backend, made)}")
    return made[backend]()
