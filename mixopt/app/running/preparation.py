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
from mixopt.app.running.demands import check_demands, check_doses, check_guards
from mixopt.app.running.durable import RUNS, check_durable
from mixopt.app.running.periods import long_periods
from mixopt.app.running.record import SPEC_FILE
from mixopt.app.running.sources import check_sources
from mixopt.app.running.trunks import parted
from mixopt.app.spec.values import Spec
from mixopt.app.spec.where import StoreSpec
from mixopt.execution import check_executor
from mixopt.ports import Trainer, TrainerInfo, capabilities_of
from mixopt.space.redaction import password_of
from mixopt.strategies import Checking, Parting, Problem, Strategy, traits_of
from mixopt.strategies.dependence import INJECTIONS
from mixopt.strategies.ledger import check_law
from mixopt.tracking import check_store, database_file, database_uri, location

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


@dataclass(frozen=True)
class Checked:
    """What a spec names, made and checked as far as no data is needed for that.

    Attributes:
        spec: it.
        recipe: the strategy.
        trainer: by the configuration of the spec.
        config, runtime: of the trainer, with what the strategy has to tell it.
        doubts: what is odd about that.
    """

    spec: Spec
    recipe: Strategy
    trainer: Trainer
    config: Mapping[str, Any]
    runtime: Mapping[str, Any]
    doubts: tuple[str, ...]


def checked(spec: Spec, folder: Path, *, dry: bool = False) -> Checked:
    """Make what a spec names and refuse all that can be refused before data is prepared.

    Args:
        spec: of the sweep.
        folder: of the sweep.
        dry: write nothing anywhere.

    Raises:
        MixoptError: see `mixopt.app.running.launch.new_sweep`.
    """
    recipe = make_strategy(spec)
    trainer = make_trainer(spec)
    check_demands(spec, recipe, trainer)
    spec.make_objective()
    told = _told(spec, recipe, trainer)
    check_durable(spec, folder, cache_of(spec))
    if not dry:
        check_folders(folder, cache_of(spec))
    runs, store = spec.execution, spec.store
    by_setting("execution", runs.settings, lambda: check_executor(runs.use, runs.settings))
    by_setting("store", store.settings, lambda: check_store(store.use, store.settings))
    if spec.store.use == "mlflow":
        place = location.locate(tracking_uri(spec, folder))
        if not dry or place.is_server:
            location.check(place)
    if not (folder / SPEC_FILE).is_file():  # a sweep that is there has read them
        at("warm_start", lambda: check_sources(map(Path, spec.warm_start)))
    return told


def _told(spec: Spec, recipe: Strategy, trainer: Trainer) -> Checked:
    """With what the strategy has to tell the trainer: how far runs may go on, where they part."""
    config, runtime = dict(spec.trainer.config), dict(spec.trainer.runtime)
    able, doubts = capabilities_of(trainer), list[str]()
    continues = traits_of(recipe).continuation
    if continues and able.continues:
        runtime.setdefault("continue_to", max(scale.tokens for scale in spec.scales))
    elif continues:
        doubts.append(_from_the_start(spec))
    if isinstance(recipe, Parting):
        config, runtime, more = parted(spec, recipe, able, config, runtime)
        doubts += more
    return Checked(spec, recipe, trainer, config, runtime, tuple(doubts))


def prepared(made: Checked, cache: Path | None = None) -> Prepared:
    """Prepare the trainer's data, and check what a spec says of them.

    Args:
        made: what the spec names.
        cache: where data is prepared, in place of the spec's.

    Raises:
        MixoptError: see `mixopt.app.running.launch.new_sweep`.
    """
    spec, recipe, cache = made.spec, made.recipe, cache or cache_of(made.spec)
    info = prepare(made.trainer, cache)
    check_scales(spec, made.trainer, cache)
    info = replace(info, warnings=(*info.warnings, *made.doubts))
    config = _matched(made, info)
    trainer = make_trainer(spec, config, made.runtime)  # as the workers make it
    problem = problem_of(spec, info, config)
    at("objective", lambda: problem.objective.check(info.metrics))
    check_guards(spec, problem.space)
    doubts = long_periods(recipe, trainer, problem, cache)
    info = replace(info, warnings=(*info.warnings, *doubts))
    at("strategy", lambda: check_law(recipe, problem))
    if isinstance(recipe, Checking):
        at("strategy", lambda: recipe.check(problem, info.metrics))
    check_doses(spec, recipe, problem, cache)
    return Prepared(recipe, trainer, made.runtime, info, problem)


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


def _matched(made: Checked, info: TrainerInfo) -> Mapping[str, Any]:
    """The trainer's configuration, told to repeat domains as often as the target run will.

    On by default where the target's budget is known and the trainer can (2606.07597);
    `match_repetition: false` in its configuration turns it off.
    """
    able, budget = capabilities_of(made.trainer).matches_repetition, made.spec.space.budget
    if not able or budget is None or "match_repetition" in made.config:
        return made.config
    domains = made.spec.make_space(info.domains).domains
    tokens = {d.name: d.tokens for d in domains if d.tokens}
    return {**made.config, "match_repetition": {"budget": budget, "tokens": tokens}}


def _from_the_start(spec: Spec) -> str:
    hint = ""
    if INJECTIONS in spec.trainer.config:
        hint = (
            " (with injections, proxies:LanguageModelTrainer has runs go on where inject_over says "
            "over how many tokens they are spread)"
        )
    return (
        f"strategy {spec.strategy.use!r} continues runs and trainer {spec.trainer.use} cannot: "
        f"what goes on to a larger scale is trained from its start{hint}"
    )
