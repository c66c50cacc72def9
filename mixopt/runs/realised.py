"""What a run really drew, phase by phase."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixopt.runs.schedule import Phases
from mixopt.space import Mixture

_COARSE = 50  # of a run whose record does not say how finely it drew: 2 % of its tokens


@dataclass(frozen=True)
class Realised:
    """Tokens that a run was trained on, as the trainer counted them.

    >>> Realised.whole({"web": 700, "code": 300}, grain=100).phases
    ((1000, {'web': 700, 'code': 300}),)

    Attributes:
        phases: `(until_tokens, tokens per domain)`, in order; a phase that the run did not reach
            is not there.
        grain: tokens by which a domain may miss its share because of how the trainer draws, whole
            sequences or batches say. A difference within it says nothing about the mixture.
        injected: tokens of texts that were put in place of some of the domains', by injection; they
            are part of no mixture. Those of domains and injections are the run's.
    """

    phases: tuple[tuple[int, Mapping[str, int]], ...] = field(hash=False)
    grain: int
    injected: Mapping[str, int] = field(default_factory=dict, hash=False)

    @classmethod
    def whole(cls, tokens: Mapping[str, int], grain: int) -> "Realised":
        """Of a run with one phase."""
        return cls(((sum(tokens.values()), dict(tokens)),), grain)

    @classmethod
    def exact(cls, phases: Phases) -> "Realised":
        """Of a run that draws what it was asked to, up to whole tokens."""
        drawn: list[tuple[int, dict[str, int]]] = []
        start = 0
        for until, mixture in phases:
            parts = {d: round(w * (until - start)) for d, w in mixture.to_dict().items()}
            drawn.append((until, parts))
            start = until
        return cls(tuple(drawn), len(phases) * len(phases[0][1].domains))

    @property
    def tokens(self) -> dict[str, int]:
        """Per domain, over the whole run."""
        total: dict[str, int] = {}
        for _, drawn in self.phases:
            for domain, count in drawn.items():
                total[domain] = total.get(domain, 0) + count
        return total

    def follows(self, mixture: Mixture) -> bool:
        """Whether the run drew this mixture in total, to its grain."""
        tokens, shares = self.tokens, mixture.to_dict()
        total = sum(tokens.values())
        return all(
            abs(tokens.get(d, 0) - shares.get(d, 0.0) * total) <= self.grain
            for d in {*tokens, *shares}
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `Realised.from_dict` reads them back."""
        phases = [{"until": until, "tokens": dict(tokens)} for until, tokens in self.phases]
        more = {"injected": dict(self.injected)} if self.injected else {}
        return {"phases": phases, "grain": self.grain, **more}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Realised":
        """What `to_dict` wrote."""
        phases = tuple((p["until"], dict(p["tokens"])) for p in values["phases"])
        return cls(phases, values["grain"], dict(values.get("injected", {})))

    @classmethod
    def from_totals(cls, tokens: Mapping[str, int]) -> "Realised | None":
        """Of a record that has totals alone; None where it has none."""
        total = sum(tokens.values())
        return cls.whole(tokens, total // _COARSE) if total else None


def mean_of(drawn: Sequence[Realised], like: Mixture) -> Mixture:
    """The mixture that several runs drew together, each run counting as much as another.

    Args:
        drawn: by at least one run.
        like: its domains come first, in its order.
    """
    shares = dict.fromkeys(like.domains, 0.0)
    for realised in drawn:
        tokens = realised.tokens
        total = sum(tokens.values())
        for domain, count in tokens.items():
            shares[domain] = shares.get(domain, 0.0) + count / total / len(drawn)
    return Mixture.of(shares)
