import numpy as np
import pytest
from scipy.stats import spearmanr

from mixopt.errors import InputError
from mixopt.laws import law
from mixopt.laws.capacity import allocate

C, B = np.array([1.0, 0.5, 2.0, 0.8]), np.array([0.3, 0.6, 0.4, 0.9])


def generator(seed=0):
    return np.random.default_rng(seed)


def truth(W, N=1.0, D=1.0, shared=0.05):
    """The published law with known parameters: a loss per domain."""
    n = np.broadcast_to(N, len(W))
    u, _ = allocate(np.maximum(W, 1e-4), np.log(C), np.log(B), shared, n)
    tokens = np.maximum(W, 1e-4) * np.broadcast_to(D, len(W))[:, None]
    return C * np.exp(-B * u) + 0.1 * tokens ** -np.array([0.4, 0.3, 0.5, 0.35]) + 1.5


def test_capacity_is_spent_to_the_last_and_no_exchange_helps():
    h = generator().dirichlet(np.full(4, 0.3), size=50) + 1e-4
    N, H = generator(1).uniform(0.3, 3.0, 50), 0.05
    u, _ = allocate(h, np.log(C), np.log(B), H, N)
    x = np.exp(u)
    np.testing.assert_allclose(x.sum(axis=1), N + 3 * H, rtol=1e-10)
    assert (x >= H * (1 - 1e-12)).all()
    price = h * C * B * x ** (-B - 1)
    free = x > H * (1 + 1e-9)
    assert (~free).any()  # the bound is met somewhere, or the next lines say nothing of it
    level = np.where(free, price, 0.0).max(axis=1, keepdims=True)
    np.testing.assert_allclose(np.where(free, price, level), np.tile(level, 4), rtol=1e-8)
    assert (np.where(free, 0.0, price) <= level * (1 + 1e-9)).all()


def test_derivatives_are_those_of_finite_differences():
    h = generator(2).dirichlet(np.full(4, 0.4), size=30) + 1e-4
    at = np.concatenate([np.log(C), np.log(B), [np.log(0.05)]])

    def u(t):
        return allocate(h, t[:4], t[4:8], float(np.exp(t[8])), np.ones(30))

    slopes = u(at)[1]
    for i in range(9):
        step = np.zeros(9)
        step[i] = 1e-6
        numeric = (u(at + step)[0] - u(at - step)[0]) / 2e-6
        np.testing.assert_allclose(slopes[:, :, i], numeric, atol=2e-4)


def test_a_planted_law_is_found_again():
    W = generator(3).dirichlet(np.ones(4), size=120)
    Y = truth(W) + 0.003 * generator(4).standard_normal(W.shape)
    order = [2, 0, 3, 1]  # metrics in another order than the domains
    fitted = law("capacity-competition").fit(W[:80], Y[:80][:, order], rng=generator())
    told = fitted.predict(W[80:])
    assert fitted.own.tolist() == order
    gap = np.abs(told.mean - truth(W[80:])[:, order])
    assert (gap / Y.std(axis=0)[order]).mean() < 0.03
    assert 0.8 < (np.abs(told.mean - Y[80:][:, order]) <= 1.645 * told.total_sd).mean() < 0.98
    assert ((told.noise > 0.002) & (told.noise < 0.006)).all()


def test_a_planted_law_over_scales_is_foreseen():
    W = generator(5).dirichlet(np.ones(4), size=40)
    scales = np.array([(n, d) for n in (0.5, 1.0, 2.0) for d in (0.5, 2.0)])
    at, rows = np.tile(scales, (40, 1)), np.repeat(W, 6, axis=0)
    Y = truth(rows, at[:, 0], at[:, 1]) + 0.003 * generator(6).standard_normal((240, 4))
    fitted = law("capacity-competition").fit(rows, Y, at * [1e8, 1e9], rng=generator())
    new = generator(7).dirichlet(np.ones(4), size=40)
    told = fitted.predict(new, np.array([8e8, 8e9])).mean
    expected = truth(new, 8.0, 8.0)
    for j in range(4):
        assert spearmanr(told[:, j], expected[:, j]).statistic > 0.97
    assert np.abs(told - expected).mean() < 0.05


def test_more_metrics_than_domains_are_refused():
    W = generator().dirichlet(np.ones(3), size=20)
    with pytest.raises(InputError, match="4 metrics for 3 domains"):
        law("capacity-competition").fit(W, np.tile(W[:, :1], (1, 4)), rng=generator())
