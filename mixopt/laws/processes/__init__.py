"""Gaussian processes: over one scale, and over several at once."""
