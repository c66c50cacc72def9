"""From a spec file to checked values, or an error with field, line, rule and remedy."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixopt.app.spec.strict_yaml import MAX_BYTES, YamlError, read_yaml
from mixopt.app.spec.values import VERSION, Spec
from mixopt.errors import SpecError, did_you_mean, nearest, shorten
from mixopt.space.counts import NAMING
from mixopt.space.redaction import redact, shown

EXPERIMENTS = Path("experiments")
"""Where `mixopt init` writes studies, seen from where one calls it."""
_PROBLEMS = 8  # shown at once
_REMEDIES = {
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "float_type": "write a number",
    "string_type": "write text, in quotes",
    "dict_type": "write keys and values",
    "model_type": "write keys and values",
    "list_type": "write a list",
    "tuple_type": "write [lowest, highest]",
    "too_long": "leave some out",
    "finite_number": "give a finite one",
}


def _meant(given: Path) -> str:
    """The study below `experiments` that is called nearly so, to end a message with."""
    folders = {file.parent.name: file.parent for file in EXPERIMENTS.glob("*/spec.yaml")}
    wanted = given.parent.name if given.name == "spec.yaml" else given.stem
    close = nearest(wanted, folders, cutoff=0.6)
    return f"; did you mean {folders[close]}?" if close else ""


def read_spec(path: str | Path) -> Spec:
    """Read and check a spec file.

    Raises:
        SpecError: no such file, no YAML, another version, or any field that breaks a rule; every
            broken field is listed with its path, its line and what to do.
    """
    if "\0" in str(path):
        raise SpecError(f"{str(path)!r} has a NUL character; correct the path")
    file = Path(path)
    name = shorten(str(file), 120)
    try:
        kind = "no such file"
        if file.is_dir():
            file, kind = file / "spec.yaml", "the folder holds no spec.yaml"
        if not file.is_file():
            kind = "no file" if file.exists() else kind
            raise SpecError(f"{name}: {kind}; give the path of a spec.yaml{_meant(Path(path))}")
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(
            f"{name}: cannot be read: {error.strerror}; give the path of a spec.yaml"
        ) from error
    try:
        document = read_yaml(data, is_name=names_in(json_schema()))
    except YamlError as error:
        problem = SpecError(redact(error.message), redact(_dotted(error.path)), error.line)
        line = f"line {error.line}: " if error.line and not error.path else ""
        raise SpecError(f"{name}:\n  {line}{problem}") from error
    lines = {_dotted(path): line for path, line in document.lines.items()}
    return parse_spec(document.values, source=name, lines=lines)


def parse_spec(values: Any, source: str = "spec", lines: Mapping[str, int] | None = None) -> Spec:
    """Check the values of a spec.

    Args:
        values: a mapping, as YAML or JSON has it.
        source: where they are from, for messages.
        lines: dotted path to line, for messages.

    Raises:
        SpecError: see `read_spec`.
    """
    lines = lines or {}
    if not isinstance(values, Mapping):
        raise SpecError(
            f"{source}: a spec is a mapping of keys to values, not a {type(values).__name__}; "
            "begin with 'version: 1'"
        )
    version = values.get("version")
    if isinstance(version, bool) or version != VERSION or not isinstance(version, int):
        if version is None:
            raise SpecError(
                f"{source}: the spec does not say its version; begin with 'version: {VERSION}'",
                "version",
            )
        raise SpecError(
            f"{source}: the spec says version {shown(version, 40)} and this mixopt reads "
            f"version {VERSION}; see 'mixopt schema' for today's format, or install the mixopt "
            "that wrote the spec",
            "version",
            lines.get("version", 0),
        )
    try:
        return Spec.model_validate(dict(values)).written_at(lines)
    except ValidationError as error:
        raise _explained(error, source, lines) from error


@functools.cache
def json_schema() -> dict[str, Any]:
    """The JSON schema of a spec file, for editors: it accepts every spec that `read_spec` does."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Spec.model_json_schema()}


def names_in(schema: Mapping[str, Any]) -> Callable[[tuple[str | int, ...]], bool]:
    """Whether the value at a path names something, by the schema: it is text, however it looks."""
    return lambda path: any(node.get("type") == NAMING for node in _nodes_at(schema, path))


def _explained(error: ValidationError, source: str, lines: Mapping[str, int]) -> SpecError:
    problems = dict[str, None]()
    details = error.errors(include_url=False)
    for detail in details[:_PROBLEMS]:
        path = _dotted(detail["loc"])
        at = path
        while at and at not in lines:
            at = at.rpartition(".")[0]
        line = f" (line {lines[at]})" if at else ""
        problems[f"{shorten(redact(path)) or 'spec'}{line}: {_explain(detail)}"] = None
    rows = [f"  {shorten(p, 600)}" for p in problems]
    if len(details) > _PROBLEMS:
        rows.append(f"  and {len(details) - _PROBLEMS} more; correct these first")
    return SpecError(f"{source}:\n" + "\n".join(rows))


def _explain(detail: Any) -> str:
    if detail["type"] == "extra_forbidden":
        *parents, key = detail["loc"]
        return f"unknown key; {did_you_mean(shorten(str(key)), _keys_at(parents))}"
    if detail["type"] == "missing":
        return "missing; add it (see 'mixopt schema')"
    known = _keys_at(detail["loc"]) if detail["type"] == "model_type" else []
    if known:
        listed = shorten(", ".join(known), 200)
        return (
            f"{shown(detail['input'])} is no mapping; write keys and values, as in "
            f"{{{known[0]}: ...}}; known: {listed}"
        )
    message = detail["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}"
    given = shown(detail["input"])
    if detail["type"] != "value_error" and given not in message:
        message += f", not {given}"
    remedy = _remedy(detail)
    return f"{message}; {remedy}" if remedy else message


def _remedy(detail: Any) -> str:
    """What to write in place of a value, where its type alone says so."""
    given = detail["input"]
    if detail["type"] == "less_than_equal" and detail["ctx"] == {"le": 1.0} and given <= 100:
        return f"a share of {given:.4g} % is {given / 100:.4g}"
    if detail["type"] == "string_pattern_mismatch" and detail["loc"] == ("name",):
        return "take letters, digits, '.', '_' and '-', and begin with a letter or digit"
    return _REMEDIES.get(detail["type"], "")


def _keys_at(parents: list[Any]) -> list[str]:
    """The keys that the spec knows at a path."""
    return [k for node in _nodes_at(json_schema(), parents) for k in node.get("properties", {})]


def _nodes_at(schema: Mapping[str, Any], path: Any) -> list[dict[str, Any]]:
    """What the schema says of the value at a path: one node per form that it may have."""
    definitions = schema.get("$defs", {})
    nodes = [dict(schema)]
    for part in path:
        children = []
        for node in nodes:
            inside = node.get("items") if isinstance(part, int) else None
            known = node.get("properties", {})
            child = known.get(part, inside or node.get("additionalProperties"))
            if isinstance(child, dict):
                children += _forms(child, definitions)
        nodes = children
    return nodes


def _forms(node: dict[str, Any], definitions: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in node:
        return _forms(definitions[node["$ref"].rpartition("/")[2]], definitions)
    inner = [form for part in node.get("anyOf", ()) for form in _forms(part, definitions)]
    return inner or [node]


def _dotted(path: Any) -> str:
    return ".".join(str(part) for part in path)
