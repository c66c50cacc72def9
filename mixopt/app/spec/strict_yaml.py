"""YAML without guesses: what was written is what is read, and every value knows its line.

YAML 1.1, which most Python programs read, takes `no` for false, `010` for 8, `1:30` for 90 and
`2020-01-01` for a date. Here keys are always the text that was written; values follow the core
schema of YAML 1.2, and what the two versions read differently is refused with both readings. See
docs/decisions/0007-strict-yaml.md.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events

from mixopt.errors import InputError, shorten
from mixopt.space.redaction import shown

MAX_BYTES = 200_000
MAX_DEPTH = 30
MAX_VALUES = 10_000
MAX_DIGITS = 18
_TEXT = frozenset({"!", "tag:yaml.org,2002:str"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WORDS = re.compile(r"(?i)(yes|on|no|off)$")
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
_ODD_INT = re.compile(r"[-+]?(0[0-9_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+)$")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9]*)?$")

Path = tuple[str | int, ...]


class YamlError(InputError):
    """A text is no YAML that can be read without guessing; `path` and `line` say where."""

    def __init__(self, message: str, path: Path = (), line: int = 0) -> None:
        super().__init__(message)
        self.message, self.path, self.line = message, path, line


@dataclass(frozen=True)
class Document:
    """A text as values.

    Attributes:
        values: dicts with text keys, lists, and plain scalars.
        lines: path of a value to the line, from 1, on which it was written.
    """

    values: Any
    lines: Mapping[Path, int] = field(repr=False)


@dataclass(frozen=True)
class _Scalar:
    text: str
    plain: bool
    line: int


@dataclass(frozen=True)
class _List:
    items: tuple["_Node", ...]
    line: int


@dataclass(frozen=True)
class _Map:
    items: tuple[tuple[_Scalar, "_Node"], ...]
    line: int


_Node = _Scalar | _List | _Map


def read_yaml(data: bytes, is_name: Callable[[Path], bool]) -> Document:
    """Read one YAML document.

    Args:
        data: UTF-8, with or without a byte-order mark.
        is_name: whether the value at a path names something, so that it is the text as written.

    Raises:
        YamlError: no UTF-8, over 200 kB, 30 levels or 10,000 values (aliases spelt out), several
            documents, a key twice, a tag, a control character, or a value that YAML 1.1 and 1.2
            read differently.
    """
    text = _decode(data)
    try:
        root = _Tree(yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(_problem(error), line=mark.line + 1 if mark else 0) from None
    except yaml.YAMLError as error:
        raise YamlError(f"cannot be read as YAML: {shorten(str(error))}") from None
    reader = _Values(is_name)
    return Document(reader.value(root, ()), reader.lines)


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise YamlError(
            f"{len(data):,} bytes; at most {MAX_BYTES:,} are read. Put data into files of its own "
            "and give their paths"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise YamlError(
            f"no UTF-8: byte {data[error.start]:#04x} cannot be read as YAML; save the file as "
            "UTF-8",
            line=line,
        ) from None
    for number, row in enumerate(text.split("\n"), start=1):
        odd = next((c for c in row if unicodedata.category(c) == "Cc" and c not in "\t\r\x85"), "")
        if odd:
            raise YamlError(
                f"the control character {odd!r} cannot be read as YAML; delete it", line=number
            )
    return text


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "it is broken off"
    if "'\\t'" in problem:
        return "cannot be read as YAML: a tab; indent with spaces"
    return f"cannot be read as YAML: {shorten(problem)}; correct the line, or the one above"


class _Tree:
    """One document's events as a tree; anchors are shared, so that nothing grows here."""

    def __init__(self, stream: Any) -> None:
        self._stream = iter(stream)
        self._anchors: dict[str, _Node] = {}
        self._seen = 0

    def document(self) -> _Node:
        next(self._stream)  # the stream's start
        if isinstance(next(self._stream), events.StreamEndEvent):
            raise YamlError("the file is empty; write a mapping of keys to values")
        root = self._node(next(self._stream), (), 0)
        next(self._stream)  # the document's end
        after = next(self._stream)
        if not isinstance(after, events.StreamEndEvent):
            raise YamlError("a second document begins; keep one per file", line=_line(after))
        return root

    def _node(self, event: Any, path: Path, depth: int) -> _Node:
        line = _line(event)
        self._seen += 1
        if depth > MAX_DEPTH or self._seen > MAX_VALUES:
            raise _too_much(depth, path, line)
        if isinstance(event, events.AliasEvent):
            if event.anchor not in self._anchors:
                raise YamlError(
                    f"*{shorten(str(event.anchor), 40)} stands for nothing that ends before it; "
                    "write its anchor first, or the value itself",
                    path,
                    line,
                )
            return self._anchors[event.anchor]
        if event.tag is not None and event.tag not in _TEXT:
            raise YamlError(
                f"cannot be read as YAML without tags: {shorten(event.tag, 60)}; write the value "
                "alone",
                path,
                line,
            )
        made = self._made(event, path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = made
        return made

    def _made(self, event: Any, path: Path, depth: int) -> _Node:
        line = _line(event)
        if isinstance(event, events.ScalarEvent):
            return _Scalar(event.value, event.style is None and event.tag is None, line)
        if isinstance(event, events.SequenceStartEvent):
            items = list[_Node]()
            while not isinstance(event := next(self._stream), events.SequenceEndEvent):
                items.append(self._node(event, (*path, len(items)), depth + 1))
            return _List(tuple(items), line)
        pairs = list[tuple[_Scalar, _Node]]()
        while not isinstance(event := next(self._stream), events.MappingEndEvent):
            key = self._node(event, path, depth + 1)
            if not isinstance(key, _Scalar):
                raise YamlError("a key is no plain text; give the key as text", path, key.line)
            if not key.text:
                raise YamlError("a key is empty; name it", path, key.line)
            pairs.append((key, self._node(next(self._stream), (*path, key.text), depth + 1)))
        return _Map(tuple(pairs), line)


class _Values:
    """A tree as plain values; counts what aliases stand for."""

    def __init__(self, is_name: Callable[[Path], bool]) -> None:
        self._is_name = is_name
        self._made = 0
        self.lines: dict[Path, int] = {}

    def value(self, node: _Node, path: Path) -> Any:
        self._made += 1
        if self._made > MAX_VALUES or len(path) > MAX_DEPTH:
            raise _too_much(len(path), path, node.line)
        self.lines[path] = node.line
        if isinstance(node, _Map):
            return self._mapping(node, path)
        if isinstance(node, _List):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.items)]
        _check_text(node.text, path, node.line)
        if not node.plain or self._is_name(path):
            return node.text
        return _resolve(node, path)

    def _mapping(self, node: _Map, path: Path) -> dict[str, Any]:
        own = dict[str, tuple[int, Any]]()
        merged = dict[str, Any]()
        for key, value in node.items:
            if key.plain and key.text == "<<":
                merged |= self._merged(value, path)
                continue
            _check_text(key.text, path, key.line, key=True)
            if key.text in own:
                raise YamlError(
                    f"the key is there twice, on lines {own[key.text][0]} and {key.line}; keep one",
                    (*path, key.text),
                    key.line,
                )
            own[key.text] = (key.line, self.value(value, (*path, key.text)))
            self.lines[*path, key.text] = key.line
        return {**merged, **{k: v for k, (_, v) in own.items()}}

    def _merged(self, node: _Node, path: Path) -> dict[str, Any]:
        """What `<<` brings in: of several mappings, the first that has a key."""
        parts = node.items if isinstance(node, _List) else (node,)
        merged = dict[str, Any]()
        for part in parts:
            if not isinstance(part, _Map):
                raise YamlError(
                    "'<<' takes a mapping, or a list of them; write the keys themselves",
                    path,
                    node.line,
                )
            merged = {**self._mapping(part, path), **merged}
        return merged


def _check_text(text: str, path: Path, line: int, *, key: bool = False) -> None:
    """Control characters break logs and file systems, and hide what a name is."""
    for c in text:
        category = unicodedata.category(c)
        if category in {"Cs"} or (category == "Cc" and (key or c not in "\t\n\r")):
            what = "a key" if key else "the text"
            raise YamlError(
                f"{what} {shown(text)} has the control character {c!r}; delete it",
                path,
                line,
            )
        if key and category in {"Cf", "Zl", "Zp"}:
            raise YamlError(
                f"a key {shown(text)} has the invisible character {c!r}; delete it",
                path,
                line,
            )


def _resolve(node: _Scalar, path: Path) -> Any:
    """The value of a plain scalar, by the core schema of YAML 1.2.

    Raises:
        YamlError: YAML 1.1 and 1.2 read it differently, or it has too many digits.
    """
    text = node.text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    special = _SPECIAL.match(text)
    if special:
        return float(text.lower().replace(".", "").replace("+", ""))
    if _WORDS.match(text):
        truth = "true" if text.lower() in {"yes", "on"} else "false"
        raise _ambiguous(node, path, f"{truth} in YAML 1.1, a text in 1.2; write {truth}")
    if _ODD_INT.match(text) or _SEXAGESIMAL.match(text):
        raise _ambiguous(node, path, "another number in YAML 1.1 than in 1.2; write it in decimals")
    whole = _INT.match(text)
    if not whole and not _FLOAT.match(text):
        return text
    if sum(c.isdigit() for c in text) > MAX_DIGITS + 12 * (not whole):
        raise YamlError(
            f"a number of {len(text)} characters ({shorten(text, 24)}); give one of at most "
            f"{MAX_DIGITS} digits",
            path,
            node.line,
        )
    digits = text.replace("_", "")
    value = int(digits) if whole else float(digits)
    if not math.isfinite(value):
        raise YamlError(
            f"{shorten(text, 40)} is beyond every number; give a smaller one", path, node.line
        )
    return value


def _ambiguous(node: _Scalar, path: Path, readings: str) -> YamlError:
    return YamlError(
        f"{node.text if len(node.text) < 40 else shorten(node.text, 40)} is {readings}, or "
        f"'{shorten(node.text, 40)}' in quotes for the text",
        path,
        node.line,
    )


def _too_much(depth: int, path: Path, line: int) -> YamlError:
    if depth > MAX_DEPTH:
        return YamlError(f"more than {MAX_DEPTH} levels deep; write it flatter", path, line)
    return YamlError(
        f"more than {MAX_VALUES:,} values, aliases spelt out; put data into files of its own and "
        "give their paths",
        path,
        line,
    )


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
