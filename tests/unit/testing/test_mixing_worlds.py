"""Mixers in worlds whose answers are known (METHODS-ONLINE, section G)."""

import numpy as np
import pytest

from mixopt.mixers import Session, Setup, course, mixer
from mixopt.mixers.ado import preference
from mixopt.mixers.differences import guarded_step
from mixopt.mixers.teacher import Teacher, empty, fitted, noted
from mixopt.space import Domain, MixtureSpace
from mixopt.testing.mixing import MixingWorld, drive, run, scripted, setup_of
from mixopt.testing.mixing_worlds import (
    TARGET,
    Decrements,
    Game,
    Powers,
    Quadratic,
    Routers,
    reward_in,
)

SPACE = MixtureSpace(["a", "b", "c"])
A = np.array([[0.03, 0.01, 0.0], [0.005, 0.02, 0.005], [0.0, 0.002, 0.01]])


def ending(name: str, world: MixingWorld, setup: Setup, **settings: object) -> Session:
    return run(mixer(name, **settings), world, setup)


def test_aioli_recovers_the_matrix_of_a_world_of_decrements() -> None:
    for focus, every in ((0.625, 250), (0.75, 200)):
        setup = setup_of(SPACE, steps=600, start=(0.5, 0.3, 0.2))
        world = Decrements(A, np.full(3, 50.0))
        end = ending("aioli", world, setup, focus=focus, every=every)
        np.testing.assert_allclose(end.state.memory["raw"], 4 * A, atol=1e-10)
        # in no order of domains do the weights leave each other by more than e^eta
        w = np.array(end.state.weights)
        assert w.max() / w.min() < np.exp(0.2)
        assert w.argmax() == A.sum(axis=0).argmax()


def test_aioli_recovers_it_through_constraints_on_its_probes() -> None:
    space = MixtureSpace(["a", "b", "c"], {"a": (0.1, 0.4), "b": (0.0, 0.45)})
    world = Decrements(A, np.full(3, 50.0))
    end = ending("aioli", world, setup_of(space, steps=600))
    np.testing.assert_allclose(end.state.memory["raw"], 4 * A, atol=1e-10)


def test_the_greedy_optimum_is_reached_without_a_memory() -> None:
    world = Decrements(A, np.full(3, 500.0))
    setup = setup_of(SPACE, steps=5000)
    end = ending("aioli", world, setup, memory=None, eta=4.0, every=100)
    assert end.state.weights[int(A.sum(axis=0).argmax())] > 0.99


def test_a_memory_lowers_the_noise_of_the_matrix() -> None:
    """Var of the mean over time is (1 - ema) / (1 + ema) of that of one round."""
    raw, smooth = [], []
    for seed in range(24):
        world = Decrements(A, np.full(3, 50.0), noise=0.01, seed=seed)
        setup = setup_of(SPACE, steps=660, seed=seed)
        made = mixer("aioli", every=60, memory=0.6, normalised=False)
        end = run(made, world, setup)
        raw.append(end.state.memory["raw"])
        smooth.append(end.state.memory["A"])
    ratio = np.var(smooth, axis=0).mean() / np.var(raw, axis=0).mean()
    assert ratio == pytest.approx(0.4 / 1.6, rel=0.35)


def test_skill_its_graph_is_what_the_world_does_in_a_branch() -> None:
    losses = np.array([5.0, 4.0, 3.0])
    setup = setup_of(SPACE, steps=100)
    session = drive(
        Session.begin(mixer("skill-it", every=50, graph_steps=10), setup),
        Decrements(A, losses),
        until=4,
    )
    expected = 10 * A.T / losses
    np.testing.assert_allclose(session.state.memory["graph"], expected, atol=1e-10)
    assert session.state.work == {"steps": 0, "branch_steps": 30, "heldout": 4}


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": 0.1, "mu": 0.05, "targets": "heldout", "normalised": False, "clip": 1e9},
        {"rate": 0.1, "mu": 0.05, "targets": "heldout"},
    ],
)
def test_doge_finds_the_optimum_of_the_quadratic_world(settings: dict[str, object]) -> None:
    setup = setup_of(SPACE, steps=4000, targets=["t"])
    end = ending("doge", Quadratic(), setup, every=1, **settings)
    np.testing.assert_allclose(end.state.weights, TARGET, atol=1e-6)
    average = course(setup, end.state).time_average.array
    np.testing.assert_allclose(average, TARGET, atol=4e-4)


def test_fastmix_oscillates_and_its_average_is_the_optimum() -> None:
    setup = setup_of(SPACE, steps=4000, targets=["t"])
    made = mixer("fastmix", every=1)
    average = course(setup, run(made, Quadratic(), setup).state).time_average.array
    np.testing.assert_allclose(average, TARGET, atol=2e-3)


def test_balance_chatters_and_its_average_is_near_the_optimum() -> None:
    setup = Setup(SPACE, (1 / 3,) * 3, ("a", "b", "c"), TARGET, tokens=10**6, steps=4000)
    end = ending("r&b", Quadratic(), setup, every=1)
    average = course(setup, end.state).time_average.array
    np.testing.assert_allclose(average, (0.487, 0.299, 0.214), atol=5e-3)


def test_finite_differences_are_biased_by_their_step_alone() -> None:
    for delta, error in ((0.05, 0.02), (1e-3, 1e-3)):
        setup = setup_of(SPACE, steps=3000, targets=["t"])
        made = mixer("fd", every=10, probe_steps=10, delta=delta, eta=5.0)
        end = run(made, Quadratic(), setup)
        np.testing.assert_allclose(end.state.weights, TARGET, atol=error)


def test_guards_hold_in_the_linear_programme() -> None:
    space = MixtureSpace(["a", "b", "c"], {"a": (0.0, 0.6)})
    w, slope = np.array([0.5, 0.3, 0.2]), np.array([-3.0, -1.0, 0.0])
    free = guarded_step(space, w, slope, np.zeros((0, 3)), 0.2)
    np.testing.assert_allclose(free, [0.1, 0.1, -0.2], atol=1e-9)
    guard = np.array([[1.0, 0.0, 0.0]])  # more of a raises it
    held = guarded_step(space, w, slope, guard, 0.2)
    assert (guard @ held <= 1e-9).all()
    assert held.sum() == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(held, [0.0, 0.2, -0.2], atol=1e-9)


def test_doremi_solves_its_game() -> None:
    setup = setup_of(MixtureSpace(["a", "b"]), steps=4001, targets=["t"])
    end = ending("doremi", Game(), setup, eta=0.1)
    assert end.state.weights[0] == pytest.approx(0.599585, abs=2e-5)
    average = course(setup, end.state).time_average.array
    assert average[0] == pytest.approx(0.598605, abs=5e-5)


@pytest.mark.parametrize(
    ("credit", "expected"),
    [
        (0.0, (0.246268, 0.324953, 0.428778)),
        (0.5, (0.226541, 0.320377, 0.453082)),
        (1.0, (0.195800, 0.310814, 0.493386)),
    ],
)
def test_ado_reaches_the_optimum_with_full_credit_and_own_counts_alone(
    credit: float, expected: tuple[float, ...]
) -> None:
    """The true law given; in proportion to B^(1 / (2 + alpha - s)), the optimum at s = 1."""
    world = Powers(np.array([1.0, 2.0, 4.0]))
    q = np.full(3, 1 / 3)
    p = mean = history = q
    for t in range(1, 10_001):
        slope = 0.5 * world.amplitude * world.counts**-1.5
        d = preference(slope, q, history, credit)
        p = 0.9 * mean + 0.1 * d
        mean = (1 - 1 / (t + 1)) * mean + d / (t + 1)
        history = 0.9 * history + 0.1 * p
        world.train(p, np.ones(3), 1)
    np.testing.assert_allclose(p, expected, atol=2e-3 if credit == 1.0 else 2e-4)
    if credit == 1.0:
        np.testing.assert_allclose(world.optimum, expected, atol=1e-6)


def test_ado_fits_the_law_itself() -> None:
    setup = setup_of(SPACE, steps=3000)
    made = mixer("ado", own_counts=True, warmup=100, refit=300, stride=5)
    world = Powers(np.array([1.0, 2.0, 4.0]))
    state = run(made, world, setup).state
    np.testing.assert_allclose(state.memory["law"][2], 0.5, atol=0.08)
    np.testing.assert_allclose(state.memory["law"][0], 1.0, atol=0.02)
    assert state.weights[2] > state.weights[1] > state.weights[0]
    assert any("drift" in note.text and note.largest > 0.05 for note in state.notes)


def test_ados_default_squares_the_prior_where_all_laws_are_equal() -> None:
    q = np.array([0.5, 0.3, 0.2])
    history = mean = q
    for t in range(1, 20_001):
        d = preference(np.ones(3), q, history, 0.5)
        p = 0.9 * mean + 0.1 * d
        mean = (1 - 1 / (t + 1)) * mean + d / (t + 1)
        history = 0.9 * history + 0.1 * p
    np.testing.assert_allclose(p, (0.657895, 0.236842, 0.105263), atol=2e-3)


def test_progress_goes_to_what_is_learnt_and_loss_to_what_is_not() -> None:
    """A domain with a high loss that never falls: the published reward prefers it."""
    losses = {}
    for reward in ("loss", "progress"):
        world = Powers(np.array([0.0, 2.0, 2.0]), floor=np.array([5.0, 1.0, 1.0]))
        setup = setup_of(SPACE, steps=400)
        losses[reward] = ending("odm", world, setup, reward=reward).state.weights
    assert losses["loss"][0] > 1 / 3 > losses["progress"][0]


def test_equal_routers_move_weights_by_smoothing_alone() -> None:
    setup = setup_of(SPACE, steps=201, start=(0.5, 0.3, 0.2), targets=["t"])
    end = ending("moe", Routers(np.full((3, 4), 0.25)), setup, every=100)
    expected = 1 / 3 + 0.95**2 * (np.array([0.5, 0.3, 0.2]) - 1 / 3)
    np.testing.assert_allclose(end.state.weights, expected, atol=1e-12)


def test_no_method_passes_its_epochs_however_hard_it_pulls() -> None:
    """World RM: one domain is small, and helps all targets most."""
    domains = [Domain("a", 100.0), Domain("b", 2000.0), Domain("c", 2000.0)]
    space = MixtureSpace(domains, budget=3000.0, epochs=3.0)
    setup = setup_of(space, steps=3000, tokens=3000)
    for name in ("softmax-loss", "grape"):
        world = scripted(
            {
                "train_loss": [1e3, 0.0, 0.0],
                "gram_target": [[1e3] * 3, [0.0] * 3, [0.0] * 3],
                "heldout": [1.0] * 3,
            }
        )
        end = ending(name, world, setup, every=100)
        assert end.state.used[0] == pytest.approx(300.0, rel=1e-9)  # and it is used up


def test_probes_that_constraints_make_alike_are_said_to_be() -> None:
    """A cap of .1 on every probe's share of a domain leaves nothing to tell it by."""
    space = MixtureSpace(["a", "b", "c"], {"a": (0.0, 0.1)})
    end = ending("aioli", Decrements(A, np.full(3, 50.0)), setup_of(space, steps=600))
    assert any("alike" in note.text for note in end.state.notes)


def test_a_teacher_goes_where_rewards_change() -> None:
    """Share of its own draws within [.35, .65]: .996 to .999 over four seeds in the reference."""
    reward, teacher = reward_in(0.4, 0.6), Teacher()
    memory, box = empty(1), np.array([[0.0], [1.0]])
    inside = []
    for number in range(1500):
        rng = np.random.default_rng([7, number])
        x = teacher.task(memory, box, rng)
        own = len(memory["mixture"]) and np.random.default_rng([7, number]).random() >= 0.2
        if own:
            inside.append(0.35 <= x[0] <= 0.65)
        memory = noted(memory, x, reward(float(x[0])))
        if teacher.due(memory):
            memory = fitted(memory, number)
    assert np.mean(inside) > 0.95


def test_two_halves_of_a_domain_get_twice_the_weight_from_methods_that_start_afresh() -> None:
    """What a user should know: such methods depend on how domains are cut."""
    losses = np.array([2.0, 2.0])
    whole = run(mixer("softmax-loss", every=10), _Fixed(losses), setup_of(_space(2), steps=50))
    split = run(
        mixer("softmax-loss", every=10), _Fixed(losses[[0, 0, 1]]), setup_of(_space(3), steps=50)
    )
    assert whole.state.weights[0] == pytest.approx(0.5)
    assert split.state.weights[0] + split.state.weights[1] == pytest.approx(2 / 3)


class _Fixed:
    def __init__(self, losses: np.ndarray) -> None:
        self.losses = losses

    def train(self, sampling: np.ndarray, loss_weight: np.ndarray, steps: int) -> None:
        pass

    def signals(self, wanted: frozenset[str]) -> dict[str, np.ndarray]:
        return dict.fromkeys(wanted, self.losses)


def _space(m: int) -> MixtureSpace:
    return MixtureSpace([f"d{i}" for i in range(m)])
