"""Corpora from more text than fits in memory."""

from proxies.corpus.streaming.build import stream
from proxies.corpus.streaming.plan import text_size
from proxies.corpus.streaming.workers import available_workers

__all__ = ["available_workers", "stream", "text_size"]
