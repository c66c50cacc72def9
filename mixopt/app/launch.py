"""From a spec to a sweep: the one place that puts trainer, executor, store and strategy together.

A sweep lives in a folder (`runs/<name>` by default): the MLflow database and artifacts, the report
and the result. `run` makes or continues it, `open_sweep` reads it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mixopt.app.record import (
    changes_of,
    check_folder,
    claim,
    compare,
    keep_spec,
    read_info,
    remembered_spec,
)
from mixopt.app.spec import Spec, read_spec
from mixopt.errors import InputError, SpecError, StoreError
from mixopt.execution import check_executor
from mixopt.execution import executor as make
from mixopt.execution.local import make_trainer
from mixopt.execution.sweep import SweepStatus, run_sweep
from mixopt.ports import (
    ContinuingTrainer,
    Executor,
    PackingTrainer,
    Store,
    Trainer,
    TrainerInfo,
    capabilities_of,
)
from mixopt.runs import Scale
from mixopt.runs.knobs import set_knobs
from mixopt.runs.objective import judged
from mixopt.runs.reading import read_table
from mixopt.runs.run_table import RunTable
from mixopt.strategies import (
    Checking,
    Problem,
    Strategy,
    strategy,
    traits_of,
)
from mixopt.strategies.warm import earlier_runs
from mixopt.tracking import database_uri, open_store

RUNS = Path("runs")
_WARM = "warm start"  # the annotation that holds the runs of earlier studies


@dataclass(frozen=True)
class Sweep:
    """A sweep as its spec and its store have it.

    Attributes:
        spec: the checked spec.
        folder: where database, artifacts and report are.
        info: what the trainer said of its data.
        problem: space, objective, scales.
        store: the record.
        runtime: settings of the trainer that say how it trains.
        trainer: as prepared on this machine; None where the sweep is only read.
        changes: of the spec since the first run, in words.
    """

    spec: Spec
    folder: Path
    info: TrainerInfo
    problem: Problem
    store: Store
    runtime: Mapping[str, Any] = field(default_factory=dict, hash=False)
    trainer: Trainer | None = None
    changes: tuple[str, ...] = ()


def folder_of(spec: Spec, out: Path | None = None) -> Path:
    """The folder of a sweep: `out`, or `runs/<name>` below the current one."""
    return out if out is not None else RUNS / spec.name


@contextmanager
def new_sweep(spec: Spec, out: Path | None = None) -> Iterator[tuple[Sweep, Strategy]]:
    """Prepare the trainer's data and open the store; closes the store at the end.

    Everything that can be refused is refused here, before any training: unknown metrics and
    domains, infeasible constraints, a store that cannot be written or holds another sweep.

    Raises:
        SpecError: a field of the spec does not fit the trainer's data.
        StoreError: the store cannot be used.
    """
    recipe: Strategy = _at(
        "strategy", lambda: strategy(spec.strategy.use, **spec.strategy.settings)
    )
    _check_knobs(spec, recipe)
    _at("execution", lambda: check_executor(spec.execution.use, spec.execution.settings))
    folder = folder_of(spec, out)
    check_folder(folder, spec)
    trainer = _trainer(spec, spec.trainer.config, spec.trainer.runtime)
    _check_schedules(spec, recipe, trainer)
    info = _at("trainer.config", lambda: trainer.prepare(cache_of(spec)))
    config, runtime = _matched(spec, info, trainer), dict(spec.trainer.runtime)
    able, traits = capabilities_of(trainer), traits_of(recipe)
    if traits.continuation and able.continues:
        runtime.setdefault("continue_to", max(scale.tokens for scale in spec.scales))
    elif traits.continuation:
        info = replace(info, warnings=(*info.warnings, _from_the_start(spec)))
    trainer = _trainer(spec, config, runtime)  # as the workers make it
    problem = _problem(spec, info, config)
    _at("objective", lambda: problem.objective.check(info.metrics))
    if isinstance(recipe, Checking):
        _at("strategy", lambda: recipe.check(problem, info.metrics))
    with _open_store(spec, folder) as store:
        compare(store, spec, info, config)  # refuses, before anything is written
        problem = replace(problem, earlier=_earlier(spec, problem, store, recipe))
        claim(store, spec, info, config)
        keep_spec(folder, spec)
        yield (
            Sweep(spec, folder, info, problem, store, runtime, trainer, changes_of(store)),
            recipe,
        )


@contextmanager
def open_sweep(folder: Path) -> Iterator[Sweep]:
    """The sweep that lives in a folder, for reports and exports; nothing is prepared or trained.

    Raises:
        StoreError: there is no sweep in the folder.
    """
    spec = remembered_spec(folder)
    with _open_store(spec, folder, read_only=True) as store:
        kept = store.annotations()
        if "info" not in kept:
            raise StoreError(f"{folder}: the sweep never started; 'mixopt run' starts it")
        info = read_info(kept["info"])
        problem = replace(_problem(spec, info, kept["config"]), earlier=_frozen(kept))
        yield Sweep(spec, folder, info, problem, store, changes=changes_of(store))


@contextmanager
def make_executor(spec: Spec) -> Iterator[Executor]:
    """The executor that the spec names; closed at the end, also after an error or Ctrl-C."""
    execution = spec.execution
    executor: Executor = _at(
        "execution", lambda: make(execution.use, cache_of(spec), execution.settings)
    )
    try:
        yield executor
    finally:
        executor.close()


def run(
    sweep: Sweep, recipe: Strategy, on_change: Callable[[SweepStatus], None] | None = None
) -> SweepStatus:
    """Run a sweep, or what is left of it. No executor is started when nothing is left.

    Raises:
        MixoptError: see `mixopt.execution.sweep.run_sweep`.
    """
    if is_finished(sweep, recipe):
        observations = [judged(o, sweep.problem.objective) for o in sweep.store.observations()]
        return SweepStatus(
            planned=len(observations),
            done=len(observations),
            failed=sum(not o.ok for o in observations),
            flops=sum(o.flops for o in observations),
        )
    with make_executor(sweep.spec) as executor:
        status = run_sweep(
            recipe,
            sweep.problem,
            executor,
            sweep.store,
            pack_size=lambda scale: _pack_size(sweep, scale),
            runtime=sweep.runtime,
            on_change=on_change,
        )
    trainer = sweep.trainer
    if isinstance(trainer, ContinuingTrainer) and capabilities_of(trainer).continues:
        specs = [o.spec for o in sweep.store.observations()]
        trainer.forget(specs, cache_of(sweep.spec))
    return status


def _pack_size(sweep: Sweep, scale: Scale) -> int:
    """The spec's pack size, else what the trainer prefers, else 1."""
    given = sweep.spec.execution.pack_size
    if given is not None:
        return given
    trainer = sweep.trainer
    if isinstance(trainer, PackingTrainer) and capabilities_of(trainer).packs:
        return trainer.preferred_pack(scale, cache_of(sweep.spec))
    return 1


def is_finished(sweep: Sweep, recipe: Strategy) -> bool:
    """Whether the strategy has nothing left to ask."""
    if sweep.store.pending():
        return False
    return not recipe.next(sweep.problem, sweep.store.observations(), [])


def sweep_folder(path: Path) -> Path:
    """The folder of a sweep, given that folder or the spec that made it."""
    if path.suffix in {".yaml", ".yml"} or (path / "spec.yaml").is_file():
        return folder_of(read_spec(path))
    return path


def store_uri(folder: Path) -> str:
    """The MLflow tracking URI of the sweep in a folder.

    Raises:
        StoreError: there is no sweep in the folder, or it is not kept in MLflow.
    """
    store = remembered_spec(folder).store
    if store.use != "mlflow":
        raise StoreError(f"{folder}: the sweep is kept in {store.use!r}, which MLflow cannot show")
    return str(store.settings.get("uri") or database_uri(folder))


def cache_of(spec: Spec) -> Path:
    """Where prepared data is kept, shared by all sweeps of a folder."""
    return Path(spec.execution.cache or RUNS / "cache").resolve()


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


def _trainer(spec: Spec, config: Mapping[str, Any], runtime: Mapping[str, Any]) -> Trainer:
    made: Trainer = _at("trainer", lambda: make_trainer(spec.trainer.use, config, runtime))
    return made


def _problem(spec: Spec, info: TrainerInfo, config: Mapping[str, Any]) -> Problem:
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


def _check_knobs(spec: Spec, recipe: Strategy) -> None:
    """Refuse knobs that nobody would turn, before any data is prepared."""
    middle = {knob.name: knob.middle for knob in spec.make_knobs()}
    if middle:
        config = set_knobs(spec.trainer.config, middle)
        _at("knobs", lambda: make_trainer(spec.trainer.use, config, spec.trainer.runtime))
    if spec.knobs and not traits_of(recipe).knobs:
        raise SpecError(
            f"strategy {spec.strategy.use!r} searches mixtures alone; use 'joint', or set "
            f"{', '.join(spec.knobs)} in trainer.config",
            "knobs",
        )


def _check_schedules(spec: Spec, recipe: Strategy, trainer: Trainer) -> None:
    """Refuse a strategy whose runs the trainer cannot train."""
    if traits_of(recipe).schedules and not capabilities_of(trainer).schedules:
        raise SpecError(
            f"strategy {spec.strategy.use!r} asks for runs whose mixture changes on the way, and "
            f"trainer {spec.trainer.use} does not train them; take another strategy, or a trainer "
            "that declares schedules",
            "strategy",
        )


def _from_the_start(spec: Spec) -> str:
    return (
        f"strategy {spec.strategy.use!r} continues runs and trainer {spec.trainer.use} cannot: "
        "what goes on to a larger scale is trained from its start"
    )


def _earlier(spec: Spec, problem: Problem, store: Store, recipe: Strategy) -> tuple[RunTable, ...]:
    """The runs of earlier studies, read once: a resume sees them as they were at the start."""
    if not spec.warm_start:
        return ()
    if not traits_of(recipe).earlier:
        raise SpecError(
            f"strategy {spec.strategy.use!r} learns nothing from earlier studies; use 'auto' or "
            "'ladder', or leave 'warm_start' out",
            "warm_start",
        )
    kept = store.annotations()
    if _WARM not in kept or not (store.observations() or store.pending()):
        paths = [Path(path) for path in spec.warm_start]
        tables = _at("warm_start", lambda: [t for path in paths for t in _study(path, problem)])
        store.annotate({_WARM: [table.frame.to_dict(orient="list") for table in tables]})
        kept = store.annotations()
    return _frozen(kept)


def _study(path: Path, problem: Problem) -> tuple[RunTable, ...]:
    """The runs of a sweep's folder or of a table, in the domains of the problem."""
    if not path.exists():
        raise InputError(
            f"{path}: no such folder or file; give the folder of a sweep (runs/<name>), or a run "
            "table"
        )
    if not path.is_dir():
        return earlier_runs(read_table(path), problem.space, problem.objective)
    with open_sweep(path) as old:
        search = [o for o in old.store.observations() if o.spec.kind.in_search]
        runs = RunTable.from_observations(search, old.problem.space.names)
        domains = old.problem.space.domains
        return earlier_runs(runs, problem.space, problem.objective, domains=domains)


def _frozen(kept: Mapping[str, Any]) -> tuple[RunTable, ...]:
    return tuple(RunTable.from_frame(pd.DataFrame(values)) for values in kept.get(_WARM, ()))


@contextmanager
def _open_store(spec: Spec, folder: Path, *, read_only: bool = False) -> Iterator[Store]:
    if not read_only:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot write to {folder}: {error}; free some space or give another folder "
                "with --out"
            ) from error
    use, settings = spec.store.use, spec.store.settings
    store: Store = _at(
        "store", lambda: open_store(use, folder, spec.name, settings, read_only=read_only)
    )
    try:
        yield store
    finally:
        store.release()


def _at(path: str, make: Callable[[], Any]) -> Any:
    """Run a step; what it refuses is reported at a path of the spec."""
    try:
        return make()
    except SpecError:
        raise
    except InputError as error:
        raise SpecError(str(error), path) from error
