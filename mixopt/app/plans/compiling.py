"""From a source to a token plan, and the plan into files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.app.plans.manifest import Manifest, Told, facts_of, pairs, read_manifest
from mixopt.app.plans.plan_source import PlanSource, read_source
from mixopt.errors import InputError
from mixopt.export.realised import as_json, finite
from mixopt.export.retokenize import retokenized, tokens_per_byte
from mixopt.export.token_plan import TokenPlan, compile_plan
from mixopt.runs.files import whole_file


@dataclass(frozen=True)
class Tokenizers:
    """How shares become those of the target's tokenizer.

    Attributes:
        target: its tokenizer.json; None: shares stay.
        source: that of the mixture; None: a manifest or the sweep says tokens and bytes.
        samples: `DOMAIN=FILE`, several for a domain.
    """

    target: Path | None = None
    source: Path | None = None
    samples: Sequence[str] = ()


def compile_source(
    source: str, told: Told, block: int | None, tokenizers: Tokenizers | None = None
) -> TokenPlan:
    """The token plan of what a source names.

    Raises:
        InputError: see `read_source`, `facts_of` and `compile_plan`.
    """
    given = read_source(source)
    plan, facts = given.plan, facts_of(given, told)
    about: dict[str, Any] = {"source": source, "provenance": given.about.get("provenance", {})}
    how = tokenizers or Tokenizers()
    if how.target is None:
        if how.source is not None or how.samples:
            raise InputError(
                "samples or a source tokenizer are given, and no --target-tokenizer, to which "
                "shares would be converted; give it, or leave them out"
            )
    else:
        ratios = _ratios(given, told, how)
        plan, facts = retokenized(plan, facts, ratios)
        about |= {"target_tokenizer": str(how.target), "tokens_per_source_token": ratios}
    return compile_plan(plan, facts, block=block, about=finite(about))


def _ratios(given: PlanSource, told: Told, how: Tokenizers) -> dict[str, float]:
    """Domain to tokens of the target's tokenizer per token of the mixture's.

    Raises:
        InputError: a domain has no sample, or nobody says how many bytes its tokens are.
    """
    assert how.target is not None
    samples: dict[str, list[Path]] = {}
    for text in how.samples:
        for domain, path in pairs([text], "--sample").items():
            samples.setdefault(domain, []).append(Path(path))
    wanted = tokens_per_byte(how.target, samples)
    if how.source is not None:
        had: Mapping[str, float] = tokens_per_byte(how.source, samples)
    else:
        manifest = Manifest() if told.manifest is None else read_manifest(told.manifest)
        had = {**given.tokens_per_byte, **manifest.tokens_per_byte}
    missing = [d for d in samples if not had.get(d)]
    if missing:
        raise InputError(
            f"how many bytes a token of the mixture has in domain {missing[0]!r} is not "
            "known; give its tokenizer (--source-tokenizer), or a manifest with tokens and bytes "
            "(--manifest)"
        )
    return {d: wanted[d] / had[d] for d in samples}


def write(plan: TokenPlan, out: Path | None, order: Path | None) -> None:
    """The plan as JSON, unless it goes nowhere (None), and every block as a line of JSON.

    Raises:
        InputError: a file cannot be written; an order without blocks.
    """
    if order is not None and plan.order is None:
        raise InputError("an order has blocks, whose size is not given; give it (--block 4M)")
    if order is not None:
        _stream(order, _lines(plan))
    if out is not None:
        _stream(out, iter([as_json(plan.to_dict())]))


def _lines(plan: TokenPlan) -> Iterator[str]:
    for block in plan.order or ():
        yield json.dumps(vars(block), ensure_ascii=False) + "\n"


def _stream(path: Path, lines: Iterator[str]) -> None:
    """Write a file as a whole or not at all, a line at a time."""
    try:
        with whole_file(path) as file:
            file.writelines(line.encode() for line in lines)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give another path") from error


def lines(plan: TokenPlan) -> Iterator[str]:
    """The plan for people."""
    for name, domain in plan.domains.items():
        parts = [f"{name}: {domain.tokens} tokens ({domain.tokens / plan.tokens:.4%})"]
        if domain.documents is not None:
            parts.append(f"{domain.documents} documents")
        if domain.epochs is not None:
            parts.append(f"{domain.epochs:.3g} epochs")
        if domain.blocks is not None:
            parts.append(f"{domain.blocks} blocks")
        yield ", ".join(parts)
