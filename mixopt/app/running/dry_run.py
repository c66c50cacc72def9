"""What a sweep would do and cost, found out without training anything or writing to its store."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mixopt.app.running import expected
from mixopt.app.running.launch import Sweep, earlier_of, folder_of, open_sweep
from mixopt.app.running.preparation import Prepared, cache_of, checked, prepared
from mixopt.app.running.record import SPEC_FILE, compare, compare_spec
from mixopt.app.running.run_plans import (
    Machines,
    PromotionPlan,
    Rates,
    ScalePlan,
    plans_of,
    promotion_of,
)
from mixopt.app.spec.values import Spec
from mixopt.errors import SpecError
from mixopt.execution.limits import Limits
from mixopt.runs import Observation

_HOUR = 3600.0


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
        promotion: what promotion would train beside; None where the spec has no rules for it.
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
    promotion: PromotionPlan | None = None

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
            "promotion": None if self.promotion is None else self.promotion.to_dict(),
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
    begun = (folder / SPEC_FILE).is_file()
    with _cache(cache, keep=keep) as place, ExitStack() as opened:
        before = set(_entries(place))
        try:
            named = checked(spec, folder, dry=True)
            old = opened.enter_context(open_sweep(folder)) if begun else None
            if old is not None:
                compare_spec(old.store, spec)
            made = prepared(named, place)
            if old is None:  # a sweep that is there has read them
                earlier_of(spec, made.problem)
        except SpecError as error:
            raise spec.located(error) from error
        new = set(_entries(place)) - before
        seen = _seen(old, spec, made)
        room = Machines.of(spec)
        plans = tuple(plans_of(spec, made, place, seen, room, rates))
    price = rates.price_per_hour or spec.execution.price_per_hour
    told = _data(cache, new, keep=keep)
    result = DryRun(spec, made, folder, len(seen), plans, room.machines, price, (), told)
    result = replace(result, promotion=promotion_of(spec, made))
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


def _seen(old: Sweep | None, spec: Spec, made: Prepared) -> list[Observation]:
    """The runs that the sweep has; refused where it could not go on by this spec."""
    if old is None:
        return []
    compare(old.store, spec, made.info, made.problem.config)
    return old.store.observations()


def _limits(result: DryRun, limits: Limits, seen: Sequence[Observation]) -> Iterator[str]:
    """Which limits end the sweep before its strategy does."""
    yield from _too_late(result, limits.deadline)
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


def _too_late(result: DryRun, deadline: float | None) -> Iterator[str]:
    """What a deadline leaves no time for."""
    if deadline is None or not result.runs:
        return
    left = (deadline - time.time()) / _HOUR
    when = f"execution.stop_after.deadline is {datetime.fromtimestamp(deadline):%Y-%m-%d %H:%M}"
    if left <= 0:
        yield f"{when}, which has passed: nothing would be trained; give a later one"
    elif result.wall_hours is not None and result.wall_hours > left:
        yield (
            f"{when}, {left:.3g} hours from now, and what is left takes {result.wall_hours:.3g}: "
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
