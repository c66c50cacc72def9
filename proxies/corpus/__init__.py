"""Text to tokens: built-in sources, users' files, tokenizer, memory-mapped shards."""

from proxies.corpus.build import find_corpus, load_corpus
from proxies.corpus.config import CorpusConfig
from proxies.corpus.corpus import Corpus

__all__ = ["Corpus", "CorpusConfig", "find_corpus", "load_corpus"]
