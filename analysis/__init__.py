"""Benchmarks and figures: read a run table or a store, write JSON and pictures."""
