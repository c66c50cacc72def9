"""A sweep over several objectives: what the user sees of the trade-offs."""

import json
from pathlib import Path

import pytest
from sandbox import mixopt, write


@pytest.mark.mlflow
@pytest.mark.slow
def test_a_sweep_over_several_objectives_shows_its_front(tmp_path: Path) -> None:
    goals = {"web": "loss/web", "others": {"loss/code": 1, "loss/math": 2}}
    write(
        tmp_path,
        strategy={"use": "pareto", "design": 8, "runs": 12, "objectives": goals},
        execution={"use": "local"},
    )
    done = mixopt("run", "spec.yaml", "--json", "out.json", cwd=tmp_path)
    assert "Trade-offs" in done.stdout
    values = json.loads((tmp_path / "out.json").read_text())
    front = values["front"]
    assert len(front) >= 3
    assert all(set(t["objectives"]) == {"web", "others"} for t in front)
    web = [t["objectives"]["web"] for t in front]
    others = [t["objectives"]["others"] for t in front]
    assert others == sorted(others)  # the spec's keys were written in alphabetical order
    assert web == sorted(web, reverse=True)
    first, last = front[0]["mixture"], front[-1]["mixture"]
    assert first["web"] < last["web"]
    page = (tmp_path / "runs/tiny/report.html").read_text()
    assert "Mixtures along the front" in page
    assert "Trade-offs between the objectives" in page
    assert "The settings" not in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": {"minimize": "loss/web"}}, "takes 2 to 8"),
        (
            {"strategy": {"use": "pareto", "objectives": {"a": "loss/web", "b": "loss/wbe"}}},
            "did you mean 'loss/web'",
        ),
    ],
)
def test_objectives_that_cannot_be_are_refused_before_any_training(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    write(tmp_path, **{"strategy": {"use": "pareto"}, **changes})
    refused = mixopt("run", "spec.yaml", cwd=tmp_path, ok=False)
    assert message in refused.stderr
    assert "runs |" not in refused.stderr
