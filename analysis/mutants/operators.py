"""The faults put in: comparison, arithmetic, logic, constants, returns, effects, arguments.

Left alone, because no behaviour is in them: annotations, decorators, docstrings, f-strings, all
inside `raise`, calls of errors and warnings, `__all__`, and strings that are sentences. Strings
that are names ("kind", "w/", "") are changed. Numbers become one more or one less, as is usual: a
tolerance of 1e-9 does not become 2e-9, which no test could tell from it.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

NAME = re.compile(r"[\w./:*+-]*")
SILENT_CALLS = re.compile(r"(.*Error|.*Warning|warn|cast|TypeVar|isinstance|issubclass)")
SILENT_FUNCTIONS = {"__str__", "__repr__", "lines"}
COMPARED = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "in": ("not in",),
    "not in": ("in",),
    "is": ("is not",),
    "is not": ("is",),
}
COMBINED = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "*",
    "%": "*",
    "**": "*",
    "&": "|",
    "|": "&",
    "^": "&",
}
SIGN = re.compile(r"[^\s()\\]+(?: +\w+)?")
Edit = tuple[int, int, str]


@dataclass(frozen=True)
class Change:
    """One fault.

    Attributes:
        operator: its family, one word.
        inside: dotted name of the function or class around it; empty at module level.
        start, end: bytes of the source that go.
        text: what comes there.
    """

    operator: str
    inside: str
    start: int
    end: int
    text: str


class Source:
    """A module's text, addressed by the nodes of its tree."""

    def __init__(self, text: str) -> None:
        self.raw = text.encode()
        self.tree = ast.parse(text)
        self._lines = [0]
        for line in self.raw.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        """First byte of a node."""
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        """First byte after a node."""
        return self._lines[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)

    def text(self, start: int, end: int) -> str:
        """What stands between two bytes."""
        return self.raw[start:end].decode()

    def of(self, node: ast.expr | ast.stmt) -> str:
        """What a node is written as."""
        return self.text(self.start(node), self.end(node))

    def sign(self, left: ast.expr, right: ast.expr) -> tuple[int, int, str] | None:
        """The operator between two operands (start, end, sign); None where comments stand too."""
        start, end = self.end(left), self.start(right)
        gap = self.text(start, end)
        signs = list(SIGN.finditer(gap))
        if len(signs) != 1:
            return None
        return start + signs[0].start(), start + signs[0].end(), signs[0][0]

    def apply(self, change: Change) -> str:
        """The module's text with a fault in it."""
        return (self.raw[: change.start] + change.text.encode() + self.raw[change.end :]).decode()

    def whole(self, node: ast.expr | ast.stmt, text: str) -> Edit:
        """Another text for a node."""
        return self.start(node), self.end(node), text


def _compared(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for left, right in pairwise(operands):
            sign = source.sign(left, right)
            if sign:
                yield from ((sign[0], sign[1], other) for other in COMPARED.get(sign[2], ()))


def _combined(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.BinOp):
        sign = source.sign(node.left, node.right)
        if sign and sign[2] in COMBINED:
            yield sign[0], sign[1], COMBINED[sign[2]]
    elif isinstance(node, ast.AugAssign):
        sign = source.sign(node.target, node.value)
        if sign and sign[2][:-1] in COMBINED:
            yield sign[0], sign[1], f"{COMBINED[sign[2][:-1]]}="
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        yield source.whole(node, source.of(node.operand))


def _logic(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.BoolOp):
        for left, right in pairwise(node.values):
            sign = source.sign(left, right)
            # With three operands each sign alone: `a and b or c` is another condition, too.
            if sign and sign[2] in {"and", "or"}:
                yield sign[0], sign[1], "or" if sign[2] == "and" else "and"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield source.whole(node, f"({source.of(node.operand)})")


def _condition(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.If | ast.IfExp):
        if isinstance(node.test, ast.UnaryOp) or (
            isinstance(node.test, ast.Compare) and len(node.test.ops) == 1
        ):
            return  # `not (not x)` and `not (a < b)` are among those of logic and comparison
        yield source.whole(node.test, f"not ({source.of(node.test)})")
    elif isinstance(node, ast.While):
        yield source.whole(node.test, "False")
    elif isinstance(node, ast.comprehension):
        for test in node.ifs:
            yield source.whole(test, "True")
    elif isinstance(node, ast.Break | ast.Continue):
        yield source.whole(node, "continue" if isinstance(node, ast.Break) else "break")


def _constant(source: Source, node: ast.AST) -> Iterator[Edit]:
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield source.whole(node, str(not value))
    elif isinstance(value, int | float):
        yield source.whole(node, f"({source.of(node)} + 1)")
        yield source.whole(node, f"({source.of(node)} - 1)")
    elif isinstance(value, str) and NAME.fullmatch(value):
        yield source.whole(node, repr(f"XX{value}"))


def _return(source: Source, node: ast.AST) -> Iterator[Edit]:
    empty = isinstance(node, ast.Return) and (
        node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
    )
    if isinstance(node, ast.Return) and not empty:
        yield source.whole(node, "return None")


def _argument(source: Source, node: ast.AST) -> Iterator[Edit]:
    if not isinstance(node, ast.Call):
        return
    for keyword in node.keywords:
        if keyword.arg is not None:
            start, end = source.start(keyword), source.end(keyword)
            rest = source.raw[end:]
            comma = re.match(rb"\s*,\s*", rest)
            yield start, end + (comma.end() if comma else 0), ""


def _effect(source: Source, node: ast.AST) -> Iterator[Edit]:
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    # A name without its value only breaks the next line; a field or an entry may be missed by none.
    kept = isinstance(node, ast.Assign) and isinstance(
        node.targets[0], ast.Attribute | ast.Subscript
    )
    if isinstance(node, ast.stmt) and (called or kept or isinstance(node, ast.AugAssign)):
        yield source.whole(node, "pass")


OPERATORS: dict[str, Callable[[Source, ast.AST], Iterator[Edit]]] = {
    "comparison": _compared,
    "arithmetic": _combined,
    "logic": _logic,
    "condition": _condition,
    "constant": _constant,
    "return": _return,
    "argument": _argument,
    "effect": _effect,
}


def _silent(node: ast.AST) -> bool:
    """Whether nothing in a node is behaviour that a test should hold."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return "__all__" in names
    if isinstance(node, ast.Call):
        return bool(SILENT_CALLS.fullmatch(ast.unparse(node.func).rpartition(".")[2]))
    return isinstance(node, ast.FunctionDef) and node.name in SILENT_FUNCTIONS


def _walk(node: ast.AST, inside: tuple[str, ...] = ()) -> Iterator[tuple[ast.AST, str]]:
    """All nodes that can behave, each with the dotted name around it."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _silent(child):
                continue
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                deeper = (*inside, child.name)
            elif not inside and isinstance(child, ast.BinOp) and isinstance(child.op, ast.BitOr):
                continue  # `Weights = NDArray | Sequence` at module level is a type
            else:
                deeper = inside
            yield child, ".".join(deeper)
            yield from _walk(child, deeper)


def changes(source: Source) -> list[Change]:
    """Every fault of a module, in the order of its text; a few are no Python any more."""
    return sorted(
        (
            Change(operator, inside, *edit)
            for node, inside in _walk(source.tree)
            for operator, edits in OPERATORS.items()
            for edit in edits(source, node)
        ),
        key=lambda change: (change.start, change.end, change.text),
    )
