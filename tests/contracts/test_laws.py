import numpy as np
import pytest

from mixopt.laws import LAWS, law
from mixopt.laws.base import mean_of
from mixopt.laws.transport.costs import TransportCosts
from mixopt.testing import law_contract
from mixopt.testing.law_worlds import ALIKE, LawWorld, fresh

COSTS = np.diag([1.0, 1.1, 0.9, 1.2]) + 0.5

# The same code with less work: the contract is about behaviour, not about accuracy.
FAST = {
    "lightgbm": {"rounds": 150, "noise_rounds": 50},
    "bootstrap": {"draws": 6},
    "auto": {"folds": 2},
    "conformal": {"folds": 4},
    "botorch": {"iterations": 25},
    "projektor": {
        "costs": TransportCosts(
            tuple("abcd"), COSTS, 0.01, 0.2, tuple(COSTS.diagonal()), (0.0,) * 4
        )
    },
}

# One set of parameters for all metrics is what these laws are (of the second, its shape): a metric
# does tell of the others.
JOINT = {
    (name, law_contract.ignores_the_other_metrics) for name in ("capacity-competition", "epochs")
}


# A law that asks what is known of the domains is told it by a world in which that is known.
WORLDS = {"tiers": LawWorld(tiers=True), "epochs": LawWorld(sizes=True)}

# BoTorch takes a second for what ours do in a tenth.
SLOW = {"botorch"}
NAMES = [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in sorted(LAWS)]


@pytest.mark.parametrize("check", law_contract.CHECKS, ids=law_contract.name)
@pytest.mark.parametrize("name", NAMES)
def test_law_contract(name, check):
    if (name, check) in JOINT:
        pytest.skip("metrics share parameters")
    check(law(name, **FAST.get(name, {})), WORLDS.get(name, ALIKE))


@pytest.mark.parametrize("name", NAMES)
def test_the_quick_mean_is_that_of_predict(name):
    world = WORLDS.get(name, ALIKE)
    W, Y = world.planted()
    fitted = world.tell(law(name, **FAST.get(name, {}))).fit(W, Y, rng=np.random.default_rng(1))
    new = fresh()
    ours, theirs = mean_of(fitted, new), fitted.predict(new).mean
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
