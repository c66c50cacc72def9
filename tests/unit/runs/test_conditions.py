"""Conditions evaluate data only: every part that is not on the list is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixopt import InputError
from mixopt.runs.conditions import rows_where

FRAME = pd.DataFrame(
    {
        "params": [1e6, 1e6, 6e7, np.nan],
        "split": ["train", "test", "test", None],
        "run": ["1", "2", "x-3", "4"],
        "ok": [True, False, True, True],
        "w/Wikipedia (en)": [0.1, 0.9, 0.5, 0.5],
        "m/loss": [3.0, 2.0, 1.0, 2.5],
    }
)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("params == 1e6 and split == 'train'", [0]),
        ("params == 1_000_000 or `m/loss` <= 1", [0, 1, 2]),
        ("(params > 1e6) | (split == 'train')", [0, 2]),
        ("(params > 1e6) & ~(split == 'train')", [2]),
        ("not split == 'test'", [0, 3]),
        ("split != 'test'", [0]),
        ("split in ['train', \"test\"]", [0, 1, 2]),
        ("split not in ('train',)", [1, 2]),
        ("params not in [1e6]", [2]),
        ("2 <= `m/loss` < 3", [1, 3]),
        ("`w/Wikipedia (en)` > .4", [1, 2, 3]),
        ("`m/loss` - 1 > 2 * `w/Wikipedia (en)`", [0, 3]),
        ("params / 1e6 % 60 == 0", [2]),
        ("`m/loss` > -1", [0, 1, 2, 3]),
        ("ok", [0, 2, 3]),
        ("not ok", [1]),
        ("ok == True", [0, 2, 3]),
        ("run == 2", [1]),
        ("params == '60000000'", [2]),
        ("split > 'test'", [0]),
        ("split == 'it`s'", []),
        ("True", [0, 1, 2, 3]),
        (f"params == {'9' * 400}", []),
    ],
)
def test_conditions_pick_rows(condition: str, rows: list[int]) -> None:
    assert np.flatnonzero(rows_where(FRAME, condition)).tolist() == rows


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("@pd.io.common.os.system('touch {file}') == 1", "cannot read the condition"),
        ("__import__('os').system('touch {file}') == 0", "a call"),
        ("split.str.contains('t')", "a call"),
        ("params.real > 1", "an attribute"),
        ("params[0] > 1", "square brackets"),
        ("(lambda: True)()", "a call"),
        ("lambda: 1", "a function"),
        ("[p for p in params]", "ListComp"),
        ("f'{{params}}' == 'x'", "JoinedStr"),
        ("params ** 9 ** 9 ** 9 > 1", "not evaluated"),
        ("'a' * 10 ** 10 == 'b'", "not evaluated|calculates with text"),
        ("'a' * 1e10 == 'b'", "calculates with text"),
        ("(x := 1) == 1", "NamedExpr"),
        ("params is None", "None|not evaluated"),
        ("params = 1e6", "compare with ==, not ="),
        ("params", "neither true nor false"),
        ("params + 1", "neither true nor false"),
        ("split > 3", "compares text with a number"),
        ("params in 3", "after 'in' stands a list"),
        ("Params == 1", "no column 'Params'; .*did you mean 'params'"),
        ("loss > 1", "write `m/loss` in backticks"),
        ("`m/loss > 1", "backtick has no partner"),
        ("", "cannot read the condition"),
        ("(" * 900 + "1" + ")" * 900, "cannot read the condition"),
        ("not " * 480 + "ok", "cannot read the condition|no run"),
        ("1 == " * 1000 + "1", "4001|characters"),
        ("params == 1\nimport os", "cannot read the condition"),
    ],
)
def test_everything_else_is_refused_and_nothing_is_run(
    tmp_path: Path, condition: str, message: str
) -> None:
    file = tmp_path / "ran"
    text = condition.replace("{file}", str(file)).replace("{{", "{").replace("}}", "}")
    if "not ok" in text:
        assert rows_where(FRAME, text).tolist() == [True, False, True, True]
        return
    with pytest.raises(InputError, match=message) as caught:
        rows_where(FRAME, text)
    assert len(str(caught.value)) < 700
    assert not file.exists()
