"""A mixture compiled for one run: whole tokens, documents and epochs per domain, and an order.

Notation:
    R: tokens of the run; w: shares; a: mean tokens of a document; N: unique tokens;
    B: tokens of a block
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from mixopt.errors import InfeasibleError, InputError, shorten
from mixopt.export.blocks import PARTS, BlockOrder
from mixopt.export.exporter import FINEST
from mixopt.export.facts import Facts
from mixopt.export.shares import apportion, on_grid, token_quotas
from mixopt.runs import Schedule
from mixopt.space import Mixture

SCHEMA, VERSION = "mixopt.token_plan", 1


@dataclass(frozen=True)
class DomainPlan:
    """What a run takes of a domain.

    Attributes:
        share: of the run's tokens that was asked for.
        tokens: exactly.
        documents: whole documents of its mean length; None where that is not known.
        epochs: passes over its unique tokens; None where these are not known.
        blocks: of the order; None where there is none.
    """

    share: float
    tokens: int
    documents: int | None = None
    epochs: float | None = None
    blocks: int | None = None


@dataclass(frozen=True)
class TokenPlan:
    """Exact numbers for a run, and the order in which its blocks are read.

    >>> plan = compile_plan(Mixture.of({"web": 0.7, "code": 0.3}), Facts(tokens=1000), block=100)
    >>> plan.domains["web"].tokens, plan.domains["web"].blocks
    (700, 7)
    >>> [block.domain for block in plan.order][:4]
    ['web', 'web', 'code', 'web']

    Attributes:
        tokens: of the run.
        domains: name to what is taken of it; those without a share are left out.
        stages: (end in tokens, domain to tokens) in order.
        order: of blocks; None where no size of a block was given.
        about: facts to keep with it (mixture, tokenizer, provenance), plain JSON values.
    """

    tokens: int
    domains: Mapping[str, DomainPlan] = field(hash=False)
    stages: tuple[tuple[int, Mapping[str, int]], ...] = field(hash=False)
    order: BlockOrder | None = None
    about: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `TokenPlan.from_dict` reads them back, on any machine."""
        order = self.order
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "tokens": self.tokens,
            "domains": {name: dict(vars(domain)) for name, domain in self.domains.items()},
            "stages": [{"until_tokens": end, "tokens": dict(t)} for end, t in self.stages],
            "order": None
            if order is None
            else {
                "domains": list(order.domains),
                "stages": [[end, list(parts)] for end, parts in order.stages],
                "block_tokens": order.block_tokens,
                "available": list(order.available),
                "seed": order.seed,
            },
            "about": dict(self.about),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TokenPlan":
        """The plan that `to_dict` wrote.

        Raises:
            InputError: the values are of another form or version.
        """
        if not isinstance(values, Mapping) or (values.get("schema"), values.get("version")) != (
            SCHEMA,
            VERSION,
        ):
            raise InputError(
                f"{shorten(repr(values), 60)} is no {SCHEMA} of version {VERSION}; compile the "
                "mixture again (mixopt compile)"
            )
        try:
            kept = values["order"]
            order = kept and BlockOrder(
                tuple(kept["domains"]),
                tuple((end, tuple(parts)) for end, parts in kept["stages"]),
                kept["block_tokens"],
                values["tokens"],
                tuple(kept["available"]),
                kept["seed"],
            )
            return cls(
                values["tokens"],
                {name: DomainPlan(**domain) for name, domain in values["domains"].items()},
                tuple((s["until_tokens"], dict(s["tokens"])) for s in values["stages"]),
                order or None,
                dict(values["about"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"cannot read a token plan ({type(error).__name__}: {error}); compile the mixture "
                "again (mixopt compile)"
            ) from error


def read_plan(path: str | Path) -> TokenPlan:
    """The token plan in a file that `mixopt compile` wrote.

    Raises:
        InputError: it cannot be read.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; give a file of mixopt compile") from error
    return TokenPlan.from_dict(values)


def compile_plan(
    plan: Mixture | Schedule,
    facts: Facts,
    *,
    block: int | None = None,
    about: Mapping[str, Any] | None = None,
) -> TokenPlan:
    """Exact tokens, documents and epochs per domain, by largest remainder, and an order of blocks.

    Args:
        plan: shares of tokens, or a schedule, which is stretched over the run.
        facts: `tokens` of the run, and what is known of the domains.
        block: tokens of a block of the order, e.g. those of a step; without it there is no order.
        about: facts to keep with it, plain JSON values.

    Raises:
        InputError: the tokens of the run are not given.
        InfeasibleError: a domain would be passed over more often than is allowed; the message has
            the largest run that is feasible.
    """
    tokens = facts.tokens or (plan.tokens if isinstance(plan, Schedule) else None)
    if tokens is None:
        raise InputError("the tokens of the run are not given; give them (--tokens 1T)")
    stages = _stages(plan, tokens)
    quotas = _quotas(stages, facts)
    if quotas is None:
        raise InfeasibleError(_infeasible(plan, tokens, facts))
    totals = _totals(quotas)
    documents = _documents(totals, facts)
    order = None if block is None else _order(stages, tokens, facts, block)
    blocks = {} if order is None else order.counts()
    shares = _totals(stages, weigh=True)
    domains = {
        d: DomainPlan(
            share=float(shares[d] / tokens),
            tokens=n,
            documents=documents.get(d),
            epochs=n / facts.unique[d] if facts.unique.get(d) else None,
            blocks=blocks.get(d),
        )
        for d, n in totals.items()
    }
    return TokenPlan(tokens, domains, tuple(quotas), order, dict(about or {}))


Stages = list[tuple[int, dict[str, Any]]]


def _stages(plan: Mixture | Schedule, tokens: int) -> Stages:
    """(end in tokens, shares) of each stage, zeros left out, on the grid that is written."""
    if isinstance(plan, Mixture):
        return [(tokens, on_grid(plan.to_dict(), FINEST))]
    phases = plan.stretched(tokens).phases
    return [(until, on_grid(mixture.to_dict(), FINEST)) for until, mixture in phases]


def _totals(stages: Stages, *, weigh: bool = False) -> dict[str, Any]:
    """Domain to the sum over stages; of shares, weighed by the stages' tokens."""
    totals: dict[str, Any] = {}
    start = 0
    for end, values in stages:
        for d, value in values.items():
            part = Fraction(round(value * PARTS), PARTS) * (end - start) if weigh else value
            totals[d] = totals.get(d, 0) + part
        start = end
    return totals


def _quotas(stages: Stages, facts: Facts) -> Stages | None:
    """Whole tokens per stage and domain; None where the limits on passes leave no room."""
    limits = {
        d: int(facts.allowed(d) * n)
        for d, n in facts.unique.items()
        if facts.allowed(d) != float("inf")
    }
    left, start, quotas = dict(limits), 0, []
    for end, shares in stages:
        counts = token_quotas(shares, end - start, left)
        if sum(counts.values()) < end - start or any(n > left.get(d, n) for d, n in counts.items()):
            return None
        left = {d: n - counts.get(d, 0) for d, n in left.items()}
        quotas.append((end, counts))
        start = end
    return quotas


def _infeasible(plan: Mixture | Schedule, tokens: int, facts: Facts) -> str:
    """Which limits are broken, and the largest run that breaks none."""
    parts = _totals(_stages(plan, tokens), weigh=True)
    limits = {
        d: facts.allowed(d) * facts.unique[d] / float(n / tokens)
        for d, n in parts.items()
        if n and d in facts.unique and facts.allowed(d) != float("inf")
    }
    tightest = min(limits, key=lambda d: limits[d])
    largest = min(int(limits[tightest]), tokens - 1)
    shortest = len(plan.phases) if isinstance(plan, Schedule) else 1
    # Rounding to whole tokens can cost a few more.
    for _ in range(4 * len(parts)):
        if largest < shortest or _quotas(_stages(plan, largest), facts) is not None:
            break
        largest -= 1
    remedy = f"give {largest} tokens at most" if largest >= shortest else "leave the domain out"
    return (
        f"{tokens} tokens pass over domain {tightest!r} "
        f"{float(parts[tightest]) / max(facts.unique[tightest], 1):.4g} times, and "
        f"{facts.allowed(tightest):g} passes are allowed over its {facts.unique[tightest]:g} "
        f"unique tokens; {remedy}, or allow more passes (--max-epochs)"
    )


def _documents(tokens: Mapping[str, int], facts: Facts) -> dict[str, int]:
    """Whole documents of the domains whose mean length is known, by largest remainder."""
    lengths = facts.tokens_per_example
    return apportion(
        {
            d: Fraction(n) / Fraction(str(float(lengths[d])))
            for d, n in tokens.items()
            if d in lengths
        }
    )


def _order(stages: Stages, tokens: int, facts: Facts, block: int) -> BlockOrder:
    """The order of blocks.

    Raises:
        InputError: a block is longer than a domain, or a stage shorter than a block.
        InfeasibleError: in whole blocks, a domain is passed over too often.
    """
    if block <= 0:
        raise InputError(f"a block has {block} tokens; give a number above 0")
    names = tuple(dict.fromkeys(d for _, shares in stages for d in shares))
    number = -(-tokens // block)
    short = [d for d in names if 0 < facts.unique.get(d, block) < block]
    if short:
        raise InputError(
            f"a block has {block} tokens, and domain {short[0]!r} has {facts.unique[short[0]]:g}; "
            "give smaller blocks"
        )
    ends = [(2 * end + block) // (2 * block) for end, _ in stages[:-1]]
    parts = [tuple(round(shares.get(d, 0.0) * PARTS) for d in names) for _, shares in stages]
    order = BlockOrder(
        names,
        tuple(zip([*ends, number], parts, strict=True)),
        block,
        tokens,
        tuple(int(facts.unique.get(d, 0)) // block for d in names),
        facts.seed,
    )
    for d, blocks in order.counts().items():
        limit = facts.allowed(d) * order.available[names.index(d)]
        if order.available[names.index(d)] and blocks > limit:
            raise InfeasibleError(
                f"{blocks} blocks of {block} tokens pass over the {limit / facts.allowed(d):g} "
                f"whole blocks of domain {d!r} more than {facts.allowed(d):g} times; give smaller "
                f"blocks (--block), or about {max(1, int(tokens * (limit - 1) / blocks))} tokens"
            )
    return order
