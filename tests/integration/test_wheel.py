"""The wheel as a user gets it: built, installed into an environment of its own, used, typed."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = Path(__file__).with_name("typed_user.py")
MISTAKES = Path(__file__).with_name("typed_mistakes.py")
pytestmark = [pytest.mark.packaging, pytest.mark.timeout(400)]


def anyhow(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that is to know of no other mixopt than the one that is installed."""
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "MYPYPATH"}}
    words = [str(part) for part in command]
    return subprocess.run(
        words, capture_output=True, text=True, cwd=cwd, check=False, env=environment
    )


def run(*command: object, cwd: Path) -> str:
    done = anyhow(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    run("git", "clone", "--quiet", ROOT, source, cwd=folder)
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(sys.executable, *build, "--wheel-dir", folder, source, cwd=folder)
    (made,) = folder.glob("mixopt-*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel alone; the libraries are those of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    made = folder / "bin" / "python"
    run(made, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=folder)
    libraries = run(sys.executable, "-c", "import numpy; print(numpy.__path__[0])", cwd=folder)
    place = run(made, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip()
    # After the environment's own packages, so that mixopt itself is the wheel's.
    Path(place, "libraries.pth").write_text(str(Path(libraries.strip()).parent), encoding="utf-8")
    return made


def test_the_wheel_holds_library_and_trainers_typed_and_no_benchmarks(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert roots == {"mixopt", "proxies"}
    assert {"mixopt/py.typed", "proxies/py.typed", "mixopt/report/templates/page.css"} <= set(names)


def test_the_installed_library_answers_outside_the_repository(python: Path, tmp_path: Path) -> None:
    program = (
        "import mixopt, proxies\n"
        "assert 'environment' in mixopt.__file__, mixopt.__file__\n"
        "space = mixopt.MixtureSpace({'web': 8e9, 'code': 1e9})\n"
        "study = mixopt.Study(space, minimize='loss', law='gp')\n"
        "for spec in study.ask(8):\n"
        "    study.tell(spec, {'loss': 2 + (spec.mixture['code'] - .3) ** 2})\n"
        "print(round(study.recommend().mixture['code'], 1))\n"
    )
    assert run(python, "-c", program, cwd=tmp_path).strip() == "0.3"
    assert "export" in run(python.parent / "mixopt", "--help", cwd=tmp_path)


def check(checker: str, python: Path, file: Path) -> subprocess.CompletedProcess[str]:
    """A checker's verdict on a user's file, by the types of the installed wheel alone."""
    folder = python.parent.parent
    alone = Path(shutil.copy(file, folder))  # where no repository is near
    options = {
        "mypy": ["--strict", "--python-executable", str(python), "--cache-dir", str(folder / "c")],
        "pyright": ["--pythonpath", str(python)],
    }
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}', encoding="utf-8")
    return anyhow(sys.executable, "-m", checker, *options[checker], alone.name, cwd=folder)


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_users_code_is_right_by_strict_rules_and_runs(checker: str, python: Path) -> None:
    done = check(checker, python, USER)
    assert done.returncode == 0, done.stdout + done.stderr
    run(python, USER, ROOT / "docs" / "examples" / "runs.csv", cwd=python.parent)


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_users_mistakes_are_seen_by_line(checker: str, python: Path) -> None:
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    wrong = {n for n, line in enumerate(lines, 1) if line.endswith("# wrong")}
    done = check(checker, python, MISTAKES)
    reported = re.findall(rf"{MISTAKES.name}:(\d+)(?::\d+)?(?: -|:) error", done.stdout)
    assert {int(n) for n in reported} == wrong, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["3.12", "3.13"])  # `make test` checks for 3.11
def test_the_library_is_typed_for_later_pythons(version: str, tmp_path: Path) -> None:
    """Types alone: the tests themselves run on the Python that there is."""
    mypy = ("-m", "mypy", "--python-version", version, "--cache-dir", tmp_path)
    assert "no issues" in run(sys.executable, *mypy, cwd=ROOT)
