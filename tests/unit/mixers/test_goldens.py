"""Golden values of METHODS-ONLINE: computed by a script of its own, to 1e-5."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mixopt.mixers import Measured, Session, Setup, mixer
from mixopt.mixers.ado import Law, preference
from mixopt.mixers.aioli import Aioli, normalised
from mixopt.mixers.cycles import Cycles
from mixopt.mixers.experts import gate_distance
from mixopt.mixers.kernel import softmax
from mixopt.mixers.odm import exploration, exponential_weights, linear_weights
from mixopt.mixers.pike import batch_counts
from mixopt.mixers.retention import critical_share, largest_share
from mixopt.mixers.skill_it import graph_of
from mixopt.mixers.velocitune import left_to_go
from mixopt.space import MixtureSpace
from mixopt.testing.mixing import Script, drive, scripted, setup_of

THIRD = (1 / 3, 1 / 3, 1 / 3)
W = (0.5, 0.3, 0.2)
GRAM = [[4, 1, -1], [1, 2, 0.5], [-1, 0.5, 1]]
SPACE = MixtureSpace(["a", "b", "c"])


def near(values: Any, expected: Sequence[float]) -> None:
    np.testing.assert_allclose(np.asarray(values), expected, atol=1e-5)


def after(
    name: str, signals: Any, start: Sequence[float], updates: int = 1, **settings: Any
) -> Any:
    """The state after some updates by the same signals; those of its first look count."""
    setup = setup_of(SPACE, start=start, steps=1000, targets=settings.pop("tasks", None))
    made = mixer(name, every=1, **settings)
    world = signals if isinstance(signals, Script) else scripted(signals)
    return drive(Session.begin(made, setup), world, until=updates).state


@pytest.mark.parametrize(
    ("start", "expected"),
    [(THIRD, (0.315616, 0.258465, 0.425920)), (W, (0.492165, 0.241940, 0.265895))],
)
def test_doremi(start: Sequence[float], expected: Sequence[float]) -> None:
    state = after("doremi", {"excess": [0.2, 0.0, 0.5]}, start, smoothing=1e-3)
    near(state.weights, expected)


def test_doge() -> None:
    near(after("doge", {"gram": GRAM}, W, rate=1e-3).weights, (0.527627, 0.306000, 0.166373))
    others = after("doge", {"gram": GRAM}, W, rate=1e-3, targets="others")
    near(others.weights, (0.484404, 0.321834, 0.193762))


def test_grape() -> None:
    signals = {"gram_target": [[0.8, 0.1], [0.2, 0.6], [0, -0.2]], "heldout": [2.0, 4.0]}
    shipped = after("grape", signals, W, tasks=["x", "y"])
    near(shipped.weights, (0.519999, 0.306843, 0.173158))
    near(shipped.memory["tasks"], (0.280582, 0.719418))
    plain = after("grape", signals, W, tasks=["x", "y"], loss="plain")
    near(plain.weights, (0.555088, 0.316809, 0.128103))
    near(plain.memory["tasks"], (0.270199, 0.729801))


def test_skill_it() -> None:
    graph = [[1, 0.2, 0], [0.1, 1, 0], [0, 0.3, 1]]
    losses = [np.array(x) for x in [(2.5, 1.8, 3.5), (2.2, 1.7, 3.2), (2.0, 1.6, 3.0)]]
    near(
        after("skill-it", {"heldout": losses[0]}, W, 0, graph=graph).weights,
        (0.333289, 0.326689, 0.340022),
    )
    seen = after("skill-it", Script({"heldout": losses}), W, 3, graph=graph)
    near(seen.weights, (0.270648, 0.183244, 0.546109))
    rows = [np.array(r) for r in [(2.4, 1.9, 4), (2.9, 1.5, 3.9), (3, 2, 3.2)]]
    measured = graph_of(np.array([3.0, 2.0, 4.0]), rows)
    near(measured, [[0.2, 0.05, 0], [0.033333, 0.25, 0.025], [0, 0, 0.2]])


def test_aioli() -> None:
    A = np.array([[0.3, 0.1, 0], [0.05, 0.2, 0.05], [0, 0.02, 0.1]])
    method = Aioli(focus=0.75)
    P = np.full((3, 3), 0.125) + 0.625 * np.eye(3)
    G = A @ P.T
    near(G, [[0.2375, 0.1125, 0.05], [0.06875, 0.1625, 0.06875], [0.015, 0.0275, 0.0775]])
    np.testing.assert_allclose(method.solved(G, P), A, atol=1e-12)
    sums = normalised(A).sum(axis=0)
    near(sums, (0.426829, 0.390244, 0.182927))
    near(softmax(0.2 * sums), (0.339547, 0.337072, 0.323381))
    near(softmax(sums), (0.363949, 0.350874, 0.285177))
    shifted = normalised(np.array([[0.3, -0.05], [0.1, 0.2]]))
    near(shifted, [[0.466667, 0], [0.2, 0.333333]])
    near(normalised(np.zeros((2, 2))), np.zeros((2, 2)))


def test_odm() -> None:
    assert exploration(40, 3) == pytest.approx(0.095682, abs=1e-5)
    losses = {"train_loss": [3.0, 2.0, 4.0]}
    for updates in (1, 2, 3):  # m ln m = 3.3
        near(after("odm", losses, THIRD, updates, reward="loss").weights, THIRD)
    assert after("odm", losses, THIRD, 4, reward="loss").weights[2] > 1 / 3
    near(after("odm", losses, THIRD, 40, reward="loss").weights, (0.333975, 0.236669, 0.429356))
    assert exploration(4, 3) == pytest.approx(0.302574, abs=1e-5)
    near(linear_weights(np.array([20.0, 8.0, 50.0]), 4), (0.326235, 0.312038, 0.361727))
    assert np.isfinite(exponential_weights(np.array([1e9, 0.0, -1e9]), 5)).all()


def test_exp3_and_softmax() -> None:
    losses = {"train_loss": [3.0, 2.0, 4.0]}
    near(after("exp3", losses, THIRD, reward="loss").weights, (0.324532, 0.249058, 0.426410))
    near(after("softmax-loss", losses, THIRD).weights, (0.244728, 0.090031, 0.665241))


def test_ado() -> None:
    law = Law(np.array([2.0, 1.5, 1.8]), np.array([2.0, 1.0, 3.0]), np.array([0.3, 0.2, 0.4]))
    q, n = np.array(W), np.full(3, 1000.0)
    near(law.loss(n), (2.930227, 2.182802, 3.067312))
    d = preference(law.slope(n), q, q, 0.5)
    near(d, (0.592780, 0.134814, 0.272406))
    # the mixer itself, from a state whose law is this one
    setup = setup_of(SPACE, start=W, steps=2000)
    made = mixer("ado", warmup=0, refit=10_000)
    state = made.start(setup)
    memory = dict(state.memory) | {"law": np.array([law.floor, law.scale, law.exponent])}
    near_end = vars(state) | {"step": 999, "memory": memory, "period": 0}
    session = Session(made, setup, type(state)(**near_end), ())
    session = Session(made, setup, session.state, made.plan(setup, session.state))
    drawn = drive(session, scripted({"train_loss": np.ones(3)}), until=1).state
    near(drawn.weights, (0.509278, 0.283481, 0.207241))
    near(drawn.memory["mean"], (0.546390, 0.217407, 0.236203))


def test_pike() -> None:
    signals = {"grad_sq": [4.0, 1.0, 2.0], "grad_var": [100.0, 400.0, 50.0]}
    state = after("pike", signals, W, relative=False)
    near(state.weights, (0.578272, 0.228613, 0.193115))
    assert batch_counts(np.array(state.weights), 64).tolist() == [37, 15, 12]
    near(softmax(2.0 * np.array([2.0, 1.5, 1.8])), (0.490629, 0.180492, 0.328879))


def test_fastmix() -> None:
    product = {"gram_target": [[0.02], [0.05], [0.01]]}
    exact = after("fastmix", product, THIRD, tasks=["x"], epsilon=0.0)
    near(exact.weights, (0.331104, 0.337792, 0.331104))
    near(after("fastmix", product, THIRD, tasks=["x"]).weights, (0.331127, 0.337768, 0.331105))


def test_balance() -> None:
    gram = [[1, 0.2, 0], [0.2, 1, 0.1], [0, 0.1, 0.5]]
    setup = Setup(SPACE, THIRD, SPACE.names, W, tokens=1000, steps=100)
    made = mixer("r&b", every=1)
    state = drive(Session.begin(made, setup), scripted({"gram": gram}), until=1).state
    near(state.weights, (0.582166, 0.322739, 0.095095))


def test_velocitune() -> None:
    now, start, goal = np.array([2.5, 2.1, 3.9]), np.array([3, 2.5, 4]), np.array([2.0, 2.0, 3.0])
    near(left_to_go(now, start, goal), (0.5, 0.2, 0.9))
    near(left_to_go(now, np.array([3, 1.9, 4]), goal), (0.5, 0.0, 0.9))
    goals = dict(zip(SPACE.names, goal.tolist(), strict=True))
    state = after("velocitune", Script({"heldout": [start, now]}), W, 2, goals=goals)
    near(state.weights, (0.489903, 0.217757, 0.292340))


def test_moe() -> None:
    load = np.array([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]])
    near(gate_distance(load), (0.235702, 0.188562, 0.141421))
    near(after("moe", {"gate_load": load}, W).weights, (0.637465, 0.249140, 0.113395))


def test_finite_differences() -> None:
    setup = setup_of(SPACE, start=W, targets=["x"])
    session = Session.begin(mixer("fd"), setup)
    for f in (2.0, 1.99, 2.0, 1.97):
        session = session.after(Measured(10, (3.0, 3.0, 3.0), {"heldout": np.array([f])}))
    near(session.state.weights, (0.492256, 0.267247, 0.240497))


def test_retention() -> None:
    assert critical_share(1.5, 0.5, 1.2, 2.1) == pytest.approx(0.151935, abs=1e-6)
    r = np.array([0.0, 0.25, 0.5, 1.0])
    share = largest_share(r, 1.5 + 0.5 * np.exp(1.2 * r), 2.1)
    assert share == pytest.approx(0.151935, abs=2e-3)
    assert largest_share(r, 1.5 - 0.1 * r, 2.1) == 1.0
    assert largest_share(r, 2.5 + 0.1 * r, 2.1) == 0.0


def test_cycles() -> None:
    sizes = Cycles().sizes()
    assert sizes == (0.25, 0.5, 1, 0.5, 0.25, 0.5, 1, 0.5, 0.25, 0.5, 1)
    assert sum(sizes) == 6.25
