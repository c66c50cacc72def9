"""What may be mixed: domains, mixtures of them, and the constraints on their weights."""

from mixopt.space.domains import (
    Domain,
    DomainsLike,
    Group,
    Mixture,
    Order,
    Tie,
    groups_by_parent,
    groups_by_tag,
)
from mixopt.space.embedding import Changes, Embedded
from mixopt.space.mixture_space import MixtureSpace

__all__ = [
    "Changes",
    "Domain",
    "DomainsLike",
    "Embedded",
    "Group",
    "Mixture",
    "MixtureSpace",
    "Order",
    "Tie",
    "groups_by_parent",
    "groups_by_tag",
]
