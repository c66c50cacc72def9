"""Guards: a metric that may not get worse than a baseline, in every place that chooses."""

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective
from mixopt.laws.base import Prediction
from mixopt.proposers import Surrogate, propose_batch, recommend
from mixopt.runs.objective import Guard
from mixopt.space.simplex import Array

SPACE = MixtureSpace({"a": 6.0, "b": 3.0, "c": 1.0})
METRICS = ("loss", "harm", "score")


class Plain:
    """loss falls with c; harm rises with c and score falls with it: both hold it back."""

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        c = W[:, 2]
        mean = np.column_stack([2.0 - c, 1.0 + 2.0 * c, 1.0 - c + 0 * W[:, 0]])
        return Prediction(mean, np.full(mean.shape, 0.01), np.full(3, 0.01))

    def to_dict(self) -> dict[str, object]:
        return {}


def surrogate(*guards: Guard, maximize: str = "") -> Surrogate:
    higher = frozenset({maximize} if maximize else ())
    return Surrogate.of(
        Plain(), Objective({"loss": 1.0}, maximize=higher, guards=guards), METRICS, SPACE
    )


def best(look: Surrogate) -> float:
    W = SPACE.sample(20, np.random.default_rng(0))
    return recommend(look, SPACE, W=W, rng=np.random.default_rng(0)).mixture["c"]


# Natural has c = .1, so harm 1.2 and score .9; uniform has c = 1/3, so harm 1.667 and score .667.


@pytest.mark.parametrize(
    ("guard", "maximize", "c"),
    [
        (Guard("harm"), "", 0.1),
        (Guard("harm", 0.1), "", 0.1 + 0.12 / 2),
        (Guard("harm", baseline="uniform"), "", 1 / 3),
        (Guard("harm", 0.3, "uniform"), "", 1 / 3 + 0.5 / 2),
        (Guard("score"), "score", 0.1),
        (Guard("score", 0.2), "score", 0.1 + 0.18),
        (Guard("score", baseline="uniform"), "score", 1 / 3),
        (Guard("score"), "", 1.0),  # a falling score is an improvement where lower is better
    ],
)
def test_the_recommendation_goes_as_far_as_the_guard_lets_it(
    guard: Guard, maximize: str, c: float
) -> None:
    assert best(surrogate(guard, maximize=maximize)) == pytest.approx(c, abs=2e-3)


def test_without_a_guard_nothing_holds_the_recommendation_back() -> None:
    assert best(surrogate()) > 0.999


def test_of_two_guards_the_tighter_one_holds() -> None:
    assert best(surrogate(Guard("harm", 0.1), Guard("score"), maximize="score")) == pytest.approx(
        0.1, abs=2e-3
    )


def test_proposals_keep_the_guard() -> None:
    W = SPACE.sample(20, np.random.default_rng(0))
    made = [
        propose_batch(look, SPACE, 4, W=W, rng=np.random.default_rng(1), explore=0.0)
        for look in (surrogate(), surrogate(Guard("harm", 0.1)))
    ]
    assert made[0][:, 2].max() > 0.9
    assert made[1][:, 2].max() < 0.18


def test_the_value_of_what_breaks_a_guard_is_worse_than_of_all_that_keep_it() -> None:
    look = surrogate(Guard("harm"))
    W = np.array([[0.9, 0.0, 0.1], [0.5, 0.5, 0.0], [0.88, 0.0, 0.12]])
    kept, free, broken = look.value(W)
    assert kept < free < broken
    assert look.penalty(look.predict(W)).tolist()[:2] == [0.0, 0.0]
    over = look.over(look.predict(W))[:, 0]
    np.testing.assert_allclose(over, [0.0, -0.2 / 1.2, 0.04 / 1.2], atol=1e-12)


def test_a_guard_may_be_on_a_metric_that_is_not_weighed() -> None:
    assert surrogate(Guard("harm")).limits == pytest.approx({"harm": 1.2})
    # Signed so that lower is better: of a metric that is to be high, the least that it may be.
    assert surrogate(Guard("score", 0.1), maximize="score").limits == pytest.approx(
        {"score": -0.9 + 0.09}
    )


def test_a_price_of_the_guard_is_told() -> None:
    W = SPACE.sample(20, np.random.default_rng(0))
    answer = recommend(surrogate(Guard("harm", 0.1)), SPACE, W=W, rng=np.random.default_rng(0))
    assert any("guard on harm (1.32)" in active.name for active in answer.active)
    assert not recommend(surrogate(), SPACE, W=W, rng=np.random.default_rng(0)).broken


def test_an_unknown_baseline_or_metric_is_refused() -> None:
    with pytest.raises(InputError, match="names the baseline 'nature'; known: natural"):
        surrogate(Guard("harm", baseline="nature"))
    with pytest.raises(InputError, match="did you mean 'harm'"):
        surrogate(Guard("ham"))
