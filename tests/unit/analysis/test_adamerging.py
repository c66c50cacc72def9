"""Merges are compared seed by seed."""

import pandas as pd

from analysis import adamerging


def test_a_way_is_compared_with_the_uniform_merge_of_the_same_seed() -> None:
    rows = [
        {
            "way": str(way),
            "seed": seed,
            "uniform": 3.0 + seed,
            "learned": 3.0 + seed + by,
            "before": 4.0,
            "after": 3.5,
            **dict.fromkeys(adamerging.DOMAINS, 0.3),
            "cpu_s": 1.0,
        }
        for way, by in zip(adamerging.WAYS, (-0.1, 0.5, 0.2, 0.0), strict=True)
        for seed in range(3)
    ]
    lines = adamerging.summary(pd.DataFrame(rows))
    assert lines[0].startswith("loss: -0.1000 +- 0.0000 bits per byte")
    assert lines[1].startswith("entropy, guard 0: +0.5000 +- 0.0000")
