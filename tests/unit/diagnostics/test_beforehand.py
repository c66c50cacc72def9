"""The width of an answer, before anything came out: monotone, and right on average."""

import numpy as np
import pytest

from mixopt import MixtureSpace
from mixopt.diagnostics import beforehand, expected_width
from mixopt.diagnostics.beforehand import TYPICAL_NOISE, Expected
from mixopt.errors import InputError

SPACE = MixtureSpace(["a", "b", "c", "d"])


def width(n: int, noise: float, space: MixtureSpace = SPACE) -> Expected:
    W = np.random.default_rng(1).dirichlet(np.ones(space.dim), n)
    return expected_width(W, space, noise=noise, rng=np.random.default_rng(0))


def test_more_runs_and_less_noise_tell_more_and_more_domains_less() -> None:
    assert width(80, 0.2).half < width(40, 0.2).half < width(20, 0.2).half
    assert width(40, 0.1).half < width(40, 0.2).half < width(40, 0.5).half
    many = MixtureSpace([f"d{i}" for i in range(12)])
    assert width(40, 0.2, many).half > width(40, 0.2).half


def test_the_known_tables_are_as_wide_as_was_said_on_average() -> None:
    """smooth-4 of mixopt.testing.tables: 32 runs, noise .2; fits show .27 to .45 (auto)."""
    assert 0.2 < width(32, 0.2).half < 0.5


def test_a_design_of_one_mixture_or_a_noise_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="add runs"):
        expected_width(np.full((9, 4), 0.25), SPACE, noise=0.1, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="noise is nan"):
        width(20, float("nan"))


def test_what_is_said_counts_in_seed_sds_as_the_gate_does() -> None:
    one = Expected(32, 0.2, 0.3)
    assert one.seeds == pytest.approx(1.5)
    assert one.enough
    assert "32 runs" in one.line
    assert "trusted" not in one.line
    wide = Expected(32, 0.2, 0.41)
    assert not wide.enough
    assert "trusted from 2 down" in wide.line
    # Below a tenth of the spread noise counts as that, as for the gate.
    assert Expected(32, 0.01, 0.3).seeds == pytest.approx(3.0)
    W = np.random.default_rng(1).dirichlet(np.ones(4), 20)
    assert [e.noise for e in beforehand(W, SPACE)] == list(TYPICAL_NOISE)
