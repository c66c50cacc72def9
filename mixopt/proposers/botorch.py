"""Our laws as BoTorch models, and our constraints as arguments of its optimisers.

Notation:
    b batch shape (may be several dimensions), q points, m domains; k metrics, o outputs
    C: (o, k) what each output takes of each metric; higher is better, as BoTorch maximises

BoTorch (1910.06403) asks a model for the joint posterior of q points and for its gradient. Laws are
numpy: the gradient is taken by differences of the posterior's mean and covariance, which is exact
to six digits and costs m evaluations a point. Off the simplex a law is continued along rays,
f(x) = f(x / sum x), so that an optimiser may take differences in any direction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from botorch.models.model import FantasizeMixin, Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from torch import Tensor

from mixopt.errors import InputError
from mixopt.laws.base import JointFittedLaw
from mixopt.proposers.surrogate import Surrogate
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array

__all__ = ["ConditionedLaw", "LawModel", "arguments", "outcome_constraints", "starts"]

_STEP = 1e-5  # of a share, in differences
_JITTER = 1e-10  # of the mean variance: rounding leaves covariances a hair indefinite


@dataclass(frozen=True)
class _Outputs:
    """Mean and covariance of the outputs, in numpy."""

    surrogate: Surrogate
    C: Array
    pull: float

    def mean(self, W: Array) -> Array:
        """(n, o) at mixtures (n, m)."""
        value = self.surrogate.expected(W).mean @ self.C.T
        if self.pull and self.surrogate.prior is not None:
            value = value - self.pull * simplex.kl(W, self.surrogate.prior)[:, None]
        return np.asarray(value)

    def variance(self, W: Array) -> Array:
        """(n, o) at mixtures (n, m)."""
        return np.asarray(self.surrogate.predict(W).sd ** 2 @ (self.C**2).T)

    def covariance(self, A: Array, B: Array) -> Array:
        """(o, a, b) of mixtures A (a, m) with mixtures B (b, m); metrics are independent."""
        if isinstance(self.surrogate.fitted, JointFittedLaw):
            return np.asarray(np.einsum("ok,kab->oab", self.C**2, self.surrogate.joint(A, B)))
        same = np.abs(A[:, None] - B[None]).max(axis=2) < 10 * _STEP
        sd = (np.sqrt(self.variance(X)).T for X in (A, B))
        return np.asarray(np.einsum("oa,ob->oab", *sd) * same)

    def noise(self, W: Array) -> Array:
        """(o,) variance of one new run around its expectation."""
        return np.asarray(self.surrogate.predict(W[:1]).noise ** 2 @ (self.C**2).T)


class LawModel(FantasizeMixin, Model):  # type: ignore[misc]
    """A fitted law as a BoTorch model; acquisition functions take it as they take a GP.

    A law without a joint posterior (all but the processes) counts the errors at different mixtures
    as independent: right for acquisitions of single points, cautious for batches.

    Args:
        surrogate: the law with its objective.
        metrics: one output a metric, each with its sign such that higher is better; left out, one
            output: the objective, negated (a pull towards the natural mixture included, guards not:
            see `outcome_constraints`).
        outputs: positions of those to keep; all by default.

    Raises:
        InputError: an unknown metric; or the worst of several metrics as objective, which is no
            Gaussian: name the metrics and combine samples by a BoTorch `MCAcquisitionObjective`.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        metrics: Sequence[str] | None = None,
        outputs: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.surrogate, self.metrics = surrogate, metrics
        self._rows = list(range(len(metrics or "F"))) if outputs is None else list(outputs)
        every = _outputs_of(surrogate, metrics)
        self._outputs = _Outputs(surrogate, every.C[self._rows], every.pull)

    @property
    def num_outputs(self) -> int:
        """Number of outputs o."""
        return len(self._outputs.C)

    @property
    def batch_shape(self) -> torch.Size:
        """Of the model itself: none."""
        return torch.Size([])

    def subset_output(self, idcs: list[int]) -> "LawModel":
        """The model of some of the outputs."""
        return LawModel(self.surrogate, self.metrics, [self._rows[i] for i in idcs])

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
        **_: Any,
    ) -> Any:
        """The joint posterior at X (b x q x m), with gradients.

        Args:
            X: mixtures.
            output_indices: of which outputs; all by default.
            observation_noise: of one new run each (True), or these variances (b x q x o).
            posterior_transform: of BoTorch, applied at the end.
        """
        model = self if output_indices is None else self.subset_output(output_indices)
        mean, covariance = _posterior(X, model._outputs)
        noise: Tensor | None = None
        if isinstance(observation_noise, Tensor):
            noise = observation_noise
        elif observation_noise:
            W = _mixtures(X)
            noise = torch.as_tensor(model._outputs.noise(W)).to(X).expand(mean.shape)
        return _gaussian(mean, covariance, noise, posterior_transform)

    def condition_on_observations(self, X: Tensor, Y: Tensor, **kwargs: Any) -> "ConditionedLaw":
        """The model after runs at X (b x n x m) gave Y (b x n x o); the law is not fitted anew."""
        noise = kwargs.get("noise")
        if noise is None:
            noise = torch.as_tensor(self._outputs.noise(_mixtures(X))).to(Y).expand(Y.shape)
        return ConditionedLaw(self, X, Y, noise)

    def fantasize(
        self, X: Tensor, sampler: Any, observation_noise: Tensor | None = None, **kwargs: Any
    ) -> "ConditionedLaw":
        """The model after runs at X that come out as the posterior says they may (b x n x m)."""
        given = True if observation_noise is None else observation_noise
        Y = sampler(self.posterior(X, observation_noise=given))
        if observation_noise is not None:
            kwargs["noise"] = observation_noise.expand(Y.shape)
        return self.condition_on_observations(X, Y, **kwargs)

    def transform_inputs(self, X: Tensor, input_transform: Any = None) -> Tensor:  # noqa: ARG002
        """Mixtures as they are."""
        return X


class ConditionedLaw(FantasizeMixin, Model):  # type: ignore[misc]
    """A law's posterior after more runs, as `LawModel.condition_on_observations` gives it."""

    def __init__(self, base: LawModel, X: Tensor, Y: Tensor, noise: Tensor) -> None:
        super().__init__()
        self._base = base
        self._X, self._Y = X.expand(*Y.shape[:-1], X.shape[-1]), Y
        self._noise = noise.expand(Y.shape)

    @property
    def num_outputs(self) -> int:
        """Number of outputs o."""
        return self._base.num_outputs

    @property
    def batch_shape(self) -> torch.Size:
        """Of the runs that it is conditioned on: fantasies first."""
        return self._Y.shape[:-2]

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
        **_: Any,
    ) -> Any:
        """The joint posterior at X (b x q x m), with gradients in X and in what it rests on."""
        batch = _common(X.shape[:-2], self.batch_shape)
        points = X.expand(*batch, *X.shape[-2:])
        runs = self._X.expand(*batch, *self._X.shape[-2:])
        mean, covariance = _posterior(torch.cat([points, runs], dim=-2), self._base._outputs)
        q = X.shape[-2]
        Y, noise = (t.expand(*batch, *t.shape[-2:]) for t in (self._Y, self._noise))
        K = covariance[..., q:, q:] + torch.diag_embed(noise.transpose(-1, -2))
        L = torch.linalg.cholesky(K)
        cross = torch.linalg.solve_triangular(L, covariance[..., q:, :q], upper=False)
        off = (Y - mean[..., q:, :]).transpose(-1, -2).unsqueeze(-1)
        shift = cross.transpose(-1, -2) @ torch.linalg.solve_triangular(L, off, upper=False)
        mean = mean[..., :q, :] + shift.squeeze(-1).transpose(-1, -2)
        covariance = covariance[..., :q, :q] - cross.transpose(-1, -2) @ cross
        more: Tensor | None = None
        if isinstance(observation_noise, Tensor):
            more = observation_noise
        elif observation_noise:
            more = noise.mean(dim=-2, keepdim=True).expand(mean.shape)
        if output_indices is not None:
            mean, covariance = mean[..., output_indices], covariance[..., output_indices, :, :]
            more = None if more is None else more[..., output_indices]
        return _gaussian(mean, covariance, more, posterior_transform)

    def condition_on_observations(self, X: Tensor, Y: Tensor, **kwargs: Any) -> "ConditionedLaw":
        """The model after more runs."""
        batch = _common(self.batch_shape, Y.shape[:-2])
        noise = kwargs.get("noise")
        if noise is None:
            noise = self._noise.mean(dim=-2, keepdim=True).expand(*batch, *Y.shape[-2:])

        def joined(before: Tensor, after: Tensor) -> Tensor:
            parts = [part.expand(*batch, *part.shape[-2:]) for part in (before, after)]
            return torch.cat(parts, dim=-2)

        return ConditionedLaw(
            self._base, joined(self._X, X), joined(self._Y, Y), joined(self._noise, noise)
        )

    def transform_inputs(self, X: Tensor, input_transform: Any = None) -> Tensor:  # noqa: ARG002
        """Mixtures as they are."""
        return X


def arguments(space: MixtureSpace) -> dict[str, Any]:
    """Bounds and linear constraints of a space, as keyword arguments of `optimize_acqf`.

    A smallest share other than zero (`min_weight`) is no linear constraint: `space.sparsify` what
    comes out.
    """
    polytope = space.polytope
    bounds = torch.tensor(np.stack([polytope.lower, polytope.upper]), dtype=torch.double)
    equal = [(torch.arange(space.dim), torch.ones(space.dim, dtype=torch.double), 1.0)]
    for places, ratios in polytope.ties:
        for place, ratio in zip(places[1:], ratios[1:], strict=True):
            pair = torch.tensor([places[0], place])
            equal.append((pair, torch.tensor([ratio, -ratios[0]], dtype=torch.double), 0.0))
    unequal = []
    for row, low, high in zip(polytope.A, polytope.low, polytope.high, strict=True):
        where = torch.tensor(np.flatnonzero(row))
        factors = torch.tensor(row[row != 0], dtype=torch.double)
        unequal += [(where, factors, float(low))] if low > row.min() else []
        unequal += [(where, -factors, -float(high))] if high < row.max() else []
    made = {"bounds": bounds, "equality_constraints": equal}
    return made | ({"inequality_constraints": unequal} if unequal else {})


def starts(space: MixtureSpace, n: int, rng: np.random.Generator, q: int = 1) -> Tensor:
    """(n x q x m) mixtures of the space, as `batch_initial_conditions` of `optimize_acqf`.

    Its own start points are drawn by hit and run, which is slow where a space has many domains.
    """
    return torch.tensor(space.sample(n * q, rng), dtype=torch.double).reshape(n, q, space.dim)


def outcome_constraints(
    surrogate: Surrogate, metrics: Sequence[str]
) -> list[Callable[[Tensor], Tensor]]:
    """The objective's guards on samples (... x o) of `LawModel(surrogate, metrics)`: kept below 0.

    Raises:
        InputError: a guarded metric is none of the outputs.
    """
    missing = [name for name in surrogate.limits if name not in metrics]
    if missing:
        raise InputError(
            f"the guard on {missing[0]!r} needs that metric as an output; name it among the metrics"
        )

    def guard(place: int, limit: float) -> Callable[[Tensor], Tensor]:
        return lambda samples: -samples[..., place] - limit

    return [guard(list(metrics).index(name), limit) for name, limit in surrogate.limits.items()]


class _Posterior(torch.autograd.Function):
    """Mean (b x q x o) and covariance (b x o x q x q) at X (b x q x m), and their gradient."""

    @staticmethod
    def forward(ctx: Any, X: Tensor, outputs: _Outputs) -> tuple[Tensor, Tensor]:
        ctx.outputs, ctx.shape, ctx.like = outputs, X.shape, X
        q, m = X.shape[-2:]
        W = _mixtures(X)
        ctx.W = W.reshape(-1, q, m)
        mean = outputs.mean(W).reshape(*X.shape[:-1], -1)
        if q == 1:
            covariance = outputs.variance(W)[:, :, None, None]
        else:
            covariance = np.stack([outputs.covariance(P, P) for P in ctx.W])
        diagonal = np.einsum("boii->boi", covariance).mean(axis=2)
        covariance = covariance + _JITTER * diagonal[..., None, None] * np.eye(q)
        shape = (*X.shape[:-2], -1, q, q)
        return torch.as_tensor(mean).to(X), torch.as_tensor(covariance.reshape(shape)).to(X)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        by_mean, by_covariance = (g.detach().double().cpu().numpy() for g in grads)
        _, q, m = ctx.W.shape
        by_mean = by_mean.reshape(-1, q, by_mean.shape[-1])
        by_covariance = by_covariance.reshape(-1, by_mean.shape[-1], q, q)
        twice = by_covariance + np.swapaxes(by_covariance, 2, 3)
        raw = ctx.like.detach().double().cpu().numpy().reshape(-1, q, m)
        parts = [
            _gradient(ctx.outputs, x, *of_point)
            for x, *of_point in zip(raw, by_mean, twice, strict=True)
        ]
        return torch.as_tensor(np.stack(parts).reshape(ctx.shape)).to(ctx.like), None


def _posterior(X: Tensor, outputs: _Outputs) -> tuple[Tensor, Tensor]:
    both: tuple[Tensor, Tensor] = _Posterior.apply(X, outputs)  # type: ignore[no-untyped-call]
    return both


def _common(one: torch.Size, other: torch.Size) -> torch.Size:
    """The batch shape that both broadcast to."""
    return torch.Size(np.broadcast_shapes(one, other))


def _gradient(outputs: _Outputs, x: Array, by_mean: Array, twice: Array) -> Array:
    """(q, m) of one batch: `by_mean` (q, o), `twice` (o, q, q) the covariance's, made symmetric."""
    q, m = x.shape
    ahead = (x[:, None, :] + _STEP * np.eye(m)).reshape(q * m, m)
    back = np.where(x > _STEP, _STEP, 0.0)
    behind = (x[:, None, :] - back[:, :, None] * np.eye(m)).reshape(q * m, m)
    width = (_STEP + back).reshape(q * m)
    P, N, W = (simplex.as_simplex(v, renormalize=True) for v in (ahead, behind, x))
    slope = (outputs.mean(P) - outputs.mean(N)) / width[:, None]
    gradient = np.einsum("qo,qmo->qm", by_mean, slope.reshape(q, m, -1))
    if q == 1:
        spread = (outputs.variance(P) - outputs.variance(N)) / width[:, None]
        return np.asarray(gradient + 0.5 * np.einsum("o,mo->m", twice[:, 0, 0], spread)[None])
    both = outputs.covariance(P, W) - outputs.covariance(N, W)
    apart = (both / width[None, :, None]).reshape(len(both), q, m, q)
    return np.asarray(gradient + np.einsum("oqr,oqmr->qm", twice, apart))


def _mixtures(X: Tensor) -> Array:
    """(n, m) all points of X, on the simplex."""
    W = X.detach().double().cpu().numpy().reshape(-1, X.shape[-1])
    return simplex.as_simplex(np.clip(W, 0.0, None), renormalize=True)


def _outputs_of(surrogate: Surrogate, metrics: Sequence[str] | None) -> _Outputs:
    known, objective = surrogate.metrics, surrogate.objective
    if metrics is None:
        if objective.reduce != "mean":
            raise InputError(
                "the worst of several metrics is no Gaussian; name the metrics, and combine their "
                "samples by an objective of BoTorch's"
            )
        return _Outputs(surrogate, -objective.coefficients(known)[None], surrogate.kl)
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise InputError(f"unknown metric {unknown[0]!r}; the law predicts {', '.join(known)}")
    C = np.zeros((len(metrics), len(known)))
    for row, name in zip(C, metrics, strict=True):
        row[known.index(name)] = 1.0 if name in objective.maximize else -1.0
    return _Outputs(surrogate, C, 0.0)


def _gaussian(mean: Tensor, covariance: Tensor, noise: Tensor | None, transform: Any) -> Any:
    """A posterior of mean (b x q x o) and covariance (b x o x q x q), outputs independent."""
    if noise is not None:
        covariance = covariance + torch.diag_embed(noise.expand(mean.shape).transpose(-1, -2))
    parts = [
        MultivariateNormal(mean[..., i], covariance[..., i, :, :]) for i in range(mean.shape[-1])
    ]
    joint = (
        parts[0] if len(parts) == 1 else MultitaskMultivariateNormal.from_independent_mvns(parts)
    )
    made = GPyTorchPosterior(joint)
    return made if transform is None else transform(made)
