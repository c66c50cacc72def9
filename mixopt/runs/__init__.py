"""Runs and what is asked of them: scales, run specs, observations, tables, objectives, knobs."""

from mixopt.runs.kinds import Kind, What
from mixopt.runs.run_spec import Observation, Point, RunSpec, Scale, short_number

__all__ = ["Kind", "Observation", "Point", "RunSpec", "Scale", "What", "short_number"]
