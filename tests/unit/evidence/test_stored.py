"""What is stored comes back as it was, whatever a diagnostic could not say."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import InputError
from mixopt.evidence.stored import plain, restored
from mixopt.space.simplex import Array

numbers = st.floats(allow_nan=True, allow_infinity=True)


@dataclass(frozen=True)
class Inner:
    name: str
    value: float


@dataclass(frozen=True)
class Outer:
    inner: Inner
    maybe: Inner | None
    many: tuple[Inner, ...]
    pair: tuple[float, float]
    by_name: dict[str, tuple[float, float]]
    rows: Array
    tags: frozenset[str]
    secret: Any = field(default=None, metadata={"stored": False})


@given(numbers, st.lists(numbers, max_size=4), st.booleans(), st.sets(st.text(max_size=3)))
def test_a_result_survives_json(
    value: float, many: list[float], present: bool, tags: set[str]
) -> None:
    result = Outer(
        Inner("a", value),
        Inner("b", 1.0) if present else None,
        tuple(Inner(str(i), v) for i, v in enumerate(many)),
        (value, 2.0),
        {"m": (1.0, value)},
        np.array([[value, 1.0]]),
        frozenset(tags),
        secret=object(),
    )
    again = restored(Outer, json.loads(json.dumps(plain(result), allow_nan=False)))
    assert plain(again) == plain(result)
    assert again.secret is None
    np.testing.assert_array_equal(again.rows, result.rows)
    assert (again.maybe, again.tags) == (result.maybe, result.tags)


def test_values_of_another_form_are_refused() -> None:
    with pytest.raises(InputError, match="differs in value"):
        restored(Inner, {"name": "a"})
    with pytest.raises(InputError, match="not an object"):
        restored(Inner, [1])
    with pytest.raises(InputError, match="cannot be stored"):
        plain({"a": object()})
