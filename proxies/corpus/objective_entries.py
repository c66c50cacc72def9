"""Domains under objectives in a manifest: entries of their sources, and tokens of their own."""

from collections.abc import Mapping
from typing import Any

from mixopt.errors import InputError
from proxies.corpus.config import CorpusConfig
from proxies.corpus.objectives import SPECIAL, Derived


def with_objectives(config: CorpusConfig, entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a manifest with those of domains and sets under objectives.

    Args:
        config: of the corpus.
        entries: `train` and `validation`, by name, and `vocab`; as they are without objectives.

    Returns:
        The same where there are none. Else the domains in the order of the configuration, each
        scored on what is held out of its source; the sets behind them; a vocabulary with room for
        boundary, end and `sentinels`; and under `objectives` what each of them is.

    Raises:
        InputError: a source has no text here (a built-in one that is not installed).
    """
    domains, sets = config.derived_domains(), config.derived_sets()
    if not domains and not sets:
        return dict(entries)
    train: dict[str, Any] = {**entries["train"]}
    for name, of in domains.items():
        train[name] = _entry(name, of, train)
    ordered = [name for name in config.given_domains() if name in train]
    held: dict[str, Any] = entries["validation"]
    scored = {name: held[domains[name].source if name in domains else name] for name in ordered}
    scored |= {name: entry for name, entry in held.items() if name not in scored}
    scored |= {name: _entry(name, of, scored) for name, of in sets.items()}
    return {
        "train": {name: train[name] for name in ordered},
        "validation": scored,
        "vocab": entries["vocab"] + SPECIAL + config.sentinels,
        "sentinels": config.sentinels,
        "objectives": {name: of.record() for name, of in {**domains, **sets}.items()},
    }


def _entry(name: str, of: Derived, known: Mapping[str, Any]) -> Any:
    if of.source not in known:
        raise InputError(
            f"domain {name!r}: its source {of.source!r} has no text here; install it, or name "
            "another source"
        )
    return known[of.source]
