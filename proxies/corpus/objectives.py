"""Objectives as domains: the text of a domain, trained on in another way than from left to right.

A domain is a source and an objective. The denoisers of UL2 (arXiv 2205.05131) hide spans of the
text and ask for them behind it: `r` few short ones, `x` many or long ones, `s` the end of the text.
`infill`, of CodeGen2 (arXiv 2305.02309), hides spans inside of one document, each of which ends
with a token of its own. All of them are sequences like any other, of a *prefix* without loss, a
boundary, and the *targets*.

Notation:
    T + 1 tokens of a sequence, L of them from the source
    r: rate, n = clip(round(L r), 1, L - 1) hidden tokens
    mu: mean span, s = max(1, round(n / mu)) spans
    prefix, boundary included: L - n + s + 1 tokens (L - n + 1 of `s`)
    targets: n + s + 1 tokens of `r` and `x`, n of `s`, n + 2 s of `infill`
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mixopt.errors import InputError, did_you_mean
from mixopt.space.numbers import check_number

CAUSAL = "causal"
SENTINELS = 32
"""What `x` of span 3 needs in the longest context that proxies have by themselves (256)."""
BOUNDARY, END = 0, 1
"""Tokens behind the tokenizer's: between prefix and targets; at their end. Then sentinels."""
SPECIAL = 2


@dataclass(frozen=True)
class Objective:
    """How examples are made of text.

    Attributes:
        name: one of `DEFAULTS`.
        span: mu, mean length of a hidden span in tokens; infinite for `s`, whose span is one.
        rate: r, share of the tokens that are hidden. Of `infill` the mean share: each sequence
            draws its own, uniformly from 0 to 2 r.
    """

    name: str
    span: float
    rate: float

    def hidden(self, tokens: int, rate: float | None = None) -> int:
        """N of L tokens, at this rate or another."""
        chosen = self.rate if rate is None else rate
        return min(max(round(tokens * chosen), 1), tokens - 1)

    def spans(self, hidden: int) -> int:
        """S of n hidden tokens."""
        return max(1, round(hidden / self.span))

    def most(self, tokens: int) -> tuple[int, int]:
        """(n, s) of L tokens; of `infill` the largest that a sequence may draw."""
        hidden = self.hidden(tokens, 2 * self.rate if self.name == "infill" else None)
        return hidden, self.spans(hidden)

    def lengths(self, hidden: int, spans: int, tokens: int) -> tuple[int, int]:
        """Tokens of the prefix, boundary included, and of the targets.

        >>> r = Objective("r", 3, 0.15)
        >>> r.lengths(*r.most(512), 512)  # the T5 form of L = 512
        (462, 104)
        """
        if self.name == "s":
            return tokens - hidden + 1, hidden
        per_span = 2 if self.name == "infill" else 1
        return tokens - hidden + spans + 1, hidden + per_span * spans + (2 - per_span)

    def source_tokens(self, context: int) -> int:
        """L: the most tokens of the source whose example fits into T + 1; 1 where none does."""
        tokens = context
        while tokens > 1 and sum(self.lengths(*self.most(tokens), tokens)) > context + 1:
            tokens -= 1
        return tokens

    def makes(self, context: int) -> bool:
        """Whether examples of so many tokens are this objective, and not another than it says."""
        if context < 2:
            return False
        tokens = self.source_tokens(context)
        hidden, spans = self.most(tokens)
        if tokens < 2 or self.name == "s":
            return tokens >= 2
        return 2 * self.hidden(tokens) >= self.span and spans <= min(hidden, tokens - hidden)

    def check(self, domain: str, context: int, sentinels: int) -> None:
        """Refuse a context in which this is another objective than it says.

        Args:
            domain: for messages.
            context: T.
            sentinels: that the vocabulary has.

        Raises:
            InputError: the context is too short for the spans, or has more spans than sentinels.
        """
        tokens = self.source_tokens(context)
        if tokens < 2 or (self.name != "s" and 2 * self.hidden(tokens) < self.span):
            raise InputError(
                f"domain {domain!r}: objective {self.name!r} hides {self.rate:.0%} of {tokens} "
                f"tokens, less than half a span of {self.span:g}; set a `context` longer than "
                f"{context}, or a smaller `span`"
            )
        hidden, spans = self.most(tokens)
        if self.name != "s" and spans > min(hidden, tokens - hidden):
            raise InputError(
                f"domain {domain!r}: objective {self.name!r} would hide {hidden} of {tokens} tokens"
                f" in {spans} spans, which do not lie apart; set a larger `span` or a lower `rate`"
            )
        if self.name != "s" and spans > sentinels:
            raise InputError(
                f"domain {domain!r}: objective {self.name!r} hides up to {spans} spans in a context"
                f" of {context}, and there are {sentinels} sentinels; set `sentinels` to {spans} or"
                " more"
            )

    def record(self) -> dict[str, Any]:
        """Plain JSON values; of the `s` objective no span."""
        return {k: v for k, v in asdict(self).items() if v != float("inf")}


DEFAULTS = {
    "r": Objective("r", 3, 0.15),
    "s": Objective("s", float("inf"), 0.25),
    "x": Objective("x", 3, 0.5),
    "infill": Objective("infill", 8, 0.25),
}
"""As published: UL2's first R and X, and S with a quarter of the text. Of `infill` only the form is
published; its span and rate are ours."""


@dataclass(frozen=True)
class Derived:
    """A domain or validation set that is another one's text under an objective.

    Attributes:
        source: the other one's name.
        objective: how examples are made of it.
    """

    source: str
    objective: Objective

    def record(self) -> dict[str, Any]:
        """Plain JSON values, for a manifest."""
        return {"source": self.source, **self.objective.record()}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Derived":
        """Back from `record`."""
        span = record.get("span", float("inf"))
        return cls(record["source"], Objective(record["name"], span, record["rate"]))


_FIELDS = ("source", "objective", *(f.name for f in fields(Objective) if f.name != "name"))


def is_derived(given: Any) -> bool:
    """Whether what a user wrote for a domain names the text of another, or an objective."""
    return isinstance(given, Mapping) and ("source" in given or "objective" in given)


def derived_of(name: str, given: Mapping[str, Any]) -> Derived:
    """What a user wrote, as `{source: web, objective: r, span: 3, rate: 0.15}`.

    Args:
        name: of the domain, for messages.
        given: see above; span and rate have defaults.

    Raises:
        InputError: an unknown setting or objective, or a number that is none.
    """
    for key in given:
        if key not in _FIELDS:
            raise InputError(
                f"domain {name!r}: an objective has no setting {key!r}; "
                f"{did_you_mean(str(key), _FIELDS)}"
            )
    source, objective = given.get("source"), given.get("objective", CAUSAL)
    if not isinstance(source, str):
        raise InputError(
            f"domain {name!r}: objective {objective!r} needs the domain whose text it takes; write "
            f"that text as a domain of its own, and here {{source: <its name>, objective: "
            f"{objective}}}"
        )
    if objective not in DEFAULTS:
        if objective == CAUSAL:
            raise InputError(
                f"domain {name!r} is {source!r} again, from left to right; give an `objective` "
                f"({', '.join(DEFAULTS)}), or leave the domain out"
            )
        known = did_you_mean(str(objective), (CAUSAL, *DEFAULTS))
        raise InputError(f"domain {name!r}: there is no objective {objective!r}; {known}")
    default = DEFAULTS[objective]
    where = f"domain {name!r}: "
    if objective == "s" and "span" in given:
        raise InputError(f"{where}objective 's' hides one span, the end; leave out span")
    span, rate = given.get("span", default.span), given.get("rate", default.rate)
    if objective != "s":
        check_number(f"{where}span", span, least=1)
    check_number(f"{where}rate", rate)
    most = 0.5 if objective == "infill" else 1  # which draws up to twice the rate
    if not 0 < rate < most:
        raise InputError(f"{where}rate is {rate!r}; give a share above 0 and below {most}")
    return Derived(source, Objective(objective, span, rate))


def check_sources(derived: Mapping[str, Derived], known: Mapping[str, Any], what: str) -> None:
    """Refuse sources that are none, or derived themselves, and domains that are there twice.

    Args:
        derived: by name.
        known: domains (or sets) with text of their own, by name.
        what: they are, for messages.

    Raises:
        InputError: see above.
    """
    seen: dict[Derived, str] = {}
    for name, of in derived.items():
        if of.source in derived:
            raise InputError(
                f"{what} {name!r}: its source {of.source!r} is itself {derived[of.source].source!r}"
                f" under an objective; name {derived[of.source].source!r}"
            )
        if of.source not in known:
            raise InputError(
                f"{what} {name!r}: there is no {what} {of.source!r} to take the text of; "
                f"{did_you_mean(of.source, known)}"
            )
        if of in seen:
            raise InputError(
                f"{what} {name!r} has the source, objective, span and rate of {seen[of]!r}; leave "
                "one of them out"
            )
        seen[of] = name
