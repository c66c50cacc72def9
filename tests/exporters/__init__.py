"""The frameworks' own readers of what the exporters write; see `__main__`."""
