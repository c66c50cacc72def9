"""QuaDMix: its random design, shares that follow from sizes and samplers, and its answer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.laws import fitted_law
from mixopt.runs.document_sampling import sampler_for, samplers_of, shares
from mixopt.runs.kinds import DESIGN
from mixopt.runs.objective import Guard
from mixopt.strategies import Problem
from mixopt.strategies.quadmix import Parameters, QuaDMix

pytest.importorskip("lightgbm")

SCALE = Scale(10**6, 10**8)
SPACE = MixtureSpace({"web.en": 3e9, "books": 1e9})
CONFIG = {"scores": {"meta.edu": "high", "length": "high"}, "vocab": 512}
SMALL: dict[str, Any] = {"runs": 48, "candidates": 1000, "law": "lightgbm"}


def question(**changes: Any) -> Problem:
    fields: dict[str, Any] = {"config": CONFIG, "seed": 1, **changes}
    return Problem(SPACE, Objective.of("loss"), (SCALE,), **fields)


def train(spec: RunSpec) -> Observation:
    """Best are a cut of .08 and `length` alone in web, whatever is done in books; and its share."""
    web = samplers_of(spec.config["sampling"])["web.en"]
    off = (web.cut / 0.1 - 0.8) ** 2 + web.weights(("meta.edu", "length"))[0]
    return Observation.of(spec, {"loss": float(off + (spec.mixture["books"] - 0.6) ** 2)})


def play(recipe: QuaDMix, problem: Problem) -> list[Observation]:
    return [train(spec) for spec in recipe.next(problem, [], [])]


def test_the_design_draws_from_the_paper_s_ranges_and_sets_every_domain() -> None:
    specs = QuaDMix(runs=120).next(question(), [], [])
    assert len({spec.run_id for spec in specs}) == 120
    made = [samplers_of(spec.config["sampling"]) for spec in specs]
    assert all(spec.config["vocab"] == 512 and spec.kind == DESIGN for spec in specs)
    for name in SPACE.names:
        of = [samplers[name] for samplers in made]
        for key, high in {"sharpness": 1000, "cut": 0.1, "exponent": 1, "floor": 0.001}.items():
            values = np.array([vars(sampler)[key] for sampler in of])
            assert values.min() >= 0
            assert 0.9 * high < values.max() <= high
            assert values.mean() == pytest.approx(high / 2, rel=0.2)
        assert all(sum(sampler.scores.values()) == pytest.approx(1, abs=2e-3) for sampler in of)
    wide = QuaDMix(runs=50, largest_cut=1.0).next(question(), [], [])
    assert max(samplers_of(s.config["sampling"])["books"].cut for s in wide) > 0.8
    edu = np.array([[samplers[n].scores["meta.edu"] for n in SPACE.names] for samplers in made])
    assert np.corrcoef(edu.T)[0, 1] > 0.2  # what is drawn once for all domains


def test_shares_follow_from_sizes_and_samplers_and_stay_near_the_sizes() -> None:
    """METHODS-ONLINE F1: equal parameters keep .25 and .75, whatever they are."""
    parameters = Parameters(SPACE.names, ("edu",))
    u = np.array([[0.5, 0.5, 0.5, 0.5] * 2])
    assert shares(SPACE.prior, parameters.means(u))[0] == pytest.approx([0.75, 0.25], abs=1e-12)
    specs = QuaDMix(runs=50).next(question(), [], [])
    for spec in specs:
        made = samplers_of(spec.config["sampling"])
        read = np.array([sampler_for(made, n).mean for n in SPACE.names]) * [3, 1]  # type: ignore[union-attr]
        assert spec.mixture.array == pytest.approx(read / read.sum(), abs=3e-4)


def test_a_small_domain_is_locked_to_its_size_unless_shares_are_explicit() -> None:
    space = MixtureSpace({**{f"d{i}": 11e9 for i in range(9)}, "small": 1e9})
    problem = replace(question(), space=space)
    followed, explicit = (
        np.array(
            [s.mixture["small"] for s in QuaDMix(runs=150, explicit_share=e).next(problem, [], [])]
        )
        for e in (False, True)
    )
    assert np.quantile(followed, 0.95) < 0.03
    assert followed.max() < 0.1
    assert np.quantile(explicit, 0.95) > 0.1
    assert explicit.max() > 0.3


def test_the_answer_is_near_what_is_planted_and_its_model_is_of_mixtures() -> None:
    problem = question()
    recipe = QuaDMix(**SMALL, explicit_share=True)
    done = play(recipe, problem)
    answer = recipe.answer(problem, done)
    run = problem.run(answer.mixture, DESIGN, values=answer.settings)
    web = samplers_of(run.config["sampling"])
    assert web["web.en"].cut == pytest.approx(0.08, abs=0.015)
    assert web["web.en"].scores["meta.edu"] < 0.25
    assert answer.mixture["books"] == pytest.approx(0.6, abs=0.12)
    assert 'sampling."web.en".scores."meta.edu"' in answer.settings
    assert answer.surrogate is not None
    assert answer.runs is not None
    at = np.vstack([answer.mixture.array, SPACE.prior])
    predicted = answer.surrogate.value(at)
    assert predicted[0] <= predicted[1]
    again = fitted_law(answer.surrogate.fitted.to_dict()).predict(at)
    assert again.mean[:, 0] == pytest.approx(answer.surrogate.predict(at).mean[:, 0])
    random = min(o.metrics["loss"] for o in done)
    assert train(run).metrics["loss"] < random + 0.02
    assert "web.en" in answer.notes[0]


def test_where_shares_are_not_explicit_the_answer_s_follow_too() -> None:
    problem, recipe = question(), QuaDMix(runs=12, candidates=200, law="ridge")
    answer = recipe.answer(problem, play(recipe, problem))
    config = problem.run(answer.mixture, DESIGN, values=answer.settings).config
    made = samplers_of(config["sampling"])
    read = SPACE.prior * [made[n].mean for n in SPACE.names]
    assert answer.mixture.array == pytest.approx(read / read.sum(), abs=5e-3)


def test_constraints_are_kept_or_what_to_do_is_said() -> None:
    bound = SPACE.replace(bounds={"books": (0.3, 1.0)})
    problem = replace(question(), space=bound)
    specs = QuaDMix(runs=20).next(problem, [], [])
    assert all(spec.mixture["books"] >= 0.3 - 1e-9 for spec in specs)
    never = replace(problem, space=SPACE.replace(bounds={"books": (0.999, 1.0)}))
    with pytest.raises(InputError, match="explicit_share: true, or loosen"):
        QuaDMix(runs=20).next(never, [], [])
    explicit = QuaDMix(runs=20, explicit_share=True).next(never, [], [])
    assert len(explicit) == 20


def test_runs_with_no_sampler_of_a_domain_are_not_fitted() -> None:
    problem, recipe = question(), QuaDMix(**SMALL)
    done = play(recipe, problem)
    one = replace(done[0].spec, config={**CONFIG, "sampling": {"books": {"cut": 0.1}}})
    with pytest.raises(InputError, match="succeeded with a sampler for every domain"):
        recipe.answer(problem, [replace(done[0], spec=one)])


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(InputError, match="names no scores"):
        QuaDMix().check_question(question().objective, {})
    given = {**CONFIG, "sampling": {"*": {"cut": 0.1}}}
    with pytest.raises(InputError, match=r"leave it out of trainer\.config"):
        QuaDMix().check_question(question().objective, given)
    guarded = Objective({"loss": 1.0}, guards=(Guard("loss"),))
    with pytest.raises(InputError, match="no guards"):
        QuaDMix().check_question(guarded, CONFIG)
    odd = MixtureSpace({'the "best"': 1e9, "books": 1e9})
    with pytest.raises(InputError, match="has a double quote"):
        QuaDMix(runs=4).next(replace(question(), space=odd), [], [])


def test_means_of_a_row_are_those_of_the_samplers_that_its_run_has() -> None:
    problem = question()
    parameters = Parameters(SPACE.names, ("meta.edu", "length"))
    U = parameters.draw(3, np.random.default_rng(0))
    for u, read in zip(U, parameters.means(U), strict=True):
        run = problem.run(SPACE.natural, DESIGN, values=parameters.values(u))
        made = samplers_of(run.config["sampling"])
        assert [made[n].mean for n in SPACE.names] == pytest.approx(read.tolist())
        assert parameters.read(run.config) == pytest.approx(u, abs=2e-3)
