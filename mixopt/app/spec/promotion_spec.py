"""The part of a spec that says what a recommendation must show before a large run."""

import json
from typing import Annotated, Any

from pydantic import Field, field_validator

from mixopt.app.spec.fields import Strict
from mixopt.evidence.rules import Rules, digest_of
from mixopt.runs import Scale
from mixopt.runs.objective import Guard
from mixopt.space.counts import Count, Name, Share


class PromotionScale(Strict):
    """The scale at which candidates and baselines are trained."""

    params: Count = Field(description="Model parameters, e.g. 10M.")
    tokens: Count = Field(description="Training tokens, e.g. 1B.")


class PromotionGuard(Strict):
    """A metric that may not get worse than a baseline by more than a fraction, as measured."""

    tolerance: float = Field(0.0, ge=0, description="The fraction by which it may get worse.")
    baseline: Name = Field("natural", description="A baseline that is trained.")


class PromotionSpec(Strict):
    """Rules of promotion, given before the first run; they never change after it."""

    scale: PromotionScale = Field(
        description="Where candidates and baselines are trained with fresh seeds; at least the "
        "last of scales."
    )
    metric: Name | None = Field(
        None, description="That is judged; the objective where it is left out."
    )
    gain: float = Field(
        0.0,
        ge=0,
        description="The candidate must be better than every baseline by more than this, beyond "
        "noise, in units of what is judged.",
    )
    against: list[Name] = Field(
        default_factory=list,
        description="Baselines: natural, uniform, temperature, unimax, only-<domain>; all of the "
        "first four that there are, where it is left out.",
    )
    guards: dict[str, PromotionGuard] = Field(
        default_factory=dict, description="Metrics that may not get worse, beside the objective's."
    )
    optimism: float = Field(
        0.5, ge=0, description="Largest share of the predicted gain that may be missing."
    )
    transfer: Share = Field(
        0.75,
        description="Least share of pairs, of those that differ beyond noise, that the model "
        "ordered as they were measured.",
    )
    repetition: bool = Field(
        True, description="Domains must be repeated as often as the target run will."
    )
    seeds: Annotated[int, Field(ge=2, le=1000)] = Field(3, description="Fresh seeds of every plan.")
    candidates: Annotated[int, Field(ge=1, le=20)] = Field(
        2, description="Mixtures that could be promoted; the recommended is the first."
    )
    between: bool = Field(
        True, description="Train what lies halfway from the recommended to each other candidate."
    )
    budget: float | None = Field(
        None, gt=0, description="FLOPs that promotion may spend; refused beyond, before training."
    )

    @field_validator("against")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        twice = next((name for name in value if value.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} is named twice; name it once")
        return value

    def make(self, guards: tuple[Guard, ...] = ()) -> Rules:
        """The rules.

        Args:
            guards: of the objective, which count as well.
        """
        own = {
            metric: Guard(metric, guard.tolerance, guard.baseline)
            for metric, guard in self.guards.items()
        }
        return Rules(
            Scale(self.scale.params, self.scale.tokens),
            metric=self.metric or "",
            gain=self.gain,
            against=tuple(self.against),
            guards=tuple(({g.metric: g for g in guards} | own).values()),
            optimism=self.optimism,
            transfer=self.transfer,
            repetition=self.repetition,
            seeds=self.seeds,
            candidates=self.candidates,
            between=self.between,
            budget=self.budget or float("inf"),
        )

    @property
    def shown(self) -> dict[str, Any]:
        """Plain JSON values of what may not change: all but the budget, which judges nothing."""
        values: dict[str, Any] = json.loads(self.model_dump_json(exclude={"budget"}))
        return values

    @property
    def digest(self) -> str:
        """By which the rules are known again."""
        return digest_of(self.shown)
