"""Checks of settings, which come from specs and notebooks as they are: one way for all of them.

The type of a setting is its annotation (of a dataclass field, or of an argument), its bounds stand
beside the type: `runs: Annotated[int, Within(1, 100)] = 48`.
"""

import collections.abc
import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from mixopt.errors import InputError, did_you_mean
from mixopt.space.redaction import shown

MANY = 100_000
"""Runs of a sweep at most: above this, what is planned fits no memory and no lifetime."""


@dataclass(frozen=True)
class Within:
    """Bounds of a number.

    Attributes:
        least: lower bound.
        most: upper bound.
        open: whether the lower bound itself is refused.
        infinite: whether infinity is a value.
    """

    least: float = -math.inf
    most: float = math.inf
    open: bool = False
    infinite: bool = False

    def rule(self, kind: str) -> str:
        """The rule in words, e.g. `a whole number of at least 1`."""
        low = f" above {self.least:g}" if self.open else f" of at least {self.least:g}"
        high = "" if self.most == math.inf else f" and at most {_plain(self.most)}"
        return kind + ("" if self.least == -math.inf else low) + high

    def holds(self, value: float) -> bool:
        """Whether a number keeps the bounds."""
        if abs(value) == math.inf and not self.infinite:
            return False
        return self.least <= value <= self.most and not (self.open and value == self.least)


def check_number(
    name: str, value: Any, *, least: float = -math.inf, most: float = math.inf, open: bool = False
) -> None:
    """Refuse a setting that is no finite number between two bounds.

    Args:
        name: of the setting, for the message.
        value: as it was given.
        least: lower bound.
        most: upper bound.
        open: whether the lower bound itself is refused.

    Raises:
        InputError: it is text, a truth value, not finite, or out of bounds.
    """
    check_value(name, value, Annotated[float, Within(least, most, open)])


def check_settings(made: Any) -> None:
    """Refuse a dataclass that holds a value which its annotations do not allow.

    Raises:
        InputError: names the setting, the value and the rule.
    """
    hints = _hints(type(made))
    for field in dataclasses.fields(made):
        value, hint = vars(made).get(field.name), hints.get(field.name, Any)
        if isinstance(hint, type) and hint not in _SIMPLE and not isinstance(value, hint):
            raise InputError(f"{field.name} is {shown(value)}; it cannot be set, leave it out")
        check_value(field.name, value, hint)


def check_arguments(factory: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Refuse keyword arguments that the annotations of a class or function do not allow.

    Raises:
        InputError: names the setting, the value and the rule.
    """
    source = factory
    if inspect.isclass(factory) and not dataclasses.is_dataclass(factory):
        source = factory.__init__
    hints = _hints(source)
    for name, value in settings.items():
        check_value(name, value, hints.get(name, Any))


def check_value(name: str, value: Any, hint: Any) -> None:
    """Refuse a value that an annotation does not allow; one that says nothing here allows all.

    Understood are numbers (with `Within`), text, truth values, `Literal`, None, unions, sequences
    and mappings of these.

    Raises:
        InputError: names the setting, the value and the rule.
    """
    bounds = Within()
    if typing.get_origin(hint) is Annotated:
        hint, *extra = typing.get_args(hint)
        bounds = next((e for e in extra if isinstance(e, Within)), bounds)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SIMPLE:
        _check_simple(name, value, hint, bounds)
    elif origin in {typing.Union, types.UnionType}:
        _check_union(name, value, inner)
    elif origin is Literal:
        if not any(value is choice or value == choice for choice in inner):
            known = [str(choice) for choice in inner]
            raise InputError(f"{name} is {shown(value)}; {did_you_mean(str(value), known)}")
    elif origin in {list, tuple, collections.abc.Sequence}:
        _check_list(name, value, inner if origin is tuple else (*inner, ...))
    elif origin in {dict, collections.abc.Mapping}:
        if not isinstance(value, Mapping):
            raise InputError(f"{name} is {shown(value)}; give a mapping of names to values")
        for key, item in value.items():
            check_value(f"{name}.{key}", item, inner[1])


def _check_list(name: str, value: Any, inner: tuple[Any, ...]) -> None:
    if isinstance(value, str | bytes) or not isinstance(value, collections.abc.Sequence):
        raise InputError(f"{name} is {shown(value)}; give a list")
    same = inner[1:] == (...,)
    if not same and len(inner) != len(value):
        raise InputError(f"{name} is {shown(value)}; give a list of {len(inner)}")
    for place, item in enumerate(value):
        check_value(f"{name}[{place}]", item, inner[0] if same else inner[place])


_SIMPLE = (int, float, str, bool)
_RULES = {str: "give text, in quotes", bool: "give true or false"}


def _check_simple(name: str, value: Any, kind: Any, bounds: Within) -> None:
    if kind in _RULES:
        if not isinstance(value, kind):
            raise InputError(f"{name} is {shown(value)}; {_RULES[kind]}")
        return
    rule = bounds.rule("a whole number" if kind is int else "a number")
    if isinstance(value, str):
        raise InputError(f"{name} is the text {shown(value)}; give {rule}, without quotes or unit")
    wanted = int if kind is int else int | float
    if isinstance(value, bool) or not isinstance(value, wanted) or not bounds.holds(value):
        raise InputError(f"{name} is {shown(value)}; give {rule}")


def _check_union(name: str, value: Any, inner: tuple[Any, ...]) -> None:
    if value is None and type(None) in inner:
        return None
    problems = []
    for hint in inner:
        if hint is type(None):
            continue
        try:
            return check_value(name, value, hint)
        except InputError as error:
            problems.append(str(error))
    if len(problems) == 1:
        raise InputError(problems[0])
    rules = dict.fromkeys(problem.rpartition("; ")[2].removeprefix("give ") for problem in problems)
    raise InputError(f"{name} is {shown(value)}; give {', or '.join(rules)}")


def _hints(source: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(source, include_extras=True)
    except (NameError, TypeError, AttributeError):  # names that exist for type checkers alone
        return {}


def _plain(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:g}"
