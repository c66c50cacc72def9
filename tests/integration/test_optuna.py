"""A real Optuna study in SQLite, with our sampler and with others."""

import json
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from mixopt import InputError, MixtureSpace, Objective, RunSpec, Scale, Study  # noqa: E402
from mixopt.adapters.optuna import (  # noqa: E402
    MIXTURE,
    MixtureSampler,
    from_optuna,
    suggest_mixture,
    to_optuna,
)
from mixopt.testing.trainers import FakeTrainer  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
TRAINER = FakeTrainer(noise=0.0)
SPACE = MixtureSpace(list(TRAINER.values), bounds={"code": (0.0, 0.6)})
SCALE = Scale(1000, 10_000)


def loss(trial: "optuna.Trial") -> float:
    metrics = TRAINER.truth(suggest_mixture(trial, SPACE), SCALE)
    trial.set_user_attr("metrics", metrics)
    trial.suggest_float("lr", 1e-4, 1e-2, log=True)
    return float(np.mean(list(metrics.values())))


def study_at(path: Path, sampler: "optuna.samplers.BaseSampler") -> "optuna.Study":
    return optuna.create_study(
        study_name="s", storage=f"sqlite:///{path}/o.db", sampler=sampler, load_if_exists=True
    )


def test_a_study_in_sqlite_finds_the_optimum_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    objective = Objective.of(TRAINER.metrics)
    first = study_at(tmp_path, MixtureSampler(SPACE, objective, startup=5))
    first.optimize(loss, n_trials=7)
    second = study_at(tmp_path, MixtureSampler(SPACE, objective, startup=5))
    second.optimize(loss, n_trials=9)
    assert len(second.trials) == 16
    for trial in second.trials:
        weights = np.array(list(trial.user_attrs[MIXTURE].values()))
        assert abs(weights.sum() - 1.0) < 1e-9
        assert SPACE.contains(weights, 1e-6)[0]
        assert "lr" in trial.params
    best = np.mean(list(TRAINER.truth(TRAINER.optimum(), SCALE).values()))
    assert second.best_value - best < 2e-3


def test_pending_trials_are_not_proposed_again(tmp_path: Path) -> None:
    study = study_at(tmp_path, MixtureSampler(SPACE, startup=4, seed=1))
    study.optimize(loss, n_trials=6)
    asked = [study.ask() for _ in range(3)]
    mixtures = np.array([suggest_mixture(t, SPACE).array for t in asked])
    apart = np.abs(mixtures[:, None] - mixtures[None]).sum(-1)[np.triu_indices(3, 1)]
    assert apart.min() > 1e-3


def test_another_sampler_gives_mixtures_within_the_constraints() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(loss, n_trials=5)
    for trial in study.trials:
        weights = np.array(list(trial.user_attrs[MIXTURE].values()))
        assert SPACE.contains(weights, 1e-6)[0]


def test_several_objectives_are_refused_in_words() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=MixtureSampler(SPACE))
    with pytest.raises(InputError, match="2 objectives; MixtureSampler takes one"):
        suggest_mixture(study.ask(), SPACE)
    with pytest.raises(InputError, match="startup is 1"):
        MixtureSampler(SPACE, startup=1)


@pytest.fixture(scope="module")
def trials() -> "optuna.Study":
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(loss, n_trials=12)
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    return study


def test_trials_become_a_study_with_what_was_trained_and_measured(trials: "optuna.Study") -> None:
    study = from_optuna(trials, SPACE, minimize=TRAINER.metrics)
    assert len(study) == 12
    frame = study.table.frame
    for trial in trials.trials[:12]:
        row = frame[frame["run"] == f"trial-{trial.number}"].iloc[0]
        assert row["lr"] == trial.params["lr"]
        for name, share in trial.user_attrs[MIXTURE].items():  # not the raw parameters
            assert row[f"w/{name}"] == pytest.approx(share)
        for name, value in trial.user_attrs["metrics"].items():
            assert row[f"m/{name}"] == value
    assert study.table.notes[0].startswith("1 of 13 trials are not used")
    by_value = from_optuna(trials, SPACE)
    assert by_value.best.value == pytest.approx(trials.best_value)
    with pytest.raises(InputError, match=r"none of 13 trials .* called w/<domain>"):
        from_optuna(trials, MixtureSpace(["other", "names"]))


def test_a_running_trial_is_waited_for_and_a_direction_is_kept() -> None:
    trials = optuna.create_study(direction="maximize")
    for _ in range(4):
        asked = trials.ask()
        mixture = suggest_mixture(asked, SPACE)
        trials.tell(asked, float(mixture.weights[0]))
    suggest_mixture(trials.ask(), SPACE)
    study = from_optuna(trials, SPACE)
    assert study.objective.maximize == {"value"}
    assert study.best.metrics["value"] == trials.best_value
    assert len(study.asked) == 1


def test_a_study_comes_back_from_a_storage_of_optuna_as_it_was(
    trials: "optuna.Study", tmp_path: Path
) -> None:
    study = from_optuna(trials, SPACE, minimize=TRAINER.metrics)
    study.ask(2)
    storage = f"sqlite:///{tmp_path}/o.db"
    to_optuna(study, storage=storage, name="there")
    there = optuna.load_study(study_name="there", storage=storage)
    assert there.best_value == pytest.approx(study.best.value)
    again = from_optuna(there, SPACE, minimize=TRAINER.metrics)
    np.testing.assert_allclose(again.table.W, study.table.W)
    np.testing.assert_allclose(again.table.Y[:, :2], study.table.values(again.table.metrics[:2]))
    first = suggest_mixture(there.ask(), SPACE)  # what we asked is handed out first
    assert first.array == pytest.approx(study.asked[0].mixture.array, abs=1e-9)


def test_of_several_scales_one_is_named() -> None:
    study, large = Study(SPACE, "value"), Scale(2000, 20_000)
    for scale in (SCALE, large):
        for w in SPACE.sample(3, np.random.default_rng(0)):
            study.tell(RunSpec(SPACE.mixture(w), scale), {"value": float(w[0])})
    with pytest.raises(InputError, match=r"2 scales .*to_optuna\(study, scale=...\)"):
        to_optuna(study)
    assert len(to_optuna(study, scale=large).trials) == 3
    with pytest.raises(InputError, match="no run is at"):
        to_optuna(study, scale=Scale(3, 3))


def test_optunas_plots_draw_our_study(trials: "optuna.Study") -> None:
    back = to_optuna(from_optuna(trials, SPACE, minimize=TRAINER.metrics))
    plots = "optimization_history param_importances slice parallel_coordinate contour edf timeline"
    for name in plots.split():
        assert len(getattr(optuna.visualization, f"plot_{name}")(back).data) >= 1, name


def test_optunas_dashboard_shows_our_study(trials: "optuna.Study", tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/o.db")
    study = from_optuna(trials, SPACE, minimize=TRAINER.metrics)
    to_optuna(study, storage=storage.url, name="ours <b>")
    application = dashboard.wsgi(storage)

    def page(path: str) -> tuple[str, bytes]:
        environment: dict[str, object] = {}
        setup_testing_defaults(environment)
        environment |= {"PATH_INFO": path, "REQUEST_METHOD": "GET"}
        said: list[str] = []
        body = b"".join(application(environment, lambda status, headers, *_: said.append(status)))
        return said[0], body

    status, body = page("/api/studies")
    assert (status, json.loads(body)["study_summaries"][0]["study_name"]) == ("200 OK", "ours <b>")
    status, body = page("/api/studies/1")
    shown = json.loads(body)
    assert status == "200 OK"
    assert len(shown["trials"]) == 12
    assert {p["name"] for p in shown["trials"][0]["params"]} == {f"w/{d}" for d in SPACE.names}
