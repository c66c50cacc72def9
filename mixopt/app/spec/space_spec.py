"""The part of a spec that says which mixtures are allowed."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator, model_validator

from mixopt.app.spec.fields import Epochs, Strict
from mixopt.errors import InputError, SpecError, did_you_mean
from mixopt.space import Domain, Group, MixtureSpace, Order, Tie
from mixopt.space.counts import Name, Share, Tokens


class DomainSpec(Strict):
    """What the spec says of a domain, over what its data says."""

    tokens: Tokens | None = Field(None, description="Unique tokens available to the target run.")
    prior: float | None = Field(None, ge=0, description="Weight in the natural mixture.")
    tags: dict[str, Name] = Field(default_factory=dict, description="Facts to constrain by.")


class GroupSpec(Strict):
    """Bounds on the summed share of several domains, named or picked by a tag."""

    domains: list[Name] = Field(default_factory=list, description="Names of domains.")
    tag: dict[str, Name] = Field(
        default_factory=dict, description="Domains with all these tags, e.g. {licence: mit}."
    )
    lower: Share = Field(0.0, description="Least share of them together.")
    upper: Share = Field(1.0, description="Largest share of them together.")

    @model_validator(mode="after")
    def _one(self) -> "GroupSpec":
        if bool(self.domains) == bool(self.tag):
            raise ValueError("give either 'domains' or 'tag'")
        return self

    def members(self, name: str, known: Sequence[Domain]) -> tuple[str, ...]:
        """The names of its domains.

        Args:
            name: of the group.
            known: all domains.

        Raises:
            SpecError: no domain has a tag, or all its tags; or none of its domains holds a token.
        """
        field = f"space.groups.{name}"
        if self.domains:
            return tuple(self.domains)
        for tag, value in self.tag.items():
            _check_tag(tag, value, known, f"{field}.tag")
        wanted = self.tag.items()
        members = tuple(d for d in known if wanted <= dict(d.tags).items())
        if not members:
            asked = ", ".join(f"{tag}: {value}" for tag, value in wanted)
            raise SpecError(f"no domain has all of {{{asked}}}; ask for fewer tags", f"{field}.tag")
        if all(d.tokens == 0 for d in members):
            raise SpecError(
                f"its domains ({', '.join(d.name for d in members)}) hold no tokens, so that no "
                "run can draw from it; give their tokens, or leave the group out",
                field,
            )
        return tuple(d.name for d in members)


class SpaceSpec(Strict):
    """Constraints on the mixture."""

    domains: dict[str, DomainSpec] = Field(
        default_factory=dict, description="Overrides by name; the trainer's data has the rest."
    )
    bounds: dict[str, tuple[Share, Share]] = Field(
        default_factory=dict, description="Domain to [lowest, highest] share."
    )
    groups: dict[str, GroupSpec] = Field(
        default_factory=dict, description="Name to bounds on the summed share of several domains."
    )
    ties: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="Groups of domains whose shares keep these ratios."
    )
    monotone: dict[str, list[Name]] = Field(
        default_factory=dict,
        description="Name to domains of falling quality, the best first: none is read more often, "
        "for its size, than one before it.",
    )
    budget: Tokens | None = Field(
        None, description="Tokens of the target run; caps shares by epochs."
    )
    epochs: Epochs = Field(
        4.0,
        description="Passes allowed over a domain's unique tokens in the target run: a number, or "
        "by domain, tag (quality=high) and *.",
    )
    min_weight: Share = Field(0.0, description="Smallest share other than zero.")

    @field_validator("bounds", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        return value

    @field_validator("bounds")
    @classmethod
    def _ordered(cls, value: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in value.items():
            if low > high:
                raise ValueError(f"{name} goes from {low} to {high}; give the lowest share first")
        return value

    def make(self, known: tuple[Domain, ...]) -> MixtureSpace:
        """The space over domains.

        Raises:
            SpecError: an unknown domain, one alone, or constraints that leave no mixture, or one.
        """
        names = [d.name for d in known]
        for name in self.domains:
            if name not in names:
                raise SpecError(
                    f"unknown domain {name!r}; {did_you_mean(name, names)}", "space.domains"
                )
        domains = [_override(d, self.domains.get(d.name)) for d in known]
        if len(domains) == 1:
            raise SpecError(
                f"the data has one domain, {domains[0].name!r}, so that there is nothing to mix; "
                "give the trainer two or more",
                "space",
            )
        try:
            space = MixtureSpace(
                domains,
                dict(self.bounds),
                groups=[
                    Group(name, group.members(name, domains), group.lower, group.upper)
                    for name, group in self.groups.items()
                ],
                ties=[
                    *(Tie(name, ratios) for name, ratios in self.ties.items()),
                    *(Order(name, tuple(names)) for name, names in self.monotone.items()),
                ],
                budget=self.budget,
                epochs=self.epochs,
                min_weight=self.min_weight,
            )
        except InputError as error:
            raise SpecError(str(error), "space") from error
        if space.polytope.single:
            raise SpecError(
                "the constraints leave one mixture alone, so that there is nothing to search; "
                "widen bounds, groups, ties or monotone",
                "space",
            )
        return space


def _check_tag(tag: str, value: str, known: Sequence[Domain], field: str) -> None:
    """Refuse a tag, or a value of it, that no domain has.

    Raises:
        SpecError: names what is known.
    """
    values = {d.tags[tag] for d in known if tag in d.tags}
    if not values:
        tags = sorted({t for d in known for t in d.tags})
        more = did_you_mean(tag, tags) if tags else "give domains tags under space.domains"
        raise SpecError(f"no domain has the tag {tag!r}; {more}", field)
    if value not in values:
        raise SpecError(
            f"no domain has {tag}: {value}; {did_you_mean(value, sorted(values))}", field
        )


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
