"""The notebook facade: what is told enters every answer, what is asked is not asked twice."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale, Study
from mixopt.errors import NotFittedError
from mixopt.runs.objective import Guard
from mixopt.runs.run_table import RunTable
from mixopt.space import simplex
from mixopt.space.simplex import Array
from mixopt.study import load_study, save_study
from mixopt.testing.worlds import LARGE, SMALL, World, make_world

WORLD = make_world(3, 2, seed=1)


def study(world: World = WORLD, **changes: object) -> Study:
    fields = {"minimize": world.objective, "law": "log-linear", "scale": LARGE, **changes}
    return Study(world.space, **fields)  # type: ignore[arg-type]


def mixtures(n: int, seed: int = 0, world: World = WORLD) -> Array:
    return world.space.round(world.space.sample(n, np.random.default_rng(seed)))


def runs(n: int, seed: int = 0, world: World = WORLD, scale: Scale = LARGE) -> list[Observation]:
    W = mixtures(n, seed, world)
    return [world.run(RunSpec(world.space.mixture(w), scale)) for w in W]


def told(n: int, world: World = WORLD, **changes: object) -> Study:
    made = study(world, **changes)
    made.tell(runs(n, world=world))
    return made


def line(n: int, *, tilt: float) -> pd.DataFrame:
    """Two domains whose best mixture is all `a` for tilt > 0 and all `b` for tilt < 0."""
    a = np.linspace(0.05, 0.95, n)
    return pd.DataFrame({"w/a": a, "w/b": 1 - a, "m/loss": 3.0 - tilt * a})


def test_what_a_message_says_about_sums_can_be_done_where_it_is_said() -> None:
    percent = line(8, tilt=1.0)
    percent[["w/a", "w/b"]] *= 100
    made = Study(MixtureSpace(["a", "b"]), "loss", law="linear")
    with pytest.raises(InputError, match="renormalize=True"):
        made.tell(percent)
    made.tell(percent, renormalize=True)
    shares = Study(MixtureSpace(["a", "b"]), "loss", law="linear")
    shares.tell(line(8, tilt=1.0))
    np.testing.assert_allclose(made.table.W, shares.table.W, atol=1e-12)
    with pytest.raises(InputError, match="renormalize=True"):
        made.predict({"a": 60, "b": 40})
    pd.testing.assert_frame_equal(
        made.predict({"a": 60, "b": 40}, renormalize=True), made.predict({"a": 0.6, "b": 0.4})
    )


def test_a_mixture_is_told_with_its_metrics_as_a_run_is() -> None:
    made = Study(MixtureSpace(["a", "b"]), "loss")
    made.tell({"a": 0.6, "b": 0.4}, {"loss": 2.0})
    made.tell({"a": 10, "b": 90}, 1.9, renormalize=True)
    assert made.table.Y[:, 0].tolist() == [2.0, 1.9]
    assert made.table.W[1].tolist() == [0.1, 0.9]
    assert np.isnan(made.table.scales).all()
    with pytest.raises(InputError, match="told before with loss = 2"):
        made.tell({"a": 0.6, "b": 0.4}, {"loss": 2.5})


@pytest.mark.parametrize("value", ["2.1", None])
def test_a_metric_that_is_no_number_is_said(value: object) -> None:
    made = Study(MixtureSpace(["a", "b"]), "loss")
    (run,) = made.ask()
    with pytest.raises(InputError, match=r"metric 'loss' is .* no number"):
        made.tell(run, {"loss": value})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="'1B'; give parameters and tokens"):
        made.ask(1, scale="1B")  # type: ignore[arg-type]


def test_printed_a_recommendation_and_its_check_can_be_read() -> None:
    made = told(12)
    answer, check = made.recommend(), made.check()
    lines = str(answer).splitlines()
    assert lines[0].startswith("Predicted objective ")
    assert [line.split()[0] for line in lines[1:4]] == sorted(
        made.space.names, key=lambda name: -answer.mixture[name]
    )
    for shown in (answer, check, made.best, made.space):
        assert repr(shown).startswith("<")
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 400
    assert str(check).splitlines()[0] == check.line
    many = MixtureSpace([f"domain-{i}" for i in range(60)])
    assert len(repr(many)) < 200


# -- telling and fitting ---------------------------------------------------------------------------


def test_what_is_told_after_a_fit_changes_the_fit_and_every_answer() -> None:
    late = Study(MixtureSpace(["a", "b"]), "loss", law="linear")
    late.tell(line(8, tilt=1.0))
    before = late.fit()
    assert late.recommend().mixture["a"] > 0.99
    assert late.propose()[0]["a"] > 0.9
    late.tell(line(80, tilt=-1.0).assign(**{"m/loss": lambda f: f["m/loss"] - 0.5}))
    assert late.fit() is not before
    assert late.recommend().mixture["a"] < 0.01
    assert late.propose()[0]["a"] < 0.1


def test_runs_told_in_parts_teach_what_they_teach_at_once() -> None:
    seen = runs(14)
    parts, whole = study(), study()
    parts.tell(seen[:9])
    parts.fit()
    parts.tell(seen[9:13])
    parts.recommend()
    parts.tell(seen[13])
    whole.tell(seen)
    assert len(parts) == len(whole) == 14
    W = mixtures(20, seed=3)
    for one, other in ((parts, whole), (parts, whole)):
        np.testing.assert_allclose(one.fit().predict(W).mean, other.fit().predict(W).mean)
    assert parts.recommend().mixture == whole.recommend().mixture


def test_another_law_is_fitted_again_and_kept() -> None:
    made = told(14)
    W = mixtures(5, seed=3)
    formula, process = made.fit().predict(W).mean, made.fit("gp").predict(W).mean
    assert np.abs(formula - process).max() > 1e-4
    np.testing.assert_array_equal(made.fit().predict(W).mean, process)
    with pytest.raises(InputError, match="did you mean 'log-linear'"):
        made.fit("log-liner")


def test_a_fit_is_made_once() -> None:
    made = told(12)
    assert made.fit() is made.fit()
    assert made.surrogate.fitted is made.fit()


def test_every_form_of_the_same_runs_teaches_the_same() -> None:
    seen = runs(12)
    table = RunTable.from_observations(seen, WORLD.space.names)
    bare = table.frame[[c for c in table.frame if str(c)[:2] in {"w/", "m/"}]]
    forms = [seen, iter(seen), table, table.frame, bare, bare[bare.columns[::-1]]]
    specs = study()
    for one in seen:
        specs.tell(one.spec, dict(one.metrics))
    fitted = [specs]
    for form in forms:
        fitted.append(study())
        fitted[-1].tell(form)  # type: ignore[arg-type]
    W = mixtures(6, seed=2)
    first, *others = (s.surrogate.value(W) for s in fitted)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-9)


def test_one_metric_may_be_told_as_a_number() -> None:
    made = Study(MixtureSpace(["a", "b"]), "loss")
    (spec,) = made.ask(1)
    made.tell(spec, 2.5)
    assert made.table.metric("loss").tolist() == [2.5]


@pytest.mark.parametrize(
    ("tell", "message"),
    [
        (lambda s: s.tell(s.ask(1)[0]), "needs the run's metrics"),
        (lambda s: s.tell(s.ask(1)[0], 1.0), "2 metrics; give them by name"),
        (lambda s: s.tell(runs(3), {"loss-0": 1.0}), "a table carries its own"),
        (lambda s: s.tell(s.ask(1)[0], {"loss-0": 1.0}), "unknown metric 'loss-1'"),
        (
            lambda s: s.tell(s.ask(1)[0], {"loss-0": float("nan"), "loss-1": 1.0}),
            "forget\\(spec\\) if",
        ),
        (
            lambda s: s.tell(Observation.failure(RunSpec(WORLD.space.uniform, LARGE), "died")),
            "none of 1 runs succeeded",
        ),
        (
            lambda s: s.tell(pd.DataFrame({"w/x": [1.0], "m/loss-0": [1], "m/loss-1": [1]})),
            "'x', which the space does not hold",
        ),
        (
            lambda s: s.tell(pd.DataFrame({"w/d0": [0.7], "m/loss-0": [1], "m/loss-1": [1]})),
            "sum",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused_and_changes_nothing(
    tell: object, message: str
) -> None:
    made = told(12)
    before = made.fit()
    with pytest.raises(InputError, match=message):
        tell(made)  # type: ignore[operator]
    assert len(made) == 12
    assert made.fit() is before


def test_failed_runs_among_others_are_left_out() -> None:
    seen = runs(8)
    made = study()
    made.tell([*seen, Observation.failure(RunSpec(WORLD.space.natural, LARGE), "diverged")])
    assert len(made) == len(made.table) == 8
    assert np.isfinite(made.table.Y).all()


def test_domains_that_a_table_lacks_have_no_weight_and_unused_ones_are_dropped() -> None:
    made = Study(MixtureSpace(["a", "b", "new"]), "loss", law="linear")
    made.tell(line(6, tilt=1.0).assign(**{"w/gone": 0.0}))
    assert made.table.domains == ("a", "b", "new")
    assert (made.table.W[:, 2] == 0).all()


def test_nothing_follows_from_nothing() -> None:
    for use in (Study.fit, Study.propose, Study.recommend, lambda s: s.table):
        with pytest.raises(NotFittedError, match="no runs yet"):
            use(study())  # type: ignore[operator]


# -- asking and proposing --------------------------------------------------------------------------


def test_runs_under_way_are_not_proposed_again() -> None:
    made = told(12)
    asked = [made.ask(1)[0].mixture.array for _ in range(4)]
    apart = simplex.hellinger_distance(np.array(asked), np.array(asked))
    assert apart[np.triu_indices(4, 1)].min() >= 0.02 - 1e-9
    fresh = told(12)
    assert made.propose()[0] != fresh.propose()[0]


def test_a_run_that_was_told_is_pending_no_more() -> None:
    made = told(12)
    (spec,) = made.ask(1)
    again = told(12)
    again.ask(1)
    again.tell(spec, dict(WORLD.run(spec).metrics))
    alone = study()
    alone.tell([*runs(12), WORLD.run(spec)])
    assert again.propose(2) == alone.propose(2)


def test_the_design_holds_three_runs_a_domain_and_proposals_follow() -> None:
    nearly, enough = told(8), told(9)
    assert nearly.ask(1)[0].mixture != told(8).propose(1)[0]
    assert enough.ask(1)[0].mixture == told(9).propose(1)[0]
    waiting = told(5)
    waiting.ask(3)
    assert waiting.ask(1)[0].mixture != told(5).propose(1)[0]
    # Nothing is known yet, however many runs are under way: the design goes on.
    new = study()
    assert len({spec.run_id for spec in (*new.ask(20), *new.ask(2))}) == 22


def test_a_design_repeats_neither_runs_nor_what_is_under_way() -> None:
    made = study()
    first = made.ask(3)
    made.tell(WORLD.run(first[0]))
    second = made.ask(3)
    W = np.array([s.mixture.array for s in (*first, *second)])
    assert len(np.unique(W, axis=0)) == 6
    assert {s.scale for s in (*first, *second)} == {LARGE}


def test_proposals_are_best_first_allowed_and_repeatable() -> None:
    space = MixtureSpace(WORLD.space.names, bounds={"d0": (0.3, 1.0)})
    made = [Study(space, WORLD.objective, law="log-linear", seed=4) for _ in range(2)]
    for one in made:
        one.tell(runs(15))
    first, second = (s.propose(4) for s in made)
    assert first == second
    W = np.array([m.array for m in first])
    assert space.contains(W, 1e-9).all()
    value = made[0].surrogate.value(W)
    assert value[0] <= value.min() + 1e-9
    assert first[0] == made[0].recommend().mixture


def test_the_seed_is_of_the_runs_and_of_the_random_numbers() -> None:
    one, other = study(seed=1).ask(4), study(seed=2).ask(4)
    assert {s.seed for s in one} == {1}
    assert {s.seed for s in other} == {2}
    assert [s.mixture for s in one] != [s.mixture for s in other]
    assert [s.run_id for s in study(seed=1).ask(4)] == [s.run_id for s in one]


def test_ask_tell_closes_in_on_the_known_optimum() -> None:
    made = study(law="gp")
    for _ in range(8):
        for spec in made.ask(2):
            made.tell(spec, dict(WORLD.run(spec).metrics))
    regret = WORLD.value(made.recommend().mixture.array[None])[0] - WORLD.best
    assert regret / WORLD.spread < 0.05


# -- what is answered ------------------------------------------------------------------------------


def test_weights_of_the_objective_decide() -> None:
    table = RunTable.from_observations(runs(25), WORLD.space.names)
    answers = []
    for weights in ({"loss-0": 9.0, "loss-1": 1.0}, {"loss-0": 1.0, "loss-1": 9.0}):
        made = Study(WORLD.space, weights, law="gp")
        made.tell(table)
        answers.append(WORLD.truth(made.recommend().mixture.array)[0])
    assert answers[0][0] < answers[1][0]
    assert answers[1][1] < answers[0][1]


def test_higher_is_better_where_the_study_says_so() -> None:
    lower, higher = (
        Study(MixtureSpace(["a", "b"]), law="linear", **goal)
        for goal in ({"minimize": "loss"}, {"maximize": "loss"})
    )
    for made in (lower, higher):
        made.tell(line(8, tilt=1.0))
    assert lower.recommend().mixture["a"] > 0.99
    assert higher.recommend().mixture["a"] < 0.01
    with pytest.raises(InputError, match="both minimised and maximised"):
        Study(MixtureSpace(["a", "b"]), "loss", "loss")


def test_a_guard_holds_the_answer_back() -> None:
    free = told(25, law="gp")
    natural = WORLD.truth(WORLD.space.prior)[0, 1]
    weights = {"loss-0": 1.0}
    free, held = (
        told(25, law="gp", minimize=Objective(weights, guards=guards))
        for guards in ((), (Guard("loss-1", 0.0),))
    )
    loose, kept = (WORLD.truth(s.recommend().mixture.array)[0, 1] for s in (free, held))
    assert loose > natural + 0.02  # else the guard has nothing to hold
    assert kept <= natural + 0.005


def test_a_mixture_is_judged_as_it_stands() -> None:
    made = told(20)
    judged = made.recommend(WORLD.space.natural)
    assert judged.mixture == WORLD.space.natural
    best = made.recommend()
    assert best.value < judged.value
    assert judged.gains["natural"].raw == pytest.approx(0.0, abs=1e-9)
    assert best.gains["natural"].raw == pytest.approx(judged.value - best.value)


def test_intervals_and_metrics_of_the_answer_are_those_of_the_fit() -> None:
    made = told(20)
    answer = made.recommend()
    predicted = made.fit().predict(answer.mixture.array[None])
    for j, name in enumerate(made.surrogate.metrics):
        assert answer.metrics[name][0] == pytest.approx(predicted.mean[0, j])
        assert answer.metrics[name][1] == pytest.approx(predicted.sd[0, j])
    for name, (low, high) in answer.intervals.items():
        assert low - 1e-6 <= answer.mixture[name] <= high + 1e-6


def test_two_scales_are_answered_at_the_larger() -> None:
    world = make_world(3, 2, seed=1, kind="two-scales")
    W = mixtures(30, world=world)
    made = Study(world.space, world.objective, law="shukor-joint")
    made.tell(runs(20, world=world, scale=SMALL))
    assert made.surrogate.scale is None
    alone = made.surrogate.predict(W[20:]).mean
    made.tell(runs(12, world=world))
    assert made.surrogate.scale == (float(LARGE.params), float(LARGE.tokens))
    truth = world.truth(W[20:])
    both = made.surrogate.predict(W[20:]).mean
    assert np.abs(both - truth).mean() < 0.2 * np.abs(alone - truth).mean()


def test_metrics_that_the_objective_does_not_weigh_are_fitted_for_the_report() -> None:
    made = told(15, minimize=Objective.of("loss-0"))
    assert set(made.surrogate.metrics) == {"loss-0", "loss-1"}
    assert set(made.recommend().metrics) == {"loss-0", "loss-1"}


# -- told twice, and never -------------------------------------------------------------------------


def test_a_run_that_is_told_again_counts_once() -> None:
    seen = runs(12)
    made = told(12)
    before = made.fit()
    made.tell(seen[3])
    made.tell(seen[2:9])
    assert len(made) == 12
    assert made.fit() is before, "nothing new was told"
    assert "7 runs were told before and count once" in made.table.notes


def test_rows_without_a_name_that_are_told_again_count_once_and_repeats_all() -> None:
    made = Study(MixtureSpace(["a", "b"]), "loss", law="linear")
    table = line(8, tilt=1.0)
    made.tell(table)
    made.tell(table)
    assert len(made) == 8
    made.tell(table.assign(**{"m/loss": lambda f: f["m/loss"] + 1e-3}))
    assert len(made) == 16, "another result of the same mixture is a repeat"


def test_a_run_has_one_result() -> None:
    made = told(12)
    seen = runs(12)[4]
    with pytest.raises(InputError, match=r"told before with loss-0 = .*another seed"):
        made.tell(seen.spec, {k: v + 0.1 for k, v in seen.metrics.items()})
    assert len(made) == 12


def test_a_run_that_was_asked_and_failed_is_no_longer_waited_for() -> None:
    made = told(12)
    first, second, third = made.ask(3)
    made.forget(first)
    made.tell(Observation.failure(second, "diverged"))
    assert list(made._asked) == [third.run_id]
    with pytest.raises(InputError, match="not waited for"):
        made.forget(first)


def test_what_a_cell_gets_wrong_is_said_and_changes_nothing() -> None:
    space = MixtureSpace(["a", "b"])
    with pytest.raises(InputError, match=r"no objective; name a metric: .*minimize='loss'"):
        Study(space)
    with pytest.raises(InputError, match=r"unknown law 'linaer'.*did you mean 'linear'"):
        Study(space, "loss", law="linaer")
    study = Study(space, "loss", law="linear")
    with pytest.raises(InputError, match=r"runs\.csv is a path; read it first: .*read_table"):
        study.tell("runs.csv")
    frame = pd.DataFrame({"w/a": [0.1, 0.5, 0.9], "w/b": [0.9, 0.5, 0.1], "m/loss": [1.0, 2, 3]})
    study.tell(frame)
    with pytest.raises(InputError, match="unknown law"):
        study.fit("linaer")
    assert study.recommend().mixture["b"] == 1.0, "the law that was there stays"


def test_a_law_may_have_settings_which_are_checked_and_saved(tmp_path: Path) -> None:
    given = {"use": "auto", "laws": ["gp", {"use": "ridge", "features": "sqrt"}]}
    made = told(8, law=given)
    assert set(made.surrogate.fitted.members) == {"gp", "ridge"}  # type: ignore[attr-defined]
    assert "law auto" in repr(made)
    save_study(made, tmp_path / "study.json")
    assert load_study(tmp_path / "study.json").law == given
    with pytest.raises(InputError, match="no setting 'lawz'"):
        study(law={"use": "auto", "lawz": []})
