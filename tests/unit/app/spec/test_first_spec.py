"""The first spec is one that mixopt takes, whatever domains are called."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mixopt.app.commands import app
from mixopt.app.spec.first_spec import study_name
from mixopt.app.spec.spec_file import read_spec
from mixopt.errors import SpecError

WORDS = "the quick brown fox jumps over the lazy dog and says so at some length\n"


def folder(root: Path, *domains: str) -> Path:
    for name in domains:
        (root / "data" / name).mkdir(parents=True)
        (root / "data" / name / "a.txt").write_text(WORDS * 900)
    return root / "data"


def test_a_folder_becomes_a_spec_that_can_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path, "web", "no", "2020", "it's: #1", "test")
    result = CliRunner().invoke(app, ["init", "data"])
    assert result.exit_code == 0, result.output
    spec = read_spec(tmp_path / "experiments" / "data" / "spec.yaml")
    config = spec.trainer.config
    assert set(config["domains"]) == {"web", "no", "2020", "it's: #1"}
    assert config["validation"] == {"test": "data/test"}
    assert list(spec.make_objective().metrics) == ["test"]
    assert (tmp_path / "experiments" / "data" / "spec.schema.json").is_file()
    for wrong in ("data", "dta", "experiments/dat"):  # as one guesses after reading the line
        with pytest.raises(SpecError, match=r"; did you mean experiments/data\?"):
            read_spec(wrong if wrong != "data" else "data.yaml")
    wrong = CliRunner().invoke(app, ["init", "dat"])
    assert "dat is not there; did you mean data?" in str(wrong.exception)
    again = CliRunner().invoke(app, ["init", "data"])
    assert again.exception is not None
    assert "exists; give another folder with --out" in str(again.exception)


def test_without_a_set_to_validate_on_all_domains_are_minimised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path, "web", "code")
    CliRunner().invoke(app, ["init", "data", "--out", "here", "--name", "mine"])
    text = (tmp_path / "here" / "spec.yaml").read_text()
    values = yaml.safe_load(text)
    assert values["name"] == "mine"
    assert values["objective"]["minimize"] == ["code", "web"]
    assert "under trainer.config.validation" in text


def test_one_domain_alone_is_no_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path, "web")
    result = CliRunner().invoke(app, ["init", "data"])
    assert "a mixture is of two or more" in str(result.exception)
    assert not (tmp_path / "experiments").exists()


@pytest.mark.parametrize(("given", "name"), [("/x/My Data!", "my-data"), ("/", "my-mixture")])
def test_a_sweep_is_called_like_its_folder(given: str, name: str) -> None:
    assert study_name(given) == name
