"""What a spec names, made and checked before any data is prepared."""

import inspect
import os
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mixopt import lazy
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError, MixoptError, SpecError, StoreError, TrainerError, shorten
from mixopt.execution import local
from mixopt.ports import Trainer, TrainerInfo
from mixopt.runs import Scale, Schedule
from mixopt.space.numbers import check_arguments
from mixopt.space.redaction import redact
from mixopt.strategies import Strategy, strategy


def at(path: str, make: Callable[[], Any]) -> Any:
    """Run a step; what it refuses is reported at a path of the spec.

    Raises:
        SpecError: the step refused something.
    """
    try:
        return make()
    except SpecError:
        raise
    except InputError as error:
        raise SpecError(redact(str(error)), path) from error


def by_setting(path: str, settings: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """As `at`; a message that begins with the name of a setting is reported at that setting.

    Raises:
        SpecError: see `at`.
    """
    try:
        return at(path, make)
    except SpecError as error:
        name = error.message.partition(" ")[0].partition("[")[0].partition(".")[0]
        if error.path == path and name in settings:
            raise SpecError(error.message, f"{path}.{name}") from error
        raise


def make_strategy(spec: Spec) -> Strategy:
    """The strategy, its settings checked.

    Raises:
        SpecError: an unknown name or setting, or one that breaks its rule.
    """
    chosen = spec.strategy

    def make() -> Strategy:
        if "memo" in chosen.settings:
            raise InputError("no setting 'memo'; leave it out")
        return strategy(chosen.use, **_with_offline(chosen.settings))

    made: Strategy = by_setting("strategy", chosen.settings, make)
    return made


def _with_offline(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings with the mixture that `offline` names by where it is: a sweep, version or file.

    Raises:
        InputError: nothing is there, or a schedule, which no single mixture stands for.
        StoreError: the folder holds no sweep with an answer.
    """
    given = settings.get("offline")
    if not isinstance(given, str):
        return settings
    try:
        plan = lazy.load("mixopt.app.plans.plan_source:read_source")(given).plan
    except InputError as error:
        raise InputError(f"offline is {given!r}: {error}") from error
    if isinstance(plan, Schedule):
        raise InputError(
            f"offline is {given!r}, which recommends a schedule, and what changes on the way is "
            "compared with one mixture; give that, domain to share"
        )
    return {**settings, "offline": plan.to_dict()}


def make_trainer(
    spec: Spec,
    config: Mapping[str, Any] | None = None,
    runtime: Mapping[str, Any] | None = None,
) -> Trainer:
    """The trainer, its configuration checked.

    Args:
        spec: names it.
        config: settings that are part of every run, in place of the spec's.
        runtime: settings that are not, in place of the spec's.

    Raises:
        SpecError: it is no trainer, or refuses its configuration.
    """
    name = spec.trainer.use
    config = spec.trainer.config if config is None else config
    runtime = spec.trainer.runtime if runtime is None else runtime
    factory = at("trainer.use", lambda: lazy.callable_at(name, "trainer"))
    if inspect.isclass(factory) and not issubclass(factory, Trainer):
        raise _no_trainer(name, f"the class {factory.__name__}")

    def make() -> Trainer:
        check_arguments(factory, {**config, **runtime})
        return _built(name, config, runtime)

    trainer: Trainer = by_setting("trainer.config", config, make)
    if not isinstance(trainer, Trainer) or isinstance(trainer, type):
        raise _no_trainer(name, shorten(f"{type(trainer).__name__} {trainer!r}", 80))
    return trainer


def _no_trainer(name: str, what: str) -> SpecError:
    return SpecError(
        f"{name!r} gives {what}, no trainer; a trainer is a class (or a function that makes one) "
        "with the methods prepare(cache) and train(specs, cache, report): see "
        "docs/guide/plugins.md",
        "trainer.use",
    )


def prepare(trainer: Trainer, cache: Path) -> TrainerInfo:
    """What the trainer says of its data, made ready.

    Raises:
        SpecError: the data cannot be used.
        TrainerError: the trainer itself is broken.
    """
    try:
        info = at("trainer.config", lambda: trainer.prepare(cache))
    except MixoptError:
        raise
    except Exception as error:
        raise TrainerError(
            f"{type(trainer).__name__}.prepare failed with {_brief(error)}; correct the trainer, "
            "or its configuration"
        ) from error
    if not isinstance(info, TrainerInfo):
        raise TrainerError(
            f"{type(trainer).__name__}.prepare gave {shorten(repr(info), 60)}; let it give a "
            "mixopt.ports.TrainerInfo"
        )
    return info


@runtime_checkable
class ScaleChecking(Protocol):
    """A trainer whose settings do not go with every scale."""

    def check_scale(self, scale: Scale, cache: Path) -> None:
        """Look at a scale, once `prepare` has been there.

        Raises:
            InputError: its runs would not be what the settings say.
        """
        ...


def check_scales(spec: Spec, trainer: Trainer, cache: Path) -> None:
    """Refuse scales at which the trainer cannot keep its settings.

    Raises:
        SpecError: names the setting and the remedy.
    """
    for scale in spec.make_scales():
        check_scale(trainer, scale, cache)


def check_scale(trainer: Trainer, scale: Scale, cache: Path) -> None:
    """Refuse one scale; see `check_scales`.

    Raises:
        SpecError: names the setting and the remedy.
    """
    if isinstance(trainer, ScaleChecking):
        checked: ScaleChecking = trainer
        at("trainer.config", partial(checked.check_scale, scale, cache))


def _built(name: str, config: Mapping[str, Any], runtime: Mapping[str, Any]) -> Trainer:
    try:
        return local.make_trainer(name, config, runtime)
    except MixoptError:
        raise
    except Exception as error:
        raise InputError(
            f"{name} does not take this configuration: {_brief(error)}; correct the setting that "
            "it speaks of"
        ) from error


def _brief(error: Exception) -> str:
    """An error of foreign code: what it says, and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return f"{type(error).__name__}: {shorten(redact(str(error)), 300)} ({where})"


def check_folders(folder: Path, cache: Path) -> None:
    """See that the sweep's folder and the cache can be made and written.

    Raises:
        SpecError: the cache cannot.
        StoreError: the folder cannot.
    """
    problem = _unwritable(folder)
    if problem:
        raise StoreError(
            f"cannot write to {folder}: {problem}; free some space or give another folder with "
            "--out"
        )
    problem = _unwritable(cache)
    if problem:
        raise SpecError(
            f"cannot write to {shorten(str(cache), 200)}: {problem}; give a folder that can be "
            "written",
            "execution.cache",
        )


def _unwritable(folder: Path) -> str:
    """Why nothing could be written into a folder, made if need be; empty where it could."""
    if "\0" in str(folder):
        return "the path has a NUL character"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".mixopt-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
