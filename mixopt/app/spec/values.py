"""What a spec holds: the checked values, and the objects that they stand for.

Unknown keys, wrong types and bounds that cannot be met are refused here, before anything starts;
`mixopt.app.spec.spec_file` reads the files.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from mixopt.app.spec.fields import (
    ADDRESS,
    MetricWeights,
    Options,
    StrategyName,
    Strict,
    plain_values,
)
from mixopt.app.spec.promotion_spec import PromotionSpec
from mixopt.app.spec.space_spec import SpaceSpec
from mixopt.app.spec.where import ExecutionSpec, StoreSpec
from mixopt.errors import InputError, SpecError
from mixopt.runs import Scale
from mixopt.runs.knobs import Choice, Continuous, Knob, is_set
from mixopt.runs.objective import Guard, Objective, weights_of
from mixopt.space import Domain, MixtureSpace
from mixopt.space.counts import Count, Name
from mixopt.space.redaction import redact, secrets_in

VERSION = 1


class TrainerSpec(Strict):
    """Which trainer, what it trains (part of every run's identity), and how (no part of it)."""

    use: str = Field(pattern=ADDRESS, description="The trainer, as 'module:attribute'.")
    config: Annotated[dict[str, Any], BeforeValidator(plain_values)] = Field(
        default_factory=dict,
        description="Its settings that decide what is trained; secrets go into the environment.",
    )
    runtime: Annotated[dict[str, Any], BeforeValidator(plain_values)] = Field(
        default_factory=dict,
        description="Its settings that say how: device, pack, checkpoint interval; may change "
        "between resumes.",
    )

    @field_validator("config")
    @classmethod
    def _no_secret(cls, value: dict[str, Any]) -> dict[str, Any]:
        secret = next(secrets_in(value), None)
        if secret is not None:
            raise ValueError(
                f"{secret} looks like a secret, and the configuration is written into every run's "
                "record; let the trainer read it from an environment variable (set in your shell, "
                "or under execution.runtime_env.env_vars), and leave it out here"
            )
        return value


class ScaleSpec(Strict):
    """One scale of the proxies."""

    params: Count = Field(description="Model parameters, e.g. 100_000 or 1.5M.")
    tokens: Count = Field(description="Training tokens, e.g. 64k.")


class KnobSpec(Strict):
    """A hyperparameter that is searched with the mixture: a range of numbers, or options."""

    low: float | None = Field(None, description="Of a range, its beginning.")
    high: float | None = Field(None, description="Of a range, its end.")
    log: bool = Field(False, description="Spread over magnitudes.")
    options: Options = Field(default_factory=list, description="In place of a range.")

    @model_validator(mode="after")
    def _one(self) -> "KnobSpec":
        if bool(self.options) == (self.low is not None and self.high is not None):
            raise ValueError("give either 'low' and 'high', or 'options'")
        return self

    def make(self, name: str) -> Knob:
        """The knob.

        Raises:
            InputError: an empty range, or options that are no choice.
        """
        if self.low is not None and self.high is not None:
            return Continuous(name, self.low, self.high, self.log)
        return Choice(name, tuple(self.options))


class GuardSpec(Strict):
    """A metric that may not get worse than a baseline by more than a fraction."""

    tolerance: float = Field(0.0, ge=0, description="The fraction by which it may get worse.")
    baseline: Literal["natural", "uniform", "temperature", "unimax"] = Field(
        "natural", description="The mixture that it is compared with."
    )


class ObjectiveSpec(Strict):
    """What is to be minimised or maximised: a metric, a list, or metric to weight."""

    minimize: MetricWeights = Field(
        default_factory=dict, description="A metric, a list, or metric to weight."
    )
    maximize: MetricWeights = Field(
        default_factory=dict, description="The same, where higher is better."
    )
    reduce: Literal["mean", "worst"] = Field("mean", description="Of several metrics.")
    guards: dict[str, GuardSpec] = Field(
        default_factory=dict, description="Metrics that may not get worse."
    )
    standardize: bool = Field(False, description="Weigh metrics in units of their sd over runs.")
    reliability: Literal["ignore", "down-weight"] = Field(
        "ignore",
        description="down-weight: times the share of a metric's variance that is no seed noise.",
    )
    kl: float = Field(0.0, ge=0, description="Pull towards the natural mixture.")
    kl_unit: Literal["objective", "sd"] = Field("objective", description="Of the pull.")

    @model_validator(mode="after")
    def _some(self) -> "ObjectiveSpec":
        if not self.minimize and not self.maximize:
            raise ValueError("name at least one metric under 'minimize' or 'maximize'")
        up = weights_of(self.maximize)
        both = next((m for m in weights_of(self.minimize) if m in up), None)
        if both is not None:
            raise ValueError(f"{both!r} is to be minimised and maximised; keep it under one")
        return self


class StrategySpec(BaseModel):
    """Which strategy; every other key is a setting of it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: StrategyName = Field(
        "auto", description="Its name, optuna:<sampler>, or module:attribute of one of yours."
    )

    @property
    def settings(self) -> dict[str, Any]:
        """The settings, as keyword arguments."""
        return dict(self.__pydantic_extra__ or {})


class Spec(Strict):
    """A sweep: what to train, what to minimise, how to search, where to run."""

    version: int = Field(description=f"Of this format; this mixopt reads {VERSION}.")
    name: Annotated[Name, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] = Field(
        description="Of the sweep, and of its folder runs/<name>."
    )
    question: str = Field(
        "", max_length=1000, description="What the sweep is to answer, in your words; for reports."
    )
    owner: str = Field("", max_length=200, description="Whose it is; for reports.")
    seed: int = Field(0, ge=0, le=2**31, description="Of the search; confirmation uses the next.")
    trainer: TrainerSpec = Field(description="What is trained.")
    scales: list[ScaleSpec] = Field(
        min_length=1, max_length=100, description="Smallest first; the last confirms."
    )
    space: SpaceSpec = Field(default_factory=SpaceSpec, description="Which mixtures are allowed.")
    objective: ObjectiveSpec = Field(description="What is to be minimised or maximised.")
    strategy: StrategySpec = Field(
        default_factory=StrategySpec, description="How the mixtures to train are chosen."
    )
    knobs: dict[str, KnobSpec] = Field(
        default_factory=dict,
        description="Keys of trainer.config to what they may be; searched by the strategy 'joint'.",
    )
    warm_start: list[str] = Field(
        default_factory=list,
        description="Folders of earlier sweeps, or run tables, to learn from; least alike first.",
    )
    promotion: PromotionSpec | None = Field(
        None,
        description="What a recommendation must show before a large run; see 'mixopt promote'.",
    )
    execution: ExecutionSpec = Field(
        default_factory=ExecutionSpec, description="Where runs are trained."
    )
    store: StoreSpec = Field(default_factory=StoreSpec, description="Where runs are recorded.")

    _lines: Mapping[str, int] = PrivateAttr(default_factory=dict)

    @field_validator("scales")
    @classmethod
    def _increasing(cls, value: list[ScaleSpec]) -> list[ScaleSpec]:
        scales = [Scale(s.params, s.tokens) for s in value]
        for i, (before, after) in enumerate(pairwise(scales)):
            if after <= before:
                raise ValueError(
                    f"number {i + 2} ({after}) is not above number {i + 1} ({before}); give each "
                    "scale once, the smallest first"
                )
        return value

    @model_validator(mode="after")
    def _promoted_above(self) -> "Spec":
        rules, target = self.promotion, self.scales[-1]
        if rules is not None and (
            rules.scale.params < target.params or rules.scale.tokens < target.tokens
        ):
            given = Scale(rules.scale.params, rules.scale.tokens)
            raise ValueError(
                f"promotion.scale ({given}) is below the last of scales "
                f"({Scale(target.params, target.tokens)}); give at least its params and tokens, "
                "for smaller runs show nothing that confirmation did not"
            )
        return self

    def written_at(self, lines: Mapping[str, int]) -> "Spec":
        """The same, knowing the line of every dotted path in its file."""
        self._lines = lines
        return self

    def located(self, error: SpecError) -> SpecError:
        """An error about this spec, with the line of the field or of what holds it."""
        path = error.path
        while path and path not in self._lines:
            path = path.rpartition(".")[0]
        return SpecError(error.message, error.path, self._lines[path] if path else 0)

    def shown(self) -> dict[str, Any]:
        """Its values as plain JSON without secrets: what is kept, reported and recorded."""
        shown: dict[str, Any] = redact(self.model_dump(mode="json"))
        return shown

    def make_objective(self) -> Objective:
        """The objective.

        Raises:
            SpecError: weights below zero, or all zero.
        """
        minimize, maximize = (
            weights_of(self.objective.minimize),
            weights_of(self.objective.maximize),
        )
        guards = tuple(
            Guard(metric, guard.tolerance, guard.baseline)
            for metric, guard in self.objective.guards.items()
        )
        try:
            return Objective(
                {**minimize, **maximize},
                maximize=frozenset(maximize),
                reduce=self.objective.reduce,
                guards=guards,
                standardize=self.objective.standardize,
                reliability=self.objective.reliability,
                kl=self.objective.kl,
                kl_unit=self.objective.kl_unit,
            )
        except InputError as error:
            raise SpecError(str(error), "objective") from error

    def make_knobs(self) -> tuple[Knob, ...]:
        """What is searched beside the mixture.

        Raises:
            SpecError: a knob that is fixed in trainer.config, or breaks its rule.
        """
        fixed = [k for k in self.knobs if is_set(self.trainer.config, k)]
        if fixed:
            raise SpecError(
                f"{fixed[0]!r} is also set in trainer.config; leave it out there, or here",
                f"knobs.{fixed[0]}",
            )
        try:
            return tuple(knob.make(name) for name, knob in self.knobs.items())
        except InputError as error:
            raise SpecError(str(error), "knobs") from error

    def make_scales(self) -> tuple[Scale, ...]:
        """The proxy ladder."""
        return tuple(Scale(s.params, s.tokens) for s in self.scales)

    def make_space(self, known: tuple[Domain, ...]) -> MixtureSpace:
        """The space over the domains that the trainer's data has.

        Raises:
            SpecError: an unknown domain, one alone, or constraints that leave no mixture, or one.
        """
        return self.space.make(known)
