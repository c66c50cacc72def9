"""The notebooks run from their first cell to their last, and hold no outputs."""

import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "analysis" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_committed(path: Path) -> None:
    cells = nbformat.read(path, 4).cells
    assert [c for c in cells if c.get("outputs") or c.get("execution_count")] == []
    assert cells[0].source.startswith("# ")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    notebook = nbformat.read(path, 4)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=200, resources=where).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in code)


def test_there_are_notebooks_and_the_guide_names_them_all() -> None:
    guide = (ROOT / "docs" / "guide" / "notebooks.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) >= 5
    assert [path.name for path in NOTEBOOKS if path.name not in guide] == []
