"""The sampler of documents: golden values, integrals, copies and what is refused."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs.document_sampling import (
    Sampler,
    copies,
    ranks,
    sampler_for,
    samplers_of,
    shares,
    tied_ranks,
)

GOLDEN = Sampler(500, 0.05, 0.5, 5e-4)

samplers = st.builds(
    Sampler,
    sharpness=st.floats(0, 1000),
    cut=st.floats(0, 1),
    exponent=st.floats(0, 2),
    floor=st.floats(0, 0.1),
)


def test_values_of_the_paper_s_function() -> None:
    """METHODS-ONLINE F1, from 2504.16511: lambda 500, omega .05, eta .5, epsilon 5e-4."""
    at = GOLDEN.expected(np.array([0.0, 0.025, 0.049, 0.05, 0.051]))
    assert at == pytest.approx([1.414714, 1.414711, 1.116259, 1.0005, 0.0005], abs=1e-6)
    assert GOLDEN.mean == pytest.approx(0.070146, abs=1e-6)


def test_equal_parameters_keep_the_natural_shares() -> None:
    assert shares(np.array([1.0, 3.0]), [GOLDEN.mean] * 2) == pytest.approx([0.25, 0.75], abs=1e-12)
    all_of_it = shares(np.array([1.0, 3.0]), [Sampler().mean, GOLDEN.mean])
    assert all_of_it[0] == pytest.approx(1 / (1 + 3 * 0.070146), abs=1e-6)
    with pytest.raises(InputError, match="raise a cut or a floor"):
        shares(np.array([1.0, 3.0]), [Sampler(cut=0).mean] * 2)
    with pytest.raises(InputError, match="nothing is read"):
        shares([1.0, 3.0], [[0.5, 0.5], [0.0, 0.0]])


@given(samplers)
@example(Sampler(5e-324, 1.0, 1.0))
@example(Sampler(0.0, 0.5, 2.0, 0.1))
def test_the_mean_is_the_integral(sampler: Sampler) -> None:
    grid = (np.arange(20_000) + 0.5) / 20_000
    assert sampler.mean == pytest.approx(float(sampler.expected(grid).mean()), abs=2e-4)


@given(samplers, st.integers(0, 99))
def test_copies_are_the_whole_part_or_one_more_and_right_on_average(
    sampler: Sampler, seed: int
) -> None:
    expected = sampler.expected(np.linspace(0, 1, 4000))
    drawn = copies(expected, np.random.default_rng(seed))
    assert ((drawn == np.floor(expected)) | (drawn == np.floor(expected) + 1)).all()
    assert abs(drawn.mean() - expected.mean()) < 0.04  # 5 sd of 4,000 coins
    again = copies(expected, np.random.default_rng(seed))
    assert (drawn == again).all()
    more = copies(expected + 0.1, np.random.default_rng(seed))
    assert (more >= drawn).all()


def test_ranks_count_tokens_and_break_ties_in_order() -> None:
    scores = np.array([[3.0], [1.0], [1.0], [2.0]])
    sizes = np.array([10, 20, 30, 40])
    assert ranks(scores, sizes, np.ones(1)) == pytest.approx([0.95, 0.1, 0.35, 0.7])
    assert tied_ranks(scores[:, 0], sizes) == pytest.approx([0.95, 0.25, 0.25, 0.7])


def test_units_of_scores_do_not_matter_and_their_weights_do() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(50, 2))
    sizes = rng.integers(1, 100, 50)
    one = ranks(scores, sizes, np.array([0.7, 0.3]))
    other = ranks(np.exp(scores) * [1e6, 1e-6], sizes, np.array([0.7, 0.3]))
    assert (one == other).all()
    first = ranks(scores, sizes, np.array([1.0, 0.0]))
    assert (np.argsort(first) == np.argsort(scores[:, 0])).all()


def test_an_entry_changes_what_it_names_of_that_of_all() -> None:
    made = samplers_of({"*": {"cut": 0.3, "floor": 0.01}, "web": {"cut": 0.1}})
    assert sampler_for(made, "web") == Sampler(cut=0.1, floor=0.01)
    assert sampler_for(made, "code") == Sampler(cut=0.3, floor=0.01)
    assert sampler_for(samplers_of({"web": {"cut": 0.1}}), "code") is None
    assert samplers_of(None) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"web": {"cut": 1.5}}, r"sampling\.web: cut is 1\.5"),
        ({"web": {"cut": float("nan")}}, r"sampling\.web: cut is nan"),
        ({"web": {"floor": -0.1}}, "floor is -0.1"),
        ({"web": {"exponent": "much"}}, "exponent is the text 'much'"),
        ({"web": {"sharpness": True}}, "sharpness is True"),
        ({"web": {"omega": 0.1}}, "'omega'"),
        ({"web": 0.3}, r"sampling\.web is 0\.3"),
        ({"web": {"scores": {"edu": 0}}}, "weigh nothing"),
        ({"web": {"scores": [1]}}, r"scores is \[1\]"),
        ([], r"sampling is \[\]"),
    ],
)
def test_what_is_no_sampler_is_refused_by_name(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        samplers_of(given)


def test_a_weight_of_no_score_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'edu'"):
        Sampler(scores={"edo": 1}).weights(["edu", "length"])
    assert Sampler().weights(["a", "b"]).tolist() == [0.5, 0.5]
    assert Sampler(scores={"b": 3, "a": 1}).weights(["a", "b"]).tolist() == [0.25, 0.75]
