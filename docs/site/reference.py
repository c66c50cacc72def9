"""The pages of the site that are generated: the spec, names with their settings, Python's names."""

import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from griffe import Docstring, DocstringSectionKind

from mixopt import designs, execution, export, laws, mixers, strategies, tracking
from mixopt.app.spec.spec_file import json_schema
from mixopt.errors import InputError, MissingDependencyError
from mixopt.lazy import load

ROOT = Path(__file__).resolve().parents[2]
TRAINERS = {
    address: address
    for address in (
        "proxies:LanguageModelTrainer",
        "proxies:TableTrainer",
        "proxies.command:CommandTrainer",
        "proxies.experts:MergeTrainer",
        "proxies.experts:MDETrainer",
        "proxies.finetune:FineTuneTrainer",
    )
}
TABLES: dict[str, Mapping[str, str]] = {
    "Strategies": strategies.STRATEGIES,
    "Designs": designs.DESIGNS,
    "Laws": laws.LAWS,
    "Mixers": mixers.MIXERS,
    "Exporters": export.EXPORTERS,
    "Trainers": TRAINERS,
    "Executors": execution.EXECUTORS,
    "Stores": tracking.STORES,
}
# Modules for users that name no list of their own: everything in them without an underscore.
WHOLE = (
    "mixopt.errors",
    "mixopt.ports",
    "mixopt.adapters.optuna",
    "mixopt.execution",
    "mixopt.execution.local",
    "mixopt.tracking",
)
# Given by the caller, never in a spec.
_GIVEN = {"folder", "name", "read_only", "cache", "rng", "memo", "best"}
_GIVEN |= {"space", "n", "existing", "constrained"}
_SCALARS = {"string", "number", "boolean", "null"}  # what a name may look like in YAML
_TYPES = {"string": "text", "null": "none", "object": "keys and values", "array": "list"}
_OF_THE_SPEC = {
    **{
        key: value.get("description", "")
        for part in ("ExecutionSpec", "StoreSpec")
        for key, value in json_schema()["$defs"][part]["properties"].items()
    },
    "mixer": "settings of the method, see the mixers below.",
}


# --- the spec


def spec_page(schema: Mapping[str, Any] | None = None) -> str:
    """Every key of a spec file with its meaning, form and default, out of its JSON schema."""
    schema = schema or json_schema()
    lines = [
        "# The spec: every key",
        "",
        "Generated from the JSON schema, which `mixopt schema` prints. What the keys are for, and"
        " what may change once there are runs: [the spec, explained](../guide/spec.md). Settings"
        " of strategies, laws and others by name: [names and their settings](names.md).",
        "",
        *_rows(schema),
    ]
    for key, value in schema["properties"].items():
        for depth, (name, definition) in enumerate(_parts(schema, value)):
            heading = f"### `{key}`: {_words(name)}" if depth else f"## `{key}`"
            lines += ["", heading, "", definition["description"], "", *_rows(definition)]
    return "\n".join([*lines, ""])


def spec_keys(schema: Mapping[str, Any] | None = None) -> list[str]:
    """All keys of the schema, those of nested parts by their own name."""
    schema = schema or json_schema()
    parts = [schema, *schema["$defs"].values()]
    return sorted({key for part in parts for key in part.get("properties", {})})


def _parts(
    schema: Mapping[str, Any], value: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The definitions that a key leads to, those inside of them after them."""
    seen, left = set[str](), re.findall(r'#/\$defs/(\w+)"', json.dumps(value))
    while left:
        name = left.pop(0)
        if name not in seen:
            seen.add(name)
            definition = schema["$defs"][name]
            yield name, definition
            left += re.findall(r'#/\$defs/(\w+)"', json.dumps(definition))


def _words(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name.removesuffix("Spec")).lower()


def _rows(part: Mapping[str, Any]) -> list[str]:
    lines = ["| key | meaning | form | default |", "|---|---|---|---|"]
    for key, value in part["properties"].items():
        default = "required" if key in part.get("required", ()) else _default(value)
        meaning = _cell(value.get("description", ""))
        lines.append(f"| `{key}` | {meaning} | {_cell(_form(value))} | {default} |")
    return lines


def _default(value: Mapping[str, Any]) -> str:
    if "default" not in value:
        return ""
    given = value["default"]
    return "none" if given in (None, "", [], {}) else f"`{_cell(_json(given))}`"


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        return repr(value)


def _form(value: Mapping[str, Any]) -> str:
    """What may be written, in words: the types of the schema with their limits."""
    if "$ref" in value:
        return "keys and values"
    if "enum" in value:
        return ", ".join(f"`{item}`" for item in value["enum"])
    if choices := value.get("anyOf") or value.get("oneOf"):
        forms = dict.fromkeys(_form(choice) for choice in choices if choice.get("type") != "null")
        return " or ".join(form for form in forms if form)
    kind = value.get("type", "")
    if isinstance(kind, list):
        return "a name" if set(kind) == _SCALARS else " or ".join(kind)
    if kind == "string" and "pattern" in value:
        return "`module:attribute`" if ":" in value["pattern"] else "text such as `64k`"
    limits = [
        f"{word} {value[bound]:_}"
        for bound, word in (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))
        if bound in value
    ]
    return " ".join([_TYPES.get(kind, kind), *limits])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


# --- names and their settings


def names_page() -> str:
    """Everything that a spec may name, from the tables of names, with settings and defaults."""
    lines = [
        "# Names and their settings",
        "",
        "Generated from the tables of names and from docstrings. Wherever a spec takes one of these"
        " names it takes `module:attribute` of your own as well ([plug-ins](../guide/plugins.md)).",
    ]
    for title, table in TABLES.items():
        lines += ["", f"## {title}"]
        for name, address in table.items():
            lines += ["", f"### `{name}`", "", *_named(address)]
    return "\n".join([*lines, ""])


def _named(address: str) -> list[str]:
    try:
        thing = load(address)
    except MissingDependencyError as error:
        return [f"`{address}`: {error}"]
    target = thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)
    text = _without_examples(inspect.getdoc(target) or "")
    if text.startswith("Settings."):  # then the module says what it is
        module = inspect.getdoc(inspect.getmodule(target)) or ""
        text = module.partition("\n\nNotation")[0] + text.removeprefix("Settings.")
    said, meanings = _parsed(text)
    settings = dict(_settings(thing, target))
    if not set(meanings) & set(settings) and settings:  # a recipe: its fields tell
        made = _made(thing)
        meanings = {**_parsed(inspect.getdoc(type(made)) or "")[1], **meanings}
    meanings = _OF_THE_SPEC | meanings
    lines = [*said, "", f"`{address}`"]
    if settings:
        lines += ["", "| setting | meaning | default |", "|---|---|---|"]
        for key, default in settings.items():
            meaning = _cell(meanings.get(key, ""))
            lines.append(f"| `{key}` | {meaning} | {_shown(default)} |")
    return lines


def _settings(thing: Any, target: Any) -> Iterator[tuple[str, Any]]:
    """Setting to its default; of a function with free settings, those of what it makes."""
    if not callable(thing):
        return
    parameters = inspect.signature(thing).parameters
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            made = _made(thing)
            if dataclasses.is_dataclass(made):
                for one in dataclasses.fields(made):
                    if one.init and one.name not in {*parameters, *_GIVEN}:
                        yield one.name, getattr(made, one.name)
        elif name not in _GIVEN and parameter.kind is not parameter.VAR_POSITIONAL:
            yield name, _default_of(target, name, parameter.default)


def _default_of(target: Any, name: str, default: Any) -> Any:
    """The default of a field that is made anew for every object."""
    if dataclasses.is_dataclass(target):
        for one in dataclasses.fields(target):
            if one.name == name and one.default_factory is not dataclasses.MISSING:
                return one.default_factory()
    return default


def _made(thing: Callable[..., Any]) -> Any:
    try:
        return thing()
    except (TypeError, InputError):  # it has settings without a default
        return None


def _shown(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return "required"
    if default is None or (isinstance(default, str | tuple | list | dict) and not default):
        return "none"
    if isinstance(default, str | bool | int | float | list | dict):
        return f"`{_cell(_json(default))}`"
    if isinstance(default, tuple | set | frozenset):
        return f"`{_cell(_json(list(default)))}`"
    return f"`{type(default).__name__}`"


def _without_examples(text: str) -> str:
    return re.split(r"^>>>", text, maxsplit=1, flags=re.MULTILINE)[0]


def _parsed(text: str) -> tuple[list[str], dict[str, str]]:
    """The prose of a docstring, and what it says of each setting."""
    said, meanings = [], {}
    described = {DocstringSectionKind.attributes, DocstringSectionKind.parameters}
    for section in Docstring(text).parse("google", warnings=False):
        if section.kind is DocstringSectionKind.text:
            said += [section.value, ""]
        elif section.kind in described:
            for item in section.value:  # one line may be about several
                meanings |= dict.fromkeys(item.name.split(", "), item.description)
    return said, meanings


# --- names in Python


def public_names() -> dict[str, list[str]]:
    """Module to its public names: those of its `__all__`, or all where the module is whole."""
    names = {}
    for root in ("mixopt", "proxies"):
        for file in sorted((ROOT / root).rglob("*.py")):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(
                ".__init__"
            )
            if module.startswith("mixopt.app"):
                continue  # commands: the command line says what they do
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if listed := _all_of(tree):
                names[module] = listed
            elif module in WHOLE or module.startswith(("mixopt.testing.", "mixopt.laws.curves")):
                names[module] = _defined(tree)
    return {module: listed for module, listed in names.items() if listed}


def _all_of(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _defined(tree: ast.Module) -> list[str]:
    names = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            names.append(ast.unparse(target))
    return [name for name in names if name.isidentifier() and not name.startswith("_")]


def python_pages() -> dict[str, str]:
    """Address below `reference/` to page: one of every module with public names, and their list."""
    modules = public_names()
    index = ["# Python", "", "Every public name, by module.", "", "| module | names |", "|---|---|"]
    pages = {}
    for module, names in modules.items():
        shown = ", ".join(f"`{name}`" for name in names)
        index.append(f"| [{module}](python/{module}.md) | {shown} |")
        homes = _hidden(module, names)
        members = json.dumps([name for name in names if name not in homes])
        parts = [f"# {module}", f"::: {module}\n    options:\n      members: {members}"]
        alone = "    options: {show_root_heading: true, show_root_toc_entry: true}"
        parts += [f"::: {home}\n{alone}" for home in homes.values()]
        pages[f"python/{module}.md"] = "\n\n".join([*parts, ""])
    return {"python.md": "\n".join([*index, ""]), **pages}


def _hidden(module: str, names: list[str]) -> dict[str, str]:
    """Names behind a module that is called the same, to where they are defined."""
    folder = ROOT / module.replace(".", "/")
    homes = {}
    if not folder.is_dir():
        return homes
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name in names and (folder / f"{alias.name}.py").is_file():
                    homes[alias.name] = f"{node.module}.{alias.name}"
    here = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    homes |= {n: f"{module}.{n}" for n in here & set(names) if (folder / f"{n}.py").is_file()}
    return homes


def reference_pages() -> dict[str, str]:
    """Address in the site to page, of all that is generated."""
    pages = {"spec.md": spec_page(), "names.md": names_page(), **python_pages()}
    return {f"reference/{name}": text for name, text in pages.items()}
