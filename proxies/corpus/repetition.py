"""Repetition matching: a proxy sees each domain as often as the target run will.

Notation:
    N: unique tokens of a domain; R: tokens of the target run; D: tokens of the proxy
    pool: the tokens of a domain that the proxy may draw from, N D / R; epochs: share * D / pool

A scarce domain that the target run repeats ten times is fresh to a proxy a thousand times smaller;
proxies then call for too much of it (arXiv 2606.07597: weights wrong by .65 to .85 without
matching, .05 to .15 with it). Drawing from a pool cut by the same factor as the budget gives
proxy and target the same epochs at every mixture: share * D / (N D / R) = share * R / N.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mixopt.errors import InputError, did_you_mean

TOLERANCE = 0.25
"""Relative difference of epochs that is worth a warning."""
NOTABLE_SHARE = 0.01
"""A domain with less of a mixture than this is not worth one."""


@dataclass(frozen=True)
class RepetitionMatch:
    """The target run as far as repetition goes.

    Attributes:
        budget: R, tokens of the target run.
        tokens: N per domain, unique tokens that the target run has. Counts of another tokenizer
            will do: only N / R matters. A domain that is left out is drawn from in full.
    """

    budget: float
    tokens: Mapping[str, float] = field(hash=False)

    def __post_init__(self) -> None:
        numbers = {"budget": self.budget, **{f"tokens of {d!r}": n for d, n in self.tokens.items()}}
        for name, value in numbers.items():
            good = isinstance(value, int | float) and not isinstance(value, bool)
            if not (good and math.isfinite(value) and value > 0):
                raise InputError(
                    f"match_repetition: {name} is {value!r}; give a number of tokens above 0"
                )

    @classmethod
    def of(cls, value: Any) -> "RepetitionMatch | None":
        """From a trainer's configuration: `{budget: R, tokens: {domain: N}}`, or none for off.

        Raises:
            InputError: it has another form.
        """
        if value is None or value is False:
            return None
        form = "{budget: 1e12, tokens: {web: 8e11, code: 1e9}}, or false"
        if not isinstance(value, Mapping) or not isinstance(value.get("tokens"), Mapping):
            raise InputError(f"match_repetition is {value!r}; give {form}")
        if set(value) != {"budget", "tokens"}:
            odd = next((k for k in value if k not in ("budget", "tokens")), "budget")
            known = did_you_mean(str(odd), ("budget", "tokens"))
            raise InputError(f"match_repetition has keys {sorted(value)}; {known}; give {form}")
        return cls(value["budget"], dict(value["tokens"]))

    def check(self, domains: Iterable[str]) -> None:
        """Refuse tokens of domains that the corpus does not have.

        Raises:
            InputError: one is unknown.
        """
        known = set(domains)
        for name in self.tokens:
            if name not in known:
                raise InputError(
                    f"match_repetition: there is no domain {name!r}; {did_you_mean(name, known)}"
                )

    def wanted(self, domain: str, proxy_tokens: float) -> float:
        """The pool that matches, in tokens; infinite for a domain that is not named.

        >>> RepetitionMatch(1e12, {"code": 1e9}).wanted("code", 3e9)
        3000000.0
        """
        if domain not in self.tokens:
            return math.inf
        return self.tokens[domain] * proxy_tokens / self.budget


def pool_sizes(
    match: RepetitionMatch | None,
    available: Mapping[str, int],
    *,
    proxy_tokens: int,
    context: int,
) -> dict[str, int]:
    """Tokens of each domain that a proxy draws from: the first so many of its shard.

    A shard holds its documents in the order of their hashes, so that its beginning is a random
    sample of the domain; pools of larger proxies contain those of smaller ones.

    Args:
        match: the target; None draws from all.
        available: tokens per domain in the corpus.
        proxy_tokens: D, tokens of the whole run.
        context: tokens per sequence. A pool is a whole number of sequences and at least one (the
            one token more is the last target).

    Returns:
        Domain to tokens, at most what is available.
    """
    if match is None:
        return dict(available)
    pools = {}
    for domain, tokens in available.items():
        wanted = match.wanted(domain, proxy_tokens)
        if wanted >= tokens - 1:
            pools[domain] = tokens
        else:
            pools[domain] = min(tokens, max(1, round(wanted / context)) * context + 1)
    return pools


def epoch_ratios(
    match: RepetitionMatch, pools: Mapping[str, int], *, proxy_tokens: int
) -> dict[str, float]:
    """Epochs of the proxy over epochs of the target per domain; 1 is a perfect match.

    Above 1 where the corpus, or its cap, has too little of a domain: the proxy then repeats more.
    """
    return {
        domain: match.wanted(domain, proxy_tokens) / max(1, pool - 1)
        for domain, pool in pools.items()
        if domain in match.tokens
    }


def mismatches(ratios: Mapping[str, float], weights: Mapping[str, float]) -> list[str]:
    """Warnings for the domains of a mixture whose epochs do not match.

    Args:
        ratios: of `epoch_ratios`.
        weights: shares of a mixture.
    """
    more = "raise max_bytes or add text"
    less = "its pool is under one sequence, so take a larger proxy budget or a smaller context"
    return [
        f"domain {domain!r} is seen {ratio:.3g} times as often by the proxy as by the target run "
        f"(more than {TOLERANCE:.0%} off); {more if ratio > 1 else less}"
        for domain, ratio in ratios.items()
        if weights.get(domain, 0.0) > NOTABLE_SHARE and abs(ratio - 1) > TOLERANCE
    ]


def record(
    match: RepetitionMatch | None,
    pools: Mapping[str, int],
    *,
    proxy_tokens: int,
    weights: Mapping[str, float],
) -> dict[str, Any]:
    """What an observation keeps of repetition, plain JSON values."""
    if match is None:
        return {"matched": False}
    ratios = epoch_ratios(match, pools, proxy_tokens=proxy_tokens)
    return {
        "matched": True,
        "budget": match.budget,
        "pools": dict(pools),
        "ratios": {domain: round(ratio, 4) for domain, ratio in ratios.items()},
        "warnings": mismatches(ratios, weights),
    }
