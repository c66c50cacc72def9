"""Shares of tokens of one tokenizer as shares of tokens of another, measured on samples of text.

The same text has other shares under the target's tokenizer: code, say, takes more tokens of one
than of another. A mixture is a decision on text, so that its shares of text are kept:

Notation:
    s: tokens per byte of a domain under the tokenizer of the mixture; t: under the target's
    w' = w t / s, scaled to sum to 1; unique tokens and lengths of documents times t / s
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixopt.errors import InputError, shorten
from mixopt.export.facts import Facts
from mixopt.lazy import require
from mixopt.runs import Schedule
from mixopt.space import Mixture

SAMPLE_BYTES = 8 * 2**20
"""Of a domain's sample, as much text as is read: enough for three digits of a mean."""


def tokens_per_byte(tokenizer: Path, samples: Mapping[str, Sequence[Path]]) -> dict[str, float]:
    """Domain to tokens per byte of its sample; a document ends with one token more.

    Args:
        tokenizer: a tokenizer.json.
        samples: domain to files: `.jsonl` with a field `text`, else plain text.

    Raises:
        InputError: the tokenizer or a sample cannot be read, or a sample holds no text.
        MissingDependencyError: the package tokenizers is not installed.
    """
    encoder = _load(tokenizer)
    measured: dict[str, float] = {}
    for domain, files in samples.items():
        tokens = size = 0
        for text in _documents(files):
            tokens += len(encoder.encode(text, add_special_tokens=False).ids) + 1
            size += len(text.encode())
            if size >= SAMPLE_BYTES:
                break
        if not size:
            raise InputError(
                f"the sample of domain {domain!r} ({', '.join(map(str, files))}) holds no text; "
                "give plain text, or .jsonl with a field 'text'"
            )
        measured[domain] = tokens / size
    return measured


def _load(path: Path) -> Any:
    tokenizers = require("tokenizers")
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise InputError(
            f"cannot read the tokenizer {path}: {shorten(str(error))}; give a tokenizer.json"
        ) from error


def _documents(files: Sequence[Path]) -> Iterator[str]:
    for path in files:
        try:
            with path.open(encoding="utf-8") as lines:
                if path.suffix != ".jsonl":
                    yield lines.read(SAMPLE_BYTES)
                    continue
                for number, line in enumerate(lines, start=1):
                    yield _text(path, number, line)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"cannot read the sample {path}: {error}; give text in UTF-8"
            ) from error


def _text(path: Path, number: int, line: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise InputError(f"{path}, line {number}: there is no text in a field 'text'; add it")
    return text


def retokenized(
    plan: Mixture | Schedule, facts: Facts, ratios: Mapping[str, float]
) -> tuple[Mixture | Schedule, Facts]:
    """Plan and facts in tokens of another tokenizer; the ends of a schedule's phases stay.

    Args:
        plan: shares of tokens.
        facts: in the same tokens.
        ratios: domain to tokens of the other tokenizer per token, for every domain with a share.

    Raises:
        InputError: a domain has no ratio.
    """
    if isinstance(plan, Schedule):
        changed: Mixture | Schedule = Schedule(
            tuple((until, _converted(mixture, ratios)) for until, mixture in plan.phases)
        )
    else:
        changed = _converted(plan, ratios)
    return changed, replace(
        facts,
        unique={d: n * ratios.get(d, 1.0) for d, n in facts.unique.items()},
        tokens_per_example={d: a * ratios.get(d, 1.0) for d, a in facts.tokens_per_example.items()},
    )


def _converted(mixture: Mixture, ratios: Mapping[str, float]) -> Mixture:
    shares = mixture.to_dict()
    missing = [d for d, w in shares.items() if w > 0 and not ratios.get(d)]
    if missing:
        raise InputError(
            f"domain {missing[0]!r} has a share and no sample; give one "
            f"(--sample {missing[0]}=FILE)"
        )
    return Mixture.of({d: w * ratios.get(d, 1.0) for d, w in shares.items()}, renormalize=True)
