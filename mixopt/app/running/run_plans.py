"""Runs, packs and hours of a sweep before it starts, by scale."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.app.running.preparation import Prepared
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError
from mixopt.evidence.candidates import rivals
from mixopt.execution.needs import NEEDS, Needs, NeedsByScale
from mixopt.execution.slurm.executor import MAX_SLOTS, needs_of
from mixopt.execution.waiting import pack_sizes
from mixopt.lazy import load
from mixopt.ports import PackingTrainer, capabilities_of
from mixopt.runs import Observation, Scale
from mixopt.runs.kinds import What
from mixopt.strategies import Configuring, Parting

_HOUR = 3600.0


@dataclass(frozen=True)
class Rates:
    """What the user says of machines, in place of what was measured.

    Attributes:
        flops_per_second: of one GPU, or of one slot where packs reserve no GPU; nominal FLOPs
            (6 N D), so that utilisation is in it. None: as measured by runs that there are.
        price_per_hour: of the same; None: as in the spec.
    """

    flops_per_second: float | None = None
    price_per_hour: float | None = None


@dataclass(frozen=True)
class ScalePlan:
    """The runs of one scale.

    Attributes:
        scale: of the runs.
        runs: that are left, at most. flops: nominal, 6 N D of all of them, less what they share.
        sizes: runs in each pack, as packs go out where runs are asked for at once (what a strategy
            asks for later, in view of the first ones, may take more).
        slots: packs at once; None where nobody knows.
        gpus: of a pack.
        hours: for which slots will be taken; None where nobody knows how fast they are.
        how: by what the hours are known, in words.
    """

    scale: Scale
    runs: int
    flops: float
    sizes: tuple[int, ...]
    slots: int | None
    gpus: float
    hours: float | None
    how: str

    @property
    def pack(self) -> int:
        """Runs in the largest pack."""
        return max(self.sizes)

    @property
    def packs(self) -> int:
        """At least so many: a batch may end with a small one."""
        return len(self.sizes)

    @property
    def priced_hours(self) -> float | None:
        """Hours of GPUs, or of slots where a pack has none."""
        return None if self.hours is None else self.hours * (self.gpus or 1.0)

    @property
    def wall_hours(self) -> float | None:
        """Hours on the clock, with all slots busy."""
        if self.hours is None or self.slots is None:
            return None
        return self.hours / max(min(self.slots, self.packs), 1)


@dataclass(frozen=True)
class PromotionPlan:
    """What 'mixopt promote' would train at most, after the sweep.

    Attributes:
        scale: of the runs. plans: mixtures and schedules. seeds: of each.
        budget: FLOPs that the spec allows; None for no limit.
    """

    scale: Scale
    plans: int
    seeds: int
    budget: float | None

    @property
    def flops(self) -> float:
        """Nominal FLOPs of all of it."""
        return self.plans * self.seeds * self.scale.flops

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values for programs."""
        return {
            "params": self.scale.params,
            "tokens": self.scale.tokens,
            "runs": self.plans * self.seeds,
            "flops": self.flops,
            "budget": self.budget,
        }


@dataclass(frozen=True)
class Machines:
    """What is known of machines before any executor is made."""

    machines: str
    doubts: tuple[str, ...]
    needs: NeedsByScale[Needs]
    slots: Mapping[Needs, int] | None

    @classmethod
    def of(cls, spec: Spec) -> "Machines":
        """As far as the spec, and the cluster that it names, tell."""
        execution = spec.execution
        settings = execution.settings
        given = {k: settings[k] for k in NEEDS if k in settings}
        if execution.use == "local":
            needs = NeedsByScale(Needs())
            return cls("this process, one pack at a time", (), needs, {needs.base: 1})
        if execution.use == "slurm":
            ours = needs_of(settings)
            forms = NeedsByScale[Needs](ours.base, ours.larger)
            most = settings.get("max_slots", MAX_SLOTS)
            told = f"when Slurm starts the jobs, at most {most} at once, shows when it runs"
            return cls("a Slurm cluster", (told,), forms, dict.fromkeys(forms.all, most))
        if execution.use != "ray":
            needs = NeedsByScale(Needs())
            told = f"how many packs {execution.use!r} trains at once shows when it runs"
            return cls(f"executor {execution.use}", (told,), needs, None)
        needs = NeedsByScale.of(Needs(**given), settings.get("per_scale", ()))
        there = load("mixopt.execution.ray.room:room")(settings.get("address"), needs)
        slots, doubts = {}, [there.doubts] if there.doubts else []
        most = settings.get("max_slots")
        for form in dict.fromkeys(needs.all):
            slots[form] = most or there.packs(form)
            if not slots[form]:
                doubts.append(f"{there.machines}: no room for a pack that needs {form}")
        return cls(there.machines, tuple(doubts), needs, slots)

    def at(self, scale: Scale) -> tuple[int | None, float]:
        """Packs of a scale at once (None: unknown), and GPUs of one."""
        needs = self.needs.at(scale)
        slots = None if self.slots is None else self.slots[needs]
        return slots, float(needs.gpus_per_pack * needs.nodes_per_pack)


def plans_of(
    spec: Spec,
    made: Prepared,
    cache: Path,
    seen: Sequence[Observation],
    machines: Machines,
    rates: Rates,
) -> Iterator[ScalePlan]:
    """What is left to train at each scale, smallest first.

    Args:
        spec: of the sweep.
        made: what it names.
        cache: where its data is prepared.
        seen: runs that are there.
        machines: where packs would run.
        rates: what machines do.
    """
    done = Counter(o.spec.scale for o in seen)
    planned = Counter(made.recipe.planned(made.problem))
    for scale in sorted(planned):
        runs = planned[scale] - done[scale]
        if runs <= 0:
            continue
        slots, gpus = machines.at(scale)
        seconds, how = _seconds(scale, seen, gpus, rates)
        whole = runs - _shared(made, scale, runs, seen)
        hours = None if seconds is None else whole * seconds / _HOUR
        most = _pack(spec, made, scale, cache)
        sizes = tuple(pack_sizes(_groups(made, scale, runs, seen), slots or 1, most))
        yield ScalePlan(scale, runs, whole * scale.flops, sizes, slots, gpus, hours, how)


def _groups(made: Prepared, scale: Scale, runs: int, seen: Sequence[Observation]) -> list[int]:
    """The runs that are left at a scale, by what of them may share a pack."""
    recipe, problem = made.recipe, made.problem
    if isinstance(recipe, Configuring) and scale == problem.scales[0]:
        return recipe.together(problem, seen) or [runs]
    return [runs]


def _shared(made: Prepared, scale: Scale, runs: int, seen: Sequence[Observation]) -> float:
    """How many runs' worth of those that are left is trained by others that begin alike."""
    recipe, problem = made.recipe, made.problem
    if not (isinstance(recipe, Parting) and capabilities_of(made.trainer).branches):
        return 0.0
    if scale != problem.scales[0]:
        return 0.0
    done = sum(o.spec.kind.what is What.BRANCH and o.spec.scale == scale for o in seen)
    left = min(max(recipe.branches(problem) - done, 0), runs)
    return left * recipe.parts_at(scale.tokens) / scale.tokens


def _pack(spec: Spec, made: Prepared, scale: Scale, cache: Path) -> int:
    """The spec's pack size, else what the trainer prefers on this machine, else 1."""
    if spec.execution.pack_size is not None:
        return spec.execution.pack_size
    trainer = made.trainer
    if isinstance(trainer, PackingTrainer) and capabilities_of(trainer).packs:
        return trainer.preferred_pack(scale, cache)
    return 1


def _seconds(
    scale: Scale, seen: Sequence[Observation], gpus: float, rates: Rates
) -> tuple[float | None, str]:
    """Slot-seconds of a run of a scale, and by what they are known."""
    if rates.flops_per_second is not None:
        return scale.flops / rates.flops_per_second / (gpus or 1.0), "as given"
    good = [o for o in seen if o.ok and o.slot_seconds > 0]
    here = [o for o in good if o.spec.scale == scale]
    if here:
        mean = sum(o.slot_seconds for o in here) / len(here)
        return mean, f"as {len(here)} runs of this scale took"
    if good:
        pace = sum(o.slot_seconds for o in good) / sum(o.spec.scale.flops for o in good)
        return scale.flops * pace, f"by the pace of {len(good)} runs of other scales"
    return None, ""


def promotion_of(spec: Spec, made: Prepared) -> PromotionPlan | None:
    """The recommended and other candidates, what lies between, and the baselines."""
    rules = spec.promotion
    if rules is None:
        return None
    between = rules.candidates - 1 if rules.between else 0
    plans = rules.candidates + between + len(rivals(made.problem.space, rules.against))
    scale = Scale(rules.scale.params, rules.scale.tokens)
    return PromotionPlan(scale, plans, rules.seeds, rules.budget)


def check_rates(rates: Rates) -> None:
    """Refuse rates that are no positive numbers.

    Raises:
        InputError: names the option.
    """
    for name, value in vars(rates).items():
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"--{name.replace('_', '-')} is {value}; give a number above 0")
