"""What is judged where more than one mixture was searched."""

from dataclasses import dataclass

from mixopt.proposers import Surrogate
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture


@dataclass(frozen=True, eq=False)
class Searched:
    """What was searched where that is more than one mixture: its points, and the model over them.

    Points are rows of a larger simplex. Held-out runs, noise and distance are judged there.

    Attributes:
        surrogate: over the points.
        runs: the runs as points.
        point: the answer as one.
    """

    surrogate: Surrogate
    runs: RunTable
    point: Mixture
