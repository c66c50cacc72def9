"""Domains from one heap: documents put together by what they speak of, with a file per domain."""

from proxies.heap.config import HeapConfig
from proxies.heap.cut import Cut, cut_heap

__all__ = ["Cut", "HeapConfig", "cut_heap"]
