"""A real Optuna study in SQLite, with our sampler and with others."""

from pathlib import Path

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from mixopt import InputError, MixtureSpace, Objective  # noqa: E402
from mixopt.adapters.optuna import MIXTURE, MixtureSampler, suggest_mixture  # noqa: E402
from mixopt.runs import Scale  # noqa: E402
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
