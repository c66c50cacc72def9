"""From a spec to what a sweep works on: everything named in it made, checked, its data prepared."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixopt.app.running.checks import (
    at,
    by_setting,
    check_folders,
    check_scales,
    make_strategy,
    make_trainer,
    prepare,
)
from mixopt.app.running.demands import (
    check_guards,
    check_injections,
    check_knobs,
    check_mixers,
    check_nodes,
    check_schedules,
    check_warm_start,
)
from mixopt.app.running.durable import check_durable, runs_folder
from mixopt.app.running.trunks import parted
from mixopt.app.spec.values import Spec
from mixopt.app.spec.where import StoreSpec
from mixopt.errors import SpecError
from mixopt.execution import check_executor
from mixopt.ports import Trainer, TrainerInfo, capabilities_of
from mixopt.space.redaction import password_of
from mixopt.strategies import Checking, Parting, Problem, Strategy, traits_of
from mixopt.strategies.ledger import check_law
from mixopt.tracking import check_store, database_file, database_uri, location

RUNS = runs_folder()
STORE_VARIABLE = "MLFLOW_TRACKING_URI"
"""The variable by which MLflow's users name their server."""


@dataclass(frozen=True)
class Prepared:
    """What a spec names, made and checked; nothing is written to a store.

    Attributes:
        recipe: the strategy.
        trainer: as the workers make it, its data prepared.
        runtime: settings of the trainer that say how it trains.
        info: what it said of its data.
        problem: space, objective, scales.
    """

    recipe: Strategy
    trainer: Trainer
    runtime: Mapping[str, Any]
    info: TrainerInfo
    problem: Problem


def prepared(spec: Spec, folder: Path, *, dry: Path | None = None) -> Prepared:
    """Make and check what a spec names, and prepare the trainer's data.

    Args:
        spec: of the sweep.
        folder: of the sweep.
        dry: where data is prepared in place of the cache; then nothing else is written anywhere.

    Raises:
        MixoptError: see `mixopt.app.running.launch.new_sweep`.
    """
    recipe = make_strategy(spec)
    trainer = make_trainer(spec)
    check_knobs(spec, recipe)
    check_schedules(spec, recipe, trainer)
    check_warm_start(spec, recipe)
    check_nodes(spec, trainer)
    spec.make_objective()
    check_durable(spec, folder, cache_of(spec))
    if dry is None:
        check_folders(folder, cache_of(spec))
    runs, store = spec.execution, spec.store
    by_setting("execution", runs.settings, lambda: check_executor(runs.use, runs.settings))
    by_setting("store", store.settings, lambda: check_store(store.use, store.settings))
    if spec.store.use == "mlflow":
        place = location.locate(tracking_uri(spec, folder))
        if dry is None or place.is_server:
            location.check(place)
    info = prepare(trainer, dry or cache_of(spec))
    check_scales(spec, trainer, dry or cache_of(spec))
    config, runtime = _matched(spec, info, trainer), dict(spec.trainer.runtime)
    able, traits = capabilities_of(trainer), traits_of(recipe)
    if traits.continuation and able.continues:
        runtime.setdefault("continue_to", max(scale.tokens for scale in spec.scales))
    elif traits.continuation:
        info = replace(info, warnings=(*info.warnings, _from_the_start(spec)))
    if isinstance(recipe, Parting):
        config, runtime, doubts = parted(spec, recipe, able, config, runtime)
        info = replace(info, warnings=(*info.warnings, *doubts))
    trainer = make_trainer(spec, config, runtime)  # as the workers make it
    problem = problem_of(spec, info, config)
    at("objective", lambda: problem.objective.check(info.metrics))
    if problem.objective.reliability != "ignore" and not traits.repeats:
        raise SpecError(
            f"is {problem.objective.reliability!r}, and the strategy {spec.strategy.use!r} runs no "
            "mixture twice, so that no noise is known; use the strategy 'auto' with 'repeats: 4', "
            "or leave it out",
            "objective.reliability",
        )
    check_guards(spec, problem.space)
    check_mixers(recipe, trainer, problem)
    at("strategy", lambda: check_law(recipe, problem))
    if isinstance(recipe, Checking):
        at("strategy", lambda: recipe.check(problem, info.metrics))
    check_injections(spec, recipe, trainer, problem, dry or cache_of(spec))
    return Prepared(recipe, trainer, runtime, info, problem)


def tracking_uri(spec: Spec, folder: Path) -> str:
    """The MLflow tracking URI: the spec's (see `settled`), or SQLite in the sweep's folder."""
    return spec.store.settings.get("uri") or database_uri(folder)


def settled(spec: Spec, folder: Path, before: Spec | None) -> Spec:
    """The spec with the place of its record, where it does not name one itself.

    A sweep stays where it began: where its folder says, or in the database in its folder. A new
    one begins where `MLFLOW_TRACKING_URI` says, if it is set.

    Args:
        spec: as it was written.
        folder: of the sweep.
        before: the spec that the folder holds, if any.
    """
    store, variable = spec.store, os.environ.get(STORE_VARIABLE)
    if store.use != "mlflow" or store.settings.get("uri"):
        return spec
    uri = None
    if before is not None and before.store.use == "mlflow":
        uri = before.store.settings.get("uri")
    if uri is None and variable and not database_file(folder).exists():
        uri = f"${STORE_VARIABLE}" if password_of(variable) else variable
    if uri is None:
        return spec
    named = StoreSpec(use=store.use, **{**store.settings, "uri": uri})
    return spec.model_copy(update={"store": named})


def cache_of(spec: Spec) -> Path:
    """Where prepared data is kept, shared by all sweeps of a folder."""
    return Path(spec.execution.cache or RUNS / "cache").resolve()


def problem_of(spec: Spec, info: TrainerInfo, config: Mapping[str, Any]) -> Problem:
    """The problem that a spec poses over a trainer's data.

    Raises:
        SpecError: a part of the spec does not fit the data.
    """
    return Problem(
        space=spec.make_space(info.domains),
        objective=spec.make_objective(),
        scales=spec.make_scales(),
        trainer=spec.trainer.use,
        config=config,
        data=info.data,
        seed=spec.seed,
        knobs=spec.make_knobs(),
    )


def _matched(spec: Spec, info: TrainerInfo, trainer: Trainer) -> dict[str, Any]:
    """The trainer's configuration, told to repeat domains as often as the target run will.

    On by default where the target's budget is known and the trainer can (2606.07597);
    `match_repetition: false` in its configuration turns it off.
    """
    config = dict(spec.trainer.config)
    able, budget = capabilities_of(trainer).matches_repetition, spec.space.budget
    if able and budget is not None and "match_repetition" not in config:
        domains = spec.make_space(info.domains).domains
        tokens = {d.name: d.tokens for d in domains if d.tokens}
        config["match_repetition"] = {"budget": budget, "tokens": tokens}
    return config


def _from_the_start(spec: Spec) -> str:
    return (
        f"strategy {spec.strategy.use!r} continues runs and trainer {spec.trainer.use} cannot: "
        "what goes on to a larger scale is trained from its start"
    )
