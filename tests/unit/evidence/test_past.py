"""What is learned from promotions that were made before."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mixopt.diagnostics import trust
from mixopt.diagnostics.gates import Gate
from mixopt.evidence.past import Past, latest, learned, past_promotions, read_past, realised

GOOD = Past("a", "promotion", 10, 100, "natural", 0.10, 0.08, 0.06, 0.1, 0.9, 5)
BAD = replace(GOOD, study="b", measured=0.01)


def test_a_record_comes_back_from_json_missing_numbers_too() -> None:
    alone = replace(GOOD, measured=float("nan"), rank=float("nan"))
    kept = json.loads(json.dumps(alone.to_dict(), allow_nan=False))
    other = [{**kept, "format": 9}, {"format": 1, "study": "a"}, {}]
    (back,), odd = read_past([kept, *other])
    assert odd == 3  # of other versions of mixopt; they stop nobody
    assert np.isnan(back.measured)
    assert back.to_dict() == alone.to_dict()
    assert GOOD.share == pytest.approx(0.8)
    assert GOOD.optimism == pytest.approx(0.02)


def test_a_study_counts_once_by_its_large_run() -> None:
    large = replace(GOOD, where="large run", measured=0.05)
    again = replace(GOOD, measured=0.09)
    assert latest([GOOD, large, again]) == (large,)
    assert latest([GOOD, again]) == (again,)
    assert latest([replace(GOOD, measured=float("nan"))]) == ()
    assert realised([GOOD, BAD]) == pytest.approx(0.45)
    assert np.isnan(realised([]))


def test_the_gate_has_value_interval_and_threshold() -> None:
    none = past_promotions([])
    assert (none.state, none.allows) == ("not measured", "trust")
    one = past_promotions([BAD])
    assert (one.state, one.allows, one.value) == ("no", "trust", pytest.approx(0.1))
    assert np.isnan(one.low)
    two = past_promotions([GOOD, BAD])
    assert (two.state, two.allows) == ("no", "ranking only")
    assert two.low < two.value < two.high
    assert "2 earlier studies realised 45 % of the gain" in two.told
    assert past_promotions([GOOD, replace(GOOD, study="c")]).state == "yes"


def test_promotions_that_came_false_lower_the_trust() -> None:
    verdict = trust([Gate("ranking", "yes", "well ranked")], ["epochs"])
    assert learned(verdict, [GOOD]).level == "trust"
    lowered = learned(verdict, [BAD, replace(BAD, study="c")])
    assert lowered.level == "ranking only"
    assert lowered.gates[0] == verdict.gates[0]
    assert lowered.unasked == verdict.unasked
