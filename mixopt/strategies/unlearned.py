"""Whether a process has learned anything of the runs: if not, the answer is what was measured.

Where mixtures differ by what no law can predict, or by little more than noise, the posterior mean
names a mixture by chance, and the best run is at least as good. It costs no fit to ask: what a
process predicts for runs that it was not shown has a closed form.

Notation:
    F: (n,) objective of the runs; M: (n,) its held-out prediction
"""

import numpy as np

from mixopt.diagnostics.ranks import spearman
from mixopt.laws.processes.cokriging import FittedCoKriging
from mixopt.laws.processes.gp import FittedGaussianProcess
from mixopt.proposers import Surrogate

_LEAST = 8  # runs; of fewer nothing is concluded


def unlearned(surrogate: Surrogate) -> str:
    """That the process ranks held-out runs no better than chance does, in words; else nothing.

    No better is less than one standard error of the rank correlation above zero: a process that
    knows something is missed now and then, and loses little, since it knows little. Those over
    several scales are not asked, nor is one whose objective pulls to the natural mixture, which
    then decides.

    Args:
        surrogate: the process of the answer.
    """
    fitted = surrogate.fitted
    if isinstance(fitted, FittedCoKriging) and not fitted.levels:
        fitted = fitted.base
    if not isinstance(fitted, FittedGaussianProcess) or surrogate.kl:
        return ""
    measured = surrogate.objective.value(fitted.Y, surrogate.metrics)
    known = np.isfinite(measured)
    n = int(known.sum())
    if n < _LEAST or np.ptp(measured[known]) == 0:
        return ""
    held_out = surrogate.objective.moments(
        fitted.held_out.mean[known], fitted.held_out.sd[known], surrogate.metrics
    )[0]
    rho = float(np.nan_to_num(spearman(held_out, measured[known])))
    if rho > 1.0 / np.sqrt(n - 3):
        return ""
    return (
        f"the process ranks {n} runs that it was not shown no better than chance (rank correlation "
        f"{rho:.2f}): the answer is the best run as it was measured"
    )
