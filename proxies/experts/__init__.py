"""Mixtures evaluated from one expert per domain: merged weights, or mixed probabilities."""

from proxies.experts.agreement import calibrate
from proxies.experts.mde import MDETrainer
from proxies.experts.merging import MergeTrainer

__all__ = ["MDETrainer", "MergeTrainer", "calibrate"]
