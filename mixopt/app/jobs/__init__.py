"""Sweeps as jobs of a Ray cluster: what goes along, where results stay."""
