"""`mixopt fit` on tables as others write them: what is read, said, and answered."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from mixopt.app.commands import app
from mixopt.app.results import publish
from mixopt.errors import InputError
from mixopt.proposers import Optimism

OPTIMUM = np.array([0.6, 0.3, 0.1])


def runs(n: int = 40, names: tuple[str, ...] = ("web", "code", "math")) -> pd.DataFrame:
    W = np.random.default_rng(0).dirichlet(np.ones(3), size=n).round(4)
    W[:, 2] = (1 - W[:, 0] - W[:, 1]).round(4)
    frame = pd.DataFrame(W.clip(0), columns=[f"w/{d}" for d in names])
    return frame.assign(**{"m/loss": 2 + 3 * ((W - OPTIMUM) ** 2).sum(axis=1)})


def fit(path: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["fit", str(path), "--law", "gp", *options])


def answered(path: Path, *options: str) -> tuple[dict[str, Any], str]:
    """The JSON and everything on the screen."""
    out = path.with_suffix(".json")
    result = fit(path, "--json", str(out), *options)
    assert result.exit_code == 0, result.exception
    return json.loads(out.read_text()), result.output


def share(values: dict[str, Any], domain: str) -> float:
    return float(values["recommended"][domain])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    runs().to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path / "runs.csv"


def test_what_is_odd_about_a_table_reaches_screen_json_and_report(tmp_path: Path) -> None:
    table = runs().assign(split="train", status="ok")
    table.loc[0, "m/loss"] = np.inf
    table.loc[1, "status"] = "crashed"
    path = tmp_path / "runs.csv"
    table.to_csv(path, index=False)
    report = tmp_path / "report.html"
    values, screen = answered(path, "--report", str(report))
    page = re.sub(r"<[^>]+>", "", report.read_text())
    for note in (
        "1 of 40 runs did not finish and are left out (status: 'crashed' 1)",
        "1 of 39 runs lack m/loss (1 of them infinite)",
        "used by --where alone: 1 column, split",
    ):
        assert note in values["warnings"]
        assert note in re.sub(r"\s+", " ", screen)
        assert note in page.replace("&#x27;", "'").replace("&#39;", "'")


def test_without_priors_the_answer_is_compared_with_uniform(path: Path) -> None:
    report = path.with_suffix(".html")
    values, screen = answered(path, "--report", str(report))
    assert set(values["predicted"]["gains"]) == {"uniform"}
    page = re.sub(r"<(script|style).*?</\1>", "", report.read_text(), flags=re.DOTALL)
    for text in (screen, page, json.dumps(values)):
        assert "natural" not in text
        assert "uniform" in text
    assert share(values, "web") == pytest.approx(0.6, abs=0.02)


def test_priors_come_from_a_spec(path: Path) -> None:
    spec = path.with_name("spec.yaml")
    spec.write_text(
        "version: 1\nname: priors\ntrainer: {use: 'proxies:TableTrainer', config: {table: x}}\n"
        "scales: [{params: 1k, tokens: 1k}]\nobjective: {minimize: loss}\n"
        "space: {domains: {web: {prior: 8}, code: {prior: 1}, math: {prior: 1}}}\n"
    )
    table = pd.read_csv(path)
    epochs = {f"epochs/{name}": 2.0 * table[f"w/{name}"] for name in ("web", "code", "math")}
    table.assign(**epochs).to_csv(path, index=False)
    values, screen = answered(path, "--spec", str(spec))
    assert "Columns epochs/<domain> are not used: with --spec" in screen
    assert "natural" in values["predicted"]["gains"]
    assert re.search(r"web +80\.0 %", screen)
    assert "natural" in screen


def test_unlike_metrics_are_said_and_standardized(tmp_path: Path) -> None:
    table = runs()
    W = table[["w/web", "w/code", "w/math"]].to_numpy()
    table["m/bpb"] = table.pop("m/loss")
    table["m/ppl"] = np.exp(5 + 4 * ((W - np.array([0.1, 0.1, 0.8])) ** 2).sum(axis=1))
    path = tmp_path / "runs.csv"
    table.to_csv(path, index=False)
    plain, screen = answered(path)
    assert any("ppl makes 99.9 % of its variance" in w for w in plain["warnings"])
    assert "--standardize" in re.sub(r"\s+", " ", screen)
    assert plain["trust"]["level"] != "yes"
    alike, _ = answered(path, "--standardize")
    assert not any("unlike" in w for w in alike["warnings"])
    assert share(plain, "math") > share(alike, "math") + 0.1
    only, _ = answered(path, "--minimize", "bpb")
    assert share(only, "web") == pytest.approx(0.6, abs=0.02)


def test_a_metric_that_is_mostly_noise_weighs_less_where_that_is_asked(tmp_path: Path) -> None:
    table = runs()
    table = pd.concat([table, table.head(12)], ignore_index=True)
    W = table[["w/web", "w/code", "w/math"]].to_numpy()
    chance = np.random.default_rng(1).standard_normal(len(table))
    table["m/loud"] = 2 + 3 * ((W - OPTIMUM[::-1]) ** 2).sum(axis=1) + 2.0 * chance
    path = tmp_path / "runs.csv"
    table.to_csv(path, index=False)
    values, screen = answered(path, "--down-weight")
    (told,) = (n for n in values["notes"] if n.startswith("metrics weigh by their reliability"))
    weights = re.search(r"loss ([\d.]+) \(asked 0.5, .*loud ([\d.]+) \(asked 0.5", told)
    assert weights is not None
    quiet, loud = (float(w) for w in weights.groups())
    assert quiet > 1.5 * loud
    assert quiet + loud == pytest.approx(1.0, abs=1e-3)
    assert f"on mean of {quiet} loss, {loud} loud" in re.sub(r"\s+", " ", screen)


def test_reliability_that_no_repeated_run_tells_is_refused(path: Path) -> None:
    refused = fit(path, "--down-weight")
    assert isinstance(refused.exception, InputError)
    assert "that of 'loss' is unknown" in str(refused.exception)


def test_accuracies_that_are_minimised_are_said_and_the_remedy_is_right(tmp_path: Path) -> None:
    table = runs()
    table["m/acc"] = 0.9 - table.pop("m/loss") / 9
    path = tmp_path / "runs.csv"
    table.to_csv(path, index=False)
    wrong, _ = answered(path)
    assert any("acc is minimised" in w and "--maximize acc" in w for w in wrong["warnings"])
    assert wrong["trust"]["level"] != "yes"
    right, _ = answered(path, "--maximize", "acc")
    assert share(right, "web") == pytest.approx(0.6, abs=0.02)
    assert not right["warnings"]


def test_the_second_file_can_be_named(tmp_path: Path) -> None:
    table = runs(names=("Wikipedia (en)", "DM Mathematics", "a, b")).rename(columns=lambda c: c[2:])
    table.insert(0, "run", range(len(table)))
    table[["run", "loss"]].sample(frac=1, random_state=0).to_csv(tmp_path / "y.csv", index=False)
    first = tmp_path / "x.csv"
    table.drop(columns="loss").to_csv(first, index=False)
    values, _ = answered(first, "--metrics", str(tmp_path / "y.csv"))
    assert share(values, "Wikipedia (en)") == pytest.approx(0.6, abs=0.02)
    refused = fit(first)
    assert isinstance(refused.exception, InputError)
    assert "--metrics FILE" in str(refused.exception)


def test_a_condition_runs_nothing(path: Path) -> None:
    ran = path.with_name("ran")
    for condition in (
        f"@pd.io.common.os.system('touch {ran}') == 1",
        f"__import__('os').system('touch {ran}') == 0",
    ):
        refused = fit(path, "--where", condition)
        assert isinstance(refused.exception, InputError)
    assert not ran.exists()
    values, _ = answered(path, "--where", "`w/web` > 0.1 and `m/loss` < 4")
    assert 20 < values["runs"] < 40


def test_both_directions_are_refused(path: Path) -> None:
    refused = fit(path, "--minimize", "loss", "--maximize", "loss")
    assert "both minimised and maximised" in str(refused.exception)
    unknown = fit(path, "--minimize", "los")
    assert "unknown metric 'los'; known: loss; did you mean 'loss'" in str(unknown.exception)


def test_an_answer_for_a_scale_that_did_not_run_has_no_level(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    runs().assign(params=1e6, tokens=1e9).to_csv(path, index=False)
    values, screen = answered(path, "--at", "1B/25B", "--report", str(tmp_path / "r.html"))
    assert values["predicted"]["objective"]["mean"] is None
    assert values["predicted"]["gains"] == {}
    page = re.sub(r"<[^>]+>", "", (tmp_path / "r.html").read_text())
    for text in (re.sub(r"\s+", " ", screen), values["headline"], page):
        assert "no run was trained at 1B params x 25B tokens" in text
    assert share(values, "web") == pytest.approx(0.6, abs=0.02)
    for wrong, rule in (("1B", "no scale"), ("1B/x", "no scale"), ("0/1", "no scale")):
        assert rule in str(fit(path, "--at", wrong).exception)


def test_how_much_too_well_the_answer_is_predicted_reaches_screen_json_and_report(
    path: Path,
) -> None:
    report = path.with_suffix(".html")
    values, screen = answered(path, "--optimism", "--report", str(report))
    (told,) = (n for n in values["notes"] if "a law of the other half chose" in n)
    assert told.startswith("40 runs")  # a quarter of 20, in eight halves
    assert told[1:] in re.sub(r"\s+", " ", screen)
    assert told in re.sub(r"<[^>]+>", "", report.read_text())
    runs(12).to_csv(path, index=False)
    few, _ = answered(path, "--optimism")
    assert any("is not known: 12 mixtures ran" in n for n in few["notes"])
    assert not any("too well" in n for n in answered(path)[0]["notes"])


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Optimism(0.5, 8, 24, 0.03), ("came out 0.0300 worse", "to come out 0.0200 worse")),
        (Optimism(-0.5, 8, 24, -0.03), ("came out 0.0300 better", "to come out 0.0200 better")),
        (Optimism(0.0, 8, 24, 0.01), ("came out 0.0100 worse", "stays as it is")),
    ],
)
def test_optimism_is_said_in_the_unit_of_the_objective(
    told: Optimism, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "optimism", lambda *_, **__: told)
    surrogate = SimpleNamespace(moments=lambda W: (np.full(len(W), 2.0), np.full(len(W), 0.04)))
    answer = SimpleNamespace(mixture=SimpleNamespace(array=OPTIMUM))
    study: Any = SimpleNamespace(
        surrogate=surrogate,
        outcome=SimpleNamespace(recommendation=answer),
        evidence=None,
        space=None,
    )
    line = publish.how_optimistic(study, 0)
    for part in words:
        assert part in line
