"""The examples in docstrings run, and every name of `import mixopt` has one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import mixopt

ROOT = Path(__file__).parent.parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for room in ("mixopt", "proxies")
    for path in (ROOT / room).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
ERRORS = {"InfeasibleError", "InputError", "MixoptError"}
ELSEWHERE = {"open_sweep"}  # needs a sweep: the notebook read_sweep.ipynb, which the tests run


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)  # what an example writes is forgotten
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted({*mixopt.__all__} - ERRORS - ELSEWHERE))
def test_a_public_name_has_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(getattr(mixopt, name)) or "")


def test_what_a_study_can_do_has_an_example() -> None:
    text = inspect.getdoc(mixopt.Study) or ""
    methods = [name for name in vars(mixopt.Study) if not name.startswith("_")]
    assert [name for name in methods if f"study.{name}" not in text] == []
