"""What predictions may say at a scale, by the scales of the runs."""

import numpy as np
import pytest

from mixopt.runs import Scale
from mixopt.runs.reach import Reach

ONE = np.array([[1e6, 1e9]])
LINE = np.array([[1e6, 1e9], [1e7, 1e10]])
PLANE = np.array([[1e6, 1e9], [1e7, 1e9], [1e6, 1e10]])
TOKENS = np.array([[1e6, 1e9], [1e6, 4e9]])


@pytest.mark.parametrize(
    ("scales", "asked", "level"),
    [
        (ONE, (1e6, 1e9), "seen"),
        (ONE, (1e6, 2e9), "ranking only"),
        (LINE, (1e7, 1e10), "seen"),
        (LINE, (1e9, 1e12), "extrapolated"),
        (LINE, (3e6, 3e9), "extrapolated"),
        (LINE, (1e9, 1e9), "ranking only"),
        (TOKENS, (1e6, 1e11), "extrapolated"),
        (TOKENS, (1e8, 1e11), "ranking only"),
        (PLANE, (1e9, 1e9), "extrapolated"),
        (np.full((3, 2), np.nan), (1e6, 1e9), "ranking only"),
    ],
)
def test_levels_are_continued_along_what_the_scales_span(
    scales: np.ndarray, asked: tuple[float, float], level: str
) -> None:
    reach = Reach.to(Scale(*(int(x) for x in asked)), scales)
    assert reach.level == level
    assert reach.levels == (level != "ranking only")
    assert bool(reach.line) == (level != "seen")


def test_words_say_how_far_and_why_not() -> None:
    far = Reach.to(Scale(10**9, 10**12), LINE).line
    assert "100x the parameters" in far
    assert "spans 10x in parameters and 10x in tokens" in far
    assert "between the 2 scales" in Reach.to(Scale(3 * 10**6, 3 * 10**9), LINE).line
    assert "10x fewer tokens" in Reach.to(Scale(10**6, 10**8), TOKENS).line
    one = Reach.to(Scale(10**9, 10**9), ONE).line
    assert "no run was trained at 1B params x 1B tokens" in one
    assert "runs of one scale (1M params x 1B tokens)" in one
    assert "do not lead there" in Reach.to(Scale(10**9, 10**9), LINE).line


def test_rows_that_state_no_scale_are_left_out_and_the_rest_stand_in_order() -> None:
    rows = np.vstack([LINE[::-1], [[np.nan, 1e9]], LINE])
    assert Reach.to(Scale(1, 1), rows).seen == ((1e6, 1e9), (1e7, 1e10))
