"""The strict YAML edge: a spec file becomes checked values, or an error with the field's path.

Unknown keys, wrong types and bounds that cannot be met are refused here, before anything starts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mixopt.app.where import ExecutionSpec, StoreSpec
from mixopt.errors import InputError, SpecError, did_you_mean
from mixopt.runs import Scale
from mixopt.runs.knobs import Choice, Continuous, Knob, is_set
from mixopt.runs.objective import Guard, Objective, weights_of
from mixopt.space import Domain, Group, MixtureSpace, Tie
from mixopt.space.counts import Count, Share, Tokens

VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrainerSpec(_Strict):
    """Which trainer, what it trains (part of every run's identity), and how (no part of it)."""

    use: str = Field(description="The trainer, as 'module:attribute'.")
    config: dict[str, Any] = Field(
        default_factory=dict, description="Its settings that decide what is trained."
    )
    runtime: dict[str, Any] = Field(
        default_factory=dict,
        description="Its settings that say how: device, pack, checkpoint interval; may change "
        "between resumes.",
    )


class ScaleSpec(_Strict):
    """One scale of the proxies."""

    params: Count = Field(description="Model parameters, e.g. 100_000 or 1.5M.")
    tokens: Count = Field(description="Training tokens, e.g. 64k.")


class DomainSpec(_Strict):
    """What the spec says of a domain, over what its data says."""

    tokens: Tokens | None = Field(None, description="Unique tokens available to the target run.")
    prior: float | None = Field(None, ge=0, description="Weight in the natural mixture.")
    tags: dict[str, str] = Field(default_factory=dict, description="Facts to constrain by.")


class GroupSpec(_Strict):
    """Bounds on the summed share of several domains, named or picked by a tag."""

    domains: list[str] = Field(default_factory=list)
    tag: dict[str, str] = Field(
        default_factory=dict, description="Domains with all these tags, e.g. {licence: mit}."
    )
    lower: Share = 0.0
    upper: Share = 1.0

    @model_validator(mode="after")
    def _one(self) -> "GroupSpec":
        if bool(self.domains) == bool(self.tag):
            raise ValueError("give either 'domains' or 'tag'")
        return self

    def members(self, found: Sequence[Domain]) -> tuple[str, ...]:
        """The names of its domains."""
        if self.domains:
            return tuple(self.domains)
        wanted = self.tag.items()
        return tuple(d.name for d in found if wanted <= dict(d.tags).items())


class SpaceSpec(_Strict):
    """Constraints on the mixture."""

    domains: dict[str, DomainSpec] = Field(
        default_factory=dict, description="Overrides by name; the trainer's data has the rest."
    )
    bounds: dict[str, tuple[Share, Share]] = Field(
        default_factory=dict, description="Domain to [lowest, highest] share."
    )
    groups: dict[str, GroupSpec] = Field(default_factory=dict)
    ties: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="Groups of domains whose shares keep these ratios."
    )
    budget: Tokens | None = Field(
        None, description="Tokens of the target run; caps shares by epochs."
    )
    epochs: float | dict[str, float] = Field(
        4.0, description="Passes allowed over a domain's unique tokens in the target run."
    )
    min_weight: Share = Field(0.0, description="Smallest share other than zero.")

    @field_validator("bounds", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        return value


class KnobSpec(_Strict):
    """A hyperparameter that is searched with the mixture: a range of numbers, or options."""

    low: float | None = None
    high: float | None = None
    log: bool = Field(False, description="Spread over magnitudes.")
    options: list[float | int | str | bool] = Field(default_factory=list)

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


class GuardSpec(_Strict):
    """A metric that may not get worse than a baseline by more than a fraction."""

    tolerance: float = Field(0.0, ge=0)
    baseline: str = "natural"


class ObjectiveSpec(_Strict):
    """What is to be minimised or maximised: a metric, a list, or metric to weight."""

    minimize: str | list[str] | dict[str, float] = Field(default_factory=dict)
    maximize: str | list[str] | dict[str, float] = Field(default_factory=dict)
    reduce: Literal["mean", "worst"] = "mean"
    guards: dict[str, GuardSpec] = Field(default_factory=dict)
    standardize: bool = Field(False, description="Weigh metrics in units of their sd over runs.")
    kl: float = Field(0.0, ge=0, description="Pull towards the natural mixture.")
    kl_unit: Literal["objective", "sd"] = "objective"

    @model_validator(mode="after")
    def _some(self) -> "ObjectiveSpec":
        if not self.minimize and not self.maximize:
            raise ValueError("name at least one metric under 'minimize' or 'maximize'")
        return self


class StrategySpec(BaseModel):
    """Which strategy; every other key is a setting of it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str = "auto"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings, as keyword arguments."""
        return dict(self.__pydantic_extra__ or {})


class Spec(_Strict):
    """A sweep: what to train, what to minimise, how to search, where to run."""

    version: int = Field(description=f"Of this format; this mixopt reads {VERSION}.")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Of the sweep.")
    seed: int = Field(0, ge=0)
    trainer: TrainerSpec
    scales: list[ScaleSpec] = Field(min_length=1, description="Smallest first; the last confirms.")
    space: SpaceSpec = Field(default_factory=SpaceSpec)
    objective: ObjectiveSpec
    strategy: StrategySpec = Field(default_factory=StrategySpec)
    knobs: dict[str, KnobSpec] = Field(
        default_factory=dict,
        description="Keys of trainer.config to what they may be; searched by the strategy 'joint'.",
    )
    warm_start: list[str] = Field(
        default_factory=list,
        description="Folders of earlier sweeps, or run tables, to learn from; least alike first.",
    )
    execution: ExecutionSpec = Field(default_factory=ExecutionSpec)
    store: StoreSpec = Field(default_factory=StoreSpec)

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

    def make_space(self, found: tuple[Domain, ...]) -> MixtureSpace:
        """The space over the domains that the trainer's data has.

        Raises:
            SpecError: an unknown domain, or constraints that no mixture satisfies.
        """
        names = [d.name for d in found]
        for name in self.space.domains:
            if name not in names:
                raise SpecError(
                    f"unknown domain {name!r}; {did_you_mean(name, names)}", "space.domains"
                )
        domains = [_override(d, self.space.domains.get(d.name)) for d in found]
        try:
            return MixtureSpace(
                domains,
                dict(self.space.bounds),
                groups=[
                    Group(name, group.members(domains), group.lower, group.upper)
                    for name, group in self.space.groups.items()
                ],
                ties=[Tie(name, ratios) for name, ratios in self.space.ties.items()],
                budget=self.space.budget,
                epochs=self.space.epochs,
                min_weight=self.space.min_weight,
            )
        except InputError as error:
            raise SpecError(str(error), "space") from error


def read_spec(path: str | Path) -> Spec:
    """Read and check a spec file.

    Raises:
        SpecError: no such file, no YAML, another version, or any field that breaks a rule; every
            broken field is listed with its path and what to do.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "spec.yaml"
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{file}: no such file; give the path of a spec.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SpecError(f"{file}: cannot be read as YAML: {error}") from error
    return parse_spec(values, source=str(file))


def parse_spec(values: Any, source: str = "spec") -> Spec:
    """Check the values of a spec.

    Raises:
        SpecError: see `read_spec`.
    """
    if not isinstance(values, Mapping):
        raise SpecError(f"{source}: a spec is a mapping of keys to values, not {type(values)}")
    version = values.get("version")
    if version != VERSION:
        raise SpecError(
            f"{source}: the spec says version {version!r} and this mixopt reads version {VERSION}; "
            "see 'mixopt schema' for today's format, or install the mixopt that wrote the spec",
            "version",
        )
    try:
        return Spec.model_validate(dict(values))
    except ValidationError as error:
        problems = [_explain(detail) for detail in error.errors()]
        raise SpecError(f"{source}:\n" + "\n".join(f"  {p}" for p in problems)) from error


def json_schema() -> dict[str, Any]:
    """The JSON schema of a spec file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Spec.model_json_schema()}


def _explain(detail: Any) -> str:
    path = ".".join(str(part) for part in detail["loc"]) or "spec"
    if detail["type"] == "extra_forbidden":
        *parents, key = detail["loc"]
        return f"{path}: unknown key; {did_you_mean(str(key), _keys_at(parents))}"
    if detail["type"] == "missing":
        return f"{path}: missing; add it (see 'mixopt schema')"
    message = detail["msg"].removeprefix("Value error, ")
    given = repr(detail["input"])
    tail = "" if given in message else f", not {given}"
    return f"{path}: {message[0].lower()}{message[1:]}{tail}"


def _keys_at(parents: list[Any]) -> list[str]:
    """The keys that the spec knows at a path."""
    schema = json_schema()
    definitions = schema.get("$defs", {})
    node: dict[str, Any] = schema
    for part in parents:
        child = node.get("properties", {}).get(str(part))
        if child is None:  # an element of a list, or a value of a mapping by name
            child = node.get("items") or node.get("additionalProperties") or {}
        node = child if isinstance(child, dict) else {}
        if "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]]
    return list(node.get("properties", {}))


def _override(domain: Domain, spec: DomainSpec | None) -> Domain:
    if spec is None:
        return domain
    return Domain(
        domain.name,
        tokens=domain.tokens if spec.tokens is None else spec.tokens,
        prior=domain.prior if spec.prior is None else spec.prior,
        tags={**domain.tags, **spec.tags},
        parent=domain.parent,
    )
