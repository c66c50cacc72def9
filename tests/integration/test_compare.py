"""`mixopt compare` on sweeps that have run."""

import json
from pathlib import Path

import pytest
from sandbox import mixopt, write

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


def test_two_sweeps_are_shown_side_by_side(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        write(tmp_path, name=name, seed=seed, question=f"{name}?", execution={"use": "local"})
        mixopt("run", "spec.yaml", cwd=tmp_path)
    done = mixopt(
        "compare", "runs/one", "runs/two", "--json", "out.json", "--out", "page.html", cwd=tmp_path
    )
    for text in ("Side by side", "one?", "two?", "gain over natural", "seed"):
        assert text in done.stdout
    values = json.loads((tmp_path / "out.json").read_text())
    assert values["comparable"]
    assert values["best"] in {"one", "two"}
    assert values["spec"] == {"seed": [0, 1]}
    assert "What differs in their specs" in (tmp_path / "page.html").read_text()
    refused = mixopt("compare", "runs/one", "runs/one", cwd=tmp_path, ok=False)
    assert "given twice" in refused.stderr
