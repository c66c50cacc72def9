"""Runs and what is asked of them: scales, schedules, run specs, tables, objectives, knobs."""

from mixopt.runs.attempts import Attempt, Place
from mixopt.runs.kinds import Kind, What
from mixopt.runs.realised import Realised
from mixopt.runs.run_spec import UNSTATED, Observation, Point, RunSpec, Scale
from mixopt.runs.schedule import MixerSpec, Schedule
from mixopt.space.short import quantity, short_number

__all__ = [
    "UNSTATED",
    "Attempt",
    "Kind",
    "MixerSpec",
    "Observation",
    "Place",
    "Point",
    "Realised",
    "RunSpec",
    "Scale",
    "Schedule",
    "What",
    "quantity",
    "short_number",
]
