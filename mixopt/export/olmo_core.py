"""OLMo-core: a SourceMixture (2.5 and 3.0, YAML) or composable sources (3.0, Python).

Ratios count *tokens*. A SourceMixture does not normalise them, and refuses up-sampling unless
`max_repetition_ratio` allows it: it is written as the epochs of each domain, rounded up to
hundredths (int(w R) <= N * fraction * repetition).
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mixopt.errors import InputError
from mixopt.export.exporter import Draws, Exporter, Job, Option, Repeats, Unit
from mixopt.export.texts import as_yaml, comment, literal

_COMPOSED = '''"""The training mixture, for OLMo-core's composable data. Written by {note}."""

from olmo_core.data.composable import (
    MixingTokenSourceConfig,
    MixingTokenSourceSpecConfig,
    NumpyDocumentSourceConfig,
)

# Ratios of tokens, with the most passes over each source.
SOURCES = {sources}
SEED = {seed}
TOKENS = {tokens}


def mixture(tokenizer, **options):
    """The mixed token source; `tokenizer` is a TokenizerConfig, `options` go to each source."""
    specs = [
        MixingTokenSourceSpecConfig(
            source=NumpyDocumentSourceConfig(
                source_paths=source["paths"], tokenizer=tokenizer, expand_glob=True, **options
            ),
            ratio=source["ratio"],
            max_repetition_factor=source["max_repetition_factor"],
            label=source["label"],
        )
        for source in SOURCES
    ]
    return MixingTokenSourceConfig(source_specs=specs, seed=SEED, num_tokens=TOKENS)
{provenance}'''


def repetition(job: Job) -> dict[str, float]:
    """Domain to the passes that are to be allowed: its epochs, rounded up to hundredths.

    Raises:
        InputError: fewer are given than the run needs.
    """
    needed = {d: max(1.0, math.ceil(e * 100 - 1e-7) / 100) for d, e in job.epochs.items()}
    given = job.options["max_repetition"]
    if given is None:
        return {d: needed.get(d, 1.0) for d in job.domains}
    over = next((d for d, e in needed.items() if e > given), None)
    if over is not None:
        raise InputError(
            f"max_repetition is {given:g}, and domain {over!r} is passed over "
            f"{job.epochs[over]:.4g} times; allow {needed[over]:g}, or leave the option out"
        )
    return dict.fromkeys(job.domains, float(given))


def _check(job: Job) -> Iterable[str]:
    repetition(job)
    if job.options["max_repetition"] is None and len(job.epochs) < len(job.domains):
        yield (
            "domains whose epochs are not known are written with a repetition of 1.0, with which "
            "OLMo-core refuses to read them twice (give --tokens and --unique, or "
            "--set max_repetition=...)"
        )
    absent = [d for d in job.domains if not all(map(_may_exist, job.places(d)))]
    if absent:
        yield f"there is nothing at the paths of {', '.join(absent)} on this machine"


def _may_exist(path: str) -> bool:
    """Whether a path is there, or cannot be looked up here: a URL, a pattern."""
    return "://" in path or any(c in path for c in "*?[") or Path(path).exists()


def _source_mixture(job: Job) -> str:
    passes = repetition(job)
    sources: list[Mapping[str, Any]] = [
        {
            "source_name": d,
            "target_ratio": w,
            "max_repetition_ratio": passes[d],
            "paths": job.places(d),
        }
        for d, w in job.weights.items()
    ]
    tokens = job.stages[0].tokens
    build = f"requested_tokens={tokens if tokens else '<tokens of the run>'}, seed={job.seed}"
    return as_yaml({"sources": sources}, job.note, comments=[f"Build it with {build}."])


def _composable(job: Job) -> str:
    passes = repetition(job)
    sources = [
        {"label": d, "ratio": w, "max_repetition_factor": passes[d], "paths": job.places(d)}
        for d, w in job.weights.items()
    ]
    return _COMPOSED.format(
        note=job.note,
        sources=literal(sources),
        seed=job.seed,
        tokens=job.stages[0].tokens,
        provenance=comment(job.provenance),
    )


_OPTIONS = (
    Option(
        "max_repetition",
        "passes allowed over every source (default: its epochs)",
        kind=float,
        least=1.0,
    ),
)
_SHARED: dict[str, Any] = {
    "units": (Unit.TOKENS,),
    "options": _OPTIONS,
    "draws": Draws.EXACT,
    "repeats": Repeats.OPTION,
    "check": _check,
}
_MIXTURE = "OLMo-core: YAML of a SourceMixtureList"
EXPORTERS = (
    Exporter(_MIXTURE, _source_mixture, version="3.0", suffix=".yaml", **_SHARED),
    Exporter(_MIXTURE, _source_mixture, version="2.5", suffix=".yaml", **_SHARED),
    Exporter(
        "OLMo-core 3.0: Python with composable token sources",
        _composable,
        version="composable",
        suffix=".py",
        **_SHARED,
    ),
)
