"""What goes out together: one scale and one configuration, every slot kept busy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.execution.local import MemoryStore, check_pack
from mixopt.execution.sweep import run_sweep
from mixopt.ports import Event
from mixopt.runs.knobs import Continuous
from mixopt.strategies import Problem, strategy
from mixopt.testing.trainers import NAME, FakeTrainer

TRAINER = FakeTrainer(noise=0.0)
SPACE = MixtureSpace(["web", "code", "math"])
SMALL, LARGE = Scale(1000, 1000), Scale(1000, 4000)


class Recording:
    """Answers packs at once and remembers them."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.packs: list[list[RunSpec]] = []
        self._done: list[Event] = []

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        del runtime
        self.packs.append(list(pack))
        self._done += TRAINER.train(pack, Path())

    def wait(self, timeout: float) -> list[Event]:
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        pass


class Asking:
    """Asks for given runs, once."""

    def __init__(self, specs: Sequence[RunSpec]) -> None:
        self.specs = list(specs)

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        return self.specs

    def planned(self, problem: Problem) -> list[Scale]:
        return [s.scale for s in self.specs]


def spec(seed: int, scale: Scale = SMALL, **config: Any) -> RunSpec:
    return RunSpec(SPACE.natural, scale, seed=seed, trainer=NAME, config=config, data="d")


def packs(specs: Sequence[RunSpec], size: int, slots: int = 1) -> list[list[RunSpec]]:
    executor = Recording(slots)
    problem = Problem(SPACE, Objective.of(TRAINER.metrics), (SMALL, LARGE), trainer=NAME)
    run_sweep(Asking(specs), problem, executor, MemoryStore(), pack_size=lambda _: size)
    assert sorted(s.run_id for p in executor.packs for s in p) == sorted(s.run_id for s in specs)
    return executor.packs


def test_runs_of_different_configurations_never_share_a_pack() -> None:
    asked = [spec(i, rate=0.1 * (1 + i % 2)) for i in range(8)]
    for pack in packs(asked, size=4):
        assert len(pack) == 4
        assert len({s.config["rate"] for s in pack}) == 1


def test_runs_of_different_scales_never_share_a_pack() -> None:
    asked = [spec(i, SMALL if i % 3 else LARGE) for i in range(9)]
    for pack in packs(asked, size=9):
        assert len({s.scale for s in pack}) == 1
    assert sorted(map(len, packs(asked, size=9))) == [3, 6]


@pytest.mark.parametrize(
    ("runs", "size", "slots", "sizes"),
    [
        (40, 8, 2, [7, 7, 7, 7, 6, 6]),
        (10, 4, 1, [4, 3, 3]),
        (6, 8, 2, [3, 3]),
        (7, 8, 3, [3, 2, 2]),
        (3, 8, 3, [1, 1, 1]),
        (5, 1, 2, [1] * 5),
        (8, 8, 1, [8]),
        (9, 8, 1, [5, 4]),
    ],
)
def test_packs_keep_all_slots_equally_busy(
    runs: int, size: int, slots: int, sizes: list[int]
) -> None:
    made = packs([spec(i) for i in range(runs)], size, slots)
    assert sorted(map(len, made), reverse=True) == sizes


def test_a_search_over_knobs_sends_every_configuration_out_apart() -> None:
    executor = Recording()
    problem = Problem(
        SPACE,
        Objective.of(TRAINER.metrics),
        (SMALL,),
        trainer=NAME,
        config={"rate": 4.0},
        knobs=(Continuous("rate", 2.0, 8.0),),
    )
    recipe = strategy("joint", design=6, runs=8)
    run_sweep(recipe, problem, executor, MemoryStore(), pack_size=lambda _: 8)
    tried = {s.config["rate"] for pack in executor.packs for s in pack}
    assert len(tried) >= 6
    for pack in executor.packs:
        assert len({s.config["rate"] for s in pack}) == 1


@pytest.mark.parametrize(
    ("pack", "message"),
    [
        ([], "needs at least one run"),
        ([spec(0), spec(1, LARGE)], "one scale"),
        ([spec(0, rate=1.0), spec(0, rate=2.0)], "one config"),
        ([spec(0), RunSpec(SPACE.natural, SMALL, trainer="other:T", data="d")], "one trainer"),
        ([spec(0), RunSpec(SPACE.natural, SMALL, trainer=NAME, data="e")], "one data"),
    ],
)
def test_a_mixed_pack_is_refused(pack: list[RunSpec], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_pack(pack)
