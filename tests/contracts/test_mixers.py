"""Every mixer of the table passes the contract that users' own must pass."""

from typing import Any

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.mixers import MIXERS, Mixer, Session, mixer
from mixopt.testing import mixer_contract
from mixopt.testing.mixing import Anything, drive

SETTINGS: dict[str, dict[str, Any]] = {
    "aioli": {"every": 40, "rounds": 1},
    "grape": {"every": 20, "scaled": True},
    "skill-it": {"every": 40, "graph_steps": 10},
    "dml": {"new": ["c"], "every": 40, "probe_steps": 5},
    "fd": {"every": 40, "probe_steps": 5},
    "ado": {"warmup": 20, "refit": 60, "stride": 2},
    "velocitune": {"goals": {"a": 0.1, "b": 0.1, "c": 0.1, "d": 0.1}, "every": 40},
    "alp-gmm": {"every": 5, "first": 20, "refit": 20},
    "fixed": {"every": 40},
}
QUICK = {"doremi", "doge", "odm", "exp3", "ado"}  # update at every step in their papers


def made(name: str) -> Mixer:
    settings = SETTINGS.get(name, {"every": 20} if name != "cyclical" else {})
    if name in QUICK:
        settings = {"every": 4, **settings}
    return mixer(name, **settings)


@pytest.mark.parametrize("check", mixer_contract.CHECKS, ids=mixer_contract.name)
@pytest.mark.parametrize("name", sorted(MIXERS))
def test_contract(name: str, check: mixer_contract.Check) -> None:
    check(made(name))


ELSEWHERE = {"alp-gmm", "cyclical", "dml", "doremi", "exp3", "moe", "odm", "skill-it", "aioli"}
ELSEWHERE |= {"softmax-loss"}


@pytest.mark.parametrize("name", sorted(set(MIXERS) - ELSEWHERE))
def test_signals_that_say_nothing_leave_the_prior(name: str) -> None:
    """ADO needs a loss that falls; zero curves give zero slopes, and the prior."""
    setup = mixer_contract.setup()
    session = drive(Session.begin(made(name), setup), Anything(setup, "zero"))
    np.testing.assert_allclose(session.state.weights, (0.5, 0.3, 0.2), atol=1e-9)


@pytest.mark.parametrize("name", ["aioli", "skill-it", "softmax-loss", "odm", "exp3"])
def test_methods_that_start_afresh_go_to_equal_shares(name: str) -> None:
    setup = mixer_contract.setup()
    session = drive(Session.begin(made(name), setup), Anything(setup, "zero"))
    np.testing.assert_allclose(session.state.weights, np.full(3, 1 / 3), atol=1e-9)


@pytest.mark.parametrize("name", ["doremi", "moe"])
def test_methods_with_smoothing_drift_towards_equal_shares(name: str) -> None:
    setup = mixer_contract.setup()
    session = drive(Session.begin(made(name), setup), Anything(setup, "equal"))
    updates = session.state.period - 1
    c = {"doremi": 1e-4, "moe": 0.05}[name]
    expected = 1 / 3 + (1 - c) ** updates * (np.array([0.5, 0.3, 0.2]) - 1 / 3)
    np.testing.assert_allclose(session.state.weights, expected, atol=1e-9)


def test_another_seed_matters_where_a_method_draws_alone() -> None:
    for name in sorted(MIXERS):
        runs = []
        for seed in (0, 1):
            setup = mixer_contract.setup(seed=seed)
            end = drive(Session.begin(made(name), setup), Anything(mixer_contract.setup()))
            runs.append(end.state.weights)
        assert (runs[0] != runs[1]) == (name in {"aioli", "alp-gmm"}), name


def test_own_mixers_are_named_by_module_and_attribute() -> None:
    own = mixer("mixopt.mixers.doge:DoGE", every=3)
    assert own == mixer("doge", every=3)
    with pytest.raises(InputError, match="did you mean 'aioli'"):
        mixer("aioly")
    with pytest.raises(InputError, match="lacks some of needs, start, plan"):
        mixer("mixopt.space:Mixture", domains=("a",), weights=(1.0,))
    with pytest.raises(InputError, match="no setting 'etta'"):
        mixer("aioli", etta=1.0)
    with pytest.raises(InputError, match=r"eta is -1(\.0)?; give a number above 0"):
        mixer("aioli", eta=-1.0)
