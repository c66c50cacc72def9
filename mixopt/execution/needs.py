"""What a pack of runs needs where it is trained, and how long it may take, by scale.

Executors on several machines share these settings and their rules; none of it is part of a run.

Notation:
    N, D parameters and tokens of a run; 6 N D its nominal FLOPs
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Generic, TypeVar

from mixopt.errors import InputError, did_you_mean
from mixopt.runs import RunSpec, Scale
from mixopt.space.numbers import Within, check_number, check_settings
from mixopt.space.redaction import shown
from mixopt.space.short import read_count

PFLOP = 1e15
_FROM = "params"  # of an entry of `per_scale`: from so many parameters on


@dataclass(frozen=True)
class Needs:
    """What one pack needs, and how long it may take.

    Attributes:
        cpus_per_pack: CPU cores, on each of its nodes.
        gpus_per_pack: GPUs, on each of its nodes; below 1 a fraction, which reserves no memory.
        memory_per_pack: bytes of memory, on each of its nodes; `"8G"` is 8e9. 0: not reserved.
        nodes_per_pack: machines over which its ranks are spread.
        resources: other resources by name, as the nodes of the cluster declare them.
        labels: labels that its nodes have, e.g. `{"ray.io/market-type": "spot"}`.
        timeout: seconds that a run may take; None for no limit.
        timeout_per_pflop: seconds more per 10^15 nominal FLOPs of a run; None for none.

    Raises:
        InputError: a value breaks its rule.
    """

    cpus_per_pack: Annotated[float, Within(0, 10_000)] = 1
    gpus_per_pack: Annotated[float, Within(0, 1_000)] = 0
    memory_per_pack: Annotated[int, Within(0, 10**15)] | str = 0
    nodes_per_pack: Annotated[int, Within(1, 1_000)] = 1
    resources: Mapping[str, float] = field(default_factory=dict, hash=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    timeout: Annotated[float, Within(0, 1e9, open=True)] | None = None
    timeout_per_pflop: Annotated[float, Within(0, 1e9, open=True)] | None = None

    def __post_init__(self) -> None:
        check_settings(self)
        object.__setattr__(self, "memory_per_pack", _bytes(self.memory_per_pack))
        if self.gpus_per_pack > 1 and self.gpus_per_pack != int(self.gpus_per_pack):
            raise InputError(
                f"gpus_per_pack is {self.gpus_per_pack:g}; above 1 give whole GPUs, below 1 a "
                "fraction"
            )
        for name, amount in self.resources.items():
            check_number(f"resources.{name}", amount, least=0, most=1e9)
            if name.lower() in {"cpu", "gpu", "memory"}:
                raise InputError(f"resources.{name} has a setting of its own; write it there")

    @property
    def amounts(self) -> dict[str, float]:
        """Name of a resource to what a node must have free of it; without zeros.

        A pack that needs nothing still takes a CPU when it is counted how many have room.
        """
        all_of_them = {
            "CPU": float(self.cpus_per_pack),
            "GPU": float(self.gpus_per_pack),
            "memory": float(self.memory_per_pack),
            **{name: float(amount) for name, amount in self.resources.items()},
        }
        return {name: amount for name, amount in all_of_them.items() if amount}

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return max(1, int(self.cpus_per_pack))

    def seconds(self, specs: Sequence[RunSpec]) -> float:
        """How long a pack may take: as long as its runs one after the other; infinite by default.

        A pack that is trained stacked takes less; one that the trainer takes in turns, that much.
        """
        if self.timeout is None and self.timeout_per_pflop is None:
            return math.inf
        each, more = self.timeout or 0.0, self.timeout_per_pflop or 0.0
        return sum(each + more * spec.scale.flops / PFLOP for spec in specs)

    def __str__(self) -> str:
        units = {"memory": " bytes of memory"}
        parts = [f"{n:g}{units.get(what, f' {what}')}" for what, n in self.amounts.items()]
        parts += [f"label {name}={value}" for name, value in self.labels.items()]
        text = " and ".join(parts) or "any resources"
        return f"{text}, on {self.nodes_per_pack} nodes" if self.nodes_per_pack > 1 else text


NEEDS = tuple(f.name for f in fields(Needs))
"""Names of the settings that may differ by scale."""

N = TypeVar("N", bound=Needs)


@dataclass(frozen=True)
class NeedsByScale(Generic[N]):
    """The needs of packs, larger ones from some number of parameters on.

    Attributes:
        base: what is needed where nothing else is said.
        larger: (parameters, needs), ascending: from so many parameters on.
    """

    base: N
    larger: tuple[tuple[int, N], ...] = ()

    @classmethod
    def of(cls, base: N, per_scale: Sequence[Mapping[str, Any]]) -> "NeedsByScale[N]":
        """Read the entries of `per_scale`: each says what changes from `params` on.

        Args:
            base: what entries build on; a larger entry builds on the one before it.
            per_scale: e.g. `[{"params": "100M", "gpus_per_pack": 1, "timeout": 7200}]`.

        Raises:
            InputError: an entry without `params`, with an unknown setting or a wrong value.
        """
        entries = sorted(
            ((_params(entry, place), dict(entry), place) for place, entry in enumerate(per_scale)),
            key=lambda e: e[0],
        )
        larger: list[tuple[int, N]] = []
        needs, names = base, [f.name for f in fields(base)]
        for params, entry, place in entries:
            if larger and larger[-1][0] == params:
                raise InputError(f"per_scale[{place}]: params {params} is there twice; join them")
            changes = {k: v for k, v in entry.items() if k != _FROM}
            unknown = next((k for k in changes if k not in names), None)
            if unknown is not None:
                known = did_you_mean(unknown, (_FROM, *names))
                raise InputError(f"per_scale[{place}] has no setting {shown(unknown)}; {known}")
            try:
                needs = replace(needs, **changes)
            except InputError as error:
                raise InputError(f"per_scale[{place}]: {error}") from error
            larger.append((params, needs))
        return cls(base, tuple(larger))

    def at(self, scale: Scale) -> N:
        """The needs of a pack of this scale."""
        reached = [needs for params, needs in self.larger if scale.params >= params]
        return reached[-1] if reached else self.base

    @property
    def all(self) -> tuple[N, ...]:
        """Every form that the needs take."""
        return (self.base, *(needs for _, needs in self.larger))


def _params(entry: Any, place: int) -> int:
    if not isinstance(entry, Mapping):
        raise InputError(
            f"per_scale[{place}] is {shown(entry)}; give a mapping such as "
            "{params: 100M, gpus_per_pack: 1}"
        )
    try:
        params = read_count(entry.get(_FROM))
    except ValueError as error:
        raise InputError(f"per_scale[{place}].params: {error}") from None
    if not isinstance(params, int) or isinstance(params, bool) or params < 1:
        raise InputError(
            f"per_scale[{place}].params is {shown(entry.get(_FROM))}; give the parameters from "
            "which on the entry holds, e.g. 100M"
        )
    return params


def _bytes(value: Any) -> int:
    try:
        number = read_count(value)
    except ValueError:
        number = None
    if not isinstance(number, int) or not 0 <= number <= 10**15:
        raise InputError(
            f"memory_per_pack is {shown(value)}; give bytes, e.g. 8G for 8e9, at most 1e15"
        )
    return number
