"""What is known of the data and of the target run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from mixopt.errors import InputError


@dataclass(frozen=True)
class Facts:
    """What is known of the data and of the target run; what is not known is left out.

    Attributes:
        paths: domain to where its data is: a path, or several.
        shard_tokens: path to its tokens, of domains with several.
        tokens_per_example: domain to mean tokens of a document (example, row), measured with the
            target's tokenizer, after packing and with its end-of-document token.
        measured: where these were measured, in words, if not by the user.
        equal_lengths: take the examples of all domains to be equally long.
        unique: domain to its unique tokens.
        tokens: of the target run.
        max_epochs: passes allowed over a domain: a number, or domain to number.
        sequence_length: tokens of a sequence.
        batch_tokens: tokens of an optimizer step.
        seed: of whatever the format draws.
        tokenizer: with which tokens are counted, in words.
    """

    paths: Mapping[str, str | Sequence[str]] = field(default_factory=dict, hash=False)
    shard_tokens: Mapping[str, float] = field(default_factory=dict, hash=False)
    tokens_per_example: Mapping[str, float] = field(default_factory=dict, hash=False)
    measured: str = ""
    equal_lengths: bool = False
    unique: Mapping[str, float] = field(default_factory=dict, hash=False)
    tokens: int | None = None
    max_epochs: float | Mapping[str, float] | None = field(default=None, hash=False)
    sequence_length: int | None = None
    batch_tokens: int | None = None
    seed: int = 0
    tokenizer: str = ""

    def __post_init__(self) -> None:
        for name in ("tokens", "sequence_length", "batch_tokens"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value > 0):
                raise InputError(f"{name} is {value!r}; give a whole number above 0, such as 4M")
        for name in ("tokens_per_example", "unique", "shard_tokens"):
            for domain, value in getattr(self, name).items():
                least_open = name == "tokens_per_example"
                if not math.isfinite(value) or value < 0 or (least_open and value == 0):
                    raise InputError(
                        f"{name} of domain {domain!r} is {value}; give a number of tokens"
                        + (" above 0" if least_open else "")
                    )
        limits = self.max_epochs
        each = limits.values() if isinstance(limits, Mapping) else [limits]
        for limit in each:
            if limit is not None and not limit > 0:
                raise InputError(f"max_epochs is {limit}; give a number above 0")

    def allowed(self, domain: str) -> float:
        """Passes allowed over a domain; infinite where nobody set a limit."""
        limits = self.max_epochs
        if isinstance(limits, Mapping):
            return float(limits.get(domain, limits.get("*", math.inf)))
        return math.inf if limits is None else float(limits)

    @classmethod
    def split(cls, values: Mapping[str, Any]) -> "tuple[Facts, dict[str, Any]]":
        """Facts and the rest, of settings that stand side by side, as in a trainer's spec."""
        known = {f.name for f in fields(cls)}
        facts = {k: v for k, v in values.items() if k in known}
        return cls(**facts), {k: v for k, v in values.items() if k not in known}

    @property
    def sequences_per_step(self) -> int | None:
        """Sequences of an optimizer step; None where one of both lengths is not known."""
        if self.batch_tokens is None or self.sequence_length is None:
            return None
        return self.batch_tokens // self.sequence_length
