"""What every law must do; plug-in authors run these checks on their own.

    import pytest
    from mixopt.testing import law_contract

    @pytest.mark.parametrize("check", law_contract.CHECKS, ids=law_contract.name)
    def test_contract(check):
        check(MyLaw())

Each check takes a law (hyperparameters) and raises AssertionError with what it expected. What a law
does not declare (runs of several scales: `takes_scales`; a joint posterior: a fitted law with
`joint`) is not asked of it.
"""

import json
from collections.abc import Callable

import numpy as np

from mixopt.errors import InputError
from mixopt.laws import FittedLaw, Law, Prediction, fitted_law
from mixopt.laws.base import JointFittedLaw
from mixopt.space.simplex import Array

Check = Callable[[Law], None]


def planted(n: int = 32, m: int = 4, k: int = 3, seed: int = 0) -> tuple[Array, Array]:
    """(n, m) mixtures and (n, k) losses that decay with their own domain's share, and others'."""
    rng = np.random.default_rng(seed)
    W = rng.dirichlet(np.ones(m), size=n)
    slopes = -rng.uniform(0.0, 0.6, size=(m, k)) - 1.5 * np.eye(m, k)
    Y = 2.0 + np.exp(0.3 + W @ slopes) + 0.005 * rng.standard_normal((n, k))
    return W, Y


def fresh(m: int = 4, n: int = 25, seed: int = 9) -> Array:
    """(n, m) mixtures that `planted` did not draw."""
    return np.random.default_rng(seed).dirichlet(np.ones(m), size=n)


def _fit(law: Law, W: Array, Y: Array, seed: int = 1) -> FittedLaw:
    return law.fit(W, Y, rng=np.random.default_rng(seed))


def _valid(prediction: Prediction, rows: int, metrics: int) -> None:
    assert prediction.mean.shape == prediction.sd.shape == (rows, metrics), prediction.mean.shape
    assert prediction.noise.shape == (metrics,), prediction.noise.shape
    for what in ("mean", "sd", "noise"):
        assert np.isfinite(getattr(prediction, what)).all(), f"{what} is not finite"
    assert (prediction.sd >= 0).all(), "a negative sd"
    assert (prediction.noise >= 0).all(), "a negative noise"


def predicts_all_metrics(law: Law) -> None:
    """Shapes are (n, k), values are finite, intervals are not negative."""
    W, Y = planted()
    fitted = _fit(law, W, Y)
    _valid(fitted.predict(fresh()), 25, 3)
    _valid(fitted.predict(fresh()[:1]), 1, 3)


def learns(law: Law) -> None:
    """On an easy problem it beats the mean of the runs, on mixtures that it has not seen."""
    W, Y = planted(n=80)
    train, new = slice(0, 60), slice(60, 80)
    predicted = _fit(law, W[train], Y[train]).predict(W[new]).mean
    error, spread = np.sqrt(((predicted - Y[new]) ** 2).mean(axis=0)), Y[new].std(axis=0)
    assert (error / spread).mean() < 0.7, f"rmse {error} against sd {spread}"


def survives_json(law: Law) -> None:
    """`to_dict` is plain JSON and `fitted_law` reads back the same predictions."""
    W, Y = planted()
    Y[3, 1] = np.nan
    fitted = _fit(law, W, Y)
    again = fitted_law(json.loads(json.dumps(fitted.to_dict(), allow_nan=False)))
    ours, theirs = fitted.predict(fresh()), again.predict(fresh())
    for what in ("mean", "sd", "noise"):
        np.testing.assert_allclose(
            getattr(ours, what), getattr(theirs, what), rtol=1e-9, atol=1e-12, err_msg=what
        )


def ignores_the_order_of_domains(law: Law) -> None:
    """Domains in another order give the same predictions."""
    W, Y = planted()
    order = np.array([2, 0, 3, 1])
    ours = _fit(law, W, Y).predict(fresh())
    theirs = _fit(law, W[:, order], Y).predict(fresh()[:, order])
    _close(ours, theirs, Y)


def ignores_the_other_metrics(law: Law) -> None:
    """A metric is predicted about the same whatever two metrics stand beside it."""
    W, Y = planted()
    ours = _fit(law, W, Y).predict(fresh())
    alone = _fit(law, W, Y[:, 1:2]).predict(fresh())
    tolerance = 0.03 * Y.std(axis=0)[1]
    np.testing.assert_allclose(ours.mean[:, 1], alone.mean[:, 0], atol=tolerance)


def follows_units(law: Law) -> None:
    """A metric in other units is predicted in those units."""
    W, Y = planted()
    ours = _fit(law, W, Y).predict(fresh())
    theirs = _fit(law, W, 100.0 * Y - 7.0).predict(fresh())
    shown = Prediction((theirs.mean + 7.0) / 100.0, theirs.sd / 100.0, theirs.noise / 100.0)
    _close(ours, shown, Y)


def takes_metrics_where_higher_is_better(law: Law) -> None:
    """The negative of a loss is fitted about as well as the loss."""
    W, Y = planted(n=60)
    ours = _fit(law, W, Y).predict(fresh()).mean
    theirs = -_fit(law, W, -Y).predict(fresh()).mean
    assert np.abs(ours - theirs).max() < 1.0 * Y.std(), np.abs(ours - theirs).max()


def leaves_missing_values_out(law: Law) -> None:
    """A NaN drops that run for that metric alone."""
    W, Y = planted()
    holes = Y.copy()
    holes[:10, 0] = np.nan
    prediction = _fit(law, W, holes).predict(fresh())
    _valid(prediction, 25, 3)
    without = _fit(law, W[10:], Y[10:]).predict(fresh())
    gap = np.sqrt(((prediction.mean[:, 0] - without.mean[:, 0]) ** 2).mean())
    assert gap < 0.5 * Y[:, 0].std(), f"differs by {gap:.3g} from the fit without those runs"


def takes_a_constant_metric(law: Law) -> None:
    """A metric that never varies is predicted as that value."""
    W, Y = planted()
    Y[:, 2] = 0.75
    prediction = _fit(law, W, Y).predict(fresh())
    _valid(prediction, 25, 3)
    np.testing.assert_allclose(prediction.mean[:, 2], 0.75, atol=1e-6)
    assert (prediction.total_sd[:, 2] < 1e-3).all()


def takes_replicates(law: Law) -> None:
    """The same mixture several times, with other values, is noise and no error."""
    W, Y = planted(n=20)
    rng = np.random.default_rng(3)
    W, Y = np.repeat(W, 3, axis=0), np.repeat(Y, 3, axis=0) + 0.05 * rng.standard_normal((60, 3))
    prediction = _fit(law, W, Y).predict(fresh())
    _valid(prediction, 25, 3)
    assert (prediction.noise > 0.005).all(), "replicates differ by 0.05 and the noise is smaller"


def takes_fewer_runs_than_parameters(law: Law) -> None:
    """Six runs of twelve domains: wide intervals, or an error that says so."""
    W, Y = planted(n=6, m=12)
    try:
        fitted = _fit(law, W, Y)
    except InputError:
        return
    prediction = fitted.predict(fresh(m=12))
    _valid(prediction, 25, 3)
    assert (prediction.total_sd > 0).all()


def refuses_one_point(law: Law) -> None:
    """Runs at one mixture, or a single run, cannot teach a law anything."""
    W, Y = planted()
    for rows in (np.zeros(8, dtype=int), np.zeros(1, dtype=int)):
        _raises(law, W[rows], Y[rows])


def refuses_bad_input(law: Law) -> None:
    """Infinite metrics, weights off the simplex, shapes that disagree, a metric without values."""
    W, Y = planted()
    infinite, empty = Y.copy(), Y.copy()
    infinite[2, 1] = np.inf
    empty[:, 1] = np.nan
    for bad in ((W, infinite), (W, empty), (W[:-1], Y), (2.0 * W, Y), (W - 0.1, Y)):
        _raises(law, *bad)


def refuses_other_domains(law: Law) -> None:
    """Predicting mixtures with another number of domains is an error."""
    W, Y = planted()
    fitted = _fit(law, W, Y)
    try:
        fitted.predict(fresh(m=5))
    except InputError:
        return
    raise AssertionError("mixtures of 5 domains were taken by a law fitted to 4")


def repeats_itself(law: Law) -> None:
    """The same generator gives the same law, and the input is left as it was."""
    W, Y = planted()
    kept = W.copy(), Y.copy()
    ours, theirs = _fit(law, W, Y).predict(fresh()), _fit(law, W, Y).predict(fresh())
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    np.testing.assert_array_equal(ours.sd, theirs.sd)
    np.testing.assert_array_equal(W, kept[0])
    np.testing.assert_array_equal(Y, kept[1])


SCALES = np.array([[1e7, 2e8], [3e7, 6e8], [1e8, 2e9]])
"""(3, 2) parameters and tokens of `planted_scales`."""


def planted_scales(n: int = 14, m: int = 4, k: int = 3) -> tuple[Array, Array, Array]:
    """(3 n, m) mixtures, (3 n, k) losses that fall with the scale, and the (3 n, 2) scales."""
    W, _ = planted(3 * n, m, k)
    rng = np.random.default_rng(1)
    at = np.repeat(SCALES, n, axis=0)
    slopes = -rng.uniform(0.0, 0.6, size=(m, k)) - 1.5 * np.eye(m, k)
    size = (at[:, :1] / SCALES[0, 0]) ** -0.2
    Y = 1.5 + 0.5 * size + (0.5 + 0.5 * size) * np.exp(0.3 + W @ slopes)
    return W, Y + 0.005 * rng.standard_normal(Y.shape), at


def says_whether_it_takes_scales(law: Law) -> None:
    """`takes_scales` is True or False; without it nobody knows whether to wrap the law."""
    assert isinstance(law.takes_scales, bool), law.takes_scales


def predicts_every_scale(law: Law) -> None:
    """At each scale that has runs; without a scale, what it says of the largest."""
    if not law.takes_scales:
        return
    W, Y, at = planted_scales()
    fitted = law.fit(W, Y, at, rng=np.random.default_rng(1))
    for scale in SCALES:
        rows = (at == scale).all(axis=1)
        told = fitted.predict(W[rows], scale)
        _valid(told, int(rows.sum()), 3)
        off = np.abs(told.mean - Y[rows]).mean(axis=0) / Y[rows].std(axis=0)
        assert (off < 0.7).all(), f"misses its own runs at {scale} by {off} sd"
    numbers = np.arange(25) % len(SCALES)
    mixed = fitted.predict(fresh(), SCALES[numbers])
    for number, scale in enumerate(SCALES):
        rows = numbers == number
        alone = fitted.predict(fresh()[rows], scale)
        np.testing.assert_allclose(mixed.mean[rows], alone.mean, rtol=1e-7)
        np.testing.assert_allclose(mixed.sd[rows], alone.sd, rtol=1e-5, atol=1e-9)


def survives_json_with_scales(law: Law) -> None:
    """Read back, it predicts the same at every scale, to rounding."""
    if not law.takes_scales:
        return
    W, Y, at = planted_scales()
    Y[3, 1] = np.nan
    fitted = law.fit(W, Y, at, rng=np.random.default_rng(1))
    again = fitted_law(json.loads(json.dumps(fitted.to_dict(), allow_nan=False)))
    for scale in (None, *SCALES):
        ours, theirs = fitted.predict(fresh(), scale), again.predict(fresh(), scale)
        for what in ("mean", "sd", "noise"):
            np.testing.assert_allclose(
                getattr(ours, what), getattr(theirs, what), rtol=1e-12, atol=1e-12, err_msg=what
            )


def refuses_scales_it_cannot_read(law: Law) -> None:
    """A scale of zero or below, or one that only some runs have."""
    W, Y, at = planted_scales()
    for value in (0.0, np.nan):
        bad = at.copy()
        bad[2, 0] = value
        _raises(law, W, Y, bad)


def has_one_joint_posterior(law: Law) -> None:
    """`joint` is a covariance: symmetric, none negative, its diagonal what `predict` reports."""
    for fitted, scales in _jointly(law):
        A = fresh()[: len(scales)] if scales is not None else fresh()
        cov = fitted.joint(A, A, scales, scales)
        assert cov.shape == (3, len(A), len(A)), cov.shape
        unit = np.maximum(cov.diagonal(axis1=1, axis2=2).max(axis=1), 1e-300)[:, None, None]
        np.testing.assert_allclose(cov / unit, np.swapaxes(cov, 1, 2) / unit, atol=1e-8)
        least = np.linalg.eigvalsh((cov + np.swapaxes(cov, 1, 2)) / (2 * unit)).min()
        assert least > -1e-7, f"an eigenvalue of {least:.3g} of the largest variance"
        variance = fitted.predict(A, scales).sd.T ** 2
        shown = cov.diagonal(axis1=1, axis2=2)
        np.testing.assert_allclose(shown / unit[..., 0], variance / unit[..., 0], atol=1e-7)


def has_a_joint_posterior_of_any_points(law: Law) -> None:
    """The covariance of points together holds that of its parts, at one scale and across scales."""
    for fitted, scales in _jointly(law):
        A = fresh()[: len(scales)] if scales is not None else fresh()
        first, rest = slice(0, 9), slice(9, None)
        at = (None, None) if scales is None else (scales[first], scales[rest])
        whole = fitted.joint(A, A, scales, scales)
        part = fitted.joint(A[first], A[rest], *at)
        unit = np.abs(whole).max(axis=(1, 2))[:, None, None]
        np.testing.assert_allclose(whole[:, first, rest] / unit, part / unit, atol=1e-8)
        across = fitted.joint(A[rest], A[first], at[1], at[0])
        np.testing.assert_allclose(np.swapaxes(across, 1, 2) / unit, part / unit, atol=1e-8)


def _jointly(law: Law) -> list[tuple[JointFittedLaw, Array | None]]:
    """The law fitted where it has a joint posterior, and the scales of points to ask about."""
    W, Y = planted()
    fitted = _fit(law, W, Y)
    out: list[tuple[JointFittedLaw, Array | None]] = []
    if not isinstance(fitted, JointFittedLaw):
        return out
    out.append((fitted, None))
    if law.takes_scales:
        W, Y, at = planted_scales()
        of_all = law.fit(W, Y, at, rng=np.random.default_rng(1))
        assert isinstance(of_all, JointFittedLaw), "a joint posterior at one scale and not at three"
        out.append((of_all, SCALES[np.arange(24) % len(SCALES)]))
    return out


def _raises(law: Law, W: Array, Y: Array, scale: Array | None = None) -> None:
    try:
        law.fit(W, Y, scale, rng=np.random.default_rng(1))
    except InputError as error:
        message = str(error)
    else:
        raise AssertionError(f"no InputError for W {W.shape}, Y {Y.shape}")
    assert len(message) > 20, f"the message says too little: {message}"


def _close(ours: Prediction, theirs: Prediction, Y: Array) -> None:
    """Equal up to what an optimiser leaves, in units of the spread of the metrics."""
    gap = np.abs(ours.mean - theirs.mean) / Y.std(axis=0)
    assert gap.max() < 0.03, f"means differ by {gap.max():.3g} sd"
    wide = np.abs(ours.sd - theirs.sd) / Y.std(axis=0)
    assert wide.max() < 0.1, f"sds differ by {wide.max():.3g} sd"


CHECKS: tuple[Check, ...] = (
    predicts_all_metrics,
    learns,
    survives_json,
    ignores_the_order_of_domains,
    ignores_the_other_metrics,
    follows_units,
    takes_metrics_where_higher_is_better,
    leaves_missing_values_out,
    takes_a_constant_metric,
    takes_replicates,
    takes_fewer_runs_than_parameters,
    refuses_one_point,
    refuses_bad_input,
    refuses_other_domains,
    repeats_itself,
    says_whether_it_takes_scales,
    predicts_every_scale,
    survives_json_with_scales,
    refuses_scales_it_cannot_read,
    has_one_joint_posterior,
    has_a_joint_posterior_of_any_points,
)


def name(check: Check) -> str:
    """The check as a test id."""
    return getattr(check, "__name__", str(check))
