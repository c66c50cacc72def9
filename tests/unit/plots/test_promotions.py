"""The picture of earlier promotions."""

import numpy as np

from mixopt.plots import past_promotions


def test_shares_are_drawn_with_intervals_and_what_has_none_is_left_out() -> None:
    figure = past_promotions(
        ["a", "b <i>", "c", "none"],
        [0.2, 0.1, 4.0, 0.0],
        [0.1, 0.1, -1.0, 0.3],
        intervals=[[0.05, 0.15], [np.nan, np.nan], [-2.0, 0.0], [0.0, 1.0]],
        large=[False, True, False, False],
    )
    small, large = figure.data
    assert small["x"] == [0.5, -0.25]
    assert small["error_x"]["array"] == [0.25, 0.25]
    assert large["x"] == [1.0]
    assert large["error_x"]["array"] == [None]
    assert large["y"] == ["2. b &lt;i&gt;"]
    assert [shape["x0"] for shape in figure.layout["shapes"]] == [1.0, 0.5]


def test_no_promotion_is_an_empty_picture() -> None:
    assert len(past_promotions([], [], []).data) == 0
