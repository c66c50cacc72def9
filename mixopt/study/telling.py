"""What a study is told: checked, and so much of it picked as laws can be fitted to."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd

from mixopt.designs.subset import covering_subset
from mixopt.errors import InputError, did_you_mean, nearest
from mixopt.laws import LAWS, Law, Named, as_law
from mixopt.runs import UNSTATED, Observation, RunSpec, Scale
from mixopt.runs.objective import Metrics, Objective, weights_of
from mixopt.runs.run_table import RunTable
from mixopt.runs.scales import each_scale, scales_of
from mixopt.space import Mixture


def objective_from(minimize: Metrics | Objective, maximize: Metrics) -> Objective:
    """The objective that a study was made with.

    Raises:
        InputError: no metric is named, or one twice.
    """
    if isinstance(minimize, Objective):
        return minimize
    if not minimize and not maximize:
        raise InputError("the study has no objective; name a metric: Study(space, minimize='loss')")
    twice = set(weights_of(minimize)) & set(weights_of(maximize))
    if twice:
        raise InputError(f"{min(twice)!r} is to be both minimised and maximised; name it once")
    return Objective.of(minimize, maximize)


def known_law(law: Named | Law) -> Named | Law:
    """The same, its name and settings checked: a wrong one is refused where it is written.

    Raises:
        InputError: an unknown name; of a mapping also a setting that the law does not take.
    """
    if isinstance(law, Mapping):
        as_law(law)
        return dict(law)
    if isinstance(law, str) and ":" not in law and law not in LAWS:
        raise InputError(f"unknown law {law!r}; {did_you_mean(law, LAWS)}")
    return law


def name_of(law: Named | Law) -> str:
    """What a law is called."""
    named = law["use"] if isinstance(law, Mapping) else law
    return named if isinstance(named, str) else type(named).__name__


def _check_names(metrics: Mapping[str, float], objective: Objective) -> None:
    """Refuse a misspelt metric: one the objective does not know in place of one that it needs."""
    missing = [k for k in objective.needed if k not in metrics]
    for name in (k for k in metrics if k not in objective.needed):
        if close := nearest(name, missing):
            raise InputError(
                f"unknown metric {name!r}: the objective needs {', '.join(objective.needed)}; did "
                f"you mean {close!r}?"
            )
    if missing:
        raise InputError(
            f"unknown metric {missing[0]!r}: the objective needs it, and the run has "
            f"{', '.join(metrics) or 'none'}; tell all of {', '.join(objective.needed)}"
        )


def check_scale_asked(run: str, asked: Scale, told: Scale) -> None:
    """Refuse a run that is told at another scale than it was asked at."""
    if asked != told:
        raise InputError(
            f"run {run} was asked at {asked} and is told at {told}; ask at the scale that is "
            "trained: ask(n, scale=mixopt.Scale(params, tokens))"
        )


def check_asked(told: RunSpec, asked: Mapping[str, RunSpec]) -> None:
    """Refuse a run that was asked, but for its scale.

    Args:
        told: the run.
        asked: id to run, of those that are waited for.
    """
    if told.run_id in asked:
        return
    for spec in asked.values():
        if (spec.mixture, spec.seed) == (told.mixture, told.seed):
            check_scale_asked(spec.run_id, spec.scale, told.scale)


def only_scale(told: Sequence[RunTable], asked: Mapping[str, RunSpec]) -> Scale:
    """The scale of all runs told and asked; `UNSTATED` where none states one.

    Raises:
        InputError: there are several.
    """
    seen = {scale for table in told for scale in scales_of(table)}
    seen |= {spec.scale for spec in asked.values()} - {UNSTATED}
    if len(seen) > 1:
        raise InputError(
            f"the study has runs of {len(seen)} scales ({'; '.join(map(str, sorted(seen)))}); "
            "say at which to ask: ask(n, scale=mixopt.Scale(params, tokens))"
        )
    return next(iter(seen), UNSTATED)


def known_scale(scale: Scale | None) -> Scale | None:
    """The same, if it is a scale.

    Raises:
        InputError: a text or a number, which says no tokens or no parameters.
    """
    if scale is None or isinstance(scale, Scale):
        return scale
    raise InputError(
        f"the scale is {scale!r}; give parameters and tokens: mixopt.Scale(1_000_000, 10**9)"
    )


def check_scales(table: RunTable, asked: Mapping[str, RunSpec], before: Sequence[RunTable]) -> None:
    """Refuse runs of another scale than was asked, and runs with a scale beside runs without.

    Args:
        table: runs that are told.
        asked: id to run, of those that are waited for.
        before: runs told before.

    Raises:
        InputError: see above.
    """
    now = scales_of(table)
    for run, scale in zip(table.facts.get("run", ()), each_scale(table), strict=False):
        spec = asked.get(str(run))
        if spec is not None and scale is not None:
            check_scale_asked(str(run), spec.scale, scale)
    known = [scales_of(other) for other in before]
    asked_for = {spec.scale for spec in asked.values()}
    stated = any(known) or bool(asked_for - {UNSTATED})
    silent = not all(known) or UNSTATED in asked_for
    if (now and silent) or (not now and stated):
        these, those = ("state", "none") if now else ("do not state", "one")
        raise InputError(
            f"these {len(table)} runs {these} a scale, and runs told or asked before have "
            f"{those}; give all of them columns params and tokens, or make the study with "
            "scale=mixopt.Scale(params, tokens), which stands for runs that state none"
        )


Told = pd.DataFrame | RunTable | list[Observation]
Runs = (
    pd.DataFrame
    | RunTable
    | RunSpec
    | Observation
    | Mixture
    | Mapping[str, float]
    | Iterable[Observation]
)


def listed(runs: pd.DataFrame | RunTable | Iterable[Observation]) -> Told:
    """Tables as they are, observations as a list.

    Raises:
        InputError: a path, which nobody has read.
    """
    if isinstance(runs, str | Path):
        raise InputError(f"{runs} is a path; read it first: study.tell(read_table({str(runs)!r}))")
    return runs if isinstance(runs, pd.DataFrame | RunTable) else list(runs)


def table_of(runs: Told, domains: Sequence[str], renormalize: bool = False) -> RunTable:
    """The runs as a table; `renormalize` accepts weights of a frame that sum to anything.

    Raises:
        InputError: a frame that breaks a rule of the format, or no run that succeeded.
    """
    if isinstance(runs, RunTable):
        return runs
    if isinstance(runs, pd.DataFrame):
        return RunTable.from_frame(runs, renormalize=renormalize)
    return RunTable.from_observations(runs, domains)


def observation_of(
    spec: RunSpec, metrics: Mapping[str, float] | float | None, objective: Objective
) -> Observation:
    """One run with its metrics, by name or as a number.

    Raises:
        InputError: metrics are missing, misspelt or not finite.
    """
    if metrics is None:
        raise InputError("tell(spec, metrics) needs the run's metrics, by name")
    if isinstance(metrics, Mapping):
        _check_names(metrics, objective)
    else:
        if len(objective.metrics) != 1:
            raise InputError(
                f"the objective has {len(objective.metrics)} metrics; give them by name"
            )
        metrics = {objective.metrics[0]: metrics}
    given: Mapping[str, object] = metrics  # whatever the types promise
    odd = next((k for k, v in given.items() if not isinstance(v, Real)), None)
    if odd is not None:
        raise InputError(
            f"run {spec.run_id}: metric {odd!r} is {given[odd]!r}, which is no number; give one, "
            "such as 2.31"
        )
    seen = Observation.of(spec, metrics)
    if not seen.ok:
        leave = "tell study.forget(spec) if it was asked, else leave it out"
        raise InputError(f"run {spec.run_id}: {seen.error}; {leave}")
    return seen


def covering_part(table: RunTable, metrics: Sequence[str], runs: int, seed: int) -> RunTable:
    """So many runs of a table, which cover the others of their scale; a note says so.

    Args:
        table: all runs.
        metrics: that a run must have to be among them.
        runs: how many.
        seed: the same part for the same seed.
    """
    _, strata = np.unique(np.nan_to_num(table.scales), axis=0, return_inverse=True)
    rows = np.flatnonzero(np.isfinite(table.values(metrics)).all(axis=1))
    rng = np.random.default_rng([seed, len(table)])
    picked = rows[covering_subset(table.W[rows], strata.reshape(-1)[rows], runs, rng)]
    note = (
        f"laws are fitted to {len(picked)} of {len(table)} runs, which cover the others' "
        f"mixtures: half spread over them, half drawn at random (seed {seed})"
    )
    return table.take(picked).with_notes(note)
