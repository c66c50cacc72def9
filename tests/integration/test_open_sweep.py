"""`mixopt.open_sweep`: a sweep in a notebook, while it runs and when it has ended."""

import os
from pathlib import Path

import pytest
from sandbox import SPEC, mixopt, write

from mixopt import InputError, Mixture, open_sweep
from mixopt.errors import StoreError


@pytest.mark.slow
def test_a_sweep_is_opened_read_and_gone_on_with(tmp_path: Path, monkeypatch) -> None:
    strategy = {"use": "random", "runs": 12}
    write(tmp_path, strategy=strategy, execution={"use": "local", "stop_after": {"runs": 8}})
    mixopt("run", "spec.yaml", cwd=tmp_path, ok=False)  # a limit stops it
    monkeypatch.chdir(tmp_path)
    early = open_sweep("tiny")
    assert len(early.observations) == 8
    assert early.space.names == ("web", "code", "math")
    assert "8 runs over 3 domains" in repr(early)

    write(tmp_path, strategy=strategy, execution={"use": "local"})
    mixopt("run", "spec.yaml", cwd=tmp_path)
    sweep = early.refresh()
    by_spec, by_folder = open_sweep(tmp_path / "spec.yaml"), open_sweep(tmp_path / "runs/tiny")
    assert len(sweep.observations) == len(by_spec.observations) == len(by_folder.observations) == 12
    assert len(early.observations) == 8  # a value
    assert sweep.state.state == "finished"
    assert {"run", "w/web", "m/loss/web"} <= set(sweep.frame)
    assert sweep.frame["m/loss/web"].notna().all()
    outcome = sweep.outcome()
    assert isinstance(outcome.recommendation.mixture, Mixture)
    page = sweep._repr_html_()
    assert "12 runs" in page
    assert sweep.state.answer[0] in page

    study = sweep.study("log-linear")
    assert len(study) == 12
    assert study.objective == sweep.objective
    assert sweep.space.contains(study.recommend().mixture.array[None], 1e-6).all()
    assert len(study.ask(3, scale=sweep.observations[0].spec.scale)) == 3
    assert set(os.listdir(tmp_path)) == {"spec.yaml", "runs"}


def test_what_is_no_sweep_is_refused_in_words(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert SPEC["name"] == "tiny"
    with pytest.raises(StoreError, match="tiny"):
        open_sweep("tiny")
    with pytest.raises(InputError, match=r"is an address, .* name the sweep's folder or its spec"):
        open_sweep("postgresql://db/mlflow")
