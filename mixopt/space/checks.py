"""What is refused of the constraints of a space before anybody asks whether they can be met."""

from collections.abc import Iterable, Mapping

import numpy as np

from mixopt.errors import InputError
from mixopt.space.domains import Domain, Order, Tie


def as_bounds(bounds: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Domain to lower and upper bound, as numbers.

    Raises:
        InputError: one that is no pair.
    """
    given = {}
    for name, pair in bounds.items():
        try:
            low, high = pair
            given[name] = float(low), float(high)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"bounds of {name!r} are {pair!r}; give two shares, such as (0.1, 0.6)"
            ) from error
    return given


def check_bounds(bounds: Mapping[str, tuple[float, float]]) -> None:
    """Refuse bounds that are no part of [0, 1].

    Raises:
        InputError: see above.
    """
    for name, (low, high) in bounds.items():
        if not 0.0 <= low <= high <= 1.0:
            percent = ", and shares, not percentages" if 1 < high <= 100 else ""
            raise InputError(
                f"bounds of {name!r} are ({low}, {high}); give 0 <= lower <= upper <= 1{percent}"
            )


def check_budget(
    budget: float | None, epochs: Mapping[str, float], domains: Iterable[Domain]
) -> None:
    """Refuse a budget or epochs that are no numbers above 0, and tags that no domain has.

    Args:
        budget: tokens of the target run; None where it is not known.
        epochs: passes allowed, by domain, `tag=value`, or `*` for all others.
        domains: of the space.

    Raises:
        InputError: see above.
    """
    if budget is not None and not (np.isfinite(budget) and budget > 0):
        raise InputError(f"budget is {budget}; give the target run's tokens, above 0")
    tags = {(tag, value) for domain in domains for tag, value in domain.tags.items()}
    for key, value in epochs.items():
        if not value > 0:
            raise InputError(f"epochs of {key!r} are {value}; give a number above 0")
        tag, equals, wanted = key.partition("=")
        if equals and (tag, wanted) not in tags:
            raise InputError(f"epochs are given for {key!r}, but no domain has this tag")


def check_ties(ties: Iterable[Tie]) -> None:
    """Refuse a domain in two ties.

    Raises:
        InputError: see above.
    """
    tied: dict[str, str] = {}
    for tie in ties:
        for name in tie.ratios:
            if name in tied:
                raise InputError(
                    f"domain {name!r} is in the ties {tied[name]!r} and {tie.name!r}; "
                    "join them into one"
                )
            tied[name] = tie.name


def check_orders(orders: Iterable[Order], prior: Mapping[str, float]) -> None:
    """Refuse an order of domains one of which has no size.

    Args:
        orders: by falling quality.
        prior: domain to natural share.

    Raises:
        InputError: see above.
    """
    for order in orders:
        empty = [name for name in order.domains if prior[name] <= 0]
        if empty and not order.sizes:
            raise InputError(
                f"order {order.name!r}: {empty[0]!r} has no size (its prior or tokens are 0), "
                "so that nobody can say how often it is read; leave it out of the order"
            )
