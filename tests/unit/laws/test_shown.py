"""What a fitted law shows of itself: what it has learned, not number by number."""

import numpy as np
import pytest

from mixopt import laws
from mixopt.errors import InputError


@pytest.mark.parametrize("name", laws.LAWS)
def test_a_fitted_law_says_what_it_is_in_a_line(name: str) -> None:
    rng = np.random.default_rng(0)
    W = rng.dirichlet(np.ones(3), 24)
    Y = np.column_stack([1 + W[:, 0], 2 - W[:, 1] ** 2]) + rng.normal(0, 0.01, (24, 2))
    try:
        fitted = laws.law(name).fit(W, Y, rng=rng)
    except InputError:
        pytest.skip("needs several scales, tokens or a budget")
    assert repr(fitted).startswith("<Fitted")
    assert len(repr(fitted)) < 400
    page = fitted._repr_html_()  # type: ignore[attr-defined]
    assert page.count("<tr") > 1
    assert "array(" not in page + repr(fitted)
