"""Text of a file: YAML and Python that no name or path can change the meaning of."""

import json
import re
from collections.abc import Iterable, Mapping
from pprint import pformat
from typing import Any

import yaml

_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


class _Dumper(yaml.SafeDumper):
    """Safe YAML without anchors: a list that stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """No value becomes an alias."""
        return True


def as_yaml(values: Any, note: str, *, comments: Iterable[str] = ()) -> str:
    """YAML with a note as a comment; keys in their order, everything ambiguous in quotes."""
    head = "".join(f"# {one_line(line)}\n" for line in (note, *comments))
    body = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
    return head + body


def one_line(text: str) -> str:
    """A text that cannot leave the comment that it stands in."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def literal(value: Any) -> str:
    """A Python literal of plain values, over several lines where it is long."""
    return pformat(value, width=96, sort_dicts=False)


def comment(provenance: Mapping[str, Any]) -> str:
    """Provenance as comments of a Python or YAML file; empty where there is none."""
    if not provenance:
        return ""
    # ASCII JSON has no line break but its own.
    lines = json.dumps(provenance, indent=2, default=str).splitlines()
    return "# Provenance:\n" + "".join(f"# {line}\n" for line in lines)


def slugs(names: Iterable[str]) -> dict[str, str]:
    """Name to one of letters, digits, `.`, `_` and `-`, each once.

    >>> slugs(["web", "C++, 2024", "C: 2024"])
    {'web': 'web', 'C++, 2024': 'C_2024', 'C: 2024': 'C_2024_2'}
    """
    made: dict[str, str] = {}
    for name in names:
        base = _PLAIN.sub("_", name).strip("._") or "domain"
        slug, number = base, 1
        while slug in made.values():
            number += 1
            slug = f"{base}_{number}"
        made[name] = slug
    return made
