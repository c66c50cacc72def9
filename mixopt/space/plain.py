"""A space as plain JSON values, for what must be known where the space itself is not."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mixopt.errors import InputError
from mixopt.space.domains import Domain, Group, Order, Tie
from mixopt.space.mixture_space import MixtureSpace


def to_dict(space: MixtureSpace) -> dict[str, Any]:
    """Domains with tokens and priors, and every constraint; `from_dict` reads them back.

    Tags and parents, which constrain nothing once they are resolved, are left out. Passes are
    written by name; a domain that may be repeated without end has none.
    """
    capped = np.isfinite(space.passes)
    return {
        "domains": {d.name: {"tokens": d.tokens, "prior": d.prior} for d in space.domains},
        "bounds": {name: list(pair) for name, pair in space.bounds.items()},
        "groups": {g.name: [list(g.domains), g.lower, g.upper] for g in space.groups},
        "ties": {t.name: dict(t.ratios) for t in space.frozen},
        "orders": {o.name: [list(o.domains), list(o.sizes)] for o in space.orders},
        "budget": space.budget,
        "epochs": {
            name: float(passes)
            for name, passes, has in zip(space.names, space.passes, capped, strict=True)
            if has
        },
    }


def from_dict(values: Mapping[str, Any]) -> MixtureSpace:
    """The space that `to_dict` wrote.

    Raises:
        InputError: values of another form, or constraints that leave no mixture.
    """
    try:
        return MixtureSpace(
            [Domain(name, **facts) for name, facts in values["domains"].items()],
            {name: (low, high) for name, (low, high) in values.get("bounds", {}).items()},
            groups=[
                Group(name, tuple(members), low, high)
                for name, (members, low, high) in values.get("groups", {}).items()
            ],
            ties=[
                *(Tie(name, ratios) for name, ratios in values.get("ties", {}).items()),
                *(
                    Order(name, tuple(members), tuple(sizes))
                    for name, (members, sizes) in values.get("orders", {}).items()
                ),
            ],
            budget=values.get("budget"),
            epochs=values.get("epochs", {}),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"cannot read a space ({type(error).__name__}: {error}); give domains, bounds, groups, "
            "ties, orders, budget and epochs as mixopt.space.plain.to_dict writes them"
        ) from error
