"""From surrogate, runs and answer to the verdict: all is measured, every gate is asked.

Its modules are imported by name, so that who defines a strategy does not load statistics.
"""
