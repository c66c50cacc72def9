"""Published online methods, each as a recipe of its own; see `mixopt.strategies.online`.

Settings of the method stand under `mixer`, and are those of the class that is named.
"""

from collections.abc import Mapping
from typing import Any

from mixopt.strategies.online import Online

Settings = Mapping[str, Any] | None


def aioli(*, mixer: Settings = None, **settings: Any) -> Online:
    """Aioli (2411.05735): the run itself, from equal shares. See `mixopt.mixers.aioli.Aioli`."""
    return _one("aioli", mixer, settings)


def doremi(*, mixer: Settings = None, **settings: Any) -> Online:
    """DoReMi (2305.10429): the average of a proxy's weights, against a reference of equal shares.

    One round; see `mixopt.mixers.doremi.DoReMi`.
    """
    return _one("doremi", mixer, settings)


def doge(*, mixer: Settings = None, **settings: Any) -> Online:
    """DoGE (2310.15393): the average of a proxy's weights. See `mixopt.mixers.doge.DoGE`."""
    return _one("doge", mixer, settings)


def grape(*, mixer: Settings = None, **settings: Any) -> Online:
    """GRAPE (2505.20380): the run itself. See `mixopt.mixers.grape.Grape`."""
    return _one("grape", mixer, settings)


def skill_it(*, mixer: Settings = None, **settings: Any) -> Online:
    """Skill-It (2307.14430): the run itself. See `mixopt.mixers.skill_it.SkillIt`."""
    return _one("skill-it", mixer, settings)


def odm(*, mixer: Settings = None, **settings: Any) -> Online:
    """ODM (2312.02406): the run itself. See `mixopt.mixers.odm.ODM`."""
    return _one("odm", mixer, settings)


def ado(*, mixer: Settings = None, **settings: Any) -> Online:
    """ADO (2410.11820): the run itself, from the natural mixture. See `mixopt.mixers.ado.ADO`."""
    return _one("ado", mixer, settings)


def pike(*, mixer: Settings = None, **settings: Any) -> Online:
    """PiKE (2502.06244): the run itself. See `mixopt.mixers.pike.PiKE`."""
    return _one("pike", mixer, settings)


def fastmix(*, mixer: Settings = None, **settings: Any) -> Online:
    """FastMix (2606.14971): the last weights of a proxy. See `mixopt.mixers.fastmix.FastMix`."""
    return _one("fastmix", mixer, settings)


def balance(*, mixer: Settings = None, **settings: Any) -> Online:
    """R&B on given domains (2505.00358): the run itself. See `mixopt.mixers.balance.Balance`."""
    return _one("r&b", mixer, settings)


def velocitune(*, mixer: Settings = None, **settings: Any) -> Online:
    """Velocitune (2411.14318): the run itself; `mixer` needs `goals`."""
    return _one("velocitune", mixer, settings)


def differences(*, mixer: Settings = None, **settings: Any) -> Online:
    """Finite differences, with guards if some are named: the run itself.

    See `mixopt.mixers.differences.Differences`.
    """
    return _one("fd", mixer, settings)


def _one(name: str, mixer: Settings, settings: Mapping[str, Any]) -> Online:
    return Online(methods={name: dict(mixer or {})}, **settings)
