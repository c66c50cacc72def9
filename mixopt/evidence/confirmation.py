"""The gate between a recommendation and a large run.

Candidates are trained with fresh seeds at the largest proxy scale and compared on the objective.
Such runs are confirmations (`mixopt.runs.kinds`) of a named candidate: `"recommended"` is the
proposal, every other candidate is a baseline.

Notation:
    s: seed sd: pooled, sqrt(sum over candidates of squared deviations / degrees of freedom), where
        candidates are as noisy as each other; else of the two that are compared, partly pooled
        (`mixopt.runs.group_noise`)
    difference: mean objective of a baseline minus that of the recommendation; above 0 is a win
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.errors import InputError
from mixopt.evidence.numbers import number
from mixopt.runs import Observation, Schedule
from mixopt.runs.group_noise import GroupNoise, group_noise
from mixopt.runs.kinds import BEST_RANDOM, RECOMMENDED, TIME_AVERAGE
from mixopt.runs.objective import Objective, judged, objective_of
from mixopt.space import Mixture

NOISE_FACTOR = 2.0  # a difference counts as real above this many seed sds


@dataclass(frozen=True)
class Candidate:
    """A mixture that was trained with fresh seeds.

    Attributes:
        name: `"recommended"` or the name of a baseline.
        mixture: what was trained; of a schedule, its mean; of a run with a mixer, what it drew.
        values: the objective, one value per seed.
        failed: how many of its runs failed.
        schedule: what was trained, where the mixture changed on the way.
        mixer: the method that changed it inside the run, if one did.
        tokens: of each of its runs; candidates of equal cost may have more than the recommended.
    """

    name: str
    mixture: Mixture
    values: tuple[float, ...]
    failed: int = 0
    schedule: Schedule | None = None
    mixer: str = ""
    tokens: int = 0

    @property
    def mean(self) -> float:
        """Mean objective over seeds; NaN without one."""
        return float(np.mean(self.values)) if self.values else float("nan")

    @property
    def sd(self) -> float:
        """Sample sd over seeds; NaN with fewer than two."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else float("nan")

    @property
    def seeds(self) -> int:
        """Number of seeds that succeeded."""
        return len(self.values)


@dataclass(frozen=True)
class Comparison:
    """The recommendation against one baseline.

    Attributes:
        baseline: its name.
        difference: objective of the baseline minus that of the recommendation (above 0 is a win).
        low, high: 90 % interval of the difference (t).
        beyond_noise: the difference exceeds twice the seed sd, and the interval is above zero: of
            few seeds the seed sd itself is not known well.
        lost: so it does, the other way: the baseline is better.
        sd: the seed sd that it was compared by.
    """

    baseline: str
    difference: float
    low: float
    high: float
    beyond_noise: bool
    lost: bool = False
    sd: float = float("nan")


@dataclass(frozen=True)
class Confirmation:
    """What the confirmatory runs showed.

    Attributes:
        candidates: the recommendation first, then the baselines from best to worst.
        comparisons: one per baseline, in that order.
        seed_sd: pooled sd of the objective over seeds; NaN if no candidate has two seeds.
        own_sds: (c,) of each candidate, partly pooled, where candidates are not equally noisy:
            they are then compared by these. Empty where all are compared by `seed_sd`.
        differs: probability that they are not equally noisy.
    """

    candidates: tuple[Candidate, ...]
    comparisons: tuple[Comparison, ...]
    seed_sd: float
    own_sds: tuple[float, ...] = ()
    differs: float = 0.0

    @property
    def recommended(self) -> Candidate:
        """The candidate that was recommended."""
        return self.candidates[0]

    @property
    def common_sd(self) -> float:
        """The seed sd by which all candidates are compared; NaN where each has its own."""
        return float("nan") if self.own_sds else self.seed_sd

    @property
    def sds(self) -> dict[str, float]:
        """Candidate to the sd of one of its runs; empty where all are compared by `seed_sd`."""
        names = [c.name for c in self.candidates] if self.own_sds else []
        return dict(zip(names, self.own_sds, strict=True))

    @property
    def noise(self) -> str:
        """Where noise differs between candidates, that and how, in a sentence; else empty."""
        sds = self.sds
        if not sds:
            return ""
        low, high = min(sds, key=sds.__getitem__), max(sds, key=sds.__getitem__)
        return (
            f"Noise differs between candidates (probability {100 * self.differs:.0f} %): one run's "
            f"sd is {number(sds[low])} for {low} and {number(sds[high])} for {high}, partly "
            "pooled; any two are compared by their own."
        )

    @property
    def longer(self) -> bool:
        """Whether candidates were trained for different numbers of tokens, as at equal cost."""
        return len({c.tokens for c in self.candidates}) > 1

    @property
    def baselines(self) -> tuple[Comparison, ...]:
        """Comparisons with what one would train without any search.

        A schedule has its own time average, and the best constant mixture, among them: without its
        order one would train these.
        """
        return tuple(c for c in self.comparisons if c.baseline != BEST_RANDOM)

    @property
    def passed(self) -> bool:
        """Whether the recommendation beats every baseline beyond noise.

        `best-random` came out of the same search and is reported beside them.
        """
        return bool(self.baselines) and all(c.beyond_noise for c in self.baselines)

    @property
    def verdict(self) -> str:
        """What was shown, in a sentence or two for people."""
        return " ".join(
            part
            for part in (
                self._against_baselines(),
                self._against_time_average(),
                self._against_random(),
            )
            if part
        )

    def _against_time_average(self) -> str:
        """A schedule that is not better than its own time average is not worth its trouble."""
        average = next((c for c in self.comparisons if c.baseline == TIME_AVERAGE), None)
        if average is None or average.beyond_noise or not np.isfinite(self.seed_sd):
            return ""
        return (
            "Its order is not shown to help: train its time average from start to end, which is "
            "simpler."
        )

    def _against_random(self) -> str:
        comparison = next((c for c in self.comparisons if c.baseline == BEST_RANDOM), None)
        if comparison is None or not np.isfinite(self.seed_sd):
            return ""
        if comparison.beyond_noise:
            return "It also beats the best random run of the search."
        if comparison.lost:
            return "But the best random run of the search is better: train that one."
        return "The best random run of the search is as good within noise."

    def _against_baselines(self) -> str:
        if not self.baselines:
            return "No baseline was trained, so nothing shows that the recommendation is better."
        if not np.isfinite(self.seed_sd):
            return "No candidate has two seeds, so the noise is unknown and nothing is shown."
        ours = "mixture" if self.recommended.schedule is None else "schedule"
        ours = f"run with {self.recommended.mixer}" if self.recommended.mixer else ours
        if self.passed:
            by = f" (2 x {number(self.seed_sd)})" if not self.own_sds else ""
            told = f"The recommended {ours} beats {_all(self.baselines)} by more than"
            return f"{told} twice the seed sd{by}. {self.noise}".rstrip()
        lost = [c.baseline for c in self.baselines if c.lost]
        level = [c.baseline for c in self.baselines if not c.lost and c.difference <= 0]
        unclear = [c.baseline for c in self.baselines if not c.beyond_noise and c.difference > 0]
        parts = []
        if lost:
            parts.append(f"loses to {', '.join(lost)} beyond noise")
        if level:
            parts.append(f"is no better than {', '.join(level)}")
        if unclear:
            parts.append(f"is not better than {', '.join(unclear)} beyond noise")
        twice = number(NOISE_FACTOR * self.seed_sd)
        by = "" if self.own_sds else f" (twice the seed sd is {twice})"
        return f"The recommended {ours} {_listed(parts)}{by}. {self.noise}".rstrip()

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Candidate name to mean, sd and seeds of the objective; a missing number is None."""
        return {
            c.name: {
                "mean": c.mean if c.values else None,
                "sd": c.sd if c.seeds > 1 else None,
                "seeds": c.seeds,
            }
            for c in self.candidates
        }


def confirm(observations: Iterable[Observation], objective: Objective) -> Confirmation:
    """Compare the candidates that were trained to confirm.

    Raises:
        InputError: there is no finished run of the recommendation.
    """
    grouped: dict[str, list[Observation]] = {}
    for seen in observations:
        candidate = seen.spec.kind.confirms
        if candidate is not None:
            grouped.setdefault(candidate, []).append(judged(seen, objective))
    candidates = {name: _candidate(name, runs, objective) for name, runs in grouped.items()}
    recommended = candidates.pop(RECOMMENDED, None)
    if recommended is None or not recommended.values:
        raise InputError("no confirmatory run of the recommended mixture succeeded")
    baselines = sorted((c for c in candidates.values() if c.values), key=lambda c: c.mean)
    ordered = (recommended, *baselines)
    noise = group_noise([c.values for c in ordered])
    return Confirmation(
        ordered,
        tuple(_compare(ordered, i, noise) for i in range(1, len(ordered))),
        noise.pooled,
        () if noise.alike else tuple(map(float, noise.sds)),
        noise.differs,
    )


def _all(baselines: tuple[Comparison, ...]) -> str:
    return baselines[0].baseline if len(baselines) == 1 else f"all {len(baselines)} baselines"


def _listed(parts: list[str]) -> str:
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last


def _candidate(name: str, runs: list[Observation], objective: Objective) -> Candidate:
    good = [r for r in runs if r.ok]
    values = [float(objective_of(r.metrics, objective)) for r in good]
    spec = runs[0].spec
    shown, mixer = (good or runs)[0].mixture, "" if spec.mixer is None else spec.mixer.name
    failed, tokens = len(runs) - len(good), spec.scale.tokens
    return Candidate(name, shown, tuple(values), failed, spec.schedule, mixer, tokens)


def _compare(candidates: tuple[Candidate, ...], i: int, noise: GroupNoise) -> Comparison:
    """Candidate i against the first."""
    difference = candidates[i].mean - candidates[0].mean
    between = noise.between(0, i, [c.seeds for c in candidates])
    half, sd = between.half(), between.sd
    least = max(NOISE_FACTOR * sd, half) if np.isfinite(sd) else float("inf")
    return Comparison(
        candidates[i].name,
        difference,
        difference - half,
        difference + half,
        beyond_noise=bool(difference > least),
        lost=bool(difference < -least),
        sd=sd,
    )
