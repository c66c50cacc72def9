"""One expert per domain from a common start, trained once and kept: what merging and MDE rest on.

Notation:
    m domains; S: optimiser steps of a run; s: share of them that all experts have in common
    theta_0: parameters after s S steps on the start mixture; theta_i: after (1 - s) S more on
    domain i alone, the learning rate going on where the start left it
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mixopt.errors import InputError
from mixopt.execution.file_locks import BusyError, locked
from mixopt.runs.files import write_atomically
from mixopt.space.numbers import check_number

Parameters = dict[str, Tensor]
START = "start"
_EXPERT = "expert-"  # before the domain's name, which may be anything
STARTS = ("natural", "uniform")
PATIENCE = 86_400.0
"""Seconds that a worker waits for an expert that another one is training."""


class Learns(Protocol):
    """What a pool needs of `learner.Learner`."""

    domains: tuple[str, ...]
    natural: dict[str, float]
    steps: int
    step_tokens: int
    identity: str

    def untrained(self) -> Parameters:
        """The parameters that training starts from."""
        ...

    def train(
        self, parameters: Parameters, weights: Mapping[str, float], steps: range
    ) -> Parameters:
        """Parameters after these steps on a mixture."""
        ...


@dataclass(frozen=True)
class Branching:
    """How experts come from their common start.

    Attributes:
        share: s, 0 to .99; 0 starts from the untrained network.
        mixture: the start's mixture: `"natural"` (by size) or `"uniform"`.

    Raises:
        InputError: out of range.
    """

    share: float
    mixture: str = "natural"

    def __post_init__(self) -> None:
        check_number("start_share", self.share, least=0.0, most=0.99)
        if self.mixture not in STARTS:
            raise InputError(
                f"start_mixture is {self.mixture!r}; choose one of {', '.join(STARTS)}"
            )


class ExpertPool:
    """The experts of one scale, seed and configuration.

    Each is trained by whoever needs it first, under a lock, and kept as safetensors: a worker that
    dies leaves what was finished, and workers that ask at the same time share out what is missing.

    Attributes:
        folder: where the experts are kept.
        trained: training tokens spent by this object; what was found on disk costs nothing.
    """

    def __init__(self, learner: Learns, cache: Path, branching: Branching) -> None:
        self._learner, self._branching = learner, branching
        key = hashlib.sha256(repr((learner.identity, branching)).encode()).hexdigest()[:16]
        self.folder = cache / "experts" / key
        self.trained = 0
        self._memory: dict[str, Parameters] = {}

    def start(self) -> Parameters:
        """theta_0."""
        return self._get(START)

    def experts(self) -> list[Parameters]:
        """theta_i of every domain, in the order of the learner's domains.

        Raises:
            TrainerError: the training of one diverged.
        """
        self.start()
        names = [_EXPERT + domain for domain in self._learner.domains]
        for name in names:  # first those that nobody else is at
            try:
                self._get(name, patience=0.0)
            except BusyError:
                continue
        return [self._get(name) for name in names]

    def _get(self, name: str, patience: float = PATIENCE) -> Parameters:
        if name not in self._memory:
            self._memory[name] = self.kept(name, lambda: self._make(name), patience)
        return self._memory[name]

    def kept(
        self, name: str, make: Callable[[], Parameters], patience: float = PATIENCE
    ) -> Parameters:
        """Tensors from the pool's folder; made, and put there, if they are not in it."""
        stem = quote(name, safe="")
        path = self.folder / f"{stem}.safetensors"
        tensors = _read(path)
        if tensors is not None:
            return tensors
        with locked(self.folder / f"{stem}.lock", patience, f"{name!r} of a pool of experts"):
            tensors = _read(path)  # the one we waited for may have left it
            if tensors is None:
                tensors = make()
                write_atomically(path, save(tensors))
        return tensors

    def _make(self, name: str) -> Parameters:
        learner = self._learner
        common = round(self._branching.share * learner.steps)
        if name == START:
            natural = self._branching.mixture == "natural"
            weights = dict(learner.natural) if natural else dict.fromkeys(learner.domains, 1.0)
            before, steps = learner.untrained(), range(common)
        else:
            domain = name.removeprefix(_EXPERT)
            before, weights, steps = self.start(), {domain: 1.0}, range(common, learner.steps)
        self.trained += len(steps) * learner.step_tokens
        return learner.train(before, weights, steps)


def _read(path: Path) -> Parameters | None:
    try:
        tensors: Parameters = load(path.read_bytes())
    except (FileNotFoundError, SafetensorError):  # never finished, or not readable any more
        return None
    return tensors
