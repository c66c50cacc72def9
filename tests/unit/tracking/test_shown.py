"""Names and descriptions in MLflow: short, readable, and never markup of a user's making."""

import json

import pytest

from mixopt import MixtureSpace, RunSpec, Scale
from mixopt.errors import InputError
from mixopt.ports import TrainerInfo
from mixopt.runs import Kind, Observation, Schedule
from mixopt.runs.kinds import DESIGN
from mixopt.space import Domain, Mixture
from mixopt.tracking import records, shown
from mixopt.tracking.experiment import experiment_name

MIXTURE = Mixture.of({"web": 0.41, "code": 0.38, "math": 0.21})


def test_a_run_is_named_by_number_reason_size_and_largest_shares() -> None:
    spec = RunSpec(MIXTURE, Scale(1_000_000, 20_000_000), kind=DESIGN)
    assert shown.run_name(17, spec) == "017 design 1M web .41 code .38"
    confirmed = RunSpec(
        Mixture.of({"web": 1.0, "code": 0.0}),
        Scale(25_000_000, 10**9),
        seed=2,
        kind=Kind.confirmation("only-web"),
    )
    assert shown.run_name(1234, confirmed) == "1234 confirmation of only-web 25M seed 2 web 1"
    schedule = Schedule(((500, MIXTURE), (1000, Mixture.of({"web": 1.0, "code": 0, "math": 0}))))
    planned = RunSpec.scheduled(schedule, Scale(10, 1000))
    assert shown.run_name(2, planned) == "002 given 10 2 phases web .70 code .19"


def test_odd_and_long_names_stay_short() -> None:
    names = tuple(f"{'long' * 60}-{i}" for i in range(3))
    spec = RunSpec(Mixture(names, (0.5, 0.499, 0.001)), Scale(1, 1), kind=DESIGN)
    assert len(shown.run_name(1, spec)) < 100


def test_what_people_compare_runs_by_comes_first_unless_the_trainer_has_it() -> None:
    space = MixtureSpace(["web", "code"])
    spec = RunSpec(space.natural, Scale(10, 100))
    rows = records.values(Observation(spec, metrics={"loss/web": 1.0}), 0.5)
    assert rows[0] == ("objective", 0.5, 100)
    own = records.values(Observation(spec, metrics={"objective": 3.0}), 0.5)
    assert [r for r in own if r[0] == "objective"] == [("objective", 3.0, 100)]


def test_a_description_holds_text_and_links_and_no_markup() -> None:
    text = shown.description(
        "Best: <b>*web*</b>\nTrust [this](http://x)", {"Runs": "#/experiments/1"}
    )
    assert text.endswith("[Runs](#/experiments/1)")
    assert "<b>" not in text.replace("\\<", "")
    assert "](http" not in text.replace("\\]", "")
    assert len(shown.description("x" * 20_000, {})) < 8000


def test_the_data_of_a_sweep_is_one_dataset_within_limits() -> None:
    domains = tuple(Domain(f"domain-{i}", tokens=1e9 if i else None) for i in range(5000))
    fields = shown.dataset(TrainerInfo(domains, ("loss",), "", "ab" * 40), "proxies.lm:Trainer")
    assert fields["name"] == "Trainer"
    assert len(fields["digest"]) <= 36
    assert len(fields["profile"]) <= 70_000
    assert json.loads(fields["profile"])["domains"] == 5000
    few = shown.dataset(TrainerInfo(domains[:3], ("loss",), "", "ab"), "m:T")
    assert json.loads(few["profile"])["tokens_per_domain"]["domain-1"] == 1e9


def test_a_deep_link_opens_the_table_of_runs() -> None:
    link = shown.deep_link("http://host:5000/", "7")
    assert link == "http://host:5000/#/experiments/7/runs?workflowType=machine_learning"


@pytest.mark.parametrize("namespace", ["../up", "a//b", "/a", "a/", "a b", "a" * 201, "é"])
def test_a_namespace_is_a_path_of_plain_names(namespace: str) -> None:
    with pytest.raises(InputError, match="namespace is"):
        experiment_name("sweep", namespace)
    assert experiment_name("sweep", "team/vision-2") == "team/vision-2/sweep"
    assert experiment_name("sweep") == "sweep"


def test_figures_that_are_no_numbers_are_no_metrics() -> None:
    assert shown.fields_of({"a": 1, "b": float("nan"), "c": None, "d": 2.5}) == {"a": 1.0, "d": 2.5}
