"""Find the data mixture for the next large language-model run, and prove it."""

from mixopt.errors import InfeasibleError, InputError, MixoptError
from mixopt.runs import Observation, Point, RunSpec, Scale
from mixopt.runs.objective import Guard, Objective
from mixopt.runs.run_table import RunTable, read_table
from mixopt.space import Domain, Group, Mixture, MixtureSpace, Tie
from mixopt.study import Study

__version__ = "0.1.0"

__all__ = [
    "Domain",
    "Group",
    "Guard",
    "InfeasibleError",
    "InputError",
    "MixoptError",
    "Mixture",
    "MixtureSpace",
    "Objective",
    "Observation",
    "Point",
    "RunSpec",
    "RunTable",
    "Scale",
    "Study",
    "Tie",
    "read_table",
]
