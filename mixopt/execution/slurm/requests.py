"""What sbatch is asked for a pack, from the settings that all executors on machines share."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mixopt.errors import InputError, did_you_mean
from mixopt.execution.needs import Needs
from mixopt.runs import RunSpec

Value = str | int | float | bool

OPTIONS = (
    *("acctg-freq", "begin", "bb", "comment", "constraint", "contiguous", "core-spec"),
    *("cpu-freq", "cpus-per-gpu", "deadline", "delay-boot", "exclude", "exclusive", "gpu-bind"),
    *("gpu-freq", "gres", "gres-flags", "hint", "licenses", "mail-type", "mail-user"),
    *("mem-per-cpu", "mem-per-gpu", "mincpus", "network", "nice", "nodelist"),
    *("oversubscribe", "power", "prefer", "priority", "profile", "qos", "reservation"),
    *("spread-job", "switches", "thread-spec", "threads-per-core", "time", "time-min", "tmp"),
    *("use-min-nodes", "wckey"),
)
"""Options of sbatch that may be given as they are; what else a pack needs has a setting."""

_SETTINGS = {
    "account": "account",
    "cpus-per-task": "cpus_per_pack",
    "gpus": "gpus_per_pack",
    "gpus-per-node": "gpus_per_pack",
    "mem": "memory_per_pack",
    "nodes": "nodes_per_pack",
    "partition": "partition",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:@+-]*")
_GRACE_SECONDS = 120.0  # for the driver to end a run first: it knows whose fault it is


@dataclass(frozen=True)
class SlurmNeeds(Needs):
    """What one pack needs of a Slurm cluster.

    Attributes:
        partition: the partition; several, separated by commas, take the first that has room. Empty
            for the cluster's own choice.
        account: that is charged; empty for the user's own.
        options: further options of sbatch, by their long names, e.g. `{"qos": "high"}`; true for
            one without a value.

    Raises:
        InputError: a value breaks its rule, or Slurm has nothing like it.
    """

    partition: str = ""
    account: str = ""
    options: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cpus_per_pack", "gpus_per_pack"):
            _whole(name, vars(self)[name])
        if self.cpus_per_pack < 1:
            raise InputError("cpus_per_pack is 0; a task of Slurm has at least 1")
        for name, amount in self.resources.items():
            _whole(f"resources.{name}", amount)
            _plain(f"resources: the name {name!r}", name)
        if self.labels:
            raise InputError(
                "labels: nodes of Slurm have features instead; write options: {constraint: NAME}"
            )
        for name in ("partition", "account"):
            if vars(self)[name]:
                _plain(f"{name} {vars(self)[name]!r}", vars(self)[name])
        for name, value in self.options.items():
            _check_option(name, value)
        if "gres" in self.options and self.resources:
            raise InputError("options.gres and resources are one thing to Slurm; join them")

    def sbatch(self, specs: Sequence[RunSpec]) -> list[str]:
        """The arguments of sbatch that say what a pack of these runs needs.

        Args:
            specs: its runs.
        """
        words = [
            f"--nodes={self.nodes_per_pack}",
            "--ntasks-per-node=1",
            f"--cpus-per-task={self.threads}",
        ]
        if self.gpus_per_pack:
            words.append(f"--gpus-per-node={int(self.gpus_per_pack)}")
        if self.memory_per_pack:
            words.append(f"--mem={math.ceil(int(self.memory_per_pack) / 1024)}K")
        if self.resources:
            each = (f"{name}:{int(n)}" for name, n in self.resources.items())
            words.append(f"--gres={','.join(each)}")
        words += [f"--partition={self.partition}"] * bool(self.partition)
        words += [f"--account={self.account}"] * bool(self.account)
        for name, value in self.options.items():
            if value is not False:
                words.append(f"--{name}" if value is True else f"--{name}={value}")
        limit = self.seconds(specs)
        if math.isfinite(limit) and "time" not in self.options:
            # Slurm counts in minutes. The driver ends what hangs; this is for when it is away.
            words.append(f"--time={math.ceil((limit + _GRACE_SECONDS) / 60)}")
        return words


def _whole(name: str, amount: float) -> None:
    if amount != int(amount):
        raise InputError(
            f"{name} is {amount:g}; Slurm gives whole ones (shares of a GPU, where the cluster has "
            "them, are resources: {shard: 1})"
        )


def _plain(what: str, text: str) -> None:
    if not _NAME.fullmatch(text):
        raise InputError(
            f"{what} is no name of Slurm's; give letters, digits and any of _ . , : @ + -"
        )


def _check_option(name: str, value: object) -> None:
    if name in _SETTINGS:
        raise InputError(f"options.{name} has a setting of its own: {_SETTINGS[name]}")
    if name not in OPTIONS:
        raise InputError(
            f"options has no {name!r}; {did_you_mean(name, OPTIONS)} (the long names of sbatch; "
            "what names, places and repeats a job is mixopt's)"
        )
    if not isinstance(value, Value):
        raise InputError(f"options.{name} is {value!r}; give text, a number, or true")
    if isinstance(value, str) and (not value or not value.isprintable()):
        raise InputError(f"options.{name} is {value!r}; give text of one line")
