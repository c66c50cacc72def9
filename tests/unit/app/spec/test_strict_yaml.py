"""What is written is what is read; what two YAML versions read differently is refused by line."""

import time
from typing import Any

import pytest

from mixopt.app.spec.strict_yaml import MAX_BYTES, YamlError, read_yaml

NAMES = ["no", "on", "yes", "off", "2020", "1e3", "1:30", "010", "0x10", "2020-01-01", "null"]
NAMES += ["~", ".inf", ".nan", "true", "1_000", "<", "=", "y", "+1", "-.5"]


def read(text: str | bytes) -> Any:
    return read_yaml(text.encode() if isinstance(text, str) else text, lambda path: False).values


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_the_text_that_was_written(name: str) -> None:
    assert read(f"{name}: 1\nb: {{{name}: 2}}") == {name: 1, "b": {name: 2}}


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_names_something_is_the_text_that_was_written(name: str) -> None:
    document = read_yaml(f"a: [{name}, x]\nb: {name}".encode(), lambda path: True)
    assert document.values == {"a": [name, "x"], "b": name}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("-2", -2),
        ("1_000", 1000),
        ("0", 0),
        ("null", None),
        ("~", None),
        ("", None),
        ("True", True),
        ("false", False),
        ("2020-01-01", "2020-01-01"),
        ("y", "y"),
        ("64k", "64k"),
        ("'010'", "010"),
        ('"no"', "no"),
        ("!!str 12", "12"),
        ("-.inf", float("-inf")),
        ("[a, b: c]", ["a", {"b": "c"}]),
    ],
)
def test_values_follow_the_core_schema(text: str, value: Any) -> None:
    assert read(f"a: {text}") == {"a": value}


@pytest.mark.parametrize("text", ["010", "-007", "0x10", "0o7", "0b1", "1:30", "190:20:30", "no"])
def test_what_two_versions_read_differently_is_refused_and_the_remedy_works(text: str) -> None:
    with pytest.raises(YamlError, match=r"in YAML 1\.1.*write .*in quotes for the text") as caught:
        read(f"x: 1\na:\n  - {text}")
    assert (caught.value.path, caught.value.line) == (("a", 0), 3)
    assert read(f"a: '{text}'") == {"a": text}


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{','.join(['*' + a] * 9)}]}}\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: 1\nb: 2\n'a': 3", "the key is there twice, on lines 1 and 3; keep one", 3),
        ("a:\n  no: 1\n  no: 2", "twice, on lines 2 and 3", 3),
        (BOMB, "more than 10,000 values, aliases spelt out", 1),
        (MERGES, "more than 10,000 values, aliases spelt out", 1),
        ("a: &a [*a]", "stands for nothing that ends before it", 1),
        ("a: &a {b: *a}", "stands for nothing", 1),
        ("a: *b", "stands for nothing", 1),
        ("a: " + "[" * 20_000, "more than 30 levels deep", 1),
        ("a: " + "{b: " * 20_000, "more than 30 levels deep", 1),
        ("a: " + "- " * 40, "cannot be read as YAML", 1),
        ("- " * 20_000, "more than 30 levels deep", 1),
        ("a: " + "9" * 400, "a number of 400 characters", 1),
        ("a: 1e999", "beyond every number", 1),
        ('a: "b\\0c"', "the control character", 1),
        ("x: 1\na: b\0c", "the control character", 2),
        ("a: \x1b[31m", "the control character", 1),
        ('"a\\u202e": 1', "the invisible character", 1),
        ("a:\n\tb: 1", "a tab; indent with spaces", 2),
        ("a: 1\n---\nb: 2", "a second document begins", 2),
        ("", "the file is empty", 0),
        ("# nothing", "the file is empty", 0),
        ("? [a]\n: 1", "a key is no plain text", 1),
        ('"": 1', "a key is empty", 1),
        ("a: !!python/object/apply:os.getcwd []", "without tags", 1),
        ("a: !secret x", "without tags", 1),
        ("a: b: c", "mapping values are not allowed here", 1),
        ("a: [1, 2", "cannot be read as YAML", 1),
        ("a: {<<: 3}", "'<<' takes a mapping", 1),
    ],
)
def test_what_is_no_plain_document_is_refused_by_line(text: str, message: str, line: int) -> None:
    start = time.process_time()
    with pytest.raises(YamlError) as caught:
        read(text)
    assert message in str(caught.value)
    assert caught.value.line == line
    assert len(str(caught.value)) < 300
    assert time.process_time() - start < 5  # under a second on a machine of one's own


def test_files_that_are_no_text() -> None:
    with pytest.raises(YamlError, match="save the file as UTF-8"):
        read("a: 1".encode("utf-16"))
    with pytest.raises(YamlError, match="no UTF-8: byte 0xe9") as caught:
        read(b"a: 1\nb: caf\xe9")
    assert caught.value.line == 2
    with pytest.raises(YamlError, match="at most 200,000 are read"):
        read(b"a: " + b"x" * MAX_BYTES)
    assert read(b"\xef\xbb\xbfa: 1") == {"a": 1}  # a byte-order mark is no part of the first key


def test_anchors_and_merges_that_end_are_read() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: [{z: 1}, *a]}\nd: *a"
    values = read(text)
    assert values["b"] == {"x": 3, "y": 2}
    assert values["c"] == {"x": 1, "y": 2, "z": 1}
    assert values["d"] == {"x": 1, "y": 2}


def test_every_value_knows_its_line() -> None:
    document = read_yaml(b"a: 1\nb:\n  c:\n    - 1\n    - {d: 2}\n", lambda path: False)
    assert document.lines["b", "c"] == 3
    assert document.lines["b", "c", 1, "d"] == 5
