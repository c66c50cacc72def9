"""What of a working folder goes along with a job."""

from pathlib import Path

import pytest

from mixopt.app.jobs.package import left_behind, pack
from mixopt.errors import InputError


def fill(root: Path, *paths: str, size: int = 10) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x" * size)


def test_code_goes_along_and_results_data_environments_and_secrets_stay(tmp_path: Path) -> None:
    fill(tmp_path, "spec.yaml", "lab/trainer.py", "lab/data/table.csv", "lab/runs/note.txt")
    fill(tmp_path, ".git/HEAD", ".venv/bin/python", "data/web.txt", "runs/mine/mlflow.db")
    fill(tmp_path, "lab/__pycache__/trainer.pyc", ".env", "lab/.env.local", "old.pyc")
    made = pack(tmp_path)
    assert [str(p) for p in made.files] == [
        *("lab/data/table.csv", "lab/runs/note.txt", "lab/trainer.py", "spec.yaml")
    ]
    assert made.size == 40
    assert "4 files, 40B; not taken along: .env, .git, .venv, data" in made.summary
    assert {str(p) for p in made.left_out} >= {"lab/.env.local", "old.pyc", "lab/__pycache__"}
    made.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy/lab/trainer.py").read_bytes() == b"x" * 10
    assert not (tmp_path / "copy/data").exists()


def test_a_package_called_data_is_code(tmp_path: Path) -> None:
    fill(tmp_path, "data/__init__.py", "data/trainer.py")
    assert len(pack(tmp_path).files) == 2


def test_patterns_leave_out_more(tmp_path: Path) -> None:
    fill(tmp_path, "spec.yaml", "notes/a.ipynb", "notes/b.py", "deep/er/big.bin")
    assert [str(p) for p in pack(tmp_path, ["*.bin", "notes/*"]).files] == ["spec.yaml"]
    assert [str(p) for p in pack(tmp_path, ["notes"]).files] == ["deep/er/big.bin", "spec.yaml"]


def test_links_that_lead_out_stay(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    fill(outside, "secret.txt")
    fill(inside, "spec.yaml", "real.py")
    (inside / "secret").symlink_to(outside / "secret.txt")
    (inside / "all").symlink_to(outside)
    (inside / "alias.py").symlink_to(inside / "real.py")
    made = pack(inside)
    assert [str(p) for p in made.files] == ["alias.py", "real.py", "spec.yaml"]
    assert [str(p) for p in made.left_out] == ["all", "secret"]


def test_a_folder_that_is_too_large_is_refused_with_its_largest_files(tmp_path: Path) -> None:
    fill(tmp_path, "spec.yaml")
    fill(tmp_path, "weights.bin", size=3000)
    with pytest.raises(InputError, match=r"has 3.01kB in 2 files.*largest are weights.bin \(3kB\)"):
        pack(tmp_path, most=2000)
    assert pack(tmp_path, ["weights.bin"], most=2000).size == 10  # the remedy
    with pytest.raises(InputError, match="is no folder"):
        pack(tmp_path / "missing")


def test_a_setting_that_names_what_stays_is_noticed(tmp_path: Path) -> None:
    fill(tmp_path, "spec.yaml", "data/web.txt", "texts/code.txt")
    made = pack(tmp_path)
    for value in ("data", "data/web.txt", "./data/web.txt", "texts/../data"):
        at = {"domains": {"web": [value]}}
        assert left_behind(at, made, "trainer.config") == ("trainer.config.domains.web.0", value)
    for value in ("texts", "texts/code.txt", "/data/web.txt", "missing/web.txt", ".", "gpt2", ""):
        assert left_behind({"path": value}, made, "trainer.config") is None
