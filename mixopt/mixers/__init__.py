"""Mixers: methods that change the mixture inside a run, one file each, found by name."""

from mixopt.mixers.base import Measured, Mixer, Needs, Note, Segment, Setup, State, refused
from mixopt.mixers.course import Course, Recorded, course, record
from mixopt.mixers.history import Told
from mixopt.mixers.named import MIXERS, mixer, mixer_of
from mixopt.mixers.session import Session
from mixopt.mixers.steered_run import SteeredRun
from mixopt.runs import MixerSpec

__all__ = [
    "MIXERS",
    "Course",
    "Measured",
    "Mixer",
    "MixerSpec",
    "Needs",
    "Note",
    "Recorded",
    "Segment",
    "Session",
    "Setup",
    "State",
    "SteeredRun",
    "Told",
    "course",
    "mixer",
    "mixer_of",
    "record",
    "refused",
]
