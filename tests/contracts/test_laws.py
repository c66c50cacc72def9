import numpy as np
import pytest

from mixopt.laws import LAWS, law
from mixopt.laws.base import mean_of
from mixopt.laws.transport.costs import TransportCosts
from mixopt.testing import law_contract

# The same code with less work: the contract is about behaviour, not about accuracy.
FAST = {
    "lightgbm": {"rounds": 150, "noise_rounds": 50},
    "bootstrap": {"draws": 6},
    "auto": {"folds": 2},
    "conformal": {"folds": 4},
    "botorch": {"iterations": 25},
    "tiers": {"tiers": (1, 2, 3, 4)},
    # All domains alike, for their order must not matter.
    "epochs": {"tokens": (0.5,) * 4, "budget": 1.0},
    "projektor": {
        "costs": TransportCosts(tuple("abcd"), np.eye(4) + 0.5, 0.01, 0.2, (1.5,) * 4, (0.0,) * 4)
    },
}

# One set of parameters for all metrics is what these laws are (of the second, its shape): a metric
# does tell of the others.
JOINT = {
    (name, law_contract.ignores_the_other_metrics) for name in ("capacity-competition", "epochs")
}


# Which domain is in which tier is told by its place; and in the contract's world every metric likes
# another domain best, against any order of tiers: tests of the law have a world that keeps it.
ORDERED = {
    ("tiers", check)
    for check in (
        law_contract.ignores_the_order_of_domains,
        law_contract.takes_metrics_where_higher_is_better,
        law_contract.predicts_every_scale,
    )
}


# BoTorch takes a second for what ours do in a tenth.
SLOW = {"botorch"}
NAMES = [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in sorted(LAWS)]


@pytest.mark.parametrize("check", law_contract.CHECKS, ids=law_contract.name)
@pytest.mark.parametrize("name", NAMES)
def test_law_contract(name, check):
    if (name, check) in JOINT:
        pytest.skip("metrics share parameters")
    if (name, check) in ORDERED:
        pytest.skip("tiers have an order that this world does not keep")
    check(law(name, **FAST.get(name, {})))


@pytest.mark.parametrize("name", NAMES)
def test_the_quick_mean_is_that_of_predict(name):
    W, Y = law_contract.planted()
    fitted = law(name, **FAST.get(name, {})).fit(W, Y, rng=np.random.default_rng(1))
    new = law_contract.fresh()
    ours, theirs = mean_of(fitted, new), fitted.predict(new).mean
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
