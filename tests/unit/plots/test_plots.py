import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import Mixture, plots
from mixopt.errors import MissingDependencyError
from mixopt.plots.style import shortened
from mixopt.runs import Schedule

pytest.importorskip("plotly")

RECOMMENDED = Mixture.of({"web": 0.6, "code": 0.3, "a<b>": 0.1})
NATURAL = Mixture.of({"web": 0.2, "code": 0.3, "a<b>": 0.5})


def drawn(make, *arguments, **named):
    """As plotly for Python has it, which refuses what it does not know."""
    return make(*arguments, **named).figure()


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def test_mixture_bars_show_shares_and_the_way_to_their_intervals():
    figure = drawn(
        plots.mixture_bars,
        {"recommended": RECOMMENDED, "natural": NATURAL, "unimax": NATURAL},
        intervals={"web": (0.5, 0.8), "code": (0.3, 0.35)},
        shown={"recommended", "natural"},
    )
    bars = trace(figure, "recommended")
    assert bars.y == ("a&lt;b&gt;", "code", "web")  # from the bottom up; names are no markup
    assert bars.x == (0.1, 0.3, 0.6)
    assert bars.error_x.array == pytest.approx((0, 0.05, 0.2))
    assert bars.error_x.arrayminus == pytest.approx((0, 0, 0.1))
    assert trace(figure, "natural").x == (0.5, 0.3, 0.2)
    assert trace(figure, "unimax").visible == "legendonly"
    assert figure.layout.xaxis.title.text == "share of training tokens"


def test_confirmed_orders_candidates_and_draws_the_noise_around_the_recommendation():
    seeds = {"recommended": [2.5, 2.6], "natural": [2.9, 2.7], "lucky": [2.4, 2.4], "none": []}
    figure = drawn(plots.confirmed, seeds, 0.05, axis="code [bits/byte]")
    means = trace(figure, "mean over seeds")
    assert means.y == ("natural", "recommended", "lucky")  # best on top
    assert means.x == pytest.approx((2.8, 2.55, 2.4))
    band = figure.layout.shapes[0]
    assert (band.x0, band.x1) == pytest.approx((2.45, 2.65))
    assert len(trace(figure, "one seed").x) == 6
    assert not plots.confirmed(seeds, float("nan"), axis="x").layout["shapes"]


def test_predictions_are_sorted_into_inside_and_outside_their_interval():
    observed, mean = np.array([1.0, 2.0, 3.0, np.nan]), np.array([1.1, 2.0, 3.9, 1.0])
    figure = drawn(plots.predicted_observed, observed, mean, np.full(4, 0.1), axis="m")
    inside, outside = trace(figure, "inside its 90 % interval (2)"), trace(figure, "outside (1)")
    assert (inside.x, inside.y) == ((1.0, 2.0), (1.1, 2.0))
    assert (outside.x, outside.y) == ((3.0,), (3.9,))
    assert inside.error_y.array == pytest.approx((0.1645, 0.1645))
    assert figure.layout.xaxis.range == figure.layout.yaxis.range


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda w: sum(w) > 0),
    st.floats(0, 1),
)
def test_along_sets_one_share_and_keeps_the_proportions_of_the_rest(raw, share):
    w = np.array(raw) / sum(raw)
    path = plots.along(w, 0, [share, w[0]])
    assert path.sum(axis=1) == pytest.approx(1)
    assert (path >= 0).all()
    assert path[0, 0] == share
    if w[1:].sum() > 1e-6:
        assert path[1] == pytest.approx(w)
        assert path[0, 1:] * w[1:].sum() == pytest.approx(w[1:] * (1 - share))


def test_response_curves_mark_both_shares_and_keep_the_far_ends_from_flattening_the_rest():
    shares = np.tile(np.linspace(0, 1, 11), (2, 1))
    mean = 1 + 10 * (shares - 0.2) ** 2
    figure = drawn(
        plots.response_curves,
        ["web", "code"],
        shares,
        mean,
        np.full_like(mean, 0.01),
        at=np.array([0.2, 0.2]),
        against=("natural", np.array([0.5, 0.5])),
        axis="loss",
    )
    marks = [t for t in figure.data if t.name == "recommended share"]
    assert [(t.x, t.y) for t in marks] == [((0.2,), (1.0,))] * 2
    low, high = figure.layout.yaxis.range
    assert low < 1.0
    assert 1.9 < high < mean.max()
    assert [a.text for a in figure.layout.annotations[:2]] == ["web", "code"]


def test_learning_curves_break_between_runs_and_lead_with_the_recommended():
    curves = {
        plots.SEARCH: [([1, 2], [3.0, 2.5]), ([1, 2], [3.5, np.nan])],
        "recommended": [([1, 4], [2.9, 2.0])],
        "unimax": [([1, 4], [2.9, 2.2])],
    }
    figure = drawn(plots.learning_curves, curves, axis="loss", shown={plots.SEARCH, "recommended"})
    search = trace(figure, plots.SEARCH)
    assert search.x == (1, 2, None, 1, 2, None)
    assert search.y == (3.0, 2.5, None, 3.5, None, None)
    assert figure.data[-1].name == "recommended"  # drawn in front
    assert min(figure.data, key=lambda t: t.legendrank).name == "recommended"
    assert trace(figure, "unimax").visible == "legendonly"


def test_best_so_far_follows_search_runs_alone_and_marks_failures():
    figure = drawn(
        plots.best_so_far,
        [1, 2, 3, 4, 9],
        [3.0, np.nan, 2.0, 2.5, 1.0],
        ["design", "design", "proposal", "mystery", "confirm recommended"],
        searched=[True, True, True, True, False],
        axis="loss",
        cost_axis="training FLOPs spent",
    )
    best = trace(figure, "best search run so far")
    assert (best.x, best.y) == ((1, 3, 4), (3.0, 2.0, 2.0))
    assert trace(figure, "failed").x == (2,)
    assert trace(figure, "mystery").x == (4,)


def test_without_plotly_the_extra_is_named(monkeypatch):
    for name in ("plotly", "plotly.graph_objects"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"mixopt\[plots\]"):
        plots.confirmed({"recommended": [1.0]}, 0.1, axis="x").figure()


def test_a_trade_off_is_drawn_in_order_with_the_largest_shares_of_each_mixture():
    mixtures = [[("web", 0.9), ("a<b>", 0.1)], [("web", 0.2), ("a<b>", 0.8)]]
    figure = drawn(plots.trade_off, [2.0, 1.0], [3.0, 4.0], axes=("one", "two"), mixtures=mixtures)
    front = trace(figure, "the front")
    assert (front.x, front.y) == ((1.0, 2.0), (4.0, 3.0))
    assert front.text == ("a&lt;b&gt; 80%, web 20%", "web 90%, a&lt;b&gt; 10%")
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("one", "two")


MEASURED = {"natural": (0.2, 0.1, 0.3), "other": (0.05, 0.0, 0.1), "only-web": (9.0, 8.8, 9.2)}


def test_gains_show_the_toughest_on_top_and_those_far_off_at_the_edge():
    drawing = plots.gains(
        {"measured": MEASURED, "predicted": {"natural": (0.3, 0.1, 0.5)}}, axis="x"
    )
    figure = drawing.figure()
    assert figure.layout.yaxis.ticktext == ("only-web", "natural", "other")  # from the bottom up
    near, far = trace(figure, "measured"), trace(figure, "measured, beyond the edge")
    assert near.text == ("natural", "other")
    assert near.error_x.array == pytest.approx((0.1, 0.05))
    assert far.text == ("9 ",)
    low, high = figure.layout.xaxis.range
    assert low < 0.0
    assert 0.5 < high < 1.0  # the far one does not squeeze the others
    assert far.x == (high,)


@given(
    st.dictionaries(
        st.sampled_from(["natural", "uniform", "a", "b", "only-x", "only-y"]),
        st.floats(-5, 5),
        min_size=1,
    ),
    st.integers(1, 8),
)
def test_the_toughest_keep_the_plain_ones_first_and_mixtures_of_one_domain_last(values, most):
    names = plots.toughest(values, most)
    assert len(names) == min(most, len(values))
    assert {n for n in ("natural", "uniform") if n in values} <= {*names} or most < 2
    alone = [n.startswith("only-") for n in names]
    assert alone == sorted(alone)
    others = [values[n] for n in names if n in {"a", "b"}]
    assert others == sorted(others)


def test_coverage_is_drawn_against_what_luck_explains():
    levels = np.array([0.5, 0.9])
    figure = drawn(plots.coverage, levels, {"the objective": [0.4, 0.95]}, runs=100)
    assert trace(figure, "the objective").y == (0.4, 0.95)
    assert trace(figure, "luck alone, of 100 runs").y == pytest.approx((0.58225, 0.94935), abs=1e-4)


def test_mixtures_at_two_scales_are_named_where_they_have_a_name():
    figure = drawn(
        plots.small_large, [2.0, 1.0], [3.0, 2.5], axes=("s", "l"), names=["natural", "#3"],
        marked=["natural"],
    )  # fmt: skip
    assert figure.data[0].text == ("natural", "")
    assert figure.data[0].hovertext == ("natural", "#3")
    low, high = figure.layout.xaxis.range
    assert low < 1.0
    assert high > 2.0


def test_pairs_of_domains_are_drawn_around_zero_without_the_diagonal():
    effect = np.array([[5.0, -0.2], [-0.2, 5.0]])
    cells = drawn(plots.interactions, ["web", "a<b>"], effect, step=0.05).data[0]
    assert list(cells.z[0]) == [None, -0.2]
    assert (cells.zmin, cells.zmax) == (-0.2, 0.2)
    assert cells.x == ("web", "a&lt;b&gt;")


def test_on_a_phone_panels_stand_in_two_columns():
    shares = np.tile(np.linspace(0, 1, 5), (5, 1))
    drawing = plots.response_curves(
        [f"d{i}" for i in range(5)], shares, shares, shares, at=np.full(5, 0.5),
        against=("natural", np.full(5, 0.2)), axis="loss",
    )  # fmt: skip
    wide, narrow = drawing.layout, drawing.narrow
    assert narrow["height"] > wide["height"]
    assert wide["xaxis2"]["domain"][0] == pytest.approx(0.2625, abs=1e-4)
    assert narrow["xaxis2"]["domain"][0] == pytest.approx(0.525, abs=1e-4)
    assert narrow["yaxis3"]["domain"][1] < narrow["yaxis"]["domain"][0]
    assert [narrow[f"yaxis{i}"]["showticklabels"] for i in (2, 3, 4, 5)] == [
        False,
        True,
        False,
        True,
    ]


def test_a_long_title_loses_its_middle():
    assert shortened("short", 10) == "short"
    assert shortened("mean of one, two and three [bits]", 20) == "mean of on… [bits]"
    assert len(shortened("x" * 90, 31)) == 31


def test_areas_of_a_schedule_are_told_apart_and_keep_their_colour():
    """Areas have no marks: two of one colour are one; and schedules of a study are compared."""
    names = [f"d{i}" for i in range(12)]
    rising = Mixture.of({n: (i + 1) / 78 for i, n in enumerate(names)})
    falling = Mixture.of({n: (12 - i) / 78 for i, n in enumerate(names)})

    def colours(mixture):
        drawn = plots.schedule_steps(Schedule(((100, mixture),))).to_dict()["data"]
        return {area["name"]: area["line"]["color"] for area in drawn}

    assert len(set(colours(rising).values())) == 12
    assert colours(rising) == colours(falling)
    many = colours(Mixture.of({f"d{i}": (i + 1) / 210 for i in range(20)}))
    assert len(set(many.values())) == len(many) == 13
