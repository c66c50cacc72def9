"""What a fit says of itself while it lasts."""

import numpy as np

from mixopt.laws import law
from mixopt.laws.progress import heard_by, say, within


def test_what_is_said_within_comes_after_what_it_is_part_of():
    said = []
    with heard_by(said.append):
        with within("law 1 of 2"), within("fold 1 of 5"):
            say("metric 3")
        say("done")
    say("to nobody")
    assert said == [
        "law 1 of 2",
        "law 1 of 2, fold 1 of 5",
        "law 1 of 2, fold 1 of 5, metric 3",
        "done",
    ]


def test_auto_says_which_law_fold_and_metric_it_is_at_over_scales_too():
    rng = np.random.default_rng(0)
    W = rng.dirichlet(np.ones(3), 24)
    scale = np.repeat([[1e6, 2e7], [4e6, 8e7]], 12, axis=0)
    said = []
    with heard_by(said.append):
        law("auto").fit(W[:12], W[:12, :2], rng=rng)
        assert "law 2 of 5, process of metric 2 of 2" in said
        assert "held-out runs, law 1 of 5, fold 5 of 5, process of metric 1 of 2" in said
        law("auto").fit(W, W[:, :1], scale, rng=rng)
    assert "law over scales 'correction', law 1 of 5, process of metric 1 of 1" in said
