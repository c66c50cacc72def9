"""Conditions on the columns of a table, e.g. `params == 1e6 and split == 'train'`: data, no code.

The text is parsed by Python's own grammar, and a short list of its parts is evaluated here, on
columns as arrays: names, numbers, text, comparisons, `in`, `and`, `or`, `not`, + - * / // %.
Nothing is called, no attribute is read.

Notation:
    n rows; every value is an array (n,) or a scalar
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixopt.errors import InputError, did_you_mean

_LONGEST = 2000  # characters; a longer text is no condition, and might nest too deep to parse

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_RULE = (
    "write comparisons of columns with numbers or quoted text, joined by and, or, not, e.g. "
    "\"params == 1e6 and split == 'train'\"; names with spaces or signs go in backticks: "
    "`w/web` > 0.5"
)


class _Refused(Exception):
    """A part of a condition that is not evaluated; the reason is its text."""


def rows_where(frame: pd.DataFrame, condition: str) -> NDArray[np.bool_]:
    """(n,) whether a condition holds in each row of a table; where a cell is empty, it does not.

    Args:
        frame: the table, one column per name.
        condition: see the module.

    Raises:
        InputError: the condition cannot be read, names an unknown column, or compares what cannot
            be compared.
    """
    columns = [str(c) for c in frame.columns]
    try:
        text, names = _without_backticks(condition.strip())
        tree = ast.parse(text, mode="eval")
        evaluator = _Evaluator(frame, names)
        with np.errstate(all="ignore"):
            value = evaluator.of(tree.body)
        mask = np.broadcast_to(evaluator.truth(value), (len(frame),))
    except _Refused as error:
        raise InputError(f"cannot apply the condition {_short(condition)}: {error}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        hint = "compare with ==, not =" if re.search(r"(?<![=!<>])=(?!=)", condition) else _RULE
        raise InputError(
            f"cannot read the condition {_short(condition)}: {_reason(error)}; {hint}; columns: "
            f"{_some(columns)}"
        ) from None
    return np.array(mask, dtype=bool)


class _Evaluator:
    """Evaluates the allowed parts of a parsed condition on the columns of a table."""

    def __init__(self, frame: pd.DataFrame, names: Mapping[str, str]) -> None:
        self._frame = frame
        self._names = names
        self._columns = [str(c) for c in frame.columns]

    def of(self, node: ast.expr) -> Any:
        """The value of a part: an array (n,) or a scalar.

        Raises:
            _Refused: a part that is not on the list.
        """
        value: Any = None
        match node:
            case ast.Constant(value=bool() | str() as value):
                pass
            case ast.Constant(value=int() | float() as number):
                value = _number(number)
            case ast.Name(id=name):
                value = self._column(self._names.get(name, name))
            case ast.Compare():
                value = self._comparison(node)
            case ast.BoolOp(op=op, values=parts):
                value = self._joined(isinstance(op, ast.And), parts)
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr() as op, left=left, right=right):
                value = self._joined(isinstance(op, ast.BitAnd), [left, right])
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                value = np.logical_not(self.truth(self.of(operand)))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = -self._numeric(self.of(operand))
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _ARITHMETIC:
                one, other = self._numeric(self.of(left)), self._numeric(self.of(right))
                value = _ARITHMETIC[type(op)](one, other)
            case _:
                part = type(node).__name__
                raise _Refused(
                    f"it holds {_PARTS.get(part, part)}, which is not evaluated; {_RULE}"
                )
        return value

    def _joined(self, all_of: bool, parts: list[ast.expr]) -> Any:
        truths = np.broadcast_arrays(*(self.truth(self.of(part)) for part in parts))
        return (np.logical_and if all_of else np.logical_or).reduce(truths)

    def truth(self, value: Any) -> Any:
        """A value that is true or false.

        Raises:
            _Refused: numbers or text.
        """
        array = np.asarray(value)
        if array.dtype == object:
            known = [v for v in array.ravel() if not pd.isna(v)]
            if all(isinstance(v, bool | np.bool_) for v in known):
                array = np.array([v is True or v is np.True_ for v in array.ravel()], dtype=bool)
        if array.dtype != bool:
            raise _Refused(f"it holds a value that is neither true nor false; {_RULE}")
        return array

    def _comparison(self, node: ast.Compare) -> Any:
        total: Any = np.True_
        left = self.of(node.left)
        for op, item in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                if not isinstance(item, ast.List | ast.Tuple | ast.Set):
                    raise _Refused("after 'in' stands a list, e.g. split in ['train', 'test']")
                held = [self._compare(ast.Eq(), left, self.of(e)) for e in item.elts]
                some = reduce(np.logical_or, held, np.False_)
                known = ~pd.isna(left)
                total = total & (some if isinstance(op, ast.In) else np.logical_not(some) & known)
                continue
            right = self.of(item)
            total = total & self._compare(op, left, right)
            left = right
        return total

    def _compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        if type(op) not in _COMPARE:
            raise _Refused(f"'is' is not evaluated; {_RULE}")
        equality = isinstance(op, ast.Eq | ast.NotEq)
        one, other = _alike(left, right) if equality else (left, right)
        one, other = np.broadcast_arrays(np.asarray(one), np.asarray(other))
        held = ~(pd.isna(one) | pd.isna(other))
        try:
            held[held] = np.asarray(_COMPARE[type(op)](one[held], other[held]), dtype=bool)
        except TypeError:
            raise _Refused(
                "it compares text with a number; quote text, and give numbers without quotes"
            ) from None
        return held

    def _numeric(self, value: Any) -> Any:
        array = np.asarray(value)
        if array.dtype == bool or not np.issubdtype(array.dtype, np.number):
            raise _Refused(f"it calculates with text or truth values; {_RULE}")
        return value

    def _column(self, name: str) -> Any:
        if name not in self._columns:
            raise _Refused(f"the table has no column {name!r}; {_close(name, self._columns)}")
        values = self._frame.iloc[:, self._columns.index(name)]
        if pd.api.types.is_bool_dtype(values):
            return values.to_numpy(dtype=object)
        if pd.api.types.is_numeric_dtype(values):
            return values.to_numpy(dtype=float, na_value=np.nan)
        return values.to_numpy(dtype=object)


_PARTS = {
    "Call": "a call",
    "Attribute": "an attribute (a dot after a name)",
    "Subscript": "square brackets after a name",
    "Lambda": "a function",
    "Pow": "a power",
}


def _number(value: complex) -> np.float64:
    try:
        return np.float64(value)  # type: ignore[arg-type]
    except OverflowError:
        return np.float64(np.inf if value > 0 else -np.inf)  # type: ignore[operator]


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Text against numbers: run ids such as 7 may stand as text or as numbers in a table."""
    one, other = np.asarray(left), np.asarray(right)
    if _is_text(one) and not _is_text(other) and other.ndim == 0:
        return left, _as_text(right)
    if _is_text(other) and not _is_text(one) and other.ndim == 0 and one.ndim:
        read = pd.to_numeric(pd.Series([str(right)]), errors="coerce").iloc[0]
        return (left, np.float64(read)) if not np.isnan(read) else (left, right)
    return left, right


def _is_text(array: NDArray[Any]) -> bool:
    if array.dtype.kind == "U":
        return True
    return array.dtype == object and any(isinstance(v, str) for v in array.ravel())


def _as_text(value: Any) -> Any:
    if isinstance(value, np.floating) and np.isfinite(value) and value == int(value):
        return str(int(value))
    return value


def _without_backticks(text: str) -> tuple[str, dict[str, str]]:
    """The condition with names that Python can read, and what each of them stands for.

    Raises:
        ValueError: too long, or a backtick without its partner.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"it has {len(text)} characters; {_LONGEST} are read")
    names: dict[str, str] = {}
    out: list[str] = []
    place = 0
    for match in re.finditer(r"'[^']*'|\"[^\"]*\"|`([^`]*)`", text):
        out.append(text[place : match.start()])
        if match.group(1) is None:
            out.append(match.group(0))
        else:
            names[f"column_{len(names)}_"] = match.group(1).strip()
            out.append(f" column_{len(names) - 1}_ ")
        place = match.end()
    out.append(text[place:])
    if "`" in text[place:]:
        raise ValueError("a backtick has no partner")
    return "".join(out).replace("\n", " ").strip(), names


def _reason(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg or "it is no expression"
    return "it nests too deep" if isinstance(error, RecursionError | MemoryError) else str(error)


def _short(condition: str) -> str:
    return repr(condition if len(condition) <= 120 else condition[:117] + "...")


def _close(name: str, columns: list[str]) -> str:
    prefixed = [c for c in columns if c.partition("/")[2] == name]
    if prefixed:
        return f"write `{prefixed[0]}` in backticks"
    guess = did_you_mean(name, columns).partition("; ")[2]
    return f"columns: {_some(columns)}" + (f"; {guess}" if guess else "")


def _some(columns: list[str], most: int = 24) -> str:
    facts = [c for c in columns if c[:2] not in {"w/", "m/"}]
    shown = [*facts, *(f"`{c}`" for c in columns if c not in facts)]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
