"""What becomes of a sweep: its outcome, its report, its exports, and what to do next."""

import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from mixopt.app.results.reports import REPORT, observations_of, write_report
from mixopt.app.running.launch import Sweep
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError, StoreError
from mixopt.evidence.numbers import number
from mixopt.evidence.outcome import Outcome, evidence_of, sweep_outcome
from mixopt.evidence.past import learned
from mixopt.evidence.verdict import Unanswered
from mixopt.execution.heartbeat import driver_of
from mixopt.execution.limits import LIMIT, PAUSED
from mixopt.proposers import optimism
from mixopt.proposers.prices import Change, Price, price, tier_named
from mixopt.runs import Observation, Scale, Schedule, What
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable, last_words
from mixopt.runs.table_space import table_space as sized_space
from mixopt.space import Domain, Mixture, MixtureSpace
from mixopt.space.counts import Count
from mixopt.strategies import Answering, strategy
from mixopt.study import Study
from mixopt.threads import one_blas_thread

_log = logging.getLogger(__name__)
_COUNT: TypeAdapter[int] = TypeAdapter(Count)
Stage = Callable[[str], AbstractContextManager[Any]]


def _quiet(what: str) -> AbstractContextManager[Any]:  # noqa: ARG001 - nobody is told
    return nullcontext()


OUTCOME = "outcome"  # the annotation that holds what was concluded
TAKE_ALONG, LARGE_RUN = "Take the mixture along", "Before a large run"


@one_blas_thread
def conclude(sweep: Sweep) -> Outcome:
    """What the sweep has shown so far: as it was concluded, where nothing has come in since.

    Raises:
        InputError: no search run succeeded.
    """
    observations, how = _searched(sweep), _how(sweep)
    kept = sweep.store.annotations().get(OUTCOME)
    if kept is not None and kept.get("rests_on") == evidence_of(sweep.problem, observations, how):
        try:
            return Outcome.from_dict(kept)
        except StoreError as error:
            _log.info("%s", error)
    chosen = sweep.spec.strategy
    recipe = strategy(chosen.use, **chosen.settings)
    if not isinstance(recipe, Answering):
        raise InputError(f"strategy {chosen.use!r} gives no answer; it has no method 'answer'")
    if not any(o.ok for o in observations):
        raise InputError(_nothing(observations))
    outcome = sweep_outcome(
        sweep.problem,
        observations,
        recipe.answer(sweep.problem, observations, every_metric=True),
        unit=sweep.info.unit,
        warnings=_doubts(sweep),
        unique={d.name: d.tokens for d in sweep.info.domains if d.tokens},
        how=how,
    )
    verdict = learned(outcome.checkup.trust, sweep.past)
    return replace(outcome, checkup=replace(outcome.checkup, trust=verdict))


def concluded(sweep: Sweep, stopped: str = "") -> Outcome | Unanswered:
    """What the sweep has shown so far, or why that is nothing.

    Args:
        sweep: finished, or as far as it has got.
        stopped: why it cannot go on, where it cannot.
    """
    observations = _searched(sweep)
    reason = stopped
    if not stopped:
        try:
            return conclude(sweep)
        except InputError as error:
            reason = str(error)
    return Unanswered.of(reason, observations, _doubts(sweep))


def _doubts(sweep: Sweep) -> tuple[str, ...]:
    """Reasons for doubt that no run says: what was changed, odd data, an end before the end."""
    driver = driver_of(sweep.store.annotations(), time.time())
    halted = driver is not None and driver.state in {PAUSED, LIMIT}
    why = (f"the sweep stopped before its end: {driver.reason}",) if driver and halted else ()
    return (*sweep.changes, *why, *sweep.info.warnings)


def _searched(sweep: Sweep) -> list[Observation]:
    """The runs that an answer rests on: those of a promotion judge it."""
    return [o for o in observations_of(sweep) if o.spec.kind.what is not What.PROMOTION]


def _how(sweep: Sweep) -> str:
    """What decides the answer and its words beside question and runs."""
    chosen = sweep.spec.strategy.model_dump(mode="json")
    past = [one.to_dict() for one in sweep.past]
    return json.dumps([chosen, _doubts(sweep), sweep.info.unit, past], sort_keys=True)


def _nothing(observations: Sequence[Observation]) -> str:
    if not observations:
        return "no run has finished yet; there is nothing to conclude"
    why = last_words(observations)
    return f"none of {len(observations)} runs succeeded; there is nothing to conclude{why}"


def finish(sweep: Sweep, *, trained: int, stopped: str = "") -> Outcome | Unanswered:
    """Conclude, keep outcome and report with the sweep; where nothing is new, they stay.

    Args:
        sweep: that has run.
        trained: runs that have just come in.
        stopped: why it cannot go on, where it cannot.
    """
    outcome = concluded(sweep, stopped)
    kept = sweep.store.annotations().get(OUTCOME) or {}
    if isinstance(outcome, Outcome):
        same = kept.get("rests_on") == outcome.rests_on
        if same and not trained and (sweep.folder / REPORT).is_file():
            return outcome
        sweep.store.annotate({OUTCOME: outcome.to_dict()})
    sweep.store.attach(write_report(sweep, outcome))
    return outcome


def fit_table(runs: RunTable, study: Study, stage: Stage = _quiet) -> Outcome:
    """Fit a study's law to a table of runs, and what it recommends.

    Args:
        runs: what was run.
        study: space, objective and law.
        stage: told what is being done, and entered while it is.

    Raises:
        InputError: see `Study.tell` and `Study.fit`.
    """
    study.tell(runs)
    evidence = study.evidence
    size = (
        f"{len(evidence)} of {len(study)} runs, domains: {len(runs.domains)}, metrics: "
        f"{len(runs.metrics)}"
    )
    with stage(f"Fitting laws to {size}"):
        study.fit()
    with stage("Looking for the best mixture, and checking the answer on held-out runs"):
        return study.outcome


def how_optimistic(study: Study, seed: int) -> str:
    """What halves of the runs say of an answer that was chosen for its prediction; or why nothing.

    Args:
        study: fitted.
        seed: of the halves.
    """
    surrogate, chosen = study.surrogate, study.outcome.recommendation.mixture.array[None]
    rng = np.random.default_rng([seed, 1])
    try:
        told = optimism(surrogate, study.evidence, study.space, rng=rng)
    except InputError as error:
        return f"by how much the answer is predicted too well is not known: {error}"
    value, sd = (float(x[0]) for x in surrogate.moments(chosen))
    runs = f"{told.chosen} runs that a law of the other half chose came out {_beside(told.raw)}"
    off = told.corrected(value, sd) - value
    if off == 0:
        return f"{runs}, which is within chance: the predicted value of the answer stays as it is"
    return f"{runs}; the answer, chosen as they were, is expected to come out {_beside(off)}"


def _beside(off: float) -> str:
    return f"{number(abs(off))} {'worse' if off > 0 else 'better'} than predicted"


def answer(sweep: Sweep) -> tuple[Mixture | Schedule, dict[str, Any]]:
    """The recommended mixture, or schedule, and what is to be said about it in an export.

    Args:
        sweep: finished, or as far as it has got.

    Raises:
        InputError: it has no answer.
    """
    outcome = conclude(sweep)
    summary, recommended = outcome.summary(), outcome.recommendation
    plan = recommended.schedule or recommended.mixture
    provenance = {"sweep": sweep.spec.name, **summary}
    return plan, {"predictions": summary["predicted"], "provenance": provenance}


def price_of(sweep: Sweep, outcome: Outcome, tier: str, at_most: float) -> Price:
    """What it costs to bound a tier of domains, as the model of the outcome predicts it.

    Args:
        sweep: that was concluded.
        outcome: what it has shown.
        tier: `tag=value`, or the name of a group.
        at_most: the largest share of its domains together.

    Raises:
        InputError: an unknown tier, a share outside [0, 1], an answer that was measured and not
            predicted, or whose predictions tell the ranking only.
    """
    space, answer = sweep.problem.space, outcome.recommendation
    named = tier_named(space, tier)
    if outcome.prices.reason:
        raise InputError(f"nothing has a predicted price here: {outcome.prices.reason}")
    W = RunTable.from_observations([o for o in _searched(sweep) if o.ok], space.names).W
    change: Change | float = at_most if at_most > 0 else "without"
    rng = np.random.default_rng([sweep.problem.seed, len(W)])
    row = price(outcome.surrogate, space, answer.mixture.array, named, change, W=W, rng=rng)
    return row.widened(outcome.checkup.widening)


def next_steps(folder: Path, store: str = "mlflow", *, rules: bool = False) -> dict[str, str]:
    """What to do with a finished sweep: what for, and a command that can be copied.

    Args:
        folder: of the sweep.
        store: in which it is kept; a sweep in memory leaves its report alone.
        rules: whether its spec has rules of promotion.
    """
    mixopt, written = command(), {"Report": str(folder / REPORT)}
    if store == "memory":
        return written
    shown = {"Every run, in MLflow": f"{mixopt} ui {folder}"} if store == "mlflow" else {}
    next_gate = {LARGE_RUN: f"{mixopt} promote {folder} --dry-run"} if rules else {}
    return {
        **written,
        **shown,
        "Write the report again": f"{mixopt} report {folder}",
        **next_gate,
        TAKE_ALONG: f"{mixopt} export {folder} -o mixture.json",
    }


def command() -> str:
    """How this `mixopt` is called from here: by name, or by its path in an environment."""
    if shutil.which("mixopt"):
        return "mixopt"
    script = Path(sys.executable).parent / "mixopt"
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def table_space(runs: RunTable, spec: Spec | None = None) -> MixtureSpace:
    """The space of a run table: all mixtures of its domains, or what a spec allows of them.

    Sizes of the domains are the spec's where there is one, else those that its epochs tell.
    """
    if spec is None:
        return sized_space(runs)
    return spec.make_space(tuple(Domain(name) for name in runs.domains))


def scale_asked(text: str) -> Scale:
    """The scale that somebody asks for: `1B/25B` is 1e9 parameters and 25e9 tokens.

    Raises:
        InputError: no two counts with a slash between them.
    """
    try:
        params, tokens = (_COUNT.validate_python(part) for part in text.split("/"))
    except ValueError as error:
        raise InputError(
            f"--at is {text!r}, which is no scale; give parameters and tokens, e.g. 1B/25B or "
            "164k/65536"
        ) from error
    return Scale(params, tokens)


def table_objective(
    runs: RunTable,
    minimize: Sequence[str] | None = None,
    maximize: Sequence[str] | None = None,
    *,
    standardize: bool = False,
    down_weight: bool = False,
) -> Objective:
    """The objective of a run table: the metrics that were named, or the mean of all.

    Raises:
        InputError: a metric is to be both minimised and maximised, or is unknown.
    """
    lower, higher = list(minimize or ()), list(maximize or ())
    both = sorted(set(lower) & set(higher))
    if both:
        raise InputError(f"{both[0]!r} is to be both minimised and maximised; name it once")
    named = Objective.of(lower or ([] if higher else runs.metrics), higher)
    named.check(runs.metrics)
    reliability: Literal["ignore", "down-weight"] = "down-weight" if down_weight else "ignore"
    return replace(named, standardize=standardize, reliability=reliability)
