"""Scales, run specs and observations: what a run is, and what came of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from mixopt.errors import InputError
from mixopt.runs.attempts import Attempt, Place
from mixopt.runs.kinds import GIVEN, Kind
from mixopt.runs.realised import Realised
from mixopt.runs.schedule import MixerSpec, Phases, Schedule, digest, plan_identity
from mixopt.space import Mixture, html
from mixopt.space.short import short_number

_SAME_SHARE = 1e-8  # shares enter a run's identity with nine digits


@dataclass(frozen=True, order=True)
class Scale:
    """Size and token budget of a run; the last scale of a study is the target.

    >>> print(Scale(params=1_000_000, tokens=10**9))
    1M params x 1B tokens

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

    @property
    def sizes(self) -> tuple[float, float]:
        """Parameters and tokens, as laws take them."""
        return float(self.params), float(self.tokens)

    def __str__(self) -> str:
        return f"{short_number(self.params)} params x {short_number(self.tokens)} tokens"


UNSTATED = Scale(params=1, tokens=1)
"""The scale of runs whose owner does not say: in run tables it is left open, as it was given."""


@dataclass(frozen=True)
class RunSpec:
    """What a run is. `run_id` is the hash of exactly that; where it runs never enters it.

    >>> run = RunSpec(Mixture.of({"web": 0.7, "code": 0.3}), Scale(1_000_000, 10**9), seed=1)
    >>> len(run.run_id), run.mixture["web"]
    (16, 0.7)

    Attributes:
        mixture: the share of training tokens per domain; of a run with a schedule, its mean; of one
            with a mixer, where it starts.
        scale: model size and token budget.
        seed: of initialisation and data order.
        trainer: `"module:attribute"` of the trainer that makes it.
        config: the trainer's configuration, plain JSON values.
        data: hash of the data manifest.
        kind: why the strategy asked for it; kept beside the run, no part of its identity.
        schedule: mixtures over the run (`RunSpec.scheduled` makes such a run); None where it is one
            mixture, also where a schedule of one phase was given.
        mixer: the online method that changes the mixture inside the run, if any.

    Raises:
        InputError: a schedule that ends elsewhere than the scale, or of another mean.
    """

    mixture: Mixture
    scale: Scale
    seed: int = 0
    trainer: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    data: str = ""
    kind: Kind = field(default=GIVEN, compare=False)
    schedule: Schedule | None = None
    mixer: MixerSpec | None = None

    def _repr_html_(self) -> str:
        scale = "" if self.scale == UNSTATED else f" at {self.scale}"
        mixer = "" if self.mixer is None else f", mixer {self.mixer.name}"
        head = html.paragraph(
            f"Run {self.run_id}{scale}, seed {self.seed}{mixer}: {self.kind}", strong=True
        )
        if self.schedule is not None:
            return head + self.schedule._repr_html_()
        return head + html.shares(self.mixture.to_dict())

    def __post_init__(self) -> None:
        schedule = self.schedule
        if schedule is None:
            return
        if schedule.tokens != self.scale.tokens:
            raise InputError(
                f"the schedule ends at {schedule.tokens} tokens and the run at "
                f"{self.scale.tokens}; let its last boundary be the tokens of the scale"
            )
        mean, given = schedule.mean.to_dict(), self.mixture.to_dict()
        for domain in {*mean, *given}:
            ours, theirs = given.get(domain, 0.0), mean.get(domain, 0.0)
            if abs(ours - theirs) > _SAME_SHARE:
                raise InputError(
                    f"mixture gives {domain!r} {ours:.6g} and the schedule {theirs:.6g} on average;"
                    " RunSpec.scheduled(schedule, scale) takes the mixture from the schedule"
                )
        if len(schedule.phases) == 1:
            object.__setattr__(self, "schedule", None)

    @classmethod
    def scheduled(cls, schedule: Schedule, scale: Scale, **rest: Any) -> "RunSpec":
        """A run by a schedule; its mixture is the schedule's mean.

        Args:
            schedule: ends at the scale's tokens.
            scale: model size and token budget.
            rest: the other fields.

        Raises:
            InputError: the schedule ends elsewhere.
        """
        return cls(schedule.mean, scale, schedule=schedule, **rest)

    @property
    def phases(self) -> Phases:
        """What it is asked to draw: those of its schedule, or its one mixture to the end."""
        if self.schedule is None:
            return ((self.scale.tokens, self.mixture),)
        return self.schedule.phases

    @property
    def is_static(self) -> bool:
        """Whether it draws by one mixture from start to end."""
        return self.schedule is None and self.mixer is None

    def until(self, tokens: int) -> "RunSpec":
        """The run as it stands after so many tokens: a run of that budget, drawn by the same plan.

        Raises:
            InputError: more tokens than the run has.
        """
        scale = Scale(self.scale.params, tokens)
        beginning = Schedule(self.phases).until(tokens)
        return replace(self, mixture=beginning.mean, scale=scale, schedule=beginning)

    @property
    def pack_key(self) -> tuple[Scale, str]:
        """Scale and configuration: runs of one sweep for which it is equal may share a pack."""
        return self.scale, json.dumps(self.config, sort_keys=True, default=repr)

    @cached_property
    def plan(self) -> str:
        """A key of what it is asked to draw: the same for its repeats with other seeds.

        Runs of one mixture share it at all scales; with a mixer, whose outcome depends on the
        scale, at one.
        """
        where = {} if self.mixer is None else {"scale": [self.scale.params, self.scale.tokens]}
        return digest(plan_identity(self.phases, self.mixer) | where)

    @cached_property
    def run_id(self) -> str:
        """16 hexadecimal digits, the same for the same run on any machine."""
        apart = ("kind", "mixture", "schedule", "mixer")
        identity = {k: v for k, v in self.to_dict().items() if k not in apart}
        return digest(identity | plan_identity(self.phases, self.mixer))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `RunSpec.from_dict` reads them back."""
        more = {"schedule": self.schedule, "mixer": self.mixer}
        return {
            "mixture": self.mixture.to_dict(),
            "scale": {"params": self.scale.params, "tokens": self.scale.tokens},
            "seed": self.seed,
            "trainer": self.trainer,
            "config": dict(self.config),
            "data": self.data,
            "kind": self.kind.to_dict(),
            **{name: part.to_dict() for name, part in more.items() if part is not None},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunSpec":
        """The run spec that `to_dict` wrote."""
        fields = dict(values)
        if "schedule" in fields:
            fields["schedule"] = Schedule.from_dict(fields["schedule"])
        if "mixer" in fields:
            fields["mixer"] = MixerSpec(**fields["mixer"])
        return cls(
            mixture=Mixture.of(fields.pop("mixture")),
            scale=Scale(**fields.pop("scale")),
            kind=Kind.from_dict(fields.pop("kind")),
            **fields,
        )


@dataclass(frozen=True)
class Point:
    """One point of a learning curve: the metrics after `tokens` training tokens.

    >>> Point(500, {"loss": 2.5}).tokens
    500
    """

    tokens: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Observation:
    """What came of a run.

    >>> run = RunSpec(Mixture.of({"web": 0.7, "code": 0.3}), Scale(1_000_000, 10**9))
    >>> Observation.of(run, {"loss": 2.1}).ok, Observation.failure(run, "out of memory").ok
    (True, False)

    Attributes:
        spec: the run.
        status: `"ok"`, or `"failed"` with the reason in `error`. A failed run has no metrics.
        metrics: by name, in the unit that the trainer states (lower is better unless the
            objective says otherwise).
        curve: earlier points, by increasing tokens.
        flops: training FLOPs spent.
        seconds: wall-clock seconds spent.
        realised: what was really drawn, phase by phase; None where the trainer does not know.
        info: what else the trainer wants to be on record (plain JSON values).
        place: where it was trained, as the executor says; None where that is not known.
        attempts: earlier ones that failed, before the run was trained again; oldest first.
    """

    spec: RunSpec
    status: Literal["ok", "failed"] = "ok"
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    curve: tuple[Point, ...] = ()
    flops: float = 0.0
    seconds: float = 0.0
    realised: Realised | None = field(default=None, hash=False)
    error: str = ""
    info: Mapping[str, Any] = field(default_factory=dict, hash=False)
    place: Place | None = None
    attempts: tuple[Attempt, ...] = ()

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

    @property
    def spent(self) -> float:
        """Training FLOPs of the run, failed attempts included."""
        return self.flops + sum(attempt.flops for attempt in self.attempts)

    @property
    def gpu_seconds(self) -> float:
        """GPU-seconds that the run took, failed attempts included; 0 where nobody counted."""
        places = [self.place, *(attempt.place for attempt in self.attempts)]
        return sum(place.gpu_seconds for place in places if place is not None)

    @property
    def slot_seconds(self) -> float:
        """Seconds for which it took a slot of its executor, alone or as its part of a pack.

        Failed attempts included; where no executor counted, the trainer's own seconds.
        """
        tries = [(self.place, self.seconds), *((a.place, a.seconds) for a in self.attempts)]
        return sum(seconds if place is None else place.seconds for place, seconds in tries)

    @property
    def mixture(self) -> Mixture:
        """What it drew in total: of a run with a mixer as counted, else as it was asked for."""
        tokens = self.tokens if self.spec.mixer is not None else {}
        total = sum(tokens.values())
        if not total:
            return self.spec.mixture
        names = dict.fromkeys([*self.spec.mixture.domains, *tokens])
        return Mixture.of({d: tokens.get(d, 0) / total for d in names})

    @property
    def tokens(self) -> dict[str, int]:
        """Training tokens per domain that were really drawn; empty where that is not known."""
        return {} if self.realised is None else self.realised.tokens

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `Observation.from_dict` reads them back."""
        return {
            "spec": self.spec.to_dict(),
            "status": self.status,
            "metrics": dict(self.metrics),
            "curve": [{"tokens": p.tokens, "metrics": dict(p.metrics)} for p in self.curve],
            "flops": self.flops,
            "seconds": self.seconds,
            "realised": None if self.realised is None else self.realised.to_dict(),
            "error": self.error,
            "info": dict(self.info),
            "place": None if self.place is None else asdict(self.place),
            "attempts": [attempt.to_dict() for attempt in self.attempts],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Observation":
        """The observation that `to_dict` wrote; `spec` may be a run spec as it is."""
        fields = dict(values)
        spec = fields["spec"]
        fields["spec"] = spec if isinstance(spec, RunSpec) else RunSpec.from_dict(spec)
        fields["curve"] = tuple(Point(**p) for p in fields.get("curve", ()))
        totals = fields.pop("tokens", {})  # of records that knew no phases
        drawn = fields.pop("realised", None)
        fields["realised"] = Realised.from_dict(drawn) if drawn else Realised.from_totals(totals)
        place = fields.pop("place", None)
        fields["place"] = None if place is None else Place(**place)
        fields["attempts"] = tuple(map(Attempt.from_dict, fields.get("attempts", ())))
        return cls(**fields)
