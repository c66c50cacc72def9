"""Our Gaussian process is the one that GPyTorch has: same posterior, same likelihood."""

import numpy as np
import pytest

from mixopt.laws.processes import kernel

gpytorch = pytest.importorskip("gpytorch", reason="GPyTorch comes with the extra 'quickstart'")
torch = pytest.importorskip("torch", reason="torch comes with the extra 'proxies'")


def test_posterior_equals_gpytorch_at_the_same_hyperparameters() -> None:
    rng = np.random.default_rng(0)
    Z, new = rng.normal(size=(30, 4)), rng.normal(size=(50, 4))
    y = np.sin(Z[:, 0]) + 0.3 * Z[:, 1] + 0.05 * rng.normal(size=30)
    log_theta = np.log(np.array([0.8, 1.5, 3.0, 5.0, 1.3, 0.02]))
    ours = kernel.Posterior.condition(Z, y, log_theta)
    mean, variance = ours.moments(new)

    matern = gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=4)
    matern.lengthscale = torch.tensor(np.exp(log_theta[:4]))
    scaled = gpytorch.kernels.ScaleKernel(matern)
    scaled.outputscale = float(np.exp(log_theta[4]))
    constant = gpytorch.kernels.ConstantKernel()
    constant.constant = torch.tensor(kernel.MEAN_VARIANCE)
    covariance = scaled + constant

    class Exact(gpytorch.models.ExactGP):  # type: ignore[misc]
        def __init__(self) -> None:
            likelihood = gpytorch.likelihoods.GaussianLikelihood()
            super().__init__(torch.tensor(Z), torch.tensor(y), likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = covariance

        def forward(self, x: object) -> object:
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(x), self.covar_module(x)
            )

    theirs = Exact().double()
    theirs.likelihood.noise = float(np.exp(log_theta[5]))
    theirs.eval()
    with torch.no_grad():
        posterior = theirs(torch.tensor(new))
    np.testing.assert_allclose(mean, posterior.mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(variance, posterior.variance.numpy(), atol=1e-6)
