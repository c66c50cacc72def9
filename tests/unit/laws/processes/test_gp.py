import numpy as np
import pytest

from mixopt.laws import law
from mixopt.laws.processes import kernel, moments
from mixopt.laws.processes.gp import GaussianProcess


def generator(seed=0):
    return np.random.default_rng(seed)


def problem(n, m=4, noise=0.01, seed=0):
    rng = generator(seed)
    W = rng.dirichlet(np.ones(m), size=n)
    truth = 2.0 - np.sqrt(W[:, 0]) + 0.3 * W[:, 1] ** 2
    return W, (truth + noise * rng.standard_normal(n))[:, None], truth


def test_the_gradient_of_the_evidence_is_right():
    rng = generator(3)
    Z, y = rng.standard_normal((15, 3)), rng.standard_normal(15)
    at = np.array([0.3, 0.8, 0.1, 0.2, -2.0])
    _, gradient = kernel.negative_evidence(at, Z, y, kernel.Priors())
    for i in range(5):
        step = np.zeros(5)
        step[i] = 1e-5
        high = kernel.negative_evidence(at + step, Z, y, kernel.Priors())[0]
        low = kernel.negative_evidence(at - step, Z, y, kernel.Priors())[0]
        assert gradient[i] == pytest.approx((high - low) / 2e-5, rel=1e-4, abs=1e-5)


def test_leave_out_equals_brute_force():
    rng = generator(4)
    Z, y = rng.standard_normal((12, 2)), rng.standard_normal(12)
    groups = np.array([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8])
    at = np.array([0.2, 0.4, 0.0, -2.0])
    whole = kernel.Posterior.condition(Z, y, at)
    residual, variance = whole.leave_out(groups)
    for group in range(9):
        out = groups == group
        mean, var = kernel.Posterior.condition(Z[~out], y[~out], at).moments(Z[out])
        np.testing.assert_allclose(residual[out], y[out] - mean, atol=1e-8)
        np.testing.assert_allclose(variance[out], var + np.exp(-2.0), atol=1e-8)


def test_it_learns_and_knows_how_well():
    W, Y, truth = problem(90)
    told = law("gp").fit(W[:50], Y[:50], rng=generator()).predict(W[50:])
    error = told.mean[:, 0] - truth[50:]
    assert np.sqrt((error**2).mean()) < 0.15 * truth.std()
    assert 0.004 < told.noise[0] < 0.03
    assert (np.abs(Y[50:] - told.mean) <= 1.645 * told.total_sd).mean() > 0.75


def test_uncertainty_grows_away_from_the_runs():
    W, Y, _ = problem(40)
    near = W * 0.3 + 0.7 * np.array([0.25, 0.25, 0.25, 0.25])
    fitted = law("gp").fit(near, Y, rng=generator())
    centre, corner = fitted.predict(np.vstack([near.mean(axis=0), np.eye(4)[3]])).sd[:, 0]
    assert corner > 2 * centre


def test_the_quick_way_agrees_with_the_exact_one():
    W, Y, _ = problem(120)
    fitted = GaussianProcess().fit(W, Y, rng=generator())
    many = generator(1).dirichlet(np.ones(4), size=moments.MANY + 200)
    fast, exact = fitted.predict(many), fitted.predict(many[:300])
    np.testing.assert_allclose(fast.mean[:300], exact.mean, atol=2e-3 * Y.std())
    assert np.abs(np.log(fast.sd[:300] / exact.sd)).mean() < 0.4
    assert fast.sd[:300].mean() == pytest.approx(exact.sd.mean(), rel=0.3)


def test_hyperparameters_from_a_part_are_used_for_all_runs():
    W, Y, truth = problem(120)
    part = GaussianProcess(subset=40).fit(W[:100], Y[:100], rng=generator())
    error = part.predict(W[100:]).mean[:, 0] - truth[100:]
    assert np.sqrt((error**2).mean()) < 0.15 * truth.std()


def test_what_runs_say_of_hyperparameters_is_fishers_information():
    rng = generator(6)
    Z, at = rng.standard_normal((14, 3)), np.array([0.3, 0.8, 0.1, 0.2, -2.0])

    def K(theta):
        return kernel.covariance(Z, Z, theta) + np.exp(theta[-1]) * np.eye(14)

    steps = 1e-5 * np.eye(5)
    by = [np.linalg.solve(K(at), (K(at + s) - K(at - s)) / 2e-5) for s in steps]
    told = np.array([[0.5 * np.trace(a @ b) for b in by] for a in by])
    priors = kernel.Priors()
    learned = kernel.Learned.at(at, Z, priors)
    information = told + np.diag(priors.spreads(3) ** -2.0)
    np.testing.assert_allclose(np.linalg.inv(learned.covariance), information, rtol=1e-3, atol=1e-4)


def test_a_part_of_many_runs_says_what_all_would(monkeypatch):
    Z, at = generator(7).standard_normal((120, 2)), np.array([0.3, 0.8, 0.0, -2.0])
    whole = kernel.Learned.at(at, Z, kernel.Priors()).covariance
    monkeypatch.setattr(kernel, "_LARGE", 4 * 60**2)
    part = kernel.Learned.at(at, Z, kernel.Priors()).covariance
    assert np.abs(np.log(np.diag(part) / np.diag(whole))).max() < 0.5


@pytest.mark.parametrize("noise", [0.3, 1e-9])
def test_relearning_ends_where_learning_does_and_within_the_bounds(noise):
    """From far off, and to where the noise is at its floor."""
    rng = generator(8)
    Z = rng.standard_normal((40, 3))
    y = np.sin(Z[:, 0]) + noise * rng.standard_normal(40)
    y, priors = (y - y.mean()) / y.std(), kernel.Priors()
    best = kernel.learn(Z, y, priors, 200)
    start = kernel.Learned.at(priors.centers(3) + 1.0, Z, priors)
    learned = kernel.relearn(Z, y, priors, 60, start)
    values = [kernel.negative_evidence(t, Z, y, priors)[0] for t in (learned.log_theta, best)]
    assert values[0] < values[1] + 0.1
    assert learned.log_theta[-1] >= np.log(1e-6) - 1e-9
    again = kernel.relearn(Z, y, priors, 60, learned)
    np.testing.assert_allclose(again.log_theta, learned.log_theta, atol=0.3)
