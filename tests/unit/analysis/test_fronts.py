"""The measure by which fronts of two choosers are compared."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("botorch")

from analysis.fronts import worlds


def test_more_runs_never_dominate_less_and_what_breaks_the_guard_counts_for_nothing() -> None:
    made = next(w for w in worlds() if w.guarded)
    W = made.world.space.sample(60, np.random.default_rng(1))
    assert 0 < made.volume(W[:30]) <= made.volume(W)
    truth, place = made.world.truth(W), made.objectives
    broken = truth[:, place] > made.world.truth(made.world.space.prior[None])[0, place]
    assert broken.any()
    assert made.volume(W[~broken]) == pytest.approx(made.volume(W))
