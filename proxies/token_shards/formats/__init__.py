"""Readers of layouts, one module each; `proxies.token_shards.source.FORMATS` has their names."""
