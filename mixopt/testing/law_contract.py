"""What every law must do; plug-in authors run these checks on their own.

    import pytest
    from mixopt.testing import law_contract

    @pytest.mark.parametrize("check", law_contract.CHECKS, ids=law_contract.name)
    def test_contract(check):
        check(MyLaw())

Each check takes a law (hyperparameters) and raises AssertionError with what it expected. What a law
does not declare (runs of several scales: `takes_scales`; a joint posterior: a fitted law with
`joint`) is not asked of it. A law that needs to know its domains is checked in a world where that
is known, and is told it as a sweep would tell it: `check(MyLaw(), LawWorld(tiers=True))`.
"""

import json
from typing import Protocol

import numpy as np

from mixopt.errors import InputError
from mixopt.laws import FittedLaw, Law, Prediction, fitted_law
from mixopt.laws.base import JointFittedLaw
from mixopt.space.simplex import Array
from mixopt.testing.law_worlds import ALIKE, SCALES, LawWorld, fresh


class Check(Protocol):
    """One thing that every law must do, in a world of runs."""

    def __call__(self, law: Law, world: LawWorld = ALIKE) -> None:
        """Try it.

        Raises:
            AssertionError: what it expected.
        """
        ...


def _fit(law: Law, W: Array, Y: Array, seed: int = 1) -> FittedLaw:
    return law.fit(W, Y, rng=np.random.default_rng(seed))


def _valid(prediction: Prediction, rows: int, metrics: int) -> None:
    assert prediction.mean.shape == prediction.sd.shape == (rows, metrics), prediction.mean.shape
    assert prediction.noise.shape == (metrics,), prediction.noise.shape
    for what in ("mean", "sd", "noise"):
        assert np.isfinite(getattr(prediction, what)).all(), f"{what} is not finite"
    assert (prediction.sd >= 0).all(), "a negative sd"
    assert (prediction.noise >= 0).all(), "a negative noise"


def predicts_all_metrics(law: Law, world: LawWorld = ALIKE) -> None:
    """Shapes are (n, k), values are finite, intervals are not negative."""
    told = world.tell(law)
    W, Y = world.planted()
    fitted = _fit(told, W, Y)
    _valid(fitted.predict(fresh()), 25, 3)
    _valid(fitted.predict(fresh()[:1]), 1, 3)


def learns(law: Law, world: LawWorld = ALIKE) -> None:
    """On an easy problem it beats the mean of the runs, on mixtures that it has not seen."""
    told = world.tell(law)
    W, Y = world.planted(n=80)
    train, new = slice(0, 60), slice(60, 80)
    predicted = _fit(told, W[train], Y[train]).predict(W[new]).mean
    error, spread = np.sqrt(((predicted - Y[new]) ** 2).mean(axis=0)), Y[new].std(axis=0)
    assert (error / spread).mean() < 0.7, f"rmse {error} against sd {spread}"


def survives_json(law: Law, world: LawWorld = ALIKE) -> None:
    """`to_dict` is plain JSON and `fitted_law` reads back the same predictions."""
    told = world.tell(law)
    W, Y = world.planted()
    Y[3, 1] = np.nan
    fitted = _fit(told, W, Y)
    again = fitted_law(json.loads(json.dumps(fitted.to_dict(), allow_nan=False)))
    ours, theirs = fitted.predict(fresh()), again.predict(fresh())
    for what in ("mean", "sd", "noise"):
        np.testing.assert_allclose(
            getattr(ours, what), getattr(theirs, what), rtol=1e-9, atol=1e-12, err_msg=what
        )


def ignores_the_order_of_domains(law: Law, world: LawWorld = ALIKE) -> None:
    """Domains in another order, with what is known of them, give the same predictions."""
    told = world.tell(law)
    W, Y = world.planted()
    order = [2, 0, 3, 1]
    again = world.tell(law, order=order)
    ours = _fit(told, W, Y).predict(fresh())
    theirs = _fit(again, W[:, order], Y).predict(fresh()[:, order])
    _close(ours, theirs, Y)


def ignores_the_other_metrics(law: Law, world: LawWorld = ALIKE) -> None:
    """A metric is predicted about the same whatever two metrics stand beside it."""
    told = world.tell(law)
    W, Y = world.planted()
    ours = _fit(told, W, Y).predict(fresh())
    alone = _fit(told, W, Y[:, 1:2]).predict(fresh())
    tolerance = 0.03 * Y.std(axis=0)[1]
    np.testing.assert_allclose(ours.mean[:, 1], alone.mean[:, 0], atol=tolerance)


def follows_units(law: Law, world: LawWorld = ALIKE) -> None:
    """A metric in other units is predicted in those units."""
    told = world.tell(law)
    W, Y = world.planted()
    ours = _fit(told, W, Y).predict(fresh())
    theirs = _fit(told, W, 100.0 * Y - 7.0).predict(fresh())
    shown = Prediction((theirs.mean + 7.0) / 100.0, theirs.sd / 100.0, theirs.noise / 100.0)
    _close(ours, shown, Y)


def takes_metrics_where_higher_is_better(law: Law, world: LawWorld = ALIKE) -> None:
    """The negative of a loss is fitted about as well as the loss."""
    told = world.tell(law)
    W, Y = world.planted(n=60)
    ours = _fit(told, W, Y).predict(fresh()).mean
    theirs = -_fit(told, W, -Y).predict(fresh()).mean
    assert np.abs(ours - theirs).max() < 1.0 * Y.std(), np.abs(ours - theirs).max()


def leaves_missing_values_out(law: Law, world: LawWorld = ALIKE) -> None:
    """A NaN drops that run for that metric alone."""
    told = world.tell(law)
    W, Y = world.planted()
    holes = Y.copy()
    holes[:10, 0] = np.nan
    prediction = _fit(told, W, holes).predict(fresh())
    _valid(prediction, 25, 3)
    without = _fit(told, W[10:], Y[10:]).predict(fresh())
    gap = np.sqrt(((prediction.mean[:, 0] - without.mean[:, 0]) ** 2).mean())
    assert gap < 0.5 * Y[:, 0].std(), f"differs by {gap:.3g} from the fit without those runs"


def takes_a_constant_metric(law: Law, world: LawWorld = ALIKE) -> None:
    """A metric that never varies is predicted as that value."""
    told = world.tell(law)
    W, Y = world.planted()
    Y[:, 2] = 0.75
    prediction = _fit(told, W, Y).predict(fresh())
    _valid(prediction, 25, 3)
    np.testing.assert_allclose(prediction.mean[:, 2], 0.75, atol=1e-6)
    assert (prediction.total_sd[:, 2] < 1e-3).all()


def takes_replicates(law: Law, world: LawWorld = ALIKE) -> None:
    """The same mixture several times, with other values, is noise and no error."""
    told = world.tell(law)
    W, Y = world.planted(n=20)
    rng = np.random.default_rng(3)
    W, Y = np.repeat(W, 3, axis=0), np.repeat(Y, 3, axis=0) + 0.05 * rng.standard_normal((60, 3))
    prediction = _fit(told, W, Y).predict(fresh())
    _valid(prediction, 25, 3)
    assert (prediction.noise > 0.005).all(), "replicates differ by 0.05 and the noise is smaller"


def takes_fewer_runs_than_parameters(law: Law, world: LawWorld = ALIKE) -> None:
    """Six runs of twelve domains: wide intervals, or an error that says so."""
    W, Y = world.planted(n=6, m=12)
    try:
        fitted = _fit(world.tell(law, m=12), W, Y)
    except InputError:
        return
    prediction = fitted.predict(fresh(m=12))
    _valid(prediction, 25, 3)
    assert (prediction.total_sd > 0).all()


def refuses_one_point(law: Law, world: LawWorld = ALIKE) -> None:
    """Runs at one mixture, or a single run, cannot teach a law anything."""
    told = world.tell(law)
    W, Y = world.planted()
    for rows in (np.zeros(8, dtype=int), np.zeros(1, dtype=int)):
        _raises(told, W[rows], Y[rows])


def refuses_bad_input(law: Law, world: LawWorld = ALIKE) -> None:
    """Infinite metrics, weights off the simplex, shapes that disagree, a metric without values."""
    told = world.tell(law)
    W, Y = world.planted()
    infinite, empty = Y.copy(), Y.copy()
    infinite[2, 1] = np.inf
    empty[:, 1] = np.nan
    for bad in ((W, infinite), (W, empty), (W[:-1], Y), (2.0 * W, Y), (W - 0.1, Y)):
        _raises(told, *bad)


def refuses_other_domains(law: Law, world: LawWorld = ALIKE) -> None:
    """Predicting mixtures with another number of domains is an error."""
    told = world.tell(law)
    W, Y = world.planted()
    fitted = _fit(told, W, Y)
    try:
        fitted.predict(fresh(m=5))
    except InputError:
        return
    raise AssertionError("mixtures of 5 domains were taken by a law fitted to 4")


def repeats_itself(law: Law, world: LawWorld = ALIKE) -> None:
    """The same generator gives the same law, and the input is left as it was."""
    told = world.tell(law)
    W, Y = world.planted()
    kept = W.copy(), Y.copy()
    ours, theirs = _fit(told, W, Y).predict(fresh()), _fit(told, W, Y).predict(fresh())
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    np.testing.assert_array_equal(ours.sd, theirs.sd)
    np.testing.assert_array_equal(W, kept[0])
    np.testing.assert_array_equal(Y, kept[1])


def says_whether_it_takes_scales(law: Law, world: LawWorld = ALIKE) -> None:
    """`takes_scales` is True or False; without it nobody knows whether to wrap the law."""
    told = world.tell(law)
    assert isinstance(told.takes_scales, bool), told.takes_scales


def predicts_every_scale(law: Law, world: LawWorld = ALIKE) -> None:
    """At each scale that has runs; without a scale, what it says of the largest."""
    told = world.tell(law)
    if not told.takes_scales:
        return
    W, Y, at = world.planted_scales()
    fitted = told.fit(W, Y, at, rng=np.random.default_rng(1))
    for scale in SCALES:
        rows = (at == scale).all(axis=1)
        seen = fitted.predict(W[rows], scale)
        _valid(seen, int(rows.sum()), 3)
        off = np.abs(seen.mean - Y[rows]).mean(axis=0) / Y[rows].std(axis=0)
        assert (off < 0.7).all(), f"misses its own runs at {scale} by {off} sd"
    numbers = np.arange(25) % len(SCALES)
    mixed = fitted.predict(fresh(), SCALES[numbers])
    for number, scale in enumerate(SCALES):
        rows = numbers == number
        alone = fitted.predict(fresh()[rows], scale)
        np.testing.assert_allclose(mixed.mean[rows], alone.mean, rtol=1e-7)
        np.testing.assert_allclose(mixed.sd[rows], alone.sd, rtol=1e-5, atol=1e-9)


def survives_json_with_scales(law: Law, world: LawWorld = ALIKE) -> None:
    """Read back, it predicts the same at every scale, to rounding."""
    told = world.tell(law)
    if not told.takes_scales:
        return
    W, Y, at = world.planted_scales()
    Y[3, 1] = np.nan
    fitted = told.fit(W, Y, at, rng=np.random.default_rng(1))
    again = fitted_law(json.loads(json.dumps(fitted.to_dict(), allow_nan=False)))
    for scale in (None, *SCALES):
        ours, theirs = fitted.predict(fresh(), scale), again.predict(fresh(), scale)
        for what in ("mean", "sd", "noise"):
            np.testing.assert_allclose(
                getattr(ours, what), getattr(theirs, what), rtol=1e-12, atol=1e-12, err_msg=what
            )


def refuses_scales_it_cannot_read(law: Law, world: LawWorld = ALIKE) -> None:
    """A scale of zero or below, or one that only some runs have."""
    told = world.tell(law)
    W, Y, at = world.planted_scales()
    for value in (0.0, np.nan):
        bad = at.copy()
        bad[2, 0] = value
        _raises(told, W, Y, bad)


def has_one_joint_posterior(law: Law, world: LawWorld = ALIKE) -> None:
    """`joint` is a covariance: symmetric, none negative, its diagonal what `predict` reports."""
    for fitted, scales in _jointly(law, world):
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


def has_a_joint_posterior_of_any_points(law: Law, world: LawWorld = ALIKE) -> None:
    """The covariance of points together holds that of its parts, at one scale and across scales."""
    for fitted, scales in _jointly(law, world):
        A = fresh()[: len(scales)] if scales is not None else fresh()
        first, rest = slice(0, 9), slice(9, None)
        at = (None, None) if scales is None else (scales[first], scales[rest])
        whole = fitted.joint(A, A, scales, scales)
        part = fitted.joint(A[first], A[rest], *at)
        unit = np.abs(whole).max(axis=(1, 2))[:, None, None]
        np.testing.assert_allclose(whole[:, first, rest] / unit, part / unit, atol=1e-8)
        across = fitted.joint(A[rest], A[first], at[1], at[0])
        np.testing.assert_allclose(np.swapaxes(across, 1, 2) / unit, part / unit, atol=1e-8)


def _jointly(law: Law, world: LawWorld) -> list[tuple[JointFittedLaw, Array | None]]:
    """The law fitted where it has a joint posterior, and the scales of points to ask about."""
    told = world.tell(law)
    W, Y = world.planted()
    fitted = _fit(told, W, Y)
    out: list[tuple[JointFittedLaw, Array | None]] = []
    if not isinstance(fitted, JointFittedLaw):
        return out
    out.append((fitted, None))
    if told.takes_scales:
        W, Y, at = world.planted_scales()
        of_all = told.fit(W, Y, at, rng=np.random.default_rng(1))
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
