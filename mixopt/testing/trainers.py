"""A trainer that trains nothing: a known law, noise by seed, and faults on demand.

Notation:
    w: (m,) mixture; v: (m,) value of each domain; r: rate; N, D: parameters and tokens

For tests of executors, stores and strategies; a worker imports it by its name, `NAME`.
"""

import hashlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.errors import InputError, TrainerError, did_you_mean
from mixopt.ports import Capabilities, Report, TrainerInfo, ignore_report, refusal
from mixopt.runs import Observation, Point, Realised, RunSpec, Scale, Schedule
from mixopt.space import Domain, Mixture
from mixopt.space.simplex import Array

NAME = "mixopt.testing.trainers:FakeTrainer"
FAULTS = ("nan", "raise", "crash", "crash-once", "hang")
_VALUES = {"web": 1.0, "code": 2.0, "math": 1.5}
_RATE = 4.0


class FakeTrainer:
    """Answers at once with `loss/<domain> = 1 + v_i exp(-r w_i) + 8 N^-0.3 + 8 D^-0.3 + noise`.

    The mean over the metrics has its optimum where all `v_i exp(-r w_i)` are equal; `optimum` has
    it in closed form. The same run gives the same numbers in any process. Of a run by a schedule
    counts what it has drawn in total: its phases are those of the record, their order changes no
    metric at the end.

    With `late` the order matters: from a share of the run on, the turn, domains have other values,
    and the loss is the mean over its tokens of the loss at the mixture of the moment. So the best
    schedule is the early optimum until the turn and the late one after it (`best_schedule`), and
    the best constant mixture is the optimum for the mean values: all in closed form.

    Args:
        values: domain to v > 0, within a factor e^(r/m) or so of each other.
        late: `{"from": share of a run, "values": {domain: v}}`; no turn where left out.
        rate: r.
        noise: standard deviation over seeds.
        points: points of the curve before the last.
        sleep: seconds of pretended work per run, slept in as many parts as the curve has
            points; says how, not what.
        faults: seed (as text: this is JSON) to what happens to runs with it: `"nan"`, `"raise"`,
            `"crash"` (the process kills itself), `"crash-once"` (at the first attempt only) or
            `"hang"`. Crashes must not be asked of an executor inside the test's own process.
    """

    capabilities = Capabilities(runtime=frozenset({"sleep"}), schedules=True)

    def __init__(
        self,
        *,
        values: Mapping[str, float] | None = None,
        late: Mapping[str, Any] | None = None,
        rate: float = _RATE,
        noise: float = 0.005,
        points: int = 3,
        sleep: float = 0.0,
        faults: Mapping[str, str] | None = None,
    ) -> None:
        self.values = dict(values or _VALUES)
        turn = late or {"from": 1.0, "values": self.values}
        self.turn, self.late = float(turn["from"]), dict(turn["values"])
        if set(self.late) != set(self.values) or not 0.0 < self.turn <= 1.0:
            raise InputError(
                f"late is {late}; give a share of the run under 'from', and under 'values' one for "
                f"each of {', '.join(self.values)}"
            )
        self.rate, self.noise, self.points, self.sleep = rate, noise, points, sleep
        self.faults = dict(faults or {})
        for fault in self.faults.values():
            if fault not in FAULTS:
                raise InputError(f"unknown fault {fault!r}; {did_you_mean(fault, FAULTS)}")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every run has."""
        return tuple(f"loss/{d}" for d in self.values)

    def prepare(self, cache: Path) -> TrainerInfo:
        """There is nothing to prepare; 10^9 tokens per domain are claimed."""
        cache.mkdir(parents=True, exist_ok=True)
        turns = [self.late, self.turn] if self.turn < 1.0 else []
        law = json.dumps([self.values, self.rate, self.noise, *turns], sort_keys=True)
        return TrainerInfo(
            domains=tuple(Domain(d, tokens=1e9) for d in self.values),
            metrics=self.metrics,
            unit="nats/token",
            data=hashlib.sha256(law.encode()).hexdigest()[:16],
        )

    def train(
        self, specs: Sequence[RunSpec], cache: Path, report: Report = ignore_report
    ) -> list[Observation]:
        """Answer for every run; see `faults` for what may happen on the way.

        Raises:
            TrainerError: a run was to raise.
        """
        return [self._train(spec, cache, report) for spec in specs]

    def truth(self, plan: Mixture | Schedule, scale: Scale) -> dict[str, float]:
        """The metrics without noise."""
        schedule = plan if isinstance(plan, Schedule) else Schedule.constant(plan, scale.tokens)
        if self.turn == 1.0:  # the order is no matter
            schedule = Schedule.constant(schedule.mean, schedule.tokens)
        early, late = (np.array(list(v.values())) for v in self._sides)
        ends = schedule.ends / schedule.tokens
        before = np.diff(np.minimum(ends, self.turn), prepend=0.0)
        after = np.diff(ends, prepend=0.0) - before
        shares = [mixture.to_dict() for _, mixture in schedule.phases]
        W = np.array([[of.get(d, 0.0) for d in self.values] for of in shares])
        worth = before[:, None] * early + after[:, None] * late
        size = 8.0 * scale.params**-0.3 + 8.0 * scale.tokens**-0.3
        losses = 1.0 + (worth * np.exp(-self.rate * W)).sum(axis=0) + size
        return dict(zip(self.metrics, losses.tolist(), strict=True))

    def optimum(self) -> Mixture:
        """The mixture from start to end with the lowest mean metric.

        w_i = 1/m + (log v_i - mean log v) / r, of the mean values where they turn.
        """
        early, late = (np.array(list(v.values())) for v in self._sides)
        return self._lowest(self.turn * early + (1.0 - self.turn) * late)

    def best_schedule(self, tokens: int) -> Schedule:
        """The best mixtures over a run of so many tokens: those of either side of the turn."""
        early, late = (np.array(list(v.values())) for v in self._sides)
        if self.turn == 1.0:
            return Schedule.constant(self.optimum(), tokens)
        until = round(self.turn * tokens)
        return Schedule(((until, self._lowest(early)), (tokens, self._lowest(late))))

    @property
    def _sides(self) -> tuple[dict[str, float], dict[str, float]]:
        """Values before and after the turn, domains in one order."""
        return self.values, {d: self.late[d] for d in self.values}

    def _lowest(self, values: Array) -> Mixture:
        logs: Array = np.log(values)
        w = 1.0 / logs.size + (logs - logs.mean()) / self.rate
        if w.min() < 0:
            raise InputError(
                f"values {values.tolist()} are too unequal for rate {self.rate}: the optimum has a "
                "weight below 0; give a higher rate"
            )
        return Mixture(tuple(self.values), tuple(w.tolist()))

    def _train(self, spec: RunSpec, cache: Path, report: Report) -> Observation:
        started = time.perf_counter()
        if reason := refusal(self, spec):
            return Observation.failure(spec, reason)
        fault = self.faults.get(str(spec.seed), "")
        curve = []
        for part in range(1, self.points + 1):
            time.sleep(self.sleep / self.points)
            tokens = max(1, spec.scale.tokens * part // (self.points + 1))
            point = Point(tokens, self._noisy(spec, tokens))
            curve.append(point)
            report(spec, point)
        self._misbehave(fault, spec, cache)
        metrics = self._noisy(spec, spec.scale.tokens)
        if fault == "nan":
            metrics[self.metrics[0]] = float("nan")
        return Observation.of(
            spec,
            metrics,
            curve=tuple(curve),
            flops=spec.scale.flops,
            seconds=time.perf_counter() - started,
            realised=Realised.exact(spec.phases),
            info=_threads(),
        )

    def _noisy(self, spec: RunSpec, tokens: int) -> dict[str, float]:
        rng = np.random.default_rng([int(spec.run_id, 16), tokens])
        so_far = spec.until(tokens)
        exact = self.truth(so_far.schedule or so_far.mixture, so_far.scale)
        return {k: v + self.noise * float(rng.standard_normal()) for k, v in exact.items()}

    def _misbehave(self, fault: str, spec: RunSpec, cache: Path) -> None:
        if fault == "raise":
            raise TrainerError(f"run {spec.run_id} was told to raise")
        if fault == "hang":
            time.sleep(3600)
        if fault == "crash" or (fault == "crash-once" and _first_attempt(spec, cache)):
            os.kill(os.getpid(), signal.SIGKILL)


def _first_attempt(spec: RunSpec, cache: Path) -> bool:
    marker = cache / f"fake-{spec.run_id}.attempt"
    seen = marker.exists()
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    return not seen


def _threads() -> dict[str, Any]:
    return {"pid": os.getpid(), "omp_num_threads": os.environ.get("OMP_NUM_THREADS")}
