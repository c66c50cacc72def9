"""Runs and what is asked of them: scales, run specs, observations, tables, objectives, knobs."""

from mixopt.runs.run_spec import Observation, Point, RunSpec, Scale, short_number

__all__ = ["Observation", "Point", "RunSpec", "Scale", "short_number"]
