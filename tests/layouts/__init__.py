"""Shards that the layouts' own packages write, read by ours; see `__main__`."""
