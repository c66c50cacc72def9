"""The wheel as a user gets it: built, installed into an environment of its own, used, typed."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.packaging, pytest.mark.timeout(400)]


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=cwd, check=False
    )
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


def test_a_users_code_is_checked_against_the_types(python: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.py"
    good.write_text(
        "from mixopt import Mixture, MixtureSpace\n"
        "space = MixtureSpace(['web', 'code'])\n"
        "natural: Mixture = space.natural\n",
        encoding="utf-8",
    )
    bad = tmp_path / "bad.py"
    bad.write_text("from mixopt import Scale\nscale: str = Scale(1, 2)\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--python-executable", str(python)]
    assert "no issues" in run(*command, good, cwd=tmp_path)
    done = subprocess.run(
        [*command, str(bad)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert 'variable has type "str"' in done.stdout
