"""Columns `epochs/<domain>`: what they tell of sizes, and what of them is refused."""

import re

import numpy as np
import pandas as pd
import pytest

from mixopt.errors import InputError
from mixopt.runs.run_table import RunTable
from mixopt.runs.table_space import table_space

SIZES = np.array([0.02, 0.5, 1.0])


def runs(n: int = 12, tokens: np.ndarray | None = None) -> pd.DataFrame:
    """Epochs at one budget of 1, or by the tokens of each run, to two decimals."""
    W = np.random.default_rng(0).dirichlet(np.ones(3), n).round(3)
    W[:, 2] = (1 - W[:, :2].sum(axis=1)).round(3)
    length = np.ones(n) if tokens is None else tokens / tokens.max()
    E = (W * length[:, None] / SIZES).round(2)
    frame = pd.DataFrame({f"w/{k}": W[:, i] for i, k in enumerate("abc")})
    frame = frame.assign(**{f"epochs/{k}": E[:, i] for i, k in enumerate("abc")})
    return frame.assign(**{"m/loss": W[:, 0]})


def test_epochs_tell_how_large_domains_are() -> None:
    table = RunTable.from_frame(runs())
    assert not any("where" in note for note in table.notes)
    space = table_space(table)
    assert space.budget == 1.0
    assert space.tokens == pytest.approx(SIZES, rel=0.03)
    assert space.knows_prior
    assert space.upper.tolist() == [1.0, 1.0, 1.0]  # nobody asked for a cap
    assert not table_space(RunTable.from_frame(runs()[["w/a", "w/b", "w/c", "m/loss"]])).knows_prior


def test_epochs_may_be_those_of_the_target_or_of_each_run() -> None:
    tokens = np.repeat([1e9, 4e9], 6)
    sized = runs().assign(params=1e6, tokens=tokens)
    by_target = table_space(RunTable.from_frame(sized))
    own = runs(tokens=tokens).assign(params=1e6, tokens=tokens)
    by_run = table_space(RunTable.from_frame(own))
    for space in (by_target, by_run):
        assert space.budget == 4e9
        assert space.tokens == pytest.approx(SIZES * 4e9, rel=0.05)


def test_a_domain_without_a_column_has_no_size() -> None:
    space = table_space(RunTable.from_frame(runs().drop(columns="epochs/c")))
    assert np.isfinite(space.tokens).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epochs/a": -1.0}, "column 'epochs/a' holds -1.0 in row 4"),
        ({"epochs/a": np.nan}, "column 'epochs/a' holds nan in row 4"),
        ({"epochs/a": np.inf}, "column 'epochs/a' holds inf in row 4"),
        ({"epochs/b": 0.0}, "column 'epochs/b' holds 0 in row 4"),
        ({"epochs/b": 0.5, "w/b": 0.0}, "where its weight is 0"),
        ({"epochs/b": 7.0}, "column 'epochs/b' holds 7 in row 4"),
        ({"epochs/d": 1.0}, "column 'epochs/d' counts epochs of no domain"),
    ],
)
def test_what_no_size_explains_is_refused(change: dict[str, float], told: str) -> None:
    frame = runs()
    for column, value in change.items():
        frame.loc[3, column] = value
    frame.loc[3, "w/c"] = 1 - frame.loc[3, ["w/a", "w/b"]].sum()
    with pytest.raises(InputError, match=re.escape(told)):
        RunTable.from_frame(frame)
