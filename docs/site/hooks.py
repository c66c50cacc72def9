"""What MkDocs does beyond its settings: generated pages, files of the repository, formulas.

Pages of docs/ link to files of the repository as a git forge shows them. On the site these are
pages too, below `repository/`: Markdown as it is, other text as code, pictures as pictures.
"""

import os
import re
from collections.abc import Iterable
from html import unescape
from pathlib import Path, PurePosixPath
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.site.reference import public_names, reference_pages

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
_PICTURES = {".png", ".svg", ".jpg", ".webp", ".gif"}
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".sh": "bash", ".json": "json", ".md": "markdown"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the modules into the navigation, below the list of Python's names."""
    reference = next(part["Reference"] for part in config.nav if "Reference" in part)
    pages = [{name: f"reference/python/{name}.md"} for name in public_names()]
    reference.append({"Python": ["reference/python.md", *pages]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference, and every file of the repository that a page links to."""
    for address, text in reference_pages().items():
        files.append(File.generated(config, address, content=text))
    pages = [file.src_uri for file in files.documentation_pages()]
    known = [*ALWAYS, *(f"docs/{uri}" for uri in pages if (ROOT / "docs" / uri).is_file())]
    for path in _reached(known):
        if not path.startswith("docs/") or place(path) != path.removeprefix("docs/"):
            files.append(_file(path, config))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links of pages in docs/ to where the site has their targets."""
    source = ROOT / "docs" / page.file.src_uri
    return relinked(markdown, f"docs/{page.file.src_uri}") if source.is_file() else markdown


def on_page_content(html: str, **_: Any) -> str:
    """Write formulas as MathML, which browsers show by themselves."""

    def formula(match: re.Match[str]) -> str:
        text, block = unescape(match[2]).strip(), match[1] == "div"
        shown = convert(text[2:-2], display="block" if block else "inline")
        return f'<div class="formula">{shown}</div>' if block else shown

    return re.sub(r'<(span|div) class="arithmatex">(.*?)</\1>', formula, html, flags=re.DOTALL)


def place(path: str) -> str:
    """Where the site has a file of the repository, as MkDocs names sources."""
    if path == "README.md":
        return "index.md"
    name = PurePosixPath(path)
    if name.parts[0] == "docs" and name.suffix in {".md", ".json", ".csv"}:
        return "/".join(name.parts[1:])
    plain = name.suffix in _PICTURES or name.suffix == ".md"
    return f"repository/{path}" if plain else f"repository/{path}.md"


def relinked(markdown: str, path: str) -> str:
    """The text of a file, its links as they have to be where the site has it."""
    here = PurePosixPath(place(path)).parent

    def link(match: re.Match[str]) -> str:
        if "://" in match[2] or match[2].startswith("mailto:"):
            return match[0]
        target = os.path.relpath(place(_target(path, match[2])), here)
        return f"{match[1]}{target}{match[3]}"

    return _LINK.sub(link, markdown)


def _reached(paths: Iterable[str]) -> list[str]:
    """These files, and all those that their links lead to."""
    left, seen = list(paths), dict[str, None]()
    while left:
        path = left.pop()
        if path not in seen:
            seen[path] = None
            if path.endswith(".md"):
                text = (ROOT / path).read_text(encoding="utf-8")
                links = [m[2] for m in _LINK.finditer(text) if "://" not in m[2]]
                left += [_target(path, link) for link in links if not link.startswith("mailto:")]
    return list(seen)


def _target(path: str, link: str) -> str:
    """The file of the repository behind a link; of a folder, the page that tells of it."""
    target = os.path.normpath(PurePosixPath(path).parent / link)
    if (ROOT / target).is_dir():
        pages = [f"{target}/{name}" for name in ("index.md", "README.md")]
        target = next((page for page in pages if (ROOT / page).is_file()), target)
    if not (ROOT / target).is_file():
        raise PluginError(f"{path} links to {link!r}, and there is no file {target}; correct it")
    return target


def _file(path: str, config: MkDocsConfig) -> File:
    source = ROOT / path
    if source.suffix in _PICTURES:
        return File.generated(config, place(path), content=source.read_bytes())
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".md":
        return File.generated(config, place(path), content=relinked(text, path))
    fence = "`" * 4
    language = _LANGUAGES.get(source.suffix, "text")
    code = f"# {path}\n\n{fence}{language}\n{text}\n{fence}\n"
    return File.generated(config, place(path), content=code)
