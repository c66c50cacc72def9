"""Which run to make next, at which scale, by what BoTorch has: for recipes published on it.

Every function scores candidates, a mixture at a scale each, by one process for the objective
(`mixopt.laws.processes.botorch`), lower is better. Runs under way are fantasised, or believed.

Notation:
    W: (c, m) mixtures; at: (c, 2) parameters and tokens, or None where there is one scale
References:
    max-value entropy over fidelities: Takeno et al. 1901.08275; log expected improvement: Ament et
    al. 2310.20708; recipes: ADMIRE 2508.11551, MFMS 2503.21023
"""

from dataclasses import dataclass, field

import numpy as np
from botorch.acquisition import qLogExpectedImprovement
from botorch.acquisition.cost_aware import InverseCostWeightedUtility
from botorch.acquisition.max_value_entropy_search import qMultiFidelityMaxValueEntropy
from botorch.acquisition.objective import ScalarizedPosteriorTransform
from botorch.models.cost import AffineFidelityCostModel
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.sampling import manual_seed
from torch import Size, Tensor, cat, no_grad, ones, ones_like, stack

from mixopt.laws.processes.botorch import FittedBoTorch, exactly
from mixopt.proposers.batch import log_expected_improvement
from mixopt.space.simplex import Array

_CHUNK = 512
_SAMPLES = 128


@dataclass(frozen=True)
class Options:
    """Runs to choose from, and those under way.

    Attributes:
        W: (c, m) mixtures. at: (c, 2) their scales, or None where there is one.
        pending: (p, m) mixtures under way. pending_at: (p, 2) their scales.
    """

    W: Array
    at: Array | None = None
    pending: Array = field(default_factory=lambda: np.empty((0, 0)))
    pending_at: Array | None = None

    def under_way(self, fitted: FittedBoTorch) -> Tensor | None:
        """(p x m + f) inputs of the runs under way; None without any."""
        return fitted.inputs(self.pending, self.pending_at) if len(self.pending) else None


def information_per_cost(fitted: FittedBoTorch, options: Options, seed: int) -> Array:
    """(c,) information about the lowest value at the target, per cost, as ADMIRE computes it.

    Max-value entropy from one sample of the optimum over the runs so far, divided by the fidelity,
    which is a run's share of the target's cost.

    Args:
        fitted: kernel `"truncated"`, of one metric.
        options: where runs can be made.
        seed: of BoTorch's samples.
    """
    (model,) = fitted.models
    last = model.train_inputs[0].shape[-1] - 1
    with exactly(), manual_seed(seed):
        acquisition = qMultiFidelityMaxValueEntropy(
            model,
            candidate_set=model.train_inputs[0],
            num_mv_samples=1,
            cost_aware_utility=InverseCostWeightedUtility(
                AffineFidelityCostModel({last: 1.0}, fixed_cost=0.0)
            ),
            project=_at_target,
            X_pending=options.under_way(fitted),
            maximize=False,
        )
        return _evaluated(acquisition, fitted.inputs(options.W, options.at))


def improvement(fitted: FittedBoTorch, options: Options, seed: int) -> Array:
    """(c,) log expected improvement on the best run, at one scale.

    Args:
        fitted: of one metric.
        options: where runs can be made.
        seed: of BoTorch's samples.
    """
    (model,) = fitted.models
    with exactly(), manual_seed(seed):
        acquisition = qLogExpectedImprovement(
            model,
            best_f=-model.train_targets.min(),
            sampler=SobolQMCNormalSampler(Size([_SAMPLES]), seed=seed),
            posterior_transform=ScalarizedPosteriorTransform(-ones(1).to(model.train_targets)),
            X_pending=options.under_way(fitted),
        )
        return _evaluated(acquisition, fitted.inputs(options.W, options.at))


def improvement_per_cost(
    fitted: FittedBoTorch, options: Options, costs: Array, known: Array
) -> Array:
    """(c,) log of what a run is expected to improve the target's best by, per cost: MFMS.

    One step ahead: a run at a mixture and a scale moves the posterior mean of the same mixture at
    the target by a normal amount; its improvement on the best mean at any known mixture has a
    closed form. Runs under way are believed to come out as expected.

    Args:
        fitted: of one metric.
        options: where runs can be made.
        costs: (c,) of each of them.
        known: (r, m) mixtures that have been run.
    """
    (model,) = fitted.models
    X, goal = fitted.inputs(options.W, options.at), fitted.inputs(options.W)
    under_way = options.under_way(fitted)
    with exactly(), no_grad():
        model.posterior(X[:1])  # BoTorch conditions models that have predicted something
        if under_way is not None:
            believed = model.posterior(under_way).mean
            model = model.condition_on_observations(under_way, believed)
        best = float(model.posterior(fitted.inputs(known)).mean.min())
        noise = float(model.likelihood.noise.mean())
        parts = []
        for i in range(0, len(X), _CHUNK):
            rows = slice(i, i + _CHUNK)
            both = model.posterior(stack([goal[rows], X[rows]], dim=1))  # q = 2 each
            cov = both.distribution.covariance_matrix
            moves = cov[:, 0, 1] / (cov[:, 1, 1] + noise).sqrt()
            parts.append(stack([both.mean[:, 0, 0], moves.abs()]))
    mean, sd = cat(parts, dim=1).numpy()
    return log_expected_improvement(mean, sd, best) - np.log(costs)


def _at_target(X: Tensor) -> Tensor:
    """The same mixtures at the target, whose fidelity is 1."""
    return cat([X[..., :-1], ones_like(X[..., -1:])], dim=-1)


def _evaluated(acquisition: object, X: Tensor) -> Array:
    """(c,) an acquisition of BoTorch's at points X (c x m + f), one by one."""
    assert callable(acquisition)
    with no_grad():
        parts = [acquisition(X[i : i + _CHUNK, None]) for i in range(0, len(X), _CHUNK)]
    return np.asarray(cat(parts).numpy())
