"""BoTorch's Gaussian processes over mixtures and scales, for baselines that rest on them.

Hyperparameters, priors and their optimiser are BoTorch's (`SingleTaskMultiFidelityGP`), so that a
recipe published on it is compared as it was published. Ours are `cokriging` and `truncated`.

Notation:
    x: (m + f,) a mixture and its fidelity; s: a fidelity, 1 at the largest scale
    y: one metric, standardised over the runs of all scales together

References:
    BoTorch 1910.06403; linear-truncated and exponential-decay kernels: Wu et al. 1903.04703
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskMultiFidelityGP
from botorch.models.kernels import ExponentialDecayKernel
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from botorch.settings import validate_input_scaling
from botorch.utils.sampling import manual_seed
from gpytorch.kernels import ProductKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import GammaPrior
from gpytorch.settings import fast_computations, skip_posterior_variances
from threadpoolctl import threadpool_limits
from torch import Tensor, double, no_grad, tensor

from mixopt.errors import InputError
from mixopt.laws.base import JSON, Prediction, Runs, as_mixtures, check_runs, check_scale, numbers
from mixopt.laws.processes.scale_runs import Pair, ScaleRuns, asked, by_scale, scales_of
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space import simplex
from mixopt.space.numbers import Within, check_settings
from mixopt.space.simplex import Array

Kernel = Literal["truncated", "decay"]
_CHUNK = 64  # points whose covariance among themselves comes along
_NAME = "botorch"

Learned = Mapping[str, Any]
"""A parameter of BoTorch's model, by its name there, to its (raw) value in nested lists."""


@dataclass(frozen=True)
class BoTorchProcess:
    """A process of BoTorch's per metric, over mixtures and scales together.

    Args:
        kernel: `"truncated"`: Matern-5/2 of what scales have in common, and of a bias that is gone
            at the largest scale (BoTorch's default; ADMIRE 2508.11551). `"decay"`: RBF on the
            mixture times exponential decays over parameters and over tokens (MFMS 2503.21023).
        scales: parameters and tokens of scales to predict at before they have runs; the largest of
            all is the one that others are a share of.
        costs: of a run at each of `scales`, in any one unit: the fidelity of the truncated kernel
            is a run's share of the cost at the largest scale. Parameters times tokens where left
            out.
        iterations: of L-BFGS at most, per metric.

    Raises:
        InputError: an unknown kernel, or costs that are not one per scale.
    """

    kernel: Kernel = "truncated"
    scales: Sequence[Pair] = ()
    costs: Sequence[float] = ()
    iterations: Annotated[int, Within(1)] = 200

    takes_scales: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_settings(self)
        if self.costs and len(self.costs) != len(self.scales):
            raise InputError(
                f"{len(self.costs)} costs for {len(self.scales)} scales; give one cost per scale, "
                "or none"
            )

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedBoTorch":
        """Fit all scales at once, hyperparameters by their highest posterior.

        Raises:
            InputError: see `check_runs`; a scale without a cost where others have one; BoTorch
                finds no hyperparameters.
        """
        begun = self._begun(check_runs(W, Y, scale))
        with exactly(), manual_seed(int(rng.integers(2**31))):
            learned = tuple(self._learn(begun, k) for k in range(len(begun.learned)))
        return replace(begun, learned=learned)

    def begin(self, W: Array, Y: Array, scale: Array | None = None) -> "FittedBoTorch":
        """The process with the hyperparameters that a fit starts from, for runs at one mixture.

        Args:
            W: (n, m) mixtures, which may all be one.
            Y: (n, k) metrics.
            scale: (n, 2) parameters and tokens, or None.
        """
        weights = simplex.as_simplex(W)
        number = np.zeros(len(weights), dtype=np.intp)
        scales = check_scale(scale, len(weights))
        return self._begun(Runs(weights, np.asarray(Y, dtype=float), scales, number))

    def _begun(self, runs: Runs) -> "FittedBoTorch":
        own = tuple(by_scale(runs, self.scales))
        standard = Standard.learn(runs.Y)
        start: tuple[Learned, ...] = ({},) * runs.Y.shape[1]
        return FittedBoTorch(self.kernel, standard, own, self._fidelity(scales_of(own)), start)

    def _fidelity(self, scales: Array) -> Array:
        """(scales, f) of each scale, above 0 and at most 1."""
        if np.isnan(scales).all():
            return np.ones((1, 1 if self.kernel == "truncated" else 2))
        if self.kernel == "decay":
            return np.asarray(scales / scales.max(axis=0))
        price = scales.prod(axis=1)
        if self.costs:
            known = {
                (float(n), float(d)): float(cost)
                for (n, d), cost in zip(self.scales, self.costs, strict=True)
            }
            unknown = [tuple(s) for s in scales if tuple(s) not in known]
            if unknown:
                raise InputError(
                    f"the scale {unknown[0]} has runs and no cost; name it among `scales`, with "
                    "its cost, or give no costs"
                )
            price = np.array([known[tuple(s)] for s in scales])
        return np.asarray(np.minimum(price / price[-1], 1.0)[:, None])

    def _learn(self, begun: "FittedBoTorch", k: int) -> Learned:
        if begun.standard.flat[k]:
            return {}  # predicted as its one value
        model = begun.models[k]
        likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
        try:
            fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": self.iterations}})
        except ModelFittingError as error:
            raise InputError(
                f"BoTorch finds no hyperparameters for metric {k}: {error}; use the law "
                "'truncated' or 'cokriging', which are fitted in another way"
            ) from error
        return {name: p.detach().tolist() for name, p in model.named_parameters()}


@dataclass(frozen=True, eq=False, repr=False)
class FittedBoTorch(Shown):
    """Every metric at every scale.

    Attributes:
        kernel: see `BoTorchProcess`.
        standard: of the metrics.
        runs: of every scale, the smallest first.
        fidelity: (scales, f) of every scale: its share of the largest one's cost, or (parameters,
            tokens) as shares of the largest.
        learned: of every metric; empty where it is as BoTorch begins.
    """

    kernel: Kernel
    standard: Standard
    runs: tuple[ScaleRuns, ...]
    fidelity: Array
    learned: tuple[Learned, ...]

    @cached_property
    def models(self) -> tuple[SingleTaskMultiFidelityGP, ...]:
        """BoTorch's model of each metric (lower is better where it is for the metric), in units."""
        number = np.repeat(np.arange(len(self.runs)), [len(x.W) for x in self.runs])
        W, Y = (np.vstack(parts) for parts in zip(*((x.W, x.Y) for x in self.runs), strict=True))
        X, T = np.column_stack([W, self.fidelity[number]]), self.standard.forward(Y)
        return tuple(
            _model(self.kernel, tensor(X[seen]), tensor(T[seen, k : k + 1]), self.learned[k])
            for k, seen in enumerate(np.isfinite(Y).T)
        )

    def inputs(self, W: Array, scale: Array | None = None) -> Tensor:
        """(n x m + f) inputs of `models` for mixtures W (n, m) and scales (n, 2) or (2,).

        Raises:
            InputError: a scale that is none of the process's.
        """
        w = as_mixtures(W, self.runs[0].W.shape[1])
        number = asked(scales_of(self.runs), scale, len(w), _NAME)
        return tensor(np.column_stack([w, self.fidelity[number]]), dtype=double)

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) and scales (n, 2) or (2,); the largest without one.

        Raises:
            InputError: a scale that is none of the process's.
        """
        X = self.inputs(W, scale)
        mean, variance = (np.empty((len(X), len(self.models))) for _ in range(2))
        with exactly(), no_grad():
            for k, model in enumerate(self.models):
                for rows in _chunks(len(X)):
                    seen = model.posterior(X[rows])
                    mean[rows, k] = seen.mean[:, 0].numpy()
                    variance[rows, k] = seen.variance[:, 0].numpy()
        noise = [float(model.likelihood.noise.item()) for model in self.models]
        sd = np.sqrt(np.maximum(variance, 0.0))
        return self.standard.prediction(mean, sd, np.sqrt(noise))

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        X = self.inputs(W, scale)
        mean = np.empty((len(X), len(self.models)))
        with exactly(), no_grad(), skip_posterior_variances():
            for k, model in enumerate(self.models):
                for rows in _chunks(len(X)):
                    mean[rows, k] = model.posterior(X[rows]).mean[:, 0].numpy()
        return self.standard.backward(mean)

    def joint(
        self, A: Array, B: Array, scale_A: Array | None = None, scale_B: Array | None = None
    ) -> Array:
        """(k, a, b) posterior covariance of the expected metrics at A with those at B.

        Raises:
            InputError: a scale that is none of the process's.
        """
        left, right = self.inputs(A, scale_A), self.inputs(B, scale_B)
        a, together = len(left), tensor(np.vstack([left.numpy(), right.numpy()]))
        with exactly(), no_grad():
            covariances = [
                model.posterior(together).distribution.covariance_matrix[:a, a:].numpy()
                for model in self.models
            ]
        return np.asarray(np.stack(covariances) * (self.standard.spread**2)[:, None, None])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": _NAME,
            "kernel": self.kernel,
            "standard": self.standard.to_dict(),
            "runs": [runs.to_dict() for runs in self.runs],
            "fidelity": self.fidelity.tolist(),
            "learned": [dict(parameters) for parameters in self.learned],
        }


def read(values: JSON) -> FittedBoTorch:
    """The fitted law that `to_dict` wrote.

    Raises:
        InputError: the parameters are those of another version of BoTorch.
    """
    standard = Standard.read(values["standard"])
    m, k = len(values["runs"][0]["W"][0]), len(standard.center)
    fitted = FittedBoTorch(
        values["kernel"],
        standard,
        tuple(ScaleRuns.read(x, m, k) for x in values["runs"]),
        numbers(values["fidelity"]),
        tuple(values["learned"]),
    )
    for model, learned in zip(fitted.models, fitted.learned, strict=True):
        names = {name for name, _ in model.named_parameters()}
        if learned and names != set(learned):
            odd = ", ".join(sorted(names ^ set(learned)))
            raise InputError(
                f"this law was stored with another version of BoTorch, whose models differ in "
                f"{odd}; install that version, or fit the law again"
            )
    return fitted


@contextmanager
def exactly() -> Iterator[None]:
    """Cholesky factors at any number of runs (beyond 800, GPyTorch iterates to a tolerance).

    On one thread: matrices are small, and threads of BLAS and of torch wait for each other.
    """
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(limits=1))
        stack.enter_context(fast_computations(False, False, False))
        stack.enter_context(validate_input_scaling(False))  # shares and our own units
        yield


def _model(kernel: Kernel, X: Tensor, y: Tensor, learned: Learned) -> SingleTaskMultiFidelityGP:
    """BoTorch's model of runs X (n x m + f) with values y (n x 1), ready to predict."""
    last = X.shape[1] - 1
    how: dict[str, Any] = {"data_fidelities": [last]}
    if kernel == "decay":
        # The priors are those that BoTorch gives this kernel over iterations.
        gamma = {
            f"{name}_prior": GammaPrior(3.0, 6.0) for name in ("lengthscale", "offset", "power")
        }
        mixture = get_covar_module_with_dim_scaled_prior(
            ard_num_dims=last - 1, active_dims=list(range(last - 1))
        )
        size = ExponentialDecayKernel(active_dims=[last - 1], **gamma)
        how = {
            "iteration_fidelity": last,
            "linear_truncated": False,
            "covar_module": ProductKernel(mixture, size),
        }
    with validate_input_scaling(False):
        model = SingleTaskMultiFidelityGP(X, y, outcome_transform=None, **how)
    with no_grad():
        for name, parameter in model.named_parameters():
            if name in learned:
                parameter.copy_(tensor(learned[name], dtype=double).reshape(parameter.shape))
    return model.eval()


def _chunks(rows: int) -> Iterator[slice]:
    return (slice(i, i + _CHUNK) for i in range(0, rows, _CHUNK))
