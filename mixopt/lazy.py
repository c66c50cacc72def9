"""The one place that imports by name or on demand.

`import mixopt` must stay light (numpy, scipy, pandas), so laws that need lightgbm,
adapters that need Ray or MLflow, and trainers named in a spec are loaded here, when they are named.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from mixopt.errors import InputError, MissingDependencyError, did_you_mean, shorten

# Which extra of the project brings an optional library.
EXTRAS = {
    "lightgbm": "laws",
    "sklearn": "laws",
    "datasketch": "heap",
    "ot": "transport",
    "torch": "proxies",
    "tokenizers": "proxies",
    "fsspec": "proxies",
    "transformers": "finetune",
    "peft": "finetune",
    "ray": "ray",
    "mlflow": "mlflow",
    "plotly": "plots",
    "matplotlib": "plots",
    "optuna": "optuna",
    "botorch": "botorch",
    "gpytorch": "botorch",
}


def require(module: str) -> ModuleType:
    """Import an optional library, or say which extra installs it.

    Raises:
        MissingDependencyError: the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        root = (error.name or module).partition(".")[0]
        if root not in EXTRAS:
            raise
        raise MissingDependencyError(
            f"{root} is needed here and not installed; run: pip install 'mixopt[{EXTRAS[root]}]'"
        ) from error


def load(target: str) -> Any:
    """The object behind `"module:attribute"`.

    Raises:
        InputError: the text has another form, or module or attribute do not exist.
    """
    module_name, colon, attribute = target.partition(":")
    if not (module_name and colon and attribute):
        raise InputError(f"{target!r} does not name an object; write it as 'module:attribute'")
    try:
        module = require(module_name)
    except ModuleNotFoundError as error:
        if isinstance(error, MissingDependencyError):
            raise
        raise InputError(
            f"cannot import {module_name!r} of {target!r}: {error}; is it installed, or in the "
            "folder you run from?"
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        known = did_you_mean(attribute, (n for n in dir(module) if not n.startswith("_")))
        raise InputError(f"module {module_name!r} has no {attribute!r}; {known}") from None


def build(factory: Callable[..., Any], settings: Mapping[str, Any], what: str) -> Any:
    """`factory(**settings)`, its keyword arguments checked by name first.

    Raises:
        InputError: see `check_settings`.
    """
    check_settings(factory, settings, what)
    return factory(**settings)


def check_settings(factory: Callable[..., Any], settings: Mapping[str, Any], what: str) -> None:
    """See that a factory takes these keyword arguments; it is not called.

    Raises:
        InputError: a setting that the factory does not take, or one that it needs is missing.
    """
    try:
        signature, known = inspect.signature(factory), _parameters(factory)
    except ValueError:
        raise InputError(f"{what}: {factory!r} tells nobody its settings; name another") from None
    for key in settings:
        if known is not None and key not in known:
            raise InputError(f"{what} has no setting {key!r}; {did_you_mean(key, known)}")
    try:
        signature.bind(**settings)
    except TypeError as error:
        raise InputError(f"{what}: {error}; give it as a setting") from error


def _parameters(factory: Callable[..., Any]) -> list[str] | None:
    """The keyword arguments that a factory takes; None where it takes any.

    A function that hands them on to the class it says it returns takes those of the class.
    """
    signature = inspect.signature(factory)
    names = [n for n, p in signature.parameters.items() if p.kind is not p.VAR_KEYWORD]
    if len(names) == len(signature.parameters):
        return names
    made = signature.return_annotation
    if inspect.isclass(factory) or not inspect.isclass(made) or made is signature.empty:
        return None
    more = _parameters(made)
    return None if more is None else [*names, *more]


def lookup(name: str, table: Mapping[str, str], kind: str) -> Any:
    """What a table of names (`name -> "module:attribute"`) gives for `name`, or its own address.

    Raises:
        InputError: the name is unknown (the message lists the known ones), or what is there cannot
            be called.
    """
    if name not in table and ":" not in name:
        raise InputError(f"unknown {kind} {shorten(name)!r}; {did_you_mean(name, table)}")
    return callable_at(table.get(name, name), kind)


def callable_at(target: str, kind: str) -> Any:
    """The class or Python function behind `"module:attribute"`.

    Raises:
        InputError: it does not exist, or is neither.
    """
    thing = load(target)
    # Built-in functions (sys.exit, os.remove) are never what is meant, and act when called.
    if not callable(thing) or inspect.isbuiltin(thing):
        raise InputError(
            f"{target!r} is {type(thing).__name__} {shorten(repr(thing), 60)}, no {kind}; name a "
            f"class, or a function that gives one"
        )
    return thing
