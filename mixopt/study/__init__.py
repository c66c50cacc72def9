"""The notebook facade: see `mixopt.study.study`."""

from mixopt.study.saved import load_study, save_study
from mixopt.study.study import MOST_RUNS, Study

__all__ = ["MOST_RUNS", "Study", "load_study", "save_study"]
