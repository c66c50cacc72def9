"""One trial: a sweep, what happens to it, and whether its runs are those of an undisturbed one."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from analysis.faults.machines import NODES, RayNodes, SmallDisk, TrackingServer
from analysis.faults.sweeps import SLEEP, Runs, Sweep, undisturbed
from mixopt.lazy import load
from mixopt.testing.slurm_cluster import slurm_cluster, slurm_is_installed

_PATIENCE = 120.0  # seconds that a trial may take
_MOST_STARTS = 6


class World:
    """What trials share, made when the first of them asks for it.

    Args:
        folder: for all that they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = TrackingServer(folder / "server")
        self._ray: RayNodes | None = None
        self._open = ExitStack()
        self._on_slurm = False
        self._expected: dict[str, Runs] = {}

    @property
    def ray(self) -> RayNodes:
        """The cluster."""
        if self._ray is None:
            self._ray = RayNodes()
        return self._ray

    def slurm(self) -> None:
        """Have a Slurm cluster, which `$SLURM_CONF` names from then on."""
        if not self._on_slurm:
            self._open.enter_context(slurm_cluster(self.folder / "slurm", nodes=NODES, cpus=1))
            self._on_slurm = True

    def expected(self, failing: str = "") -> Runs:
        """The runs of the undisturbed sweep in which one cannot be trained."""
        if failing not in self._expected:
            self._expected[failing] = undisturbed(self.folder, failing)
        return self._expected[failing]

    def database(self, folder: Path) -> str:
        """A new SQLite database with MLflow's tables, which take seconds to make."""
        first = self.folder / "first.db"
        if not first.is_file():
            load("mixopt.tracking.mlflow:MLflowStore")(f"sqlite:///{first}", "first").release()
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(first, folder / "mlflow.db")
        return f"sqlite:///{folder}/mlflow.db"

    def close(self) -> None:
        """End what was started."""
        self._open.close()
        self.server.kill()
        if self._ray is not None:
            self._ray.stop()


@dataclass
class Trial:
    """One of the trials.

    Attributes:
        fault: what happens; a name of `FAULTS`.
        number: of the trial; its seed.
        world: what trials share.
        starts: drivers so far.
        notes: what was done, for the record.
    """

    fault: str
    number: int
    world: World
    starts: int = 0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.number, 13])
        self.folder = self.world.folder / f"{self.fault}-{self.number}"
        self._deadline = time.monotonic() + _PATIENCE

    def run(self) -> dict[str, Any]:
        """Let it happen; the record, in plain JSON values."""
        started = time.monotonic()
        try:
            problems = FAULTS[self.fault](self)
        except (TimeoutError, AssertionError) as error:
            problems = [f"{type(error).__name__}: {error}"]
        return {
            "trial": self.number,
            "fault": self.fault,
            "clean": not problems,
            "seconds": round(time.monotonic() - started, 1),
            "drivers": self.starts,
            "done": "; ".join(self.notes),
            "problems": problems[:5],
            "load": round(os.getloadavg()[0], 1),
        }

    def sweep(self, uri: str = "", **settings: Any) -> Sweep:
        """The sweep, on Ray, with a database of its own where no store is given."""
        troubles = settings.pop("troubles", {})
        execution = {
            "use": "ray",
            "address": self.world.ray.address,
            "max_slots": NODES,
            "pack_size": 1,
            "retries": {"crash": 5},
            **settings,
        }
        sweep = Sweep(self.folder, uri or self.world.database(self.folder), execution, troubles)
        sweep.write()
        return sweep

    def drive(self, sweep: Sweep, *, skew: float = 0.0) -> BaseProcess:
        """A driver of the sweep.

        Raises:
            AssertionError: too many of them have ended before it did.
        """
        self.starts += 1
        assert self.starts <= _MOST_STARTS, f"{_MOST_STARTS} drivers: {sweep.log[-800:]}"
        return sweep.start(skew)

    def begun(self, uri: str) -> tuple[Sweep, BaseProcess]:
        """A sweep in a store and its driver, at a random moment that leaves runs to be stored."""
        sweep = self.sweep(uri)
        driver = self.drive(sweep)
        self.moment(sweep, driver, latest=0.7)
        return sweep, driver

    def moment(self, sweep: Sweep, driver: BaseProcess, latest: float = 1.0) -> None:
        """Wait for a random moment of the sweep.

        Args:
            sweep: that is under way.
            driver: of it; where it ends, so does the wait.
            latest: share of the runs after which it comes at the latest.
        """
        there = len(list((sweep.folder / "cache").glob("troubled-*")))
        left = max(0, int(latest * len(self.world.expected())) - there)
        wanted = there + int(self.rng.integers(0, left + 1))
        while driver.is_alive() and len(list((sweep.folder / "cache").glob("troubled-*"))) < wanted:
            self._in_time(sweep)
            time.sleep(0.02)
        time.sleep(float(self.rng.uniform(0.0, SLEEP)))
        self.notes.append(f"after {wanted} runs")

    def finish(self, sweep: Sweep, driver: BaseProcess, skew: float = 0.0) -> None:
        """Until the sweep is done; a driver that ended before is started again."""
        while True:
            while driver.is_alive():
                self._in_time(sweep)
                driver.join(0.05)
            if driver.exitcode == 0:
                return
            driver = self.drive(sweep, skew=skew)

    def judge(self, sweep: Sweep, failing: str = "") -> list[str]:
        """What is otherwise than in the undisturbed sweep."""
        return sweep.problems(self.world.expected(failing))

    def _in_time(self, sweep: Sweep) -> None:
        if time.monotonic() > self._deadline:
            raise TimeoutError(f"not done after {_PATIENCE:.0f} s: {sweep.log[-800:]}")


def _driver_killed(trial: Trial) -> list[str]:
    sweep = trial.sweep()
    driver = trial.drive(sweep)
    for _ in range(int(trial.rng.integers(1, 3))):
        trial.moment(sweep, driver)
        driver.kill()
        driver.join()
        driver = trial.drive(sweep)
    trial.finish(sweep, driver)
    return trial.judge(sweep)


def _slurm_driver_killed(trial: Trial) -> list[str]:
    """Its jobs go on; the next driver takes them over."""
    if not slurm_is_installed():
        return ["Slurm is not installed"]
    trial.world.slurm()
    sweep = Sweep(
        trial.folder,
        trial.world.database(trial.folder),
        {"use": "slurm", "max_slots": NODES, "pack_size": 1, "poll": 0.5},
    )
    sweep.write()
    driver = trial.drive(sweep)
    trial.moment(sweep, driver)
    driver.kill()
    driver.join()
    trial.finish(sweep, trial.drive(sweep))
    return trial.judge(sweep)


def _worker_killed(trial: Trial) -> list[str]:
    sweep = trial.sweep()
    driver = trial.drive(sweep)
    for _ in range(int(trial.rng.integers(1, 4))):
        trial.moment(sweep, driver, latest=0.8)
        which = int(trial.rng.integers(0, NODES))
        while not (killed := trial.world.ray.kill_worker(which)) and driver.is_alive():
            time.sleep(0.02)
        trial.notes.append("killed" if killed else "none was at work")
    trial.finish(sweep, driver)
    return trial.judge(sweep)


def _node_lost(trial: Trial) -> list[str]:
    sweep = trial.sweep()
    driver = trial.drive(sweep)
    trial.moment(sweep, driver, latest=0.8)
    trial.world.ray.lose_node(int(trial.rng.integers(0, NODES)))
    trial.world.ray.restore()
    trial.finish(sweep, driver)
    return trial.judge(sweep)


def _head_restarted(trial: Trial) -> list[str]:
    """The driver's machine is the head's: it goes with it."""
    sweep = trial.sweep()
    driver = trial.drive(sweep)
    trial.moment(sweep, driver)
    driver.kill()
    driver.join()
    trial.world.ray.start()
    again = trial.sweep(sweep.uri)
    trial.finish(again, trial.drive(again))
    return trial.judge(again)


def _head_lost(trial: Trial) -> list[str]:
    """The driver's machine is another: it lives on, and is to end by itself."""
    sweep = trial.sweep()
    driver = trial.drive(sweep)
    trial.moment(sweep, driver)
    trial.world.ray.start()
    again = trial.sweep(sweep.uri)
    trial.finish(again, driver)
    return trial.judge(again)


def _store_away(trial: Trial) -> list[str]:
    server = trial.world.server
    sweep, driver = trial.begun(server.uri)
    server.shut_door()
    time.sleep(float(trial.rng.uniform(1.0, 5.0)))
    server.shut = False
    trial.finish(sweep, driver)
    return trial.judge(sweep)


def _store_away_and_driver_killed(trial: Trial) -> list[str]:
    """What came in meanwhile goes with the driver, and is trained again."""
    server = trial.world.server
    sweep, driver = trial.begun(server.uri)
    server.shut_door()
    time.sleep(float(trial.rng.uniform(0.0, 4.0)))
    driver.kill()
    driver.join()
    early = trial.drive(sweep)  # it finds no store
    early.join(float(trial.rng.uniform(0.0, 4.0)))
    server.shut = False
    trial.finish(sweep, early)
    return trial.judge(sweep)


def _store_killed(trial: Trial) -> list[str]:
    server = trial.world.server
    sweep, driver = trial.begun(server.uri)
    server.kill()
    server.start()
    trial.finish(sweep, driver)
    return trial.judge(sweep)


def _store_slow(trial: Trial) -> list[str]:
    server = trial.world.server
    sweep, driver = trial.begun(server.uri)
    server.delay = float(trial.rng.uniform(0.2, 0.6))
    time.sleep(4.0)
    server.delay = 0.0
    trial.finish(sweep, driver)
    return trial.judge(sweep)


def _disk_full(trial: Trial) -> list[str]:
    return _with_full_disk(trial, (1.0, 4.0), kill=False)


def _disk_full_and_driver_killed(trial: Trial) -> list[str]:
    return _with_full_disk(trial, (0.0, 3.0), kill=True)


def _with_full_disk(trial: Trial, seconds: tuple[float, float], *, kill: bool) -> list[str]:
    disk = SmallDisk(trial.folder / "disk")
    if not disk.there:
        return ["only root may mount a small disk"]
    try:
        sweep, driver = trial.begun(trial.world.database(disk.folder))
        disk.fill()
        time.sleep(float(trial.rng.uniform(*seconds)))
        if kill:
            driver.kill()
            driver.join()
        disk.free()
        trial.finish(sweep, trial.drive(sweep) if kill else driver)
        return trial.judge(sweep)
    finally:
        disk.close()


def _clock_skew(trial: Trial) -> list[str]:
    """Of two drivers whose clocks are hours apart, the second is refused as long as one lives."""
    hours = 3600.0 * trial.rng.uniform(-48.0, 48.0, size=2)
    sweep = trial.sweep()
    first = trial.drive(sweep, skew=float(hours[0]))
    trial.moment(sweep, first, latest=0.3)
    second = trial.drive(sweep, skew=float(hours[1]))
    second.join(60)
    refused = second.exitcode == 1 or not first.is_alive()
    trial.moment(sweep, first)
    first.kill()
    first.join()
    trial.finish(sweep, trial.drive(sweep, skew=float(hours[1])), float(hours[1]))
    return [*trial.judge(sweep), *(["a second driver was let in"] * (not refused))]


def _trouble(what: str, *, fails: bool, **settings: Any) -> Callable[[Trial], list[str]]:
    """A run that makes trouble: see `Troubled`."""

    def happen(trial: Trial) -> list[str]:
        known = sorted(trial.world.expected())
        victim = known[int(trial.rng.integers(0, len(known)))]
        trial.notes.append(f"run {victim}")
        sweep = trial.sweep(troubles={victim: what}, **settings)
        trial.finish(sweep, trial.drive(sweep))
        return trial.judge(sweep, victim if fails else "")

    return happen


FAULTS: dict[str, Callable[[Trial], list[str]]] = {
    "driver-killed": _driver_killed,
    "worker-killed": _worker_killed,
    "node-lost": _node_lost,
    "store-away": _store_away,
    "store-slow": _store_slow,
    "disk-full": _disk_full,
    "clock-skew": _clock_skew,
    "hangs-once": _trouble("hang-once", fails=False, timeout=4.0),
    "hangs": _trouble("hang", fails=True, timeout=4.0, retries={"timeout": 0}),
    "fails": _trouble("crash", fails=True, retries={"crash": 1}),
    "breaks-late": _trouble("crash-once", fails=False),
    "poisoned-pack": _trouble("crash", fails=True, pack_size=4, retries={"crash": 1}),
    "head-restarted": _head_restarted,
    "store-killed": _store_killed,
    "slurm-driver-killed": _slurm_driver_killed,
    "store-and-driver": _store_away_and_driver_killed,
    "disk-and-driver": _disk_full_and_driver_killed,
    "head-lost": _head_lost,
}
"""What may happen, in the order in which trials take turns."""
