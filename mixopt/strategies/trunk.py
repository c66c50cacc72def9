"""The beginning that runs share, and leave for a last stage of their own: its mixture, its end."""

from collections.abc import Iterable, Mapping

from mixopt.errors import InputError
from mixopt.runs import Scale
from mixopt.space import Mixture, MixtureSpace

_ROUNDED = 0.005  # by which shares that were rounded may miss a sum of 1


def base_mixture(space: MixtureSpace, base: Mapping[str, float] | None) -> Mixture:
    """What the trunk reads: the natural mixture, where no other is named."""
    return space.natural if base is None else space.mixture(base)


def parting(tokens: int, tail: float) -> int:
    """Tokens at which a run of so many leaves the trunk, for the last `tail` of it (a share)."""
    return tokens - round(tail * tokens)


def check_trunk(
    space: MixtureSpace, base: Mapping[str, float] | None, scales: Iterable[Scale], tail: float
) -> None:
    """Refuse a trunk that cannot be.

    Raises:
        InputError: an unknown domain, shares that do not sum to 1 or break the constraints, or runs
            too short for trunk and tail.
    """
    total = 1.0 if base is None else sum(base.values())
    if abs(total - 1.0) > _ROUNDED:
        raise InputError(f"base sums to {total:.4g}; give shares that sum to 1")
    broken = space.violations(base_mixture(space, base).to_dict())
    if broken:
        raise InputError(
            f"base is outside the constraints ({broken[0]}); give one within them, or loosen them: "
            "all runs read it until their last stage"
        )
    for scale in scales:
        if not 0 < parting(scale.tokens, tail) < scale.tokens:
            raise InputError(
                f"tail is {tail:g} of {scale.tokens} tokens, which leaves trunk or tail without "
                "any; give longer runs"
            )
