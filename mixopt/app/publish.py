"""What becomes of a sweep: its outcome, its report, its exports, and what to do next."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mixopt import export, report
from mixopt.app.launch import Sweep
from mixopt.app.spec import Spec
from mixopt.errors import StoreError
from mixopt.evidence.outcome import Outcome, TradeOff, sweep_outcome, trade_offs
from mixopt.runs import Observation
from mixopt.runs.knobs import Value
from mixopt.runs.run_table import RunTable
from mixopt.space import Domain, MixtureSpace
from mixopt.strategies import FrontFinder, JointRecommender, Recommender, strategy

REPORT = "report.html"


def conclude(sweep: Sweep, *, every_metric: bool = True) -> Outcome:
    """What the sweep has found so far; `every_metric` as in `mixopt.evidence.checkup.check`.

    Raises:
        InputError: no search run succeeded.
    """
    chosen, observations = sweep.spec.strategy, sweep.store.observations()
    recipe = strategy(chosen.use, **chosen.settings)
    answer, settings, front = None, dict[str, Value](), tuple[TradeOff, ...]()
    problem, shown = sweep.problem, observations
    if isinstance(recipe, Recommender) and any(o.ok for o in observations):
        answer = recipe.recommend(problem, observations)
        if isinstance(recipe, JointRecommender):
            answer, settings = recipe.recommend_joint(problem, observations)
            shown = recipe.at_answer(problem, observations)
        if isinstance(recipe, FrontFinder):
            front = trade_offs(recipe, problem, observations)
    outcome = sweep_outcome(
        problem,
        shown,
        law=str(getattr(recipe, "law", "auto")),
        recommended=answer,
        unit=sweep.info.unit,
        warnings=sweep.info.warnings,
        every_metric=every_metric,
    )
    return replace(outcome, settings=settings, front=front)


def finish(sweep: Sweep, *, trained: int) -> Outcome:
    """Conclude, keep recommendation and report with the sweep.

    Where nothing was trained since the report, the report stays, and what only it shows is not
    computed again.
    """
    if not trained and (sweep.folder / REPORT).is_file():
        return conclude(sweep, every_metric=False)
    outcome = conclude(sweep)
    path = write_report(sweep, outcome)
    sweep.store.annotate({"outcome": outcome.to_dict()})
    sweep.store.attach(path)
    return outcome


def write_report(sweep: Sweep, outcome: Outcome, path: Path | None = None) -> Path:
    """Write the sweep's HTML report; `report.html` in its folder by default."""
    target = path or sweep.folder / REPORT
    facts = {
        "spec": sweep.spec.model_dump(mode="json"),
        "data manifest": sweep.info.data,
        "data": dict(sweep.info.notes),
        "mixopt": version("mixopt"),
    }
    observations = tuple(sweep.store.observations())
    try:
        report.write(target, _report_data(outcome, sweep.spec.name, observations, facts))
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}; give another path") from error
    return target


def write_table_report(path: Path, outcome: Outcome, title: str) -> None:
    """Write the HTML report of a fitted run table.

    Raises:
        StoreError: the file cannot be written.
    """
    study = outcome.study
    observations = report.table_observations(study.table, study.space.names)
    try:
        report.write(path, _report_data(outcome, title, observations, {}))
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; give another path") from error


def _report_data(
    outcome: Outcome, title: str, observations: tuple[Observation, ...], facts: Mapping[str, Any]
) -> report.ReportData:
    study, surrogate = outcome.study, outcome.study.surrogate
    found = outcome.checkup.validation
    held_out: report.HeldOut | None = None
    if found is not None:
        predicted = found.predicted
        held_out = report.HeldOut(
            found.metrics, found.observed, predicted.mean, predicted.total_sd, _names(study.table)
        )
    return report.ReportData(
        title,
        study.space,
        study.objective,
        observations,
        outcome.recommendation,
        outcome.confirmation,
        held_out,
        predict=surrogate.predict,
        metrics=surrogate.metrics,
        unit=outcome.unit,
        diagnostics=tuple(outcome.checkup.lines()),
        facts=facts,
        warnings=outcome.warnings,
        settings=outcome.settings,
        front=tuple((t.mixture, t.objectives) for t in outcome.front),
    )


def export_sweep(sweep: Sweep, target: str, **options: Any) -> str:
    """The recommended mixture in a trainer's own format.

    Args:
        sweep: finished, or as far as it has got.
        target: a name of `mixopt.export.EXPORTERS`.
        options: of that format, e.g. `paths={"web": "/data/web"}`.

    Raises:
        InputError: an unknown format, or one that lacks something.
    """
    outcome = conclude(sweep)
    provenance = {"sweep": sweep.spec.name, **outcome.to_dict()}
    mixture = outcome.recommendation.mixture
    return export.export(mixture, target, provenance=provenance, **options)


def _names(runs: RunTable) -> tuple[str, ...]:
    return tuple(str(name)[:8] for name in runs.facts["run"]) if "run" in runs.facts else ()


def next_steps(folder: Path) -> dict[str, str]:
    """What to do with a finished sweep: what for, and a command that can be copied."""
    mixopt = _command()
    return {
        "Report": str(folder / REPORT),
        "Every run, in MLflow": f"{mixopt} ui {folder}",
        "Write the report again": f"{mixopt} report {folder}",
        "Take the mixture along": f"{mixopt} export {folder} --format hf-datasets",
    }


def _command() -> str:
    """How this `mixopt` is called from here: by name, or by its path in an environment."""
    if shutil.which("mixopt"):
        return "mixopt"
    script = Path(sys.executable).parent / "mixopt"
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def table_space(runs: RunTable, spec: Spec | None = None) -> MixtureSpace:
    """The space of a run table: all mixtures of its domains, or what a spec allows of them."""
    if spec is None:
        return MixtureSpace(runs.domains)
    return spec.make_space(tuple(Domain(name) for name in runs.domains))
