import pytest

from mixopt.laws import LAWS, law
from mixopt.testing import law_contract

# The same code with less work: the contract is about behaviour, not about accuracy.
FAST = {
    "lightgbm": {"rounds": 150, "noise_rounds": 50},
    "bootstrap": {"draws": 6},
    "auto": {"folds": 2},
    "conformal": {"folds": 4},
}


@pytest.mark.parametrize("check", law_contract.CHECKS, ids=law_contract.name)
@pytest.mark.parametrize("name", sorted(LAWS))
def test_law_contract(name, check):
    check(law(name, **FAST.get(name, {})))
