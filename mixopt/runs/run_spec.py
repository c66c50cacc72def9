"""Scales, run specs and observations: what a run is, and what came of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from mixopt.errors import InputError
from mixopt.runs.kinds import GIVEN, Kind
from mixopt.space import Mixture


@dataclass(frozen=True, order=True)
class Scale:
    """Size and token budget of a run; the last scale of a study is the target.

    Attributes:
        params: model parameters N, as the trainer counts them.
        tokens: training tokens D.
    """

    params: int
    tokens: int

    def __post_init__(self) -> None:
        for what, value in (("params", self.params), ("tokens", self.tokens)):
            if not (np.isfinite(value) and value > 0 and int(value) == value):
                raise InputError(f"scale: {what} is {value}; give a whole number above 0")
            object.__setattr__(self, what, int(value))

    @property
    def flops(self) -> float:
        """Training FLOPs by the rule 6 N D; a trainer may measure its own."""
        return 6.0 * self.params * self.tokens

    def __str__(self) -> str:
        return f"{short_number(self.params)} params x {short_number(self.tokens)} tokens"


@dataclass(frozen=True)
class RunSpec:
    """What a run is. `run_id` is the hash of exactly that; where it runs never enters it.

    Attributes:
        mixture: the share of training tokens per domain.
        scale: model size and token budget.
        seed: of initialisation and data order.
        trainer: `"module:attribute"` of the trainer that makes it.
        config: the trainer's configuration, plain JSON values.
        data: hash of the data manifest.
        kind: why the strategy asked for it; kept beside the run, no part of its identity.
    """

    mixture: Mixture
    scale: Scale
    seed: int = 0
    trainer: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    data: str = ""
    kind: Kind = field(default=GIVEN, compare=False)

    @cached_property
    def run_id(self) -> str:
        """16 hexadecimal digits, the same for the same run on any machine."""
        identity = {k: v for k, v in self.to_dict().items() if k != "kind"}
        # Weights that differ in the 10th digit are the same run; zero shares are left out, so a
        # run keeps its identity when a domain that it never used joins the space.
        shares = sorted(self.mixture.to_dict().items())
        identity["mixture"] = {d: f"{w:.9f}" for d, w in shares if w > 0}
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `RunSpec.from_dict` reads them back."""
        return {
            "mixture": self.mixture.to_dict(),
            "scale": {"params": self.scale.params, "tokens": self.scale.tokens},
            "seed": self.seed,
            "trainer": self.trainer,
            "config": dict(self.config),
            "data": self.data,
            "kind": self.kind.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunSpec":
        """The run spec that `to_dict` wrote."""
        fields = dict(values)
        return cls(
            mixture=Mixture.of(fields.pop("mixture")),
            scale=Scale(**fields.pop("scale")),
            kind=Kind.from_dict(fields.pop("kind")),
            **fields,
        )


@dataclass(frozen=True)
class Point:
    """One point of a learning curve: the metrics after `tokens` training tokens."""

    tokens: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Observation:
    """What came of a run.

    Attributes:
        spec: the run.
        status: `"ok"`, or `"failed"` with the reason in `error`. A failed run has no metrics.
        metrics: by name, in the unit that the trainer states (lower is better unless the
            objective says otherwise).
        curve: earlier points, by increasing tokens.
        flops: training FLOPs spent.
        seconds: wall-clock seconds spent.
        tokens: realised training tokens per domain.
        info: what else the trainer wants to be on record (plain JSON values).
    """

    spec: RunSpec
    status: Literal["ok", "failed"] = "ok"
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    curve: tuple[Point, ...] = ()
    flops: float = 0.0
    seconds: float = 0.0
    tokens: Mapping[str, int] = field(default_factory=dict, hash=False)
    error: str = ""
    info: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, spec: RunSpec, metrics: Mapping[str, float], **rest: Any) -> "Observation":
        """An observation that is failed, with the reason, if any metric is not finite."""
        broken = {k: v for k, v in metrics.items() if not np.isfinite(v)}
        if broken:
            name, value = next(iter(broken.items()))
            return cls.failure(spec, f"metric {name!r} is {value}: the run diverged", **rest)
        return cls(spec, metrics={k: float(v) for k, v in metrics.items()}, **rest)

    @classmethod
    def failure(cls, spec: RunSpec, error: str, **rest: Any) -> "Observation":
        """A failed observation."""
        return cls(spec, status="failed", error=error, **rest)

    @property
    def run_id(self) -> str:
        """The identity of its run."""
        return self.spec.run_id

    @property
    def ok(self) -> bool:
        """Whether the run has metrics."""
        return self.status == "ok"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `Observation.from_dict` reads them back."""
        return {
            "spec": self.spec.to_dict(),
            "status": self.status,
            "metrics": dict(self.metrics),
            "curve": [{"tokens": p.tokens, "metrics": dict(p.metrics)} for p in self.curve],
            "flops": self.flops,
            "seconds": self.seconds,
            "tokens": dict(self.tokens),
            "error": self.error,
            "info": dict(self.info),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Observation":
        """The observation that `to_dict` wrote."""
        fields = dict(values)
        fields["spec"] = RunSpec.from_dict(fields["spec"])
        fields["curve"] = tuple(Point(**p) for p in fields.get("curve", ()))
        return cls(**fields)


def short_number(value: float) -> str:
    """A count for people: 1500000 is '1.5M'.

    >>> short_number(262144), short_number(25e9), short_number(100)
    ('262k', '25G', '100')
    """
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
