"""Data that are tokenised already, in the layout of their trainer: sampled, not read through."""

from proxies.token_shards.ports import TokenShard
from proxies.token_shards.source import FORMATS, TokenSource

__all__ = ["FORMATS", "TokenShard", "TokenSource"]
