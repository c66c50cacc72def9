"""Which tests answer for which module.

Asked are, in this order, and nothing else counts: a fault that only a test of another room sees is
a survivor.

1. The mirrored file: `tests/unit/laws/test_capacity.py` for `mixopt/laws/capacity.py`.
2. Files of the same folder that mirror no single module: `test_zoo.py` holds all laws,
   `test_optima.py` the proposers.
3. Where there is neither, the whole folder. Of trainers (`proxies`) the mirrored file alone, where
   there is one: the files beside it train.
4. What the table `BESIDE` names: the contract of a kind of plug-in, golden numbers of published
   recipes, and the tests of a whole for the modules that it alone is made of. Of a contract only
   the plug-ins that the module makes are tried (`selection`), so that a minute is enough.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mixopt.designs import DESIGNS
from mixopt.laws import LAWS
from mixopt.strategies import STRATEGIES

ROOMS = (
    "mixopt/space",
    "mixopt/runs",
    "mixopt/laws",
    "mixopt/proposers",
    "mixopt/designs",
    "mixopt/strategies",
    "mixopt/evidence",
    "mixopt/execution",
    "mixopt/study",
)
# The longest beginning of a module's path decides.
BESIDE: dict[str, tuple[str, ...]] = {
    "mixopt/space": ("tests/unit/space/test_mixture_space.py",),
    "mixopt/laws": ("tests/contracts/test_laws.py",),
    **dict.fromkeys(
        [f"mixopt/laws/{name}.py" for name in ("base", "folds", "held_out", "mean", "wrappers")],
        ("tests/unit/laws/test_ensemble.py", "tests/contracts/test_laws.py"),
    ),
    "mixopt/laws/autoscale.py": ("tests/golden/test_autoscale.py", "tests/contracts/test_laws.py"),
    "mixopt/laws/trees.py": ("tests/golden/test_regmix.py", "tests/contracts/test_laws.py"),
    "mixopt/laws/processes": (
        "tests/golden/test_gp_against_gpytorch.py",
        "tests/contracts/test_laws.py",
    ),
    "mixopt/designs": ("tests/contracts/test_designs.py", "tests/golden/test_recipes.py"),
    "mixopt/strategies": ("tests/golden/test_recipes.py", "tests/contracts/test_strategies.py"),
    "mixopt/execution/local.py": (
        "tests/unit/execution/test_sweep.py",
        "tests/contracts/test_executors.py",
    ),
    "mixopt/execution/ray/executor.py": ("tests/contracts/test_executors.py",),
    "mixopt/execution/file_locks.py": ("tests/unit/proxies/experts/test_experts.py",),
}

CONTRACTS: dict[str, Mapping[str, str]] = {
    "tests/contracts/test_laws.py": LAWS,
    "tests/contracts/test_designs.py": DESIGNS,
    "tests/contracts/test_strategies.py": STRATEGIES,
}
# What their contracts take: seconds, and half a minute for all. Left out for shared modules.
SLOW = {"auto", "lightgbm", "ladder", "joint", "pareto", "rungs", "admire", "mfms"}


def modules(root: Path, only: tuple[str, ...] = ROOMS) -> list[str]:
    """Paths of the modules under `only`, relative to `root`."""
    paths: set[Path] = set()
    for place in only:
        paths |= {root / place} if place.endswith(".py") else set((root / place).rglob("*.py"))
    return sorted(path.relative_to(root).as_posix() for path in paths)


def files_for(root: Path, module: str) -> list[str]:
    """The test files that answer for a module, in the order in which they are asked."""
    path = Path(module)
    trains = path.parts[0] == "proxies"
    folder = Path("tests/unit") / (path.parent if trains else path.parent.relative_to("mixopt"))
    present = [file.name for file in sorted((root / folder).glob("test_*.py"))]
    mirrors = {f"test_{other.name}" for other in (root / path.parent).glob("*.py")}
    own = [name for name in present if name == f"test_{path.name}"]
    common = [name for name in present if name not in mirrors]
    if path.parent == Path("mixopt") or (trains and own):
        common = []  # a module at the top level has no room
    files = [(folder / name).as_posix() for name in (own + common or present)]
    beginnings = [b for b in BESIDE if module == b or module.startswith(f"{b}/")]
    beside = BESIDE[max(beginnings, key=len)] if beginnings else ()
    return files + [file for file in beside if file not in files]


def selection(module: str, files: Sequence[str]) -> str:
    """Pytest's `-k`: of each contract among the files, the plug-ins that the module makes.

    A module that makes none is shared by many: all but the slow ones are tried.
    """
    dotted = module.removesuffix(".py").replace("/", ".")
    parts = []
    for file in files:
        if file in CONTRACTS:
            table = CONTRACTS[file]
            made = [name for name, target in table.items() if target.startswith(f"{dotted}:")]
            names = made or [name for name in table if name not in SLOW]
            # Ids read `[name]`, `[name-check]` or `[given-name]`.
            ids = " or ".join(f"[{name}] or [{name}- or -{name}]" for name in names)
            parts.append(f"(not {Path(file).name} or {ids})")
    return " and ".join(parts)
