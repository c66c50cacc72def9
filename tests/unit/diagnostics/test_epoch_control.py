"""Whether knowing epochs helps: it does, shares are all there is, or nothing is learned."""

import numpy as np
import pytest

from mixopt.diagnostics import epoch_control, objective_control
from mixopt.diagnostics.epoch_control import _scrambled
from mixopt.diagnostics.validation import as_table
from mixopt.errors import InputError
from mixopt.laws.epoch_shape import Shape, epochs
from mixopt.runs.objective import Objective
from mixopt.space import MixtureSpace

SIZES = np.array([0.02, 0.2, 0.6, 1.0])


def generator():
    return np.random.default_rng(0)


def world(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(40, 4) mixtures, and a loss that knows domains by their epochs alone."""
    W = generator().dirichlet(np.ones(4), 40)
    eta = Shape(1.0, 0.7).columns(epochs(W, sizes, 1.0)) @ np.array([0.6] * 4 + [0.2] * 4)
    return W, 0.9 + np.exp(eta)[:, None]


def test_where_the_small_domain_wears_out_its_size_helps():
    told = epoch_control(world(SIZES), SIZES, 1.0, draws=2, rng=generator())
    assert told.helps
    assert told.error < 0.05
    assert min(told.shares, told.exchanged.min()) > 0.1
    assert told.scrambled.min() > 0.7
    assert told.lines()[0].startswith("knowing epochs helps")
    again = epoch_control(world(SIZES), SIZES, 1.0, draws=2, rng=generator())
    np.testing.assert_array_equal(told.scrambled, again.scrambled)


def test_where_domains_act_by_their_shares_sizes_do_not_help():
    told = epoch_control(world(np.full(4, 0.4)), SIZES, 1.0, draws=2, folds=3, rng=generator())
    assert told.learns
    assert not told.helps
    assert told.shares < told.error
    assert told.lines()[0].startswith("knowing epochs is not seen to help")


def test_noise_is_not_learned():
    W, _ = world(SIZES)
    Y = generator().standard_normal((40, 1))
    told = epoch_control((W, Y), SIZES, 1.0, draws=3, folds=3, rng=generator())
    assert not told.learns
    assert "learns nothing" in told.lines()[0]


def test_metrics_are_exchanged_within_a_scale_and_none_is_lost():
    at = np.repeat([0, 1], [12, 28])
    table = as_table((world(SIZES)[0], np.arange(40.0)[:, None]))
    Y = _scrambled(table, at, generator()).Y[:, 0]
    assert (table.Y[:, 0] != Y).any()
    assert sorted(Y[:12]) == list(range(12))
    assert sorted(Y) == list(range(40))


@pytest.mark.parametrize(
    ("tokens", "draws", "rule"), [(np.ones(4), 2, "epochs are shares"), (SIZES, 0, "draws is 0")]
)
def test_what_cannot_be_compared_is_refused(tokens, draws, rule):
    with pytest.raises(InputError, match=rule):
        epoch_control(world(SIZES), tokens, 1.0, draws=draws, rng=generator())


def test_the_control_of_an_objective_arises_where_runs_repeat_domains_of_known_size() -> None:
    W, Y = world(SIZES)
    table, aim = as_table((W, Y)), Objective.of("metric0")
    names = table.domains

    def asked(runs=table, budget=1.0, sizes=SIZES):
        space = MixtureSpace(dict(zip(names, sizes, strict=True)), budget=budget, epochs=np.inf)
        return objective_control(runs, aim, space, rng=generator())

    told = asked()
    assert told is not None
    assert told.error < told.shares
    assert told.exchanged.size == 9
    assert asked(budget=1e-3) is None  # nothing is repeated
    assert asked(budget=None) is None
    assert asked(sizes=np.full(4, 0.1)) is None
    assert asked(runs=table.take(np.arange(40) < 20)) is None
