"""Seed noise of several groups of runs, partly pooled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mixopt.runs.group_noise import group_noise, noise_of


def test_groups_that_are_as_noisy_are_pooled_as_students_t_does() -> None:
    noise = group_noise([[1.0, 2.0, 3.0], [4.0, 6.0], [9.0]])
    assert noise.alike
    assert noise.pooled == pytest.approx(np.sqrt(4 / 3))
    assert noise.sds == pytest.approx(np.full(3, np.sqrt(4 / 3)))
    between = noise.between(0, 1, [3, 2, 1])
    error = np.sqrt(4 / 3) * np.sqrt(1 / 3 + 1 / 2)
    assert between.sd == noise.pooled
    assert between.half() == pytest.approx(stats.t.ppf(0.95, 3) * error)
    assert between.below(1.0) == pytest.approx(stats.t.cdf(-1.0 / error, 3))


def test_a_loud_group_is_loud_alone_and_shrunk_towards_the_others() -> None:
    squares, freedom = np.array([0.04, 0.05, 0.06, 25.0]), np.full(4, 4.0)
    noise = noise_of(squares, freedom)
    own, sds = np.sqrt(squares / 4), noise.sds
    assert noise.differs > 0.95
    assert (own[:3] < sds[:3]).all()
    assert (sds[:3] < 0.5 * noise.pooled).all()
    assert noise.pooled < sds[3] < own[3]
    quiet, loud = noise.between(0, 1, [5] * 4), noise.between(0, 3, [5] * 4)
    assert quiet.half() < 0.2 * loud.half()
    # What is known of a loud group's noise are its four degrees of freedom and a few borrowed ones.
    assert loud.half() > stats.norm.ppf(0.95) * np.sqrt(sds[0] ** 2 / 5 + sds[3] ** 2 / 5)
    assert loud.below(loud.half()) == pytest.approx(0.05)


def test_hypotheses_weigh_as_they_make_the_variances_likely() -> None:
    """Densities of chi2 and F over a grid of common variances, as SciPy has them."""
    s2, d = np.array([1.0, 2.0, 60.0, 0.5]), np.array([1.0, 4.0, 2.0, 1.0])
    noise = noise_of(s2 * d, d)
    grid = (s2 @ d) / d.sum() * np.exp(np.linspace(-6.0, 4.0, 81))[:, None]
    likely = [stats.chi2.pdf(s2 / grid * d, d) * d / grid]
    likely += [stats.f.pdf(s2 / grid, d, d0) / grid for d0 in (4.0, 2.0, 1.0)]
    weights = np.array([x.prod(axis=1).sum() for x in likely]) * [3, 1, 1, 1]
    assert noise.weights == pytest.approx(weights / weights.sum())
    assert noise.differs == pytest.approx(1.0 - noise.weights[0])


def test_of_a_mean_of_many_runs_the_noise_is_that_of_the_other() -> None:
    noise = noise_of(np.array([0.04, 0.05, 0.06, 25.0]), np.full(4, 4.0))
    for loud, quiet in ((3, 0), (0, 3)):
        between = noise.between(loud, quiet, [10**7 if i == quiet else 2 for i in range(4)])
        assert between.sd == pytest.approx(noise.sds[loud], rel=1e-3)
        assert between.freedom[0] == noise.freedom == 16


def test_a_group_of_one_run_has_the_noise_that_groups_have() -> None:
    noise = noise_of(np.array([0.04, 0.05, 25.0, 0.0]), np.array([4.0, 4.0, 4.0, 0.0]))
    assert noise.sds[0] < noise.sds[3] < noise.sds[2]


@pytest.mark.parametrize(
    "groups", [[[1.0], [2.0]], [[1.0, 1.0], [2.0, 2.0]], [[1.0, 2.0], [3.0]], [[], [1.0, 2.0]]]
)
def test_where_nothing_can_differ_nothing_does(groups: list[list[float]]) -> None:
    noise = group_noise(groups)
    assert noise.alike
    assert noise.differs == 0.0


def test_a_difference_without_noise_is_certain() -> None:
    between = group_noise([[1.0, 1.0], [2.0, 2.0]]).between(0, 1, [2, 2])
    assert between.half() == 0.0
    assert (between.below(1.0), between.below(0.0), between.below(-1.0)) == (0.0, 0.5, 1.0)


@given(
    st.lists(st.floats(0.01, 100.0), min_size=2, max_size=6),
    st.integers(1, 4),
    st.floats(1e-3, 1e3),
)
def test_noise_has_the_unit_of_the_runs_and_lies_between_own_and_common(
    squares: list[float], freedom: int, unit: float
) -> None:
    d = np.full(len(squares), float(freedom))
    one, other = noise_of(np.array(squares), d), noise_of(unit**2 * np.array(squares), d)
    assert other.sds == pytest.approx(unit * one.sds)
    assert other.differs == pytest.approx(one.differs, abs=1e-9)
    own = np.sqrt(np.array(squares) / d)
    assert (one.sds <= max(own.max(), one.pooled) * (1 + 1e-9)).all()
    assert (np.diff(one.sds[np.argsort(own)]) >= -1e-9 * one.pooled).all()


def test_wins_that_are_none_are_no_more_frequent_and_a_loud_baseline_hides_fewer() -> None:
    """Rates over 400 confirmations of five candidates with three seeds; see docs/log/noise.md."""
    rng, shown = np.random.default_rng(0), {}
    for name, loud in (("equal", 1.0), ("loud", 5.0)):
        sds = np.array([1.0, 1.0, 1.0, 1.0, loud])
        wins = np.zeros((3, 400))
        for i in range(400):
            x = rng.standard_normal((5, 3)) * sds[:, None]
            noise, gap = group_noise(list(x)), 4.0 * np.sqrt(2 / 3)
            between, raw = noise.between(0, 1, [3] * 5), x[1].mean() - x[0].mean()
            least = max(2 * between.sd, between.half())
            wins[:, i] = raw > least, raw + gap > least, raw + gap > 2 * noise.pooled
        shown[name] = wins.mean(axis=1)
    assert max(shown["equal"][0], shown["loud"][0]) < 0.04
    assert shown["equal"][1] > 0.88
    assert shown["loud"][1] > 0.78
    assert shown["loud"][2] < 0.4
