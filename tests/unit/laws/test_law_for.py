"""Which law fits runs of several scales: itself where it says so, else inside `correction`."""

from dataclasses import dataclass

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, RunSpec, Scale, Study
from mixopt.laws import LAWS, as_law, law, law_for
from mixopt.laws.mean import Mean
from mixopt.laws.scales.correction import Correction
from mixopt.laws.transport.costs import TransportCosts
from mixopt.laws.wrappers import Bootstrap
from mixopt.testing.law_worlds import ALIKE, SCALES, fresh

ONE, THREE = np.tile(SCALES[:1], (3, 1)), SCALES


@dataclass(frozen=True)
class Own:
    """A user's law, found by `module:attribute`."""

    takes_scales: bool = True

    def fit(self, W, Y, scale=None, *, rng):
        return law("shukor-joint").fit(W, Y, scale, rng=rng)


def single() -> Own:
    return Own(takes_scales=False)


@dataclass(frozen=True)
class Silent:
    def fit(self, W, Y, scale=None, *, rng):
        raise NotImplementedError


def test_a_law_of_ones_own_is_wrapped_only_if_it_takes_one_scale() -> None:
    assert law_for(f"{__name__}:Own", THREE) == Own()
    assert law_for(f"{__name__}:single", THREE) == Correction(base=Own(takes_scales=False))
    assert law_for(f"{__name__}:single", ONE) == Own(takes_scales=False)


def test_laws_given_as_objects_are_treated_as_their_names() -> None:
    assert law_for(law("gp"), THREE) == law_for("gp", THREE) == Correction(base=law("gp"))
    assert law_for(law("auto"), THREE) == law_for("auto", THREE) == law("auto")


def test_what_scales_do_not_say_does_not_count() -> None:
    unknown = np.full((4, 2), np.nan)
    assert law_for("gp", None) == law_for("gp", unknown) == law("gp")
    some = np.vstack([unknown, ONE])
    assert law_for("gp", some) == law("gp")
    tokens = np.column_stack([np.full(3, np.nan), THREE[:, 1]])
    assert isinstance(law_for("gp", tokens), Correction)


def test_these_laws_take_several_scales() -> None:
    costs = TransportCosts(("a", "b"), np.eye(2), 0.0, 1.0, (1.0, 1.0), (0.0, 0.0))
    needed = {"projektor": {"costs": costs}}
    several = {name for name in LAWS if law(name, **needed.get(name, {})).takes_scales}
    assert several == {
        *("auto", "stacking", "correction", "cokriging", "truncated"),
        *(
            "shukor-additive",
            "shukor-joint",
            "capacity-competition",
            "tiers",
            "botorch",
            "projektor",
        ),
    }


def test_wrappers_take_what_their_laws_take() -> None:
    assert Bootstrap("auto").takes_scales
    assert not Bootstrap("gp").takes_scales
    assert Mean(("shukor-joint", "correction")).takes_scales
    assert not Mean(("shukor-joint", "gp")).takes_scales


def test_a_law_that_does_not_say_is_refused_with_what_to_say() -> None:
    for given in (f"{__name__}:Silent", Silent()):
        with pytest.raises(InputError, match=r"Silent is no law.*takes_scales"):
            as_law(given)


@pytest.mark.parametrize("name", ["log-linear", "shukor-joint"])
def test_a_study_fits_what_a_sweep_fits(name: str) -> None:
    W, Y, at = ALIKE.planted_scales()
    space = MixtureSpace(["a", "b", "c", "d"])
    study = Study(space, minimize="loss", law=name)
    for w, y, (n, d) in zip(W, Y[:, 0], at, strict=True):
        spec = RunSpec(space.mixture(w), Scale(int(n), int(d)))
        study.tell(spec, {"loss": float(y)})
    ours = study.fit().predict(fresh(), SCALES[1])
    made = law_for(name, at)
    theirs = made.fit(W, Y[:, :1], at, rng=np.random.default_rng([0, len(W), 0]))
    np.testing.assert_allclose(ours.mean, theirs.predict(fresh(), SCALES[1]).mean)
