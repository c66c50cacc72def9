"""From a spec to a sweep: the one place that puts trainer, executor, store and strategy together.

A sweep lives in a folder (`runs/<name>` by default): the MLflow database and artifacts, the report
and the result. `run` makes or continues it, `open_sweep` reads it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mixopt import lazy
from mixopt.app.spec import Spec, parse_spec, read_spec
from mixopt.errors import InputError, SpecError, StoreError
from mixopt.execution.sweep import SweepStatus, run_sweep
from mixopt.ports import Executor, PackingTrainer, Store, Trainer, TrainerInfo
from mixopt.runs import Scale
from mixopt.runs.kinds import CONFIRM
from mixopt.runs.knobs import set_knobs
from mixopt.runs.run_table import RunTable, read_table
from mixopt.space import Domain
from mixopt.strategies import Checking, Problem, Strategy, strategy
from mixopt.strategies.warm import earlier_runs

RUNS = Path("runs")
# What a run's identity rests on: a store that holds another sweep is refused by these.
_IDENTITY = ("name", "seed", "trainer", "scales")
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
        trainer: as prepared on this machine; None where the sweep is only read.
    """

    spec: Spec
    folder: Path
    info: TrainerInfo
    problem: Problem
    store: Store
    trainer: Trainer | None = None


def folder_of(spec: Spec, out: Path | None = None) -> Path:
    """The folder of a sweep: `out`, or `runs/<name>` below the current one."""
    return out if out is not None else RUNS / spec.name


def tracking_uri(spec: Spec, folder: Path) -> str:
    """The MLflow tracking URI: the spec's, or SQLite in the sweep's folder."""
    return spec.store.uri or f"sqlite:///{(folder / 'mlflow.db').resolve()}"


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
    folder = folder_of(spec, out)
    trainer: Trainer = _at(
        "trainer", lambda: lazy.build(lazy.load(spec.trainer.use), spec.trainer.config, "trainer")
    )
    info = _at("trainer.config", lambda: trainer.prepare(cache_of(spec)))
    config = _matched(spec, info, trainer)
    if getattr(recipe, "continues_runs", False) and getattr(trainer, "can_continue", False):
        config.setdefault("continue_to", max(scale.tokens for scale in spec.scales))
    problem = _problem(spec, info, config)
    _at("objective", lambda: problem.objective.check(info.metrics))
    if isinstance(recipe, Checking):
        _at("strategy", lambda: recipe.check(problem, info.metrics))
    with _open_store(spec, folder) as store:
        _claim(store, spec, info, config)
        problem = replace(problem, earlier=_earlier(spec, problem, store, recipe))
        yield Sweep(spec, folder, info, problem, store, trainer), recipe


@contextmanager
def open_sweep(folder: Path) -> Iterator[Sweep]:
    """The sweep that lives in a folder, for reports and exports; nothing is prepared or trained.

    Raises:
        StoreError: there is no sweep in the folder.
    """
    spec = _remembered_spec(folder)
    with _open_store(spec, folder, read_only=True) as store:
        kept = store.annotations()
        if "info" not in kept:
            raise StoreError(f"{folder}: the sweep never started; 'mixopt run' starts it")
        info = _read_info(kept["info"])
        problem = replace(_problem(spec, info, kept["config"]), earlier=_frozen(kept))
        yield Sweep(spec, folder, info, problem, store)


@contextmanager
def make_executor(spec: Spec) -> Iterator[Executor]:
    """The executor that the spec names; closed at the end, also after an error or Ctrl-C."""
    execution = spec.execution
    if execution.executor == "local":
        executor: Executor = lazy.load("mixopt.execution.local:LocalExecutor")(cache_of(spec))
    else:
        executor = lazy.load("mixopt.execution.ray:RayExecutor")(
            cache_of(spec),
            address=execution.address,
            cpus_per_pack=execution.cpus_per_pack,
            gpus_per_pack=execution.gpus_per_pack,
            retries=execution.retries,
            slots=execution.slots,
            runtime_env=execution.runtime_env,
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
        observations = sweep.store.observations()
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
            on_change=on_change,
        )
    if isinstance(sweep.trainer, PackingTrainer):
        specs = [o.spec for o in sweep.store.observations()]
        sweep.trainer.forget(specs, cache_of(sweep.spec))
    return status


def _pack_size(sweep: Sweep, scale: Scale) -> int:
    """The spec's pack size, else what the trainer prefers, else 1."""
    given = sweep.spec.execution.pack_size
    if given is not None:
        return given
    if isinstance(sweep.trainer, PackingTrainer):
        return sweep.trainer.preferred_pack(scale, cache_of(sweep.spec))
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
        StoreError: there is no sweep in the folder.
    """
    return tracking_uri(_remembered_spec(folder), folder)


def cache_of(spec: Spec) -> Path:
    """Where prepared data is kept, shared by all sweeps of a folder."""
    return Path(spec.execution.cache or RUNS / "cache").resolve()


def _matched(spec: Spec, info: TrainerInfo, trainer: Trainer) -> dict[str, Any]:
    """The trainer's configuration, told to repeat domains as often as the target run will.

    On by default where the target's budget is known and the trainer can (2606.07597);
    `match_repetition: false` in its configuration turns it off.
    """
    config = dict(spec.trainer.config)
    able = getattr(trainer, "can_match_repetition", False)
    if able and spec.space.budget is not None and "match_repetition" not in config:
        domains = spec.make_space(info.domains).domains
        tokens = {d.name: d.tokens for d in domains if d.tokens}
        config["match_repetition"] = {"budget": spec.space.budget, "tokens": tokens}
    return config


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
        _at("knobs", lambda: lazy.build(lazy.load(spec.trainer.use), config, "trainer"))
    if spec.knobs and not getattr(recipe, "uses_knobs", False):
        raise SpecError(
            f"strategy {spec.strategy.use!r} searches mixtures alone; use 'joint', or set "
            f"{', '.join(spec.knobs)} in trainer.config",
            "knobs",
        )


def _earlier(spec: Spec, problem: Problem, store: Store, recipe: Strategy) -> tuple[RunTable, ...]:
    """The runs of earlier studies, read once: a resume sees them as they were at the start."""
    if not spec.warm_start:
        return ()
    if not getattr(recipe, "uses_earlier", False):
        raise SpecError(
            f"strategy {spec.strategy.use!r} learns nothing from earlier studies; use 'auto' or "
            "'ladder', or leave 'warm_start' out",
            "warm_start",
        )
    kept = store.annotations()
    if _WARM not in kept:
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
        search = [o for o in old.store.observations() if not o.spec.purpose.startswith(CONFIRM)]
        runs = RunTable.from_observations(search, old.problem.space.names)
        domains = old.problem.space.domains
        return earlier_runs(runs, problem.space, problem.objective, domains=domains)


def _frozen(kept: Mapping[str, Any]) -> tuple[RunTable, ...]:
    return tuple(RunTable.from_frame(pd.DataFrame(values)) for values in kept.get(_WARM, ()))


@contextmanager
def _open_store(spec: Spec, folder: Path, *, read_only: bool = False) -> Iterator[Any]:
    if not read_only:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "spec.json").write_text(spec.model_dump_json(indent=2), encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"cannot write to {folder}: {error}; free some space or give another folder "
                "with --out"
            ) from error
    store = lazy.load("mixopt.tracking.mlflow:MLflowStore")(
        tracking_uri(spec, folder), spec.name, artifacts=folder / "artifacts", read_only=read_only
    )
    with store:
        yield store


def _claim(store: Store, spec: Spec, info: TrainerInfo, config: Mapping[str, Any]) -> None:
    """Write the spec into a fresh store; refuse a store whose runs have another identity."""
    now = {
        "spec": spec.model_dump(mode="json"),
        "info": _write_info(info),
        "config": dict(config),
    }
    kept = store.annotations()
    if "spec" in kept:
        changed = [k for k in _IDENTITY if kept["spec"].get(k) != now["spec"][k]]
        if kept.get("info", {}).get("data") != info.data:
            changed.append("the prepared data")
        if "trainer" not in changed and kept.get("config") != now["config"]:
            changed.append("the target's budget or tokens")
        if kept["spec"].get("knobs", {}) != now["spec"]["knobs"]:
            changed.append("knobs")
        if changed and (store.observations() or store.pending()):
            raise StoreError(
                f"the store holds a sweep {spec.name!r} that differs in: {', '.join(changed)}; its "
                "runs cannot be continued. Give the changed spec another name (or --out), or "
                "restore the values"
            )
    store.annotate(now)


def _remembered_spec(folder: Path) -> Spec:
    file = folder / "spec.json"
    if not file.is_file():
        raise StoreError(
            f"{folder}: no sweep here; give the folder that 'mixopt run' wrote (runs/<name>)"
        )
    return parse_spec(json.loads(file.read_text(encoding="utf-8")), source=str(file))


def _at(path: str, make: Callable[[], Any]) -> Any:
    """Run a step; what it refuses is reported at a path of the spec."""
    try:
        return make()
    except SpecError:
        raise
    except InputError as error:
        raise SpecError(str(error), path) from error


def _write_info(info: TrainerInfo) -> dict[str, Any]:
    domains = [
        {
            "name": d.name,
            "tokens": d.tokens,
            "prior": d.prior,
            "tags": dict(d.tags),
            "parent": d.parent,
        }
        for d in info.domains
    ]
    return {
        "domains": domains,
        "metrics": list(info.metrics),
        "unit": info.unit,
        "data": info.data,
        "warnings": list(info.warnings),
        "notes": dict(info.notes),
    }


def _read_info(values: Mapping[str, Any]) -> TrainerInfo:
    fields = dict(values)
    return TrainerInfo(
        domains=tuple(Domain(**d) for d in fields.pop("domains")),
        metrics=tuple(fields.pop("metrics")),
        warnings=tuple(fields.pop("warnings")),
        **fields,
    )
