"""Where a sweep is recorded, and what its record shows people."""

import os
from dataclasses import dataclass
from pathlib import Path

from mixopt.app.running.launch import Sweep
from mixopt.app.running.preparation import STORE_VARIABLE, tracking_uri
from mixopt.app.spec.values import Spec
from mixopt.errors import StoreError
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered
from mixopt.execution.spent import Spent
from mixopt.execution.standing import Standing
from mixopt.ports import Showcase
from mixopt.runs.objective import judged, objective_of
from mixopt.tracking import location
from mixopt.tracking.experiment import experiment_of
from mixopt.tracking.location import Location


@dataclass(frozen=True)
class Pages:
    """Where MLflow shows a sweep.

    Attributes:
        store: whose pages they are.
        experiment: id of the sweep's experiment.
    """

    store: Location
    experiment: str


def pages_of(spec: Spec, folder: Path) -> Pages:
    """Where a sweep can be looked at; its runs are not read.

    Raises:
        StoreError: it is not kept in MLflow, the store cannot be reached, or has no such sweep.
    """
    store = spec.store
    if store.use != "mlflow":
        raise StoreError(f"{folder}: the sweep is kept in {store.use!r}, which MLflow cannot show")
    uri = tracking_uri(spec, folder)
    namespace = store.settings.get("namespace", "")
    return Pages(location.locate(uri), experiment_of(uri, spec.name, namespace))


def place(sweep: Sweep, written: Spec) -> str:
    """Where a sweep is recorded, in words; empty where that goes without saying.

    Args:
        sweep: under way.
        written: its spec as the user wrote it.
    """
    store = sweep.spec.store
    if store.use != "mlflow" or "uri" not in store.settings:
        return ""
    shown = location.locate(tracking_uri(sweep.spec, sweep.folder)).shown
    if "uri" in written.store.settings:
        why = ""
    elif os.environ.get(STORE_VARIABLE):
        why = f", as {STORE_VARIABLE} says; 'uri' under store would win"
    else:
        why = ", where it began; 'uri' under store would win"
    return f"Recorded in {shown}{why}"


def introduce(sweep: Sweep) -> None:
    """Show in the record what the sweep is made of, and how its runs compare."""
    store, objective = sweep.store, sweep.problem.objective
    if isinstance(store, Showcase):
        # In units of the spread of runs, the number of a run changes with every other that comes;
        # and so do weights by reliability.
        changes = objective.standardize or objective.reliability != "ignore"
        value = None if changes else lambda m: objective_of(m, objective)
        store.introduce(sweep.info, sweep.spec.trainer.use, value)


def summarize(sweep: Sweep, state: str, answer: Outcome | Unanswered | None = None) -> None:
    """Show in the record how the sweep has ended, or stands.

    Args:
        sweep: that ran.
        state: see `Showcase.summarize`.
        answer: what it has shown, if that is known.
    """
    store = sweep.store
    if not isinstance(store, Showcase):
        return
    standing = Standing(sweep.problem.objective)
    observations = [judged(o, sweep.problem.objective) for o in store.observations()]
    for seen in observations:
        standing.add(seen)
    spent = Spent.of(observations)
    figures: dict[str, float] = {
        "runs": standing.done,
        "failed": standing.failed,
        "flops": spent.flops,
        "slot_hours": spent.slot_hours,
        "gpu_hours": spent.gpu_hours,
    }
    if standing.best is not None:
        figures = {"best": standing.best.value, **figures}
    store.summarize(state, figures, _words(state, standing.done, answer))


def _words(state: str, runs: int, answer: Outcome | Unanswered | None) -> str:
    lines = [f"{state.capitalize()} with {runs} runs."]
    if answer is not None:
        lines += [answer.headline, answer.verdict.line]
    if isinstance(answer, Outcome):
        shares = answer.recommendation.mixture.to_dict()
        largest = sorted(shares.items(), key=lambda item: -item[1])[:12]
        if answer.objective.weighing:
            lines.append(f"The {answer.objective.weighing}.")
        lines.append("Recommended: " + ", ".join(f"{name} {w:.1%}" for name, w in largest))
    return "\n".join(lines)
