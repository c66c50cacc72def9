"""Trainers for mixopt: what turns a run spec into an observation.

Trainers are named in specs as `"proxies:LanguageModelTrainer"`; mixopt itself never imports this
package. Each is imported when it is named: torch is not loaded for a table, nor in the processes
that prepare text.
"""

from typing import TYPE_CHECKING

from mixopt import lazy

if TYPE_CHECKING:
    from proxies.corpus import Corpus, CorpusConfig, load_corpus
    from proxies.lm import LanguageModelTrainer
    from proxies.table import TableTrainer

__all__ = ["Corpus", "CorpusConfig", "LanguageModelTrainer", "TableTrainer", "load_corpus"]

_PLACES = {
    "Corpus": "proxies.corpus:Corpus",
    "CorpusConfig": "proxies.corpus:CorpusConfig",
    "LanguageModelTrainer": "proxies.lm:LanguageModelTrainer",
    "TableTrainer": "proxies.table:TableTrainer",
    "load_corpus": "proxies.corpus:load_corpus",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'proxies' has no attribute {name!r}")
    return lazy.load(_PLACES[name])


def __dir__() -> list[str]:
    return sorted(__all__)
