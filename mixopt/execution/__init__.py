"""Sweeps at work: the loop, and the executors that train its runs, here or on Ray."""
