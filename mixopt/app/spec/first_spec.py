"""The first spec of somebody who has a folder of text: written with its reasons beside it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mixopt.errors import InputError
from mixopt.runs import quantity

LEAST_SIZE = 50_000
"""Bytes of text below which a domain has too little to train on and to hold some out."""


def study_name(folder: str) -> str:
    """A name for the sweep, from that of the folder."""
    name = re.sub(r"[^a-z0-9_-]+", "-", Path(folder).resolve().name.lower()).strip("-")
    return name or "my-mixture"


def spec_text(name: str, seen: Any, shown: Sequence[str]) -> str:
    """A commented spec for what a survey saw.

    Args:
        name: of the sweep.
        seen: a survey: `domains` and `validation`, each name to something with `source`.
        shown: one line a domain, for the reader.
    """
    m = len(seen.domains)
    design = max(16, 5 * m)
    goal = next(iter(seen.validation), None)
    minimize = _flow(goal) if goal else _flow(list(seen.domains))
    why = (
        "bits per byte of the set that you hold out: what the large run is to be good at"
        if goal
        else "the mean over domains, which rewards a bit of everything; better: name a set of what "
        "the large run\n  # is to be good at under trainer.config.validation, and minimise that"
    )
    sets = ""
    if seen.validation:
        sets = f"    validation:  # only scored, never trained on\n{_sources(seen.validation)}"
    return f"""\
# yaml-language-server: $schema=spec.schema.json
# Which mixture of these domains is best? (Make this line your own question.)
{"".join(f"#   {line}{chr(10)}" for line in shown)}version: 1
name: {_flow(name)}
seed: 0

trainer:
  use: proxies:LanguageModelTrainer
  config:
    domains:  # paths are seen from the folder in which you call mixopt
{_sources(seen.domains)}{sets}
scales:  # parameters and tokens of the proxies; the last one confirms the answer with fresh seeds
  - {{params: 164k, tokens: 65536}}  # seconds a run on one core
  - {{params: 164k, tokens: 131072}}  # e.g. {{params: 920k, tokens: 8M}} is closer to a large model

objective:
  # {why}
  minimize: {minimize}

strategy:
  use: auto
  design: {design}  # first runs, spread over the space: five a domain, 16 at least
  proposals: {max(8, m)}  # runs that the laws ask for then
  batch: 4
  confirm_seeds: 3

# space:  # what you allow: bounds, groups, ties, epochs (spec.schema.json beside this file has all)
#   bounds:
#     {_flow(next(iter(seen.domains)))}: [0.1, 0.7]
# execution:
#   stop_after: {{runs: {design + max(8, m)}}}
"""


def check_sizes(domains: Mapping[str, Any]) -> list[str]:
    """What a reader should know before the first run: domains that are too small, or alone.

    Raises:
        InputError: there is one domain alone.
    """
    if len(domains) < 2:
        (only,) = domains
        raise InputError(
            f"there is one domain alone, {only!r}; a mixture is of two or more: put the text into "
            "one folder (or file) per source"
        )
    return [
        f"{name} has {quantity(seen.size)} bytes of text, which is little to train on and to "
        "hold some out of; join it with another domain"
        for name, seen in domains.items()
        if seen.size < LEAST_SIZE
    ]


def _sources(table: Mapping[str, Any]) -> str:
    return "".join(f"      {_flow(name)}: {_flow(seen.source)}\n" for name, seen in table.items())


def _flow(value: Any) -> str:
    """A value on one line of YAML, quoted where it must be."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()
