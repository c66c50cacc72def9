"""What a study shows: the best run, predictions as frames, pictures, and what a notebook draws."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixopt
from mixopt import InputError, Mixture, MixtureSpace, Observation, RunSpec, Scale, Schedule, Study
from mixopt.errors import NotFittedError
from mixopt.proposers.pareto import Front

SPACE = MixtureSpace({"web": 8e9, "<b>code</b>": 1e9, "math": 1e9}, bounds={"web": (0.1, 0.9)})
NAMES = ("weights", "response", "front", "calibration", "history")


def loss(spec: RunSpec) -> dict[str, float]:
    a, b, c = spec.mixture.weights
    return {"code": 2 + (a - 0.5) ** 2 + (b - 0.3) ** 2, "web": 1 + (a - 0.2) ** 2 + c}


def made(runs: int = 16, **fields: Any) -> Study:
    study = Study(SPACE, ["code", "web"], law="gp", **fields)
    study.optimize(loss, runs)
    return study


@pytest.fixture(scope="module")
def told() -> Study:
    return made()


def test_the_best_run_is_the_lowest_of_the_largest_scale() -> None:
    study = Study(MixtureSpace(["a", "b"]), "loss", law="linear")
    rows = {"w/a": [0.2, 0.5, 0.9], "w/b": [0.8, 0.5, 0.1], "m/loss": [1.0, 3.0, 2.0]}
    study.tell(pd.DataFrame(rows | {"params": [1e6, 1e9, 1e9], "tokens": [1e8, 1e10, 1e10]}))
    best = study.best
    assert (best.value, best.mixture["a"], best.runs) == (2.0, pytest.approx(0.9), 2)
    with pytest.raises(NotFittedError, match="no runs yet"):
        _ = Study(SPACE, "code").best


@pytest.mark.parametrize(
    "given",
    [
        {"web": 0.5, "<b>code</b>": 0.3, "math": 0.2},
        Mixture(SPACE.names, (0.5, 0.3, 0.2)),
        [Mixture(SPACE.names, (0.5, 0.3, 0.2))],
        [0.5, 0.3, 0.2],
        np.array([[0.5, 0.3, 0.2]]),
        pd.DataFrame({"w/math": [0.2], "w/web": [0.5], "w/<b>code</b>": [0.3]}),
    ],
)
def test_mixtures_are_predicted_in_whatever_form_they_are_given(told: Study, given: Any) -> None:
    frame = told.predict(given)
    assert list(frame) == ["objective", "objective_sd", "m/code", "sd/code", "m/web", "sd/web"]
    assert frame["m/code"].item() == pytest.approx(2.0, abs=0.05)
    assert frame["objective"].item() == pytest.approx((2.0 + 1.29) / 2, abs=0.05)


@pytest.mark.parametrize("given", [{"wbe": 1.0}, [0.5, 0.5], [0.9, 0.3, 0.2]])
def test_what_is_no_mixture_of_the_space_is_refused(told: Study, given: Any) -> None:
    with pytest.raises(InputError):
        told.predict(given)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_comes_in_three_forms_of_the_same_numbers(told: Study, name: str) -> None:
    draw: Callable[..., Any] = getattr(told.plot, name)
    frame = draw(backend="frame")
    assert len(frame) >= 3
    assert np.isfinite(frame.select_dtypes("number").to_numpy()).all()
    assert len(draw(backend="matplotlib").axes) >= 1
    assert len(draw().data) >= 1
    with pytest.raises(InputError, match=r"unknown backend 'plotyl'.*plotly"):
        draw(backend="plotyl")


def test_small_runs_stand_against_large_ones_of_the_same_mixture(told: Study) -> None:
    small, large = Scale(10**6, 10**8), Scale(10**9, 10**10)
    study = Study(SPACE, "code", law="linear")
    W = SPACE.sample(5, np.random.default_rng(0))
    specs = [RunSpec(SPACE.mixture(w), at) for at in (small, large) for w in W]
    study.tell(
        Observation.of(s, {"code": loss(s)["code"] - 0.5 * (s.scale == large)}) for s in specs
    )
    frame = study.plot.fidelity(backend="frame")
    np.testing.assert_allclose(frame["small"] - frame["large"], 0.5)
    with pytest.raises(InputError, match="here 0 were"):
        told.plot.fidelity()


def test_text_of_users_is_never_markup(told: Study) -> None:
    shown = [
        told,
        Study(SPACE, "code"),
        SPACE,
        told.table,
        told.best,
        told.recommend(),
        told.recommend().mixture,
        told.check(),
        told.outcome.checkup.validation,
        told.fit(),
        told.surrogate,
        told.outcome,
        told.asked[0] if told.asked else told.ask()[0],
        Schedule(((10, SPACE.natural), (20, SPACE.uniform))),
    ]
    for thing in shown:
        page = thing._repr_html_()
        assert "<b>code" not in page
        assert page.count("<table") == page.count("</table>") > 0, type(thing)
    assert "&lt;b&gt;code&lt;/b&gt;" in SPACE._repr_html_()


def test_of_sixty_domains_the_largest_are_shown_and_the_rest_is_counted() -> None:
    space = MixtureSpace({f"d{i}": (i + 1) * 1e9 for i in range(60)})
    page = space.natural._repr_html_()
    assert "48 others" in page
    shares = [float(share) for share in re.findall(r">(\d+\.\d) %<", page)]
    assert sum(shares) == pytest.approx(100.0, abs=1.0)


def test_nouns_of_sixty_domains_are_read_at_a_glance() -> None:
    space = MixtureSpace({f"domain-{i}": (i + 1) * 1e9 for i in range(60)})
    study = Study(space, "loss", law="ridge")
    rng = np.random.default_rng(0)
    W = rng.dirichlet(np.ones(60), 40)
    frame = pd.DataFrame(W, columns=[f"w/{d}" for d in space.names])
    study.tell(frame.assign(**{"m/loss": W[:, 0] + rng.normal(0, 0.01, 40)}))
    nouns = [study, study.fit(), study.surrogate, study.outcome, study.ask()[0]]
    assert max(len(repr(noun)) for noun in nouns[:-1]) < 600
    assert "in 56 others" in study.table._repr_html_()
    assert study.table._repr_html_().count("<th") < 10
    for noun in [*nouns, space, study.table, study.recommend(), study.check()]:
        assert len(noun._repr_html_()) < 20_000, type(noun)
    assert "5B" in space._repr_html_() or "50B" in space._repr_html_()


def test_a_front_shows_both_ends() -> None:
    front = Front(np.eye(3)[[0] * 30], np.arange(60.0).reshape(30, 2), np.ones(2), 1.0)
    page = front._repr_html_()
    assert repr(front) == "<Front of 30 mixtures in 2 objectives: hypervolume 1>"
    assert "12 of them" in page
    assert ">59<" in page


def test_a_loop_asks_trains_and_tells_and_a_callback_may_end_it() -> None:
    seen: list[int] = []

    def stop(study: Study, run: Observation) -> None:
        seen.append(len(study))
        if len(study) == 4:
            raise StopIteration

    study = Study(SPACE, ["code", "web"], law="linear")
    study.optimize(loss, 10, callbacks=[stop])
    assert seen == [1, 2, 3, 4]
    study.optimize(lambda _: {"code": float("nan"), "web": 1.0}, 2)
    assert len(study) == 4
    assert study.asked == (), "runs that diverged are not waited for"


def test_a_study_that_is_saved_answers_the_same_when_it_is_read(tmp_path: Path) -> None:
    study = made(scale=Scale(10**6, 10**8))
    asked = study.ask(2)
    mixopt.save_study(study, tmp_path / "study.json")
    again = mixopt.load_study(tmp_path / "study.json")
    assert again.space == study.space
    assert again.recommend().mixture == study.recommend().mixture
    assert again.asked == tuple(asked)
    assert again.propose(2) == study.propose(2)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 9}', '{"format": 1, "space": {}}'])
def test_a_file_that_holds_no_study_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(InputError, match=r"study\.json"):
        mixopt.load_study(tmp_path / "study.json")


def test_what_a_study_writes_gets_its_folder_and_is_whole(told: Study, tmp_path: Path) -> None:
    target = tmp_path / "new" / "study.json"
    mixopt.save_study(told, target)
    assert list(target.parent.iterdir()) == [target]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*give another path"):
        mixopt.save_study(told, tmp_path / "file" / "study.json")


def test_pictures_of_sixty_long_names_are_readable_and_no_name_is_a_formula() -> None:
    names = [r"$\frac$", *(f"a-rather-long-name-{i}" for i in range(59))]
    space = MixtureSpace(names)
    study = Study(space, "loss", law="ridge")
    W = np.random.default_rng(0).dirichlet(np.ones(60), 40)
    frame = pd.DataFrame(W, columns=[f"w/{d}" for d in names])
    study.tell(frame.assign(**{"m/loss": 1 - W[:, 0]}))
    drawn = study.plot.weights(backend="matplotlib")
    drawn.canvas.draw()  # a name that is taken for a formula fails here
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert len(labels) == 25
    assert labels[0] == "36 others"
    assert labels[-1] == r"$\frac$"
    study.plot.response([r"$\frac$"], backend="matplotlib").canvas.draw()
    titles = [note.text for note in study.plot.response().layout.annotations]
    assert max(len(title) for title in titles if "long-name" in title or "…" in title) <= 18
