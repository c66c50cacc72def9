"""Trainers for mixopt: what turns a run spec into an observation.

Trainers are named in specs as `"proxies:LanguageModelTrainer"`; mixopt itself never imports this
package.
"""

from proxies.corpus import Corpus, CorpusConfig, load_corpus
from proxies.lm import LanguageModelTrainer
from proxies.table import TableTrainer

__all__ = ["Corpus", "CorpusConfig", "LanguageModelTrainer", "TableTrainer", "load_corpus"]
