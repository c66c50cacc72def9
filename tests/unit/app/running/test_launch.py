"""From a spec to a sweep and back: what is opened is what was made, and nothing is refused late."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mixopt import Domain, Scale
from mixopt.app.results.recorded import introduce, pages_of, summarize
from mixopt.app.results.recorded import place as recorded_in
from mixopt.app.running.driving import is_finished, make_executor, run
from mixopt.app.running.dry_run import dry_run
from mixopt.app.running.launch import folder_of, new_sweep, open_sweep, remembered
from mixopt.app.running.preparation import cache_of, settled
from mixopt.app.spec.spec_file import parse_spec
from mixopt.app.spec.values import Spec
from mixopt.errors import SpecError, StoreError
from mixopt.lazy import require
from mixopt.ports import TrainerInfo
from mixopt.strategies import Problem, strategy
from mixopt.testing.trainers import FakeTrainer

pytestmark = pytest.mark.mlflow

RICH = f"{__name__}:RichTrainer"
RELIABLE = {"minimize": ["loss/web", "loss/code"], "reliability": "down-weight"}


class RichTrainer(FakeTrainer):
    """A trainer whose domains have every fact that a domain can have."""

    def prepare(self, cache: Path) -> TrainerInfo:
        """Tokens, priors, tags and parents; a warning and a note."""
        plain = super().prepare(cache)
        domains = (
            Domain("web", tokens=8e9, prior=5.0, tags={"licence": "cc"}, parent="crawl"),
            Domain("code", tokens=1e9, prior=3.0, tags={"licence": "mit"}, parent="crawl"),
            Domain("math", tokens=2e8, prior=2.0),
        )
        return TrainerInfo(
            domains, plain.metrics, "nats/token", plain.data, ("a note",), {"licences": ["mit"]}
        )


@pytest.fixture
def place(tmp_path: Path, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own; the database is shared, for making one takes seconds."""
    monkeypatch.setenv("MIXOPT_TEST_STORE", mlflow_uri)
    monkeypatch.chdir(tmp_path)  # a sweep without a folder of its own is in runs/
    return tmp_path


def spec(tmp_path: Path, **changes: Any) -> Spec:
    values: dict[str, Any] = {
        "version": 1,
        "name": tmp_path.name.replace("[", "-"),
        "store": {"uri": os.environ["MIXOPT_TEST_STORE"]},
        "seed": 3,
        "trainer": {"use": RICH, "config": {"noise": 0.002}},
        "scales": [{"params": 1000, "tokens": "10k"}, {"params": 1000, "tokens": "40k"}],
        "space": {
            "bounds": {"web": [0.1, 0.9]},
            "groups": {"crawled": {"domains": ["web", "code"], "lower": 0.2}},
            "budget": "1B",
            "epochs": 3,
        },
        "objective": {
            "minimize": {"loss/web": 2, "loss/code": 1},
            "guards": {"loss/math": {"tolerance": 0.1}},
        },
        "strategy": {"use": "auto", "design": 4, "proposals": 0, "law": "log-linear",
                     "corrections": 0, "confirm_seeds": 1, "singles": False},
        "execution": {"use": "local", "cache": str(tmp_path / "cache")},
    }  # fmt: skip
    return parse_spec({**values, **changes})


def assert_same(one: Problem, other: Problem) -> None:
    assert one.space.domains == other.space.domains
    assert one.space.names == other.space.names
    assert one.space.prior.tolist() == other.space.prior.tolist()
    assert one.space.caps.tolist() == other.space.caps.tolist()
    assert one.space.lower.tolist() == other.space.lower.tolist()
    assert one.space.upper.tolist() == other.space.upper.tolist()
    assert one.space.groups == other.space.groups
    assert one.objective == other.objective
    assert one.objective.weights == other.objective.weights
    assert one.scales == other.scales
    assert (one.trainer, one.data, one.seed) == (other.trainer, other.data, other.seed)
    assert dict(one.config) == dict(other.config)
    assert one.knobs == other.knobs
    ids = [[s.run_id for s in strategy("baselines").next(p, [], [])] for p in (one, other)]
    assert ids[0] == ids[1]


def test_the_problem_that_is_opened_is_the_one_that_was_made(place: Path) -> None:
    folder = place / "sweep"
    with new_sweep(spec(place), folder) as (made, _):
        problem, info = made.problem, made.info
        assert problem.space.domains[0].parent == "crawl"
    with open_sweep(folder) as opened:
        assert_same(opened.problem, problem)
        assert opened.info == info
        assert opened.spec == spec(place)
        assert opened.trainer is None
        assert opened.folder == folder


def test_a_sweep_runs_to_its_end_once_and_is_read_with_every_run(place: Path) -> None:
    folder = place / "sweep"
    with new_sweep(spec(place), folder) as (sweep, recipe):
        assert not is_finished(sweep, recipe)
        status = run(sweep, recipe)
        assert status.done == status.trained > 4
        assert is_finished(sweep, recipe)
        again = run(sweep, recipe)
        assert (again.trained, again.done) == (0, status.done)
        ids = [o.run_id for o in sweep.store.observations()]
    with open_sweep(folder) as opened:
        assert [o.run_id for o in opened.store.observations()] == ids
    with new_sweep(spec(place), folder) as (sweep, recipe):
        assert is_finished(sweep, recipe)
    kept_in, kept = remembered(folder)
    assert pages_of(kept, kept_in).store.uri == spec(place).store.uri


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "differs in: seed"),
        ({"scales": [{"params": 1000, "tokens": "10k"}]}, "differs in: scales"),
        ({"trainer": {"use": RICH, "config": {"noise": 0.1}}}, "differs in: trainer"),
    ],
)
def test_a_store_with_runs_of_another_identity_is_refused(
    place: Path, changes: dict[str, Any], message: str
) -> None:
    folder = place / "sweep"
    with new_sweep(spec(place), folder) as (sweep, recipe):
        sweep.store.open(recipe.next(sweep.problem, [], [])[0])
    with pytest.raises(StoreError, match=message), new_sweep(spec(place, **changes), folder):
        pass


def test_what_the_store_of_a_sweep_refuses_is_refused_before_data_is_prepared(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "sweep"
    with new_sweep(spec(place), folder) as (sweep, recipe):
        sweep.store.open(recipe.next(sweep.problem, [], [])[0])

        def prepare(*_: object) -> TrainerInfo:
            raise AssertionError("data was prepared")

        monkeypatch.setattr(RichTrainer, "prepare", prepare)
        with pytest.raises(StoreError, match="driver"), new_sweep(spec(place), folder):
            pass
    changed = {"trainer": {"use": RICH, "config": {"noise": 0.1}}}
    with pytest.raises(StoreError, match=r"differs in: trainer\.config\.noise"):
        dry_run(spec(place, **changed), folder)
    with (
        pytest.raises(StoreError, match=r"differs in: trainer\.config\.noise"),
        new_sweep(spec(place, **changed), folder),
    ):
        pass


def test_before_the_first_run_the_spec_may_change(place: Path) -> None:
    folder = place / "sweep"
    with new_sweep(spec(place), folder):
        pass
    with new_sweep(spec(place, seed=4), folder) as (sweep, _):
        assert sweep.problem.seed == 4
    with open_sweep(folder) as opened:
        assert opened.problem.seed == 4


def test_a_spec_that_is_refused_leaves_the_folder_as_it_was(place: Path) -> None:
    folder = place / "sweep"
    with new_sweep(spec(place), folder) as (sweep, recipe):
        before = (folder / "spec.json").read_bytes()
        sweep.store.open(recipe.next(sweep.problem, [], [])[0])
        with pytest.raises(StoreError), new_sweep(spec(place, seed=9), folder):  # the lock
            pass
        assert (folder / "spec.json").read_bytes() == before
    for changes in ({"seed": 4}, {"space": {"bounds": {"web": [0.5, 0.9]}}}):
        other = spec(place, **changes)
        with pytest.raises(StoreError, match="differs in"), new_sweep(other, folder):
            pass
        assert (folder / "spec.json").read_bytes() == before
    with open_sweep(folder) as opened:
        assert opened.spec == spec(place)


def test_a_changed_objective_is_read_by_all_runs_and_said(place: Path) -> None:
    folder, recipe = place / "sweep", {"use": "random", "runs": 6}
    with new_sweep(spec(place, strategy=recipe), folder) as (sweep, random):
        run(sweep, random)
    flipped = {"maximize": "loss/web"}
    with new_sweep(spec(place, strategy=recipe, objective=flipped), folder) as (sweep, random):
        assert is_finished(sweep, random)
        assert any("objective.maximize was changed after 6 runs" in c for c in sweep.changes)
    with open_sweep(folder) as opened:
        assert opened.problem.objective.maximize == {"loss/web"}
        assert opened.changes == sweep.changes


def test_a_folder_is_of_one_sweep(place: Path) -> None:
    folder = place / "sweep"
    with new_sweep(spec(place), folder):
        pass
    other = spec(place, name="another")
    with pytest.raises(StoreError, match="is the folder of the sweep"), new_sweep(other, folder):
        pass


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"objective": {"minimize": "loss/wbe"}}, "objective", "did you mean 'loss/web'"),
        (
            {"objective": RELIABLE, "strategy": {"use": "regmix"}},
            "objective.reliability",
            "'regmix' runs no mixture twice",
        ),
        ({"objective": RELIABLE}, "strategy", "repeats is 0"),
        ({"strategy": {"use": "atuo"}}, "strategy", "did you mean 'auto'"),
        ({"trainer": {"use": RICH, "config": {"nois": 1}}}, "trainer", "nois"),
        ({"knobs": {"rate": {"low": 1, "high": 2}}}, "knobs", "use 'joint'"),
        ({"knobs": {"rat": {"low": 1, "high": 2}}}, "knobs", "rat"),
        (
            {"warm_start": ["runs/old"], "strategy": {"use": "regmix"}},
            "warm_start",
            "learns nothing",
        ),
        ({"warm_start": ["runs/none"]}, "warm_start", "no such folder"),
    ],
)
def test_what_can_be_refused_is_refused_before_anything_is_trained(
    place: Path, changes: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(SpecError, match=message) as caught, new_sweep(spec(place, **changes)):
        pass
    assert path in str(caught.value)


def test_a_folder_without_a_sweep_is_refused(place: Path) -> None:
    with pytest.raises(StoreError, match="no sweep here"), open_sweep(place):
        pass
    with pytest.raises(StoreError, match="no sweep here"):
        remembered(place)


def test_folder_and_cache_of_a_spec(place: Path) -> None:
    made = spec(place)
    assert folder_of(made) == Path("runs") / made.name
    assert folder_of(made, place) == place
    assert cache_of(made) == place / "cache"


def test_an_executor_is_closed_whatever_happens(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = list[bool]()
    monkeypatch.setattr("mixopt.execution.local.LocalExecutor.close", lambda _: closed.append(True))

    def interrupted() -> None:
        with make_executor(spec(place)) as executor:
            assert executor.slots == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert closed == [True]


# -- what the trainer is told ----------------------------------------------------------------------

LM = "proxies.lm.trainer:LanguageModelTrainer"
EXPERTS = "proxies.experts.mixture:ExpertMixture"


def language_model(tmp_path: Path, **changes: Any) -> Spec:
    """A language model over two tiny domains, whose target run has a budget."""
    domains = {}
    for name, word in (("birds", "robin"), ("rocks", "basalt")):
        folder = tmp_path / "text" / name
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(30):
            text = " ".join(f"{word} {i} {j}" for j in range(60))
            (folder / f"{i}.txt").write_text(text, encoding="utf-8")
        domains[name] = str(folder)
    values = {
        "trainer": {"use": LM, "config": {"domains": domains, "vocab": 300, "context": 16}},
        "scales": [{"params": 5000, "tokens": "4k"}],
        "space": {"budget": "10k"},
        "objective": {"minimize": ["birds", "rocks"]},
        "strategy": {"use": "random", "runs": 2},
    }
    return spec(tmp_path, **{**values, **changes})


def config_of(made: Spec, folder: Path) -> Mapping[str, Any]:
    with new_sweep(made, folder / "sweep") as (sweep, _):
        tokens = {d.name: d.tokens for d in sweep.problem.space.domains}
        return {**sweep.problem.config, "_tokens": tokens}


def test_proxies_repeat_domains_as_often_as_the_target_will(place: Path) -> None:
    """2606.07597, METHODS 3.4: on wherever the target's budget is known."""
    config = config_of(language_model(place), place)
    assert config["match_repetition"] == {"budget": 1e4, "tokens": config["_tokens"]}


def test_repetition_is_matched_only_where_the_budget_is_known_and_wanted(place: Path) -> None:
    assert "match_repetition" not in config_of(language_model(place, space={}), place / "none")
    given = language_model(place).trainer.config
    off = {"use": LM, "config": {**given, "match_repetition": False}}
    config = config_of(language_model(place, trainer=off), place / "off")
    assert config["match_repetition"] is False


def test_a_trainer_that_cannot_match_repetition_is_not_told_to(place: Path) -> None:
    assert "match_repetition" not in config_of(spec(place), place)


def test_the_tokens_that_the_spec_gives_count(place: Path) -> None:
    space = {"budget": "10k", "domains": {"birds": {"tokens": "50k"}}}
    config = config_of(language_model(place, space=space), place)
    assert config["match_repetition"]["tokens"]["birds"] == 50_000


def test_runs_that_may_go_on_are_told_how_far(place: Path) -> None:
    scales = [{"params": 5000, "tokens": t} for t in ("2k", "4k", "8k")]
    going = {"use": "rungs", "design": 4}
    for name, changes, told in (("on", {"strategy": going}, 8000), ("off", {}, None)):
        made = language_model(place, scales=scales, space={}, **changes)
        with new_sweep(made, place / name) as (sweep, _):
            assert sweep.runtime.get("continue_to") == told
            assert "continue_to" not in sweep.problem.config  # how a run is trained, not what


def test_the_target_is_the_largest_scale_of_the_spec(place: Path) -> None:
    with new_sweep(spec(place), place / "s") as (sweep, _):
        assert sweep.problem.target == Scale(1000, 40_000)


def test_a_sweep_without_a_store_is_recorded_where_the_variable_says_and_stays_there(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, folder = os.environ["MIXOPT_TEST_STORE"], place / "sweep"
    plain = spec(place, store={"use": "mlflow"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with new_sweep(plain, folder) as (sweep, _):
        assert f"Recorded in {uri}, as MLFLOW_TRACKING_URI says" in recorded_in(sweep, plain)
        sweep_spec = sweep.spec
    assert not (folder / "mlflow.db").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # another, that is not there
    with open_sweep(folder) as opened:
        assert opened.spec == sweep_spec
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with new_sweep(plain, folder) as (sweep, _):
        assert "where it began" in recorded_in(sweep, plain)


def test_a_password_in_the_variable_is_kept_nowhere(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hush-hush@db/mlflow")
    plain = spec(place, store={"use": "mlflow"})
    made = settled(plain, place, None)
    assert made.store.settings["uri"] == "$MLFLOW_TRACKING_URI"
    assert "hush" not in str(made.shown())
    (place / "mlflow.db").touch()  # began without the variable
    assert settled(plain, place, None) == plain
    named = spec(place)
    assert settled(named, place, made) == named  # the spec wins
    assert settled(plain, place, made).store.settings["uri"] == "$MLFLOW_TRACKING_URI"
    memory = spec(place, store={"use": "memory"})
    assert settled(memory, place, made) == memory


def test_the_record_shows_people_what_the_sweep_is_and_how_it_ended(place: Path) -> None:
    folder, recipe = place / "sweep", {"use": "random", "runs": 6}
    with new_sweep(spec(place, strategy=recipe), folder) as (sweep, random):
        introduce(sweep)
        run(sweep, random)
        summarize(sweep, "stopped")
        kept = spec(place, strategy=recipe)
        experiment = pages_of(kept, folder).experiment
    client = require("mlflow.tracking").MlflowClient(os.environ["MIXOPT_TEST_STORE"])
    runs = client.search_runs([experiment])
    (whole,) = [r for r in runs if r.data.tags["mixopt.entry"] == "sweep"]
    assert whole.info.status == "KILLED"
    assert whole.data.metrics["runs"] == 6
    assert whole.data.metrics["best"] == min(
        r.data.metrics["objective"] for r in runs if r is not whole
    )
    note = whole.data.tags["mlflow.note.content"]
    assert "Stopped with 6 runs" in note
    assert f"#/experiments/{experiment}/runs/{whole.info.run_id}/artifacts/report.html" in note
    (data,) = whole.inputs.dataset_inputs
    assert data.dataset.name == "RichTrainer"
    assert '"web":8000000000.0' in data.dataset.profile
    assert whole.data.tags["mlflow.source.name"] == "mixopt"
