"""From a spec to a sweep: the one place that puts trainer, store and strategy together.

A sweep lives in a folder (`runs/<name>` by default): the MLflow database and artifacts, the report
and the result. `new_sweep` makes or continues it, `open_sweep` reads it; `driving` has it trained.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mixopt.app.running.checks import at
from mixopt.app.running.durable import RUNS
from mixopt.app.running.preparation import checked, prepared, problem_of, settled
from mixopt.app.running.record import (
    SPEC_FILE,
    changes_of,
    check_folder,
    claim,
    compare,
    compare_spec,
    keep_spec,
    read_info,
    remembered_spec,
)
from mixopt.app.running.registries import past_of, remember_past
from mixopt.app.running.sources import check_there
from mixopt.app.running.studies import named
from mixopt.app.spec.promotion_spec import PromotionSpec
from mixopt.app.spec.spec_file import read_spec
from mixopt.app.spec.values import Spec
from mixopt.app.spec.where import ExecutionSpec
from mixopt.errors import SpecError, StoreError
from mixopt.evidence.past import Past
from mixopt.execution import check_executor
from mixopt.lazy import load
from mixopt.ports import (
    Store,
    Trainer,
    TrainerInfo,
)
from mixopt.runs.reading import read_table
from mixopt.runs.run_table import RunTable
from mixopt.space.redaction import MASK
from mixopt.strategies import Problem, Strategy
from mixopt.strategies.warm import earlier_runs
from mixopt.tracking import open_store

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
        past: what became of promotions of earlier studies, as it was when this one began.
    """

    spec: Spec
    folder: Path
    info: TrainerInfo
    problem: Problem
    store: Store
    runtime: Mapping[str, Any] = field(default_factory=dict, hash=False)
    trainer: Trainer | None = None
    changes: tuple[str, ...] = ()
    past: tuple[Past, ...] = ()


def folder_of(spec: Spec, out: Path | None = None) -> Path:
    """The folder of a sweep: `out`, or `runs/<name>` below the current one."""
    return out if out is not None else RUNS / spec.name


def at_address(spec: Spec, address: str | None) -> Spec:
    """The spec with another address of its cluster; None leaves it as it is.

    Raises:
        SpecError: its executor has no address.
    """
    if address is None:
        return spec
    settings = {**spec.execution.settings, "address": address}
    at("execution", lambda: check_executor(spec.execution.use, settings))
    values = {**spec.execution.model_dump(), "address": address}
    return spec.model_copy(update={"execution": ExecutionSpec(**values)})


def reach(spec: Spec) -> None:
    """See that the cluster of a spec answers, before its data is prepared for hours.

    Raises:
        MixoptError: it does not.
    """
    address = spec.execution.settings.get("address")
    if spec.execution.use == "ray" and address:
        at("execution.address", lambda: load("mixopt.execution.ray.session:reach")(address))


@contextmanager
def new_sweep(spec: Spec, out: Path | None = None) -> Iterator[tuple[Sweep, Strategy]]:
    """Prepare the trainer's data and open the store; closes the store at the end.

    Everything that can be refused is refused here, before any training: unknown metrics and
    domains, infeasible constraints, a store that cannot be written or holds another sweep.

    Raises:
        SpecError: a field of the spec does not fit the trainer's data.
        StoreError: the store cannot be used.
    """
    folder = folder_of(spec, out)
    check_folder(folder, spec)
    spec = settled(spec, folder, _before(folder))
    begun = (folder / SPEC_FILE).is_file()
    with ExitStack() as opened:
        try:
            named = checked(spec, folder)
            if begun:  # what its store refuses need not wait for data either
                store = opened.enter_context(_open_store(spec, folder))
                compare_spec(store, spec)
            made = prepared(named)
        except SpecError as error:
            raise spec.located(error) from error
        if not begun:
            store = opened.enter_context(_open_store(spec, folder))
        config = made.problem.config
        compare(store, spec, made.info, config)  # refuses, before anything is written
        problem = replace(made.problem, earlier=_earlier(spec, made.problem, store))
        claim(store, spec, made.info, config)
        keep_spec(folder, spec)
        sweep = Sweep(
            spec,
            folder,
            made.info,
            problem,
            store,
            made.runtime,
            made.trainer,
            changes_of(store),
            remember_past(spec, folder, store),
        )
        yield sweep, made.recipe


def runnable(path: Path) -> tuple[Spec, Path]:
    """The spec by which more runs of a sweep can be trained, and its folder.

    Args:
        path: its spec.yaml; or its folder or name, where the spec keeps no secrets.

    Raises:
        StoreError: there is no sweep in the folder, or a secret was not kept there.
    """
    meant = named(path)
    folder = meant.folder
    if meant.spec is not None:
        return read_spec(meant.spec), folder
    spec = remembered_spec(folder)
    if MASK in json.dumps(spec.execution.settings):
        raise StoreError(
            f"{folder} keeps no secrets, and the spec's execution has some; name its spec.yaml in "
            "place of the folder"
        )
    return spec, folder


@contextmanager
def open_sweep(path: Path, *, rules: PromotionSpec | None = None) -> Iterator[Sweep]:
    """A sweep as it is, for reports and exports; nothing is prepared or trained.

    Args:
        path: its folder or name; or its spec.yaml, which also has the password of a store.
        rules: of promotion, in place of those that the folder has.

    Raises:
        StoreError: there is no sweep in the folder.
    """
    folder, spec = remembered(path)
    if rules is not None:
        spec = spec.model_copy(update={"promotion": rules})
    with _open_store(spec, folder, read_only=True) as store:
        kept = store.annotations()
        if "info" not in kept:
            raise StoreError(f"{folder}: the sweep never started; 'mixopt run' starts it")
        info = read_info(kept["info"])
        problem = replace(problem_of(spec, info, kept["config"]), earlier=_frozen(kept))
        changes, past = changes_of(store), past_of(kept)
        yield Sweep(spec, folder, info, problem, store, changes=changes, past=past)


def _earlier(spec: Spec, problem: Problem, store: Store) -> tuple[RunTable, ...]:
    """The runs of earlier studies, read once: a resume sees them as they were at the start."""
    if not spec.warm_start:
        return ()
    kept = store.annotations()
    if _WARM not in kept or not (store.observations() or store.pending()):
        tables = earlier_of(spec, problem)
        store.annotate({_WARM: [table.frame.to_dict(orient="list") for table in tables]})
        kept = store.annotations()
    return _frozen(kept)


def earlier_of(spec: Spec, problem: Problem) -> list[RunTable]:
    """The runs of the studies that a spec starts from, as they are now.

    Raises:
        SpecError: one is not there, or has nothing that can be used.
    """
    paths = [Path(path) for path in spec.warm_start]
    tables: list[RunTable] = at(
        "warm_start", lambda: [t for path in paths for t in _study(path, problem)]
    )
    return tables


def _study(path: Path, problem: Problem) -> tuple[RunTable, ...]:
    """The runs of a sweep's folder or of a table, in the domains of the problem."""
    check_there(path)
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
    if use == "mlflow" and spec.owner:
        settings = {"owner": spec.owner, **settings}
    store: Store = at(
        "store", lambda: open_store(use, folder, spec.name, settings, read_only=read_only)
    )
    try:
        yield store
    finally:
        store.release()


def remembered(path: Path) -> tuple[Path, Spec]:
    """The folder of a sweep and the spec that it runs by, given folder, name or the spec's file.

    The spec in the folder has no passwords, so the store is looked for where the file says.
    """
    meant = named(path)
    kept = remembered_spec(meant.folder)
    if meant.spec is not None:
        written = settled(read_spec(meant.spec), meant.folder, kept)
        kept = kept.model_copy(update={"store": written.store})
    return meant.folder, kept


def _before(folder: Path) -> Spec | None:
    """The spec in a folder, if there is one that can be read."""
    try:
        return remembered_spec(folder)
    except (StoreError, SpecError):
        return None
