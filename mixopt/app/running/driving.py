"""A sweep driven: its strategy through its executor, into its store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mixopt.app.running.checks import at
from mixopt.app.running.launch import Sweep
from mixopt.app.running.preparation import cache_of
from mixopt.app.spec.values import Spec
from mixopt.execution import executor as make
from mixopt.execution.heartbeat import beating
from mixopt.execution.limits import Brakes, Halt
from mixopt.execution.sweep import Settings, SweepStatus, queued, run_sweep
from mixopt.ports import (
    ContinuingTrainer,
    Executor,
    PackingTrainer,
    PlacingExecutor,
    Store,
    capabilities_of,
)
from mixopt.runs import Scale
from mixopt.runs.objective import judged
from mixopt.strategies import Strategy


@contextmanager
def make_executor(spec: Spec) -> Iterator[Executor]:
    """The executor that the spec names; closed at the end, also after an error or Ctrl-C."""
    execution = spec.execution
    executor: Executor = at(
        "execution", lambda: make(execution.use, cache_of(spec), execution.settings)
    )
    try:
        yield executor
    finally:
        executor.close()


def run(
    sweep: Sweep, recipe: Strategy, on_change: Callable[[SweepStatus], None] | None = None
) -> SweepStatus:
    """Run a sweep, or what is left of it. No executor is started when no run may start.

    Raises:
        MixoptError: see `mixopt.execution.sweep.run_sweep`.
    """
    limits = sweep.spec.execution.limits
    before = Brakes(limits, sweep.store.observations(), sweep.store.attempts())
    if is_finished(sweep, recipe) or not before.room(sweep.problem.scales[0], 1):
        status = _standing(sweep, before.halt)
        with beating(sweep.store) as heartbeat:
            heartbeat.beat(status)
        return status
    status = drive(sweep, recipe, sweep.store, Settings(sweep.runtime, limits), on_change)
    kept = sweep.spec.execution.keep_checkpoints != "until-end"
    if kept or status.halt is not None:  # one that will go on may need them to continue runs
        return status
    trainer, able = sweep.trainer, capabilities_of(sweep.trainer)
    if isinstance(trainer, ContinuingTrainer) and (able.continues or able.branches):
        specs = [o.spec for o in sweep.store.observations()]
        trainer.forget(specs, cache_of(sweep.spec))
    return status


def _standing(sweep: Sweep, halt: Halt | None) -> SweepStatus:
    observations = [judged(o, sweep.problem.objective) for o in sweep.store.observations()]
    return SweepStatus(
        planned=len(observations),
        done=len(observations),
        failed=sum(not o.ok for o in observations),
        flops=sum(o.flops for o in observations),
        halt=halt,
    )


def drive(
    sweep: Sweep,
    recipe: Strategy,
    store: Store,
    settings: Settings,
    on_change: Callable[[SweepStatus], None] | None = None,
) -> SweepStatus:
    """Run a strategy with executor, data and settings of a sweep.

    Args:
        sweep: has the problem and the spec.
        recipe: what is to be trained.
        store: of the sweep, or a part of it.
        settings: how it is trained, and what that may take.
        on_change: called with the status after every event.

    Raises:
        MixoptError: see `mixopt.execution.sweep.run_sweep`.
    """
    tell = on_change or (lambda _: None)
    with beating(store) as heartbeat, make_executor(sweep.spec) as executor:

        def changed(status: SweepStatus) -> None:
            heartbeat.beat(status)
            tell(status)

        return run_sweep(
            recipe,
            sweep.problem,
            executor,
            store,
            pack_size=lambda scale: _pack_size(sweep, executor, scale),
            settings=settings,
            on_change=changed,
        )


def _pack_size(sweep: Sweep, executor: Executor, scale: Scale) -> int:
    """The spec's pack size, else what the trainer prefers where the pack will be, else 1."""
    given = sweep.spec.execution.pack_size
    if given is not None:
        return given
    trainer = sweep.trainer
    if isinstance(trainer, PackingTrainer) and capabilities_of(trainer).packs:
        if isinstance(executor, PlacingExecutor):
            settings = (sweep.problem.config, sweep.runtime)
            told = executor.pack_size(sweep.spec.trainer.use, settings, scale)
            if told is not None:
                return told
        return trainer.preferred_pack(scale, cache_of(sweep.spec))
    return 1


def is_finished(sweep: Sweep, recipe: Strategy) -> bool:
    """Whether the strategy has nothing left to ask."""
    if sweep.store.pending() or queued(sweep.store):
        return False
    return not recipe.next(sweep.problem, sweep.store.observations(), [])
