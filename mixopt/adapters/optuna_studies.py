"""Whole studies both ways: ours as one of Optuna's (plots, dashboard), and one of Optuna's as ours.

A trial's mixture is its user attribute `mixture`, or else its parameters `w/<domain>`, scaled to
sum to 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import FloatDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from mixopt.errors import InputError
from mixopt.runs import UNSTATED, RunSpec, Scale
from mixopt.runs.objective import Metrics, Objective
from mixopt.runs.reliability import resolved
from mixopt.runs.run_table import RunTable
from mixopt.runs.scales import scales_of
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array
from mixopt.study import Study as MixtureStudy

MIXTURE, METRICS = "mixture", "metrics"
VALUE = "value"
PREFIX = "w/"


def to_optuna(
    study: MixtureStudy,
    *,
    scale: Scale | None = None,
    storage: str | None = None,
    name: str | None = None,
) -> Study:
    """A study of ours as one of Optuna's, for its plots and its dashboard.

    Every run told is a finished trial with its shares as the parameters `w/<domain>`, its metrics
    and mixture as user attributes, and the objective as its value: the metric itself where the
    objective is one, else what is minimised. Runs asked and not told are trials that wait, so that
    Optuna hands them out first.

    Args:
        study: with at least one run.
        scale: of the runs; needed where they are of several, since Optuna compares all trials.
        storage: where Optuna keeps it, as `optuna.create_study` takes it; in memory if left out.
        name: in that storage; it must be new there.

    Raises:
        InputError: runs of several scales, none of the one that is named, or no run with a value.
        NotFittedError: nothing was told yet.
    """
    table, objective = _at(study.table, scale), resolved(study.objective, study.table)
    one = objective.metrics[0] if len(objective.metrics) == 1 else None
    higher = one is not None and one in objective.maximize
    values = objective.value(table.Y, table.metrics) if one is None else table.metric(one)
    if not np.isfinite(values).any():
        raise InputError(
            f"no run has all of {', '.join(objective.metrics)}; tell the study runs with them"
        )
    made = optuna.create_study(
        study_name=name, storage=storage, direction="maximize" if higher else "minimize"
    )
    made.set_user_attr("objective", study.objective.describe())
    limits = {PREFIX + d: FloatDistribution(0.0, 1.0) for d in table.domains}
    for row in range(len(table)):
        w = table.W[row].tolist()
        seen = {k: float(v) for k, v in zip(table.metrics, table.Y[row], strict=True)}
        told = {MIXTURE: dict(zip(table.domains, w, strict=True))}
        told[METRICS] = {k: v for k, v in seen.items() if np.isfinite(v)}
        facts = {k: str(v) for k, v in table.facts.iloc[row].items() if str(v) not in {"", "nan"}}
        known = bool(np.isfinite(values[row]))
        made.add_trial(
            create_trial(
                state=TrialState.COMPLETE if known else TrialState.FAIL,
                value=float(values[row]) if known else None,
                params=dict(zip(limits, w, strict=True)),
                distributions=limits,
                user_attrs=told | facts,
            )
        )
    for spec in study.asked:
        if scale is None or spec.scale == scale:
            shares = spec.mixture.to_dict()
            made.enqueue_trial({PREFIX + d: shares[d] for d in table.domains}, {MIXTURE: shares})
    return made


def from_optuna(
    study: Study,
    space: MixtureSpace,
    minimize: Metrics | Objective = (),
    maximize: Metrics = (),
    *,
    law: str = "auto",
) -> MixtureStudy:
    """A study of Optuna's as one of ours, with laws, intervals, gates and reports.

    Finished trials are runs: the mixture that `suggest_mixture` kept, else the parameters
    `w/<domain>` scaled to sum to 1; the metrics that were kept as the user attribute `metrics`,
    else the trial's values under the study's metric names (`value`, `value_1`, ... where it has
    none); other parameters are facts of the run. What is no run is counted in a note of `table`.
    Running trials are waited for.

    Args:
        study: with at least one finished trial that has a mixture.
        space: its domains and constraints.
        minimize: as `mixopt.Study` takes it; by default the trials' values in their directions.
        maximize: the same where higher is better.
        law: as `mixopt.Study` takes it.

    Raises:
        InputError: no finished trial has a mixture of these domains, or a metric is not there.
    """
    values = list(study.metric_names or []) or [
        VALUE if i == 0 else f"{VALUE}_{i}" for i in range(len(study.directions))
    ]
    trials = study.get_trials(deepcopy=False)
    mixtures = {t.number: w for t in trials if (w := mixture_of(t, space)) is not None}
    done = [t for t in trials if t.state == TrialState.COMPLETE and t.number in mixtures]
    if not done:
        raise InputError(
            f"none of {len(trials)} trials is finished and has a mixture of these domains; its "
            f"parameters are called {PREFIX}<domain>, as suggest_mixture(trial, space) names them"
        )
    if not minimize and not maximize:
        down = [d != StudyDirection.MAXIMIZE for d in study.directions]
        minimize = [n for n, lower in zip(values, down, strict=True) if lower]
        maximize = [n for n, lower in zip(values, down, strict=True) if not lower]
    rows = [_row(trial, mixtures[trial.number], space, values) for trial in done]
    made = MixtureStudy(space, minimize, maximize, law=law)
    left = len(trials) - len(done) - sum(t.state == TrialState.RUNNING for t in trials)
    note = f"{left} of {len(trials)} trials are not used: they failed, wait, or have no mixture"
    table = RunTable.from_frame(pd.DataFrame(rows))
    made.tell(table.with_notes(note) if left else table)
    running = [t for t in trials if t.state == TrialState.RUNNING and t.number in mixtures]
    made.expect([RunSpec(space.mixture(mixtures[t.number]), UNSTATED) for t in running])
    return made


def _at(table: RunTable, scale: Scale | None) -> RunTable:
    """The runs of one scale.

    Raises:
        InputError: there are several and none is named, or none of the one that is.
    """
    scales = scales_of(table)
    if scale is None and len(scales) > 1:
        raise InputError(
            f"the study has runs of {len(scales)} scales ({'; '.join(map(str, sorted(scales)))}), "
            "and Optuna would compare them all; name one: to_optuna(study, scale=...)"
        )
    if scale is None:
        return table
    here = (table.scales == [scale.params, scale.tokens]).all(axis=1)
    if not here.any():
        known = "; ".join(map(str, sorted(scales))) or "none that is stated"
        raise InputError(f"no run is at {scale}; the study has runs at: {known}")
    return table.take(here)


def _row(
    trial: FrozenTrial, w: Array, space: MixtureSpace, values: Sequence[str]
) -> dict[str, Any]:
    """A finished trial as a row of a run table."""
    named = dict(zip(values, trial.values, strict=True))
    metrics = named | dict(trial.user_attrs.get(METRICS, {}))
    others = {k: v for k, v in trial.params.items() if k.removeprefix(PREFIX) not in space.names}
    return {
        "run": f"trial-{trial.number}",
        **others,
        **{f"w/{name}": share for name, share in zip(space.names, w.tolist(), strict=True)},
        **{f"m/{name}": float(value) for name, value in metrics.items()},
    }


def mixture_of(trial: FrozenTrial, space: MixtureSpace) -> Array | None:
    """(m,) the mixture of a trial, None where it has none."""
    kept = trial.user_attrs.get(MIXTURE)
    if isinstance(kept, Mapping) and set(kept) <= set(space.names):
        return space.mixture({str(k): float(v) for k, v in kept.items()}).array
    raw = np.array([trial.params.get(PREFIX + n, np.nan) for n in space.names])
    total = raw.sum()
    return np.asarray(raw / total) if np.isfinite(total) and total > 0 else None
