"""What to train next, and what to train at last: batches and recommendations.

Both use a fitted law through a `Surrogate`.
"""

from mixopt.proposers.batch import propose_batch
from mixopt.proposers.optimism import Optimism, optimism
from mixopt.proposers.pareto import Front, pareto_front
from mixopt.proposers.recommend import Gain, Recommendation, recommend
from mixopt.proposers.search import minimize
from mixopt.proposers.sensitivity import Active
from mixopt.proposers.simulate import simulate
from mixopt.proposers.surrogate import Surrogate

__all__ = [
    "Active",
    "Front",
    "Gain",
    "Optimism",
    "Recommendation",
    "Surrogate",
    "minimize",
    "optimism",
    "pareto_front",
    "propose_batch",
    "recommend",
    "simulate",
]
