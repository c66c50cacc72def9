"""Which tests answer for which module.

The mirrored file first: `mixopt/laws/gp.py` is answered for by `tests/unit/laws/test_gp.py`. Where
there is none, the unit tests of its room do. What a table of names makes (laws, designs,
strategies) is also answered for by the contract of its kind, and published recipes by golden
numbers; those are named here, and nothing else counts: a fault that only a test of another room
sees is a survivor.
"""

from pathlib import Path

ROOMS = (
    "mixopt/space",
    "mixopt/runs",
    "mixopt/laws",
    "mixopt/proposers",
    "mixopt/designs",
    "mixopt/strategies",
    "mixopt/evidence",
    "mixopt/execution",
    "mixopt/study.py",
)
# The longest beginning of a module's path decides. An answer is a file or a folder.
BESIDE: dict[str, tuple[str, ...]] = {
    "mixopt/laws": ("tests/contracts/test_laws.py",),
    "mixopt/laws/autoscale.py": ("tests/golden/test_autoscale.py", "tests/contracts/test_laws.py"),
    "mixopt/laws/curves.py": ("tests/golden/test_projektor.py",),
    "mixopt/laws/trees.py": ("tests/golden/test_regmix.py", "tests/contracts/test_laws.py"),
    "mixopt/laws/processes": (
        "tests/golden/test_gp_against_gpytorch.py",
        "tests/contracts/test_laws.py",
    ),
    "mixopt/designs": ("tests/contracts/test_designs.py", "tests/golden/test_recipes.py"),
    "mixopt/proposers": (),
    "mixopt/strategies": ("tests/golden/test_recipes.py", "tests/contracts/test_strategies.py"),
    "mixopt/execution/local.py": ("tests/contracts/test_executors.py",),
    "mixopt/execution/ray.py": ("tests/contracts/test_executors.py",),
    "mixopt/execution/files.py": ("tests/unit/proxies/experts/test_experts.py",),
}


def modules(root: Path, only: tuple[str, ...] = ROOMS) -> list[str]:
    """Paths of the modules under `only`, relative to `root`."""
    paths: set[Path] = set()
    for place in only:
        paths |= {root / place} if place.endswith(".py") else set((root / place).rglob("*.py"))
    return sorted(path.relative_to(root).as_posix() for path in paths)


def files_for(root: Path, module: str) -> list[str]:
    """The test files that answer for a module, in the order in which they are asked."""
    path = Path(module)
    unit = Path("tests/unit") / path.parent.relative_to("mixopt")
    mirrored = unit / f"test_{path.name}"
    if (root / mirrored).is_file():
        files = [mirrored.as_posix()]
    else:
        files = [p.relative_to(root).as_posix() for p in sorted((root / unit).glob("test_*.py"))]
    beginnings = [b for b in BESIDE if module == b or module.startswith(f"{b}/")]
    beside = BESIDE[max(beginnings, key=len)] if beginnings else ()
    return files + [file for file in beside if file not in files]
