import ast
import json
import sys

from proxies.corpus.builtin import (
    BUILTIN,
    Source,
    docstrings,
    python_code,
    source_map_records,
    wiki_records,
    without_docstrings,
    without_licence_head,
)

CODE = '''"""Module docstring that is long enough to be kept by the reader of docstrings."""
import os  # comment


class A:
    """Docstring of a class, which has a body of nothing but this docstring."""


def f(x):
    """Docstring of a function.

    It has a second paragraph.
    """
    return "not a docstring"
'''


def test_docstrings_are_cut_and_the_rest_still_parses():
    (code,) = without_docstrings(CODE)
    assert "ocstring of" not in code
    assert "# comment" in code
    assert "not a docstring" in code
    tree = ast.parse(code)
    assert [type(node).__name__ for node in tree.body] == ["Import", "ClassDef", "FunctionDef"]


def test_docstrings_alone_are_one_document():
    (text,) = docstrings(CODE)
    assert "Module docstring" in text
    assert "second paragraph" in text
    assert "import os" not in text


def test_code_that_does_not_parse_gives_nothing():
    for extract in (without_docstrings, docstrings, python_code):
        assert tuple(extract("def (:")) == ()


def test_licence_heads_go_and_other_comments_stay():
    head = "// Licensed to X\n// under the License\n\n// What this file does\n#pragma once\n"
    assert tuple(without_licence_head(head)) == ("\n// What this file does\n#pragma once\n",)
    block = "/*\n * Copyright 2020\n */\nint x;"
    assert tuple(without_licence_head(block)) == ("\nint x;",)


def test_minified_sources_are_left_out():
    text = json.dumps({"sourcesContent": ["a\nb\nc", "x" * 5000, None]})
    assert list(source_map_records(text)) == ["a\nb\nc"]


def test_wiki_records_are_title_and_extract():
    text = json.dumps({"k": {"title": "T", "extract": "E"}, "empty": {"title": "U"}})
    assert list(wiki_records(text)) == ["T\nE"]


def test_a_source_that_is_not_installed_has_no_files():
    assert Source("no_such_module_anywhere", "no-such", "MIT", "**/*.py").files() == []


def test_the_standard_library_is_found_without_tests_and_installed_packages():
    names = [name for name, _ in BUILTIN["python"].sources[0].files()]
    assert "argparse.py" in names
    folders = {folder for name in names for folder in name.split("/")[:-1]}
    assert folders.isdisjoint({"site-packages", "test", "tests"})


def test_looking_for_files_imports_nothing():
    before = set(sys.modules)
    for builtin in BUILTIN.values():
        for source in builtin.sources:
            source.folder()
    assert set(sys.modules) <= before | {"importlib.util"}
