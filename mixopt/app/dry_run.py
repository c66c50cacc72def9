"""What a sweep would do and cost, found out without training anything or writing to its store."""

import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixopt.app import expected
from mixopt.app.launch import folder_of, open_sweep
from mixopt.app.preparation import Prepared, cache_of, prepared
from mixopt.app.record import SPEC_FILE, compare
from mixopt.app.spec import Spec
from mixopt.errors import InputError, SpecError
from mixopt.execution.limits import Limits
from mixopt.execution.needs import NEEDS, Needs, NeedsByScale
from mixopt.lazy import load
from mixopt.ports import PackingTrainer, capabilities_of
from mixopt.runs import Observation, Scale

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
        runs: that are left, at most. flops: nominal, 6 N D of all of them.
        pack: runs in a pack at most. slots: packs at once; None where nobody knows.
        gpus: of a pack.
        hours: for which slots will be taken; None where nobody knows how fast they are.
        how: by what the hours are known, in words.
    """

    scale: Scale
    runs: int
    flops: float
    pack: int
    slots: int | None
    gpus: float
    hours: float | None
    how: str

    @property
    def packs(self) -> int:
        """At least so many: a batch may end with a small one."""
        return math.ceil(self.runs / self.pack)

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
class DryRun:
    """What a sweep would do.

    Attributes:
        spec: of the sweep.
        made: what it names, made and checked, its data prepared.
        folder: of the sweep.
        done: runs that are there already.
        plans: for each scale that has runs left.
        machines: where packs would run, in words.
        price: of an hour; None where nobody said.
        notes: what is odd, and which limits come first.
        data: where the prepared data came from, in words.
    """

    spec: Spec
    made: Prepared
    folder: Path
    done: int
    plans: tuple[ScalePlan, ...]
    machines: str
    price: float | None
    notes: tuple[str, ...]
    data: str

    @property
    def runs(self) -> int:
        """That are left, at most."""
        return sum(plan.runs for plan in self.plans)

    @property
    def flops(self) -> float:
        """Nominal FLOPs of what is left."""
        return sum(plan.flops for plan in self.plans)

    @property
    def gpu_hours(self) -> float | None:
        """Hours of GPUs; None where unknown, 0 where packs reserve none."""
        return _total(None if p.hours is None else p.hours * p.gpus for p in self.plans)

    @property
    def slot_hours(self) -> float | None:
        """Hours for which slots are taken; None where unknown."""
        return _total(p.hours for p in self.plans)

    @property
    def wall_hours(self) -> float | None:
        """Hours on the clock, with all slots busy, scale after scale; None where unknown."""
        return _total(p.wall_hours for p in self.plans)

    @property
    def money(self) -> float | None:
        """What that costs; None without a price, or where hours are unknown."""
        hours = _total(p.priced_hours for p in self.plans)
        return None if hours is None or self.price is None else hours * self.price

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values for programs."""
        space, info = self.made.problem.space, self.made.info
        rows = zip(space.domains, space.prior, space.lower, space.upper, strict=True)
        return {
            "name": self.spec.name,
            "folder": str(self.folder),
            "domains": [
                {
                    "name": d.name,
                    "tokens": d.tokens,
                    space.prior_name: float(prior),
                    "lowest": float(low),
                    "highest": float(high),
                }
                for d, prior, low, high in rows
            ],
            "metrics": list(info.metrics),
            "objective": self.made.problem.objective.describe(),
            "strategy": self.spec.strategy.use,
            "done": self.done,
            "runs": self.runs,
            "flops": self.flops,
            "gpu_hours": self.gpu_hours,
            "slot_hours": self.slot_hours,
            "wall_hours": self.wall_hours,
            "money": self.money,
            "price_per_hour": self.price,
            "machines": self.machines,
            "beforehand": expected.of_sweep(self.made.problem, self.made.recipe),
            "scales": [
                {
                    "params": p.scale.params,
                    "tokens": p.scale.tokens,
                    "runs": p.runs,
                    "flops": p.flops,
                    "pack": p.pack,
                    "packs": p.packs,
                    "slots": p.slots,
                    "gpus_per_pack": p.gpus,
                    "slot_hours": p.hours,
                    "hours_by": p.how,
                }
                for p in self.plans
            ],
            "data": self.data,
            "notes": list(self.notes),
        }


def dry_run(
    spec: Spec, out: Path | None = None, rates: Rates | None = None, *, keep: bool = False
) -> DryRun:
    """See what a sweep would do and cost. Nothing is trained, and nothing written to its store.

    Args:
        spec: of the sweep.
        out: its folder, where that is not the usual one.
        rates: what machines do and cost.
        keep: keep data that had to be prepared, where the sweep will look for it.

    Raises:
        MixoptError: what `mixopt run` would refuse.
    """
    rates, folder, cache = rates or Rates(), folder_of(spec, out), cache_of(spec)
    with _cache(cache, keep=keep) as place:
        before = set(_entries(place))
        try:
            made = prepared(spec, folder, dry=place)
        except SpecError as error:
            raise spec.located(error) from error
        new = set(_entries(place)) - before
        seen = _seen(spec, folder, made)
        room = _Room.of(spec)
        plans = tuple(_plans(spec, made, place, seen, room, rates))
    price = rates.price_per_hour or spec.execution.price_per_hour
    result = DryRun(
        spec, made, folder, len(seen), plans, room.machines, price, (), _data(cache, new, keep=keep)
    )
    notes = [*_unwritable([folder, cache]), *room.doubts, *made.info.warnings]
    return replace(result, notes=(*notes, *_limits(result, spec.execution.limits, seen)))


@contextmanager
def _cache(cache: Path, *, keep: bool) -> Iterator[Path]:
    """The prepared data that there is, in a folder where more may be written and is forgotten."""
    if keep:
        cache.mkdir(parents=True, exist_ok=True)
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="mixopt-check-") as name:
        for entry in _entries(cache):
            (Path(name) / entry).symlink_to(cache / entry)
        yield Path(name)


def _entries(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def _data(cache: Path, new: set[str], *, keep: bool) -> str:
    if not new:
        return f"nothing had to be prepared beyond what is in {cache}"
    if keep:
        return f"prepared in {cache}"
    return "prepared in a temporary folder and forgotten; --prepare keeps it for 'mixopt run'"


def _seen(spec: Spec, folder: Path, made: Prepared) -> list[Observation]:
    """The runs that the sweep has; refused where it could not go on by this spec."""
    if not (folder / SPEC_FILE).is_file():
        return []
    with open_sweep(folder) as old:
        compare(old.store, spec, made.info, made.problem.config)
        return old.store.observations()


@dataclass(frozen=True)
class _Room:
    """What is known of machines before any executor is made."""

    machines: str
    doubts: tuple[str, ...]
    needs: NeedsByScale
    slots: Mapping[Needs, int] | None

    @classmethod
    def of(cls, spec: Spec) -> "_Room":
        execution = spec.execution
        settings = execution.settings
        given = {k: settings[k] for k in NEEDS if k in settings}
        if execution.use == "local":
            needs = NeedsByScale(Needs())
            return cls("this process, one pack at a time", (), needs, {needs.base: 1})
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
        """Packs at once, and GPUs of a pack."""
        needs = self.needs.at(scale)
        slots = None if self.slots is None else self.slots[needs]
        return slots, float(needs.gpus_per_pack * needs.nodes_per_pack)


def _plans(
    spec: Spec,
    made: Prepared,
    cache: Path,
    seen: Sequence[Observation],
    room: _Room,
    rates: Rates,
) -> Iterator[ScalePlan]:
    done = Counter(o.spec.scale for o in seen)
    planned = Counter(made.recipe.planned(made.problem))
    for scale in sorted(planned):
        runs = planned[scale] - done[scale]
        if runs <= 0:
            continue
        slots, gpus = room.at(scale)
        seconds, how = _seconds(scale, seen, gpus, rates)
        hours = None if seconds is None else runs * seconds / _HOUR
        pack = min(_pack(spec, made, scale, cache), runs)
        yield ScalePlan(scale, runs, runs * scale.flops, pack, slots, gpus, hours, how)


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


def _limits(result: DryRun, limits: Limits, seen: Sequence[Observation]) -> Iterator[str]:
    """Which limits end the sweep before its strategy does."""
    wanted = {
        "runs": (limits.runs, len(seen) + result.runs),
        "flops": (limits.flops, sum(o.spent for o in seen) + result.flops),
        "gpu_hours": (limits.gpu_hours, _with(result.gpu_hours, _hours(seen))),
        "money": (limits.money, _with(result.money, _hours(seen) * (result.price or 0.0))),
    }
    for name, (most, total) in wanted.items():
        if most is None:
            continue
        if total is None:
            yield f"execution.stop_after.{name} is {most:g}; what the sweep takes is not known yet"
        elif total > most:
            yield (
                f"execution.stop_after.{name} is {most:g} and the whole sweep takes {total:.4g}: "
                "it will stop before its end"
            )


def _with(left: float | None, spent: float) -> float | None:
    return None if left is None else left + spent


def _hours(seen: Sequence[Observation]) -> float:
    return sum(o.gpu_seconds for o in seen) / _HOUR


def _unwritable(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        if not os.access(there, os.W_OK):
            yield f"{folder} cannot be written (no right to write to {there})"


def _total(values: Iterator[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def check_rates(rates: Rates) -> None:
    """Refuse rates that are no positive numbers.

    Raises:
        InputError: names the option.
    """
    for name, value in vars(rates).items():
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"--{name.replace('_', '-')} is {value}; give a number above 0")
