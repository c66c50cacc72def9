"""Find the data mixture for the next large language-model run, and prove it."""

from mixopt.errors import InfeasibleError, InputError, MixoptError
from mixopt.runs import MixerSpec, Observation, Point, Realised, RunSpec, Scale, Schedule
from mixopt.runs.objective import Guard, Objective
from mixopt.runs.reading import read_table
from mixopt.runs.run_table import RunTable
from mixopt.space import Domain, Group, Mixture, MixtureSpace, Tie
from mixopt.study import Study, load_study, save_study

__version__ = "0.1.0"

__all__ = [
    "Domain",
    "Group",
    "Guard",
    "InfeasibleError",
    "InputError",
    "MixerSpec",
    "MixoptError",
    "Mixture",
    "MixtureSpace",
    "Objective",
    "Observation",
    "Point",
    "Realised",
    "RunSpec",
    "RunTable",
    "Scale",
    "Schedule",
    "Study",
    "Tie",
    "load_study",
    "read_table",
    "save_study",
]
