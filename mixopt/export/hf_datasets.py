"""Hugging Face `datasets`: a Python file around `interleave_datasets`.

`interleave_datasets` draws *examples*, not tokens: with probabilities p and t mean tokens per
example, domain i gets p_i t_i / sum(p t) of the tokens. With `tokens_per_example` the shares of
tokens are turned into the probabilities that give them; without, the file says that they were not.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from mixopt.errors import InputError
from mixopt.export.shares import exact_shares, paths_of, shares_of_examples
from mixopt.space import Mixture

_STRATEGIES = ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement")

_FILE = '''"""The training mixture, for Hugging Face datasets. Written by mixopt."""

from datasets import interleave_datasets, load_dataset

# Domain to probability of the next *example* coming from it.
# {unit}
PROBABILITIES = {probabilities}
# Domain to the name or folder of its dataset.{fill_in}
SOURCES = {sources}
SEED = {seed}
STOPPING_STRATEGY = "{stopping_strategy}"


def mixture(split="train", streaming=True, **options):
    """The domains interleaved; `options` go to `load_dataset`."""
    parts = [
        load_dataset(SOURCES[domain], split=split, streaming=streaming, **options)
        for domain in PROBABILITIES
    ]
    return interleave_datasets(
        parts,
        probabilities=list(PROBABILITIES.values()),
        seed=SEED,
        stopping_strategy=STOPPING_STRATEGY,
    )
{provenance}'''

_CONVERTED = "Converted from shares of tokens with the mean tokens per example of every domain."
_AS_IS = (
    "WARNING: these are shares of tokens, used as they are. If the domains' examples differ in\n"
    "# length, export again with tokens_per_example, or pack the examples to one length first."
)

_FILL_IN = (
    "\n# No paths were given: put the dataset's name or folder in place of each domain's name."
)


def export(
    mixture: Mixture,
    *,
    paths: Mapping[str, str] | None = None,
    tokens_per_example: Mapping[str, float] | None = None,
    seed: int = 0,
    stopping_strategy: Literal[
        "first_exhausted", "all_exhausted", "all_exhausted_without_replacement"
    ] = "all_exhausted",
    provenance: Mapping[str, Any] | None = None,
) -> str:
    """A Python file whose `mixture()` gives the interleaved dataset.

    Args:
        mixture: shares of training tokens.
        paths: domain to the dataset's name or folder; the domain's own name by default.
        tokens_per_example: domain to mean tokens per example.
        seed: of the interleaving.
        stopping_strategy: of `interleave_datasets`.
        provenance: written as a comment.

    Raises:
        InputError: paths are given and one is missing, or an option has a bad value.
    """
    if stopping_strategy not in _STRATEGIES:
        raise InputError(
            f"stopping_strategy is {stopping_strategy!r}; give one of: {', '.join(_STRATEGIES)}"
        )
    drawn = shares_of_examples(mixture, tokens_per_example) if tokens_per_example else mixture
    shares = exact_shares(drawn)
    sources = paths_of(shares, paths) if paths is not None else {d: d for d in shares}
    note = ""
    if provenance:  # as a comment: ASCII JSON has no line break but its own
        lines = json.dumps(provenance, indent=2, default=str).splitlines()
        note = "\n\n# Provenance:\n" + "".join(f"# {line}\n" for line in lines)
    return _FILE.format(
        unit=_CONVERTED if tokens_per_example else _AS_IS,
        probabilities=_literal(shares),
        fill_in="" if paths is not None else _FILL_IN,
        sources=_literal(sources),
        seed=int(seed),
        stopping_strategy=stopping_strategy,
        provenance=note,
    )


def _literal(values: Mapping[str, Any]) -> str:
    """JSON that is Python as well: both read a string alike where only controls are escaped."""
    return json.dumps(values, indent=4, ensure_ascii=False)
