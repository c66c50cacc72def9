"""The benchmark compares a run that a mixer steers with the same run without."""

import json

import pytest

from analysis import mixing_cost


@pytest.mark.slow
def test_records_have_the_promised_fields(tmp_path, capsys):
    path = tmp_path / "out.json"
    arguments = ["--methods", "odm,doremi", "--params", "20k", "--tokens", "16k"]
    mixing_cost.main([*arguments, "--json", str(path)])
    odm, doremi = json.loads(path.read_text())
    assert odm["method"] == "odm"
    assert odm["flops"] == pytest.approx(1.0, abs=0.01)
    assert doremi["flops"] > 2.0  # its reference run, and the forward passes beside it
    assert 0.3 < odm["ratio_low"] <= odm["ratio"] <= odm["ratio_high"]
    assert "odm: " in capsys.readouterr().out


def test_an_unknown_method_is_named(capsys):
    with pytest.raises(SystemExit):
        mixing_cost.main(["--methods", "oddm"])
    assert "there is no method 'oddm'; known: odm, ado" in capsys.readouterr().err
