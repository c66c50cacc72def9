"""Executor and store of this process: whatever a trainer does, one answer per run."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mixopt import InputError, MixtureSpace, Observation, RunSpec, Scale
from mixopt.execution.local import LocalExecutor, MemoryStore, as_json, run_pack
from mixopt.ports import Progress
from mixopt.testing.trainers import NAME, FakeTrainer

SPACE = MixtureSpace(["web", "code", "math"])


def specs(n: int = 3, **config: Any) -> list[RunSpec]:
    scale = Scale(1000, 4000)
    return [
        RunSpec(SPACE.natural, scale, seed=i, trainer=NAME, config=config, data="d")
        for i in range(n)
    ]


class Odd(FakeTrainer):
    """A trainer that does something else with its answers."""

    def __init__(self, change: Callable[[list[Observation]], list[Observation]]) -> None:
        super().__init__()
        self.change = change

    def train(self, specs: Sequence[RunSpec], cache: Path, report: Any = None) -> Any:
        return self.change(super().train(specs, cache))


def test_a_trainer_is_made_from_its_name_and_configuration(tmp_path: Path) -> None:
    quiet = run_pack(specs(2, noise=0.0), tmp_path)
    assert [o.ok for o in quiet] == [True, True]
    assert quiet[0].metrics == quiet[1].metrics
    loud = run_pack(specs(2, noise=0.1), tmp_path)
    assert loud[0].metrics != loud[1].metrics


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda seen: 1 / 0, "ZeroDivisionError"),
        (lambda seen: sys.exit(3), "called exit(3)"),
        (lambda seen: signal_free_interrupt(), "nobody pressed Ctrl-C"),
        (lambda seen: exhausted(), "to train 3 runs of"),
    ],
)
def test_a_trainer_that_gives_up_fails_its_runs_with_the_reason(
    tmp_path: Path, change: Any, reason: str
) -> None:
    asked = specs()
    seen = run_pack(asked, tmp_path, trainer=Odd(change))
    assert [o.run_id for o in seen] == [s.run_id for s in asked]
    assert all(not o.ok and reason in o.error for o in seen)
    assert all("Traceback" in o.info["traceback"] for o in seen)


def signal_free_interrupt() -> None:
    raise KeyboardInterrupt


def exhausted() -> None:
    raise MemoryError


def test_a_metric_that_is_not_finite_fails_that_run_alone(tmp_path: Path) -> None:
    def spoil(seen: list[Observation]) -> list[Observation]:
        bad = Observation(seen[1].spec, metrics={"loss/web": float("nan")}, flops=7.0)
        return [seen[0], bad, seen[2]]

    seen = run_pack(specs(), tmp_path, trainer=Odd(spoil))
    assert [o.ok for o in seen] == [True, False, True]
    assert "loss/web" in seen[1].error
    assert seen[1].flops == 7.0


def test_an_unknown_trainer_or_setting_fails_with_the_reason(tmp_path: Path) -> None:
    (unknown,) = run_pack(
        [RunSpec(SPACE.natural, Scale(1, 1), trainer="mixopt.testing.trainers:No")], tmp_path
    )
    assert "No" in unknown.error
    (wrong,) = run_pack(specs(1, nois=1), tmp_path)
    assert "nois" in wrong.error


def test_packs_are_trained_one_by_one_in_order_with_their_progress(tmp_path: Path) -> None:
    executor = LocalExecutor(tmp_path)
    first, second = specs(2), specs(4)[2:]
    executor.submit(first)
    executor.submit(second)
    for pack in (first, second):
        events = executor.wait(0.0)
        progress = [e for e in events if isinstance(e, Progress)]
        done = [e for e in events if isinstance(e, Observation)]
        assert [o.run_id for o in done] == [s.run_id for s in pack]
        assert [p.point.tokens for p in progress] == [1000, 2000, 3000] * 2
    assert executor.wait(0.0) == []


def test_a_trainer_may_be_given_in_place_of_its_name(tmp_path: Path) -> None:
    executor = LocalExecutor(tmp_path, trainers={NAME: Odd(lambda seen: 1 / 0)})  # type: ignore[arg-type,return-value]
    executor.submit(specs(1))
    (seen,) = executor.wait(0.0)
    assert isinstance(seen, Observation)
    assert not seen.ok


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests run as a background job, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_a_pack_is_still_there_after_an_interrupt_and_gone_after_close(tmp_path: Path) -> None:
    def interrupt(seen: list[Observation]) -> list[Observation]:
        signal.raise_signal(signal.SIGINT)  # Ctrl-C, as the system delivers it
        return seen

    executor = LocalExecutor(tmp_path, trainers={NAME: Odd(interrupt)})
    executor.submit(specs(1))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            executor.wait(0.0)
    executor.close()
    assert executor.wait(0.0) == []


def test_the_store_keeps_order_and_the_first_answer(tmp_path: Path) -> None:
    store = MemoryStore()
    one, two, three = specs()
    for spec in (one, two, one):
        store.open(spec)
    store.close(Observation(two, metrics={"a": 2.0}))
    store.close(Observation(two, metrics={"a": 9.0}))
    assert store.pending() == [one]
    store.close(Observation(one, metrics={"a": 1.0}))
    store.close(Observation(three, metrics={"a": 3.0}))
    assert [o.metrics["a"] for o in store.observations()] == [1.0, 2.0, 3.0]
    store.annotate({"x": (1, 2)})
    store.annotate({"y": None})
    assert store.annotations() == {"x": [1, 2], "y": None}
    with pytest.raises(InputError, match="annotation 'z' cannot be kept"):
        store.annotate({"z": {1, 2}})
    assert as_json("x", {"a": 1}) == '{"a":1}'
