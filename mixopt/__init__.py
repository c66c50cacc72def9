"""Find the data mixture for the next large language-model run, and prove it."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixopt.app.state.opened import open_sweep
    from mixopt.errors import InfeasibleError, InputError, MixoptError
    from mixopt.runs import MixerSpec, Observation, Point, Realised, RunSpec, Scale, Schedule
    from mixopt.runs.objective import Guard, Objective
    from mixopt.runs.reading import read_table
    from mixopt.runs.run_table import RunTable
    from mixopt.space import Domain, Group, Mixture, MixtureSpace, Order, Tie
    from mixopt.study import Study, load_study, save_study

__version__ = "0.1.0"

# Imported when first used: a command that needs no arrays waits for none.
_HOMES = {
    "app.state.opened": ("open_sweep",),
    "errors": ("InfeasibleError", "InputError", "MixoptError"),
    "runs": ("MixerSpec", "Observation", "Point", "Realised", "RunSpec", "Scale", "Schedule"),
    "runs.objective": ("Guard", "Objective"),
    "runs.reading": ("read_table",),
    "runs.run_table": ("RunTable",),
    "space": ("Domain", "Group", "Mixture", "MixtureSpace", "Order", "Tie"),
    "study": ("Study", "load_study", "save_study"),
}
_HOME = {name: f"mixopt.{module}" for module, names in _HOMES.items() for name in names}
_ROOMS = ("designs", "diagnostics", "laws", "plots", "proposers", "report", "strategies", "testing")

__all__ = [
    "Domain",
    "Group",
    "Guard",
    "InfeasibleError",
    "InputError",
    "MixerSpec",
    "MixoptError",
    "Mixture",
    "MixtureSpace",
    "Objective",
    "Observation",
    "Order",
    "Point",
    "Realised",
    "RunSpec",
    "RunTable",
    "Scale",
    "Schedule",
    "Study",
    "Tie",
    "load_study",
    "open_sweep",
    "read_table",
    "save_study",
]

if not TYPE_CHECKING:  # a type checker knows every name, and a misspelt one

    def __getattr__(name: str) -> Any:
        if name in _ROOMS:
            return importlib.import_module(f"mixopt.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'mixopt' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_ROOMS})
