"""Published recipes against their papers: what is trained, what is learned, what is answered.

Every test names its source; METHODS is the specification of the field that the recipes were
written from, with section numbers. Where a recipe departs from its paper, its docstring says so.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.designs import design
from mixopt.designs.optimal import average_variance
from mixopt.runs import Point
from mixopt.space import simplex
from mixopt.space.domains import Domain
from mixopt.space.simplex import Array
from mixopt.strategies import Answering, Problem, Strategy, strategy
from mixopt.testing.worlds import make_world

SMALL, LARGE = Scale(1000, 10_000), Scale(1000, 80_000)
STRENGTHS = np.logspace(-1, np.log10(5), 15)  # RegMix and Olmix: .1 to 5, 15 log steps [C]
Metric = Callable[[Array], float]


def problem(space: MixtureSpace, *metrics: str, scales: Sequence[Scale] = (SMALL,)) -> Problem:
    return Problem(space, Objective.of(metrics or ("loss",)), tuple(scales))


def weights(specs: Sequence[RunSpec]) -> Array:
    return np.array([s.mixture.array for s in specs])


def trained(specs: Sequence[RunSpec], **metrics: Metric) -> list[Observation]:
    return [
        Observation.of(s, {k: float(f(s.mixture.array)) for k, f in metrics.items()}) for s in specs
    ]


def answer(recipe: Strategy, question: Problem, **metrics: Metric) -> Array:
    assert isinstance(recipe, Answering)
    done = trained(recipe.next(question, [], []), **metrics)
    return recipe.recommend(question, done).array


def dirichlet_variance(q: Array, strengths: Array) -> Array:
    """(m,) variance of weights drawn from Dir(s q), s one of the strengths at random."""
    return np.asarray(q * (1 - q) * np.mean(1 / (1 + strengths)))


# -- RegMix ----------------------------------------------------------------------------------------

FOUR = MixtureSpace({"a": 64, "b": 16, "c": 16, "d": 4})


def test_regmix_trains_512_mixtures_of_its_swarm() -> None:
    """2407.01492, METHODS 1 [C]: the prior to the power .5, 15 strengths, grid 2e-4."""
    recipe, question = strategy("regmix"), problem(FOUR, scales=(SMALL, LARGE))
    specs = recipe.next(question, [], [])
    assert len(specs) == len(recipe.planned(question)) == 512
    assert {s.scale for s in specs} == {SMALL}
    W = weights(specs)
    assert len(np.unique(W, axis=0)) == 512
    np.testing.assert_allclose(W / 2e-4, np.round(W / 2e-4), atol=1e-6)
    q = np.array([8, 4, 4, 2]) / 18  # the tempered prior
    error = np.sqrt(dirichlet_variance(q, STRENGTHS) / 512)
    assert (np.abs(W.mean(axis=0) - q) < 4 * error).all()
    np.testing.assert_allclose(W.var(axis=0), dirichlet_variance(q, STRENGTHS), rtol=0.15)


def test_regmix_learns_with_trees() -> None:
    """METHODS 2.1 [C]: LightGBM; it is constant in pieces and goes beyond no run.

    So the best candidates are all those in the best leaf, and their mean lies inside it, where a
    line would name its very end.
    """
    space = MixtureSpace(["a", "b", "c"])

    def best(**settings: object) -> float:
        recipe = strategy("regmix", runs=16, simulated=20_000, **settings)
        return float(answer(recipe, problem(space), loss=lambda w: 2.0 - w[0])[0])

    assert 0.7 < best() < 0.98
    assert best(law="linear") > 0.99
    assert best(law="gp") > 0.99


def test_regmix_answers_the_mean_of_the_100_best_of_100_000() -> None:
    """METHODS 2.1 [P]: candidates Dir(q), ranked by predicted loss, the top 100 averaged.

    With one domain of .2 % of the tokens that lowers the loss linearly, the mean of the best 100
    has a known distribution: that of the 100 largest of 100,000 draws of Beta(.002, .998).
    """
    space = MixtureSpace({"rare": 2, "web": 998})
    given = answer(
        strategy("regmix", runs=12, law="linear"), problem(space), loss=lambda w: 2 - w[0]
    )
    rng = np.random.default_rng(0)

    def expected(candidates: int, top: int) -> tuple[float, float]:
        draws = [np.sort(rng.beta(0.002, 0.998, candidates))[-top:].mean() for _ in range(12)]
        return float(np.mean(draws)), float(np.std(draws))

    mean, sd = expected(100_000, 100)
    assert given[0] == pytest.approx(mean, abs=4 * sd)
    for candidates, top in ((100_000, 1), (100_000, 200), (50_000, 100)):
        assert abs(expected(candidates, top)[0] - given[0]) > 6 * sd


def test_regmix_averages_over_domains_that_do_not_matter() -> None:
    """A single best candidate of a sparse swarm has nearly all the rest in one domain."""
    space = MixtureSpace(["a", "b", "c", "d"])
    given = answer(
        strategy("regmix", runs=40, law="scheffe", simulated=20_000),
        problem(space),
        loss=lambda w: w[0] * (1 - w[0]) * -1.0,
    )
    assert given[0] == pytest.approx(0.5, abs=0.1)
    assert given[1:] == pytest.approx(np.full(3, (1 - given[0]) / 3), abs=0.1)


def test_regmix_keeps_the_constraints_of_the_space() -> None:
    space = MixtureSpace(["a", "b", "c"], bounds={"a": (0.0, 0.4)})
    given = answer(
        strategy("regmix", runs=20, law="linear", simulated=2000),
        problem(space),
        loss=lambda w: 2 - w[0],
    )
    assert given[0] == pytest.approx(0.4, abs=0.01)


# -- Olmix -----------------------------------------------------------------------------------------

SOURCES = MixtureSpace(
    [
        Domain("web/news", tokens=30, parent="web"),
        Domain("web/blogs", tokens=30, parent="web"),
        Domain("code/py", tokens=10, parent="code"),
        Domain("code/c", tokens=20, parent="code"),
        Domain("math", tokens=10),
    ]
)


def test_olmix_trains_three_runs_per_domain_and_one_more() -> None:
    """2602.12237, METHODS 1 [P]: K = 3 (m + 1) suffices for the log-linear law."""
    recipe, question = strategy("olmix"), problem(SOURCES, scales=(SMALL, LARGE))
    assert len(recipe.next(question, [], [])) == len(recipe.planned(question)) == 3 * (5 + 1)
    assert set(recipe.planned(question)) == {SMALL}


def test_olmix_draws_sources_then_topics_within_each() -> None:
    """METHODS 1 [C]: both levels with strengths .1 to 5, weights from .002, L2 distance .01."""
    recipe = strategy("olmix", runs=400)
    W = weights(recipe.next(problem(SOURCES), [], []))
    assert W[W > 0].min() >= 0.002 - 2e-4
    apart = np.linalg.norm(W[:, None] - W[None], axis=2)[np.triu_indices(len(W), 1)]
    assert apart.min() >= 0.01 - 3e-4
    sources = np.column_stack([W[:, :2].sum(1), W[:, 2:4].sum(1), W[:, 4]])
    q = np.array([0.6, 0.3, 0.1])
    # Mixtures too near to an earlier one are left out, most of them single sources.
    spread = dirichlet_variance(q, STRENGTHS)
    np.testing.assert_allclose(sources.mean(axis=0), q, atol=0.12)
    np.testing.assert_allclose(sources.var(axis=0), spread, rtol=0.45)
    # A topic's share of its source says nothing of the source's share of the tokens.
    used = sources[:, 0] > 0.05
    topic = W[used, 0] / sources[used, 0]
    assert abs(np.corrcoef(topic, sources[used, 0])[0, 1]) < 0.15
    assert topic.mean() == pytest.approx(0.5, abs=0.08)
    # One level alone would spread topics less: Dir(s q) has s Q_source within a source.
    assert topic.var() == pytest.approx(0.25 * np.mean(1 / (1 + STRENGTHS)), rel=0.25)


A = np.array([[-0.5, 0.1, 0.1], [0.1, 0.0, -0.2]])


def exponentials(k: int) -> Metric:
    return lambda w: 0.5 + float(np.exp(A[k] @ w))


def test_olmix_pulls_the_proposal_to_the_natural_mixture() -> None:
    """METHODS 2.4 [P]: min F + .05 KL(x || q), so x_i is q_i exp(-dF/dx_i / .05) up to a factor.

    Noise-free metrics of the law's own form, so that F is known.
    """
    space = MixtureSpace({"a": 5, "b": 3, "c": 2})
    given = answer(
        strategy("olmix", runs=24),
        problem(space, "one", "two"),
        one=exponentials(0),
        two=exponentials(1),
    )
    slope = 0.5 * np.exp(A @ given) @ A

    def stationary(strength: float) -> Array:
        x = space.prior * np.exp(-slope / strength)
        return np.asarray(x / x.sum())

    np.testing.assert_allclose(given, stationary(0.05), atol=0.03)
    assert (given > 0).all()  # dense, as its users complain
    for other in (0.03, 0.08):
        assert np.abs(given - stationary(other)).max() > 0.05


def test_olmix_is_pulled_less_where_it_is_told_so() -> None:
    space = MixtureSpace({"a": 5, "b": 3, "c": 2})

    def distance(**settings: float) -> float:
        given = answer(
            strategy("olmix", runs=24, **settings),
            problem(space, "one", "two"),
            one=exponentials(0),
            two=exponentials(1),
        )
        return float(simplex.kl(given[None], space.prior)[0])

    assert distance(regularization=1.0) < 0.5 * distance() < 0.5 * distance(regularization=0.0)


def test_olmix_fits_each_task_and_then_averages() -> None:
    """METHODS 2.4 [P]: per-task fits averaged beat a fit of the average (.765 against .774 BPB).

    The average of two opposed exponentials has its optimum inside, where no exponential has one.
    """
    space = MixtureSpace(["a", "b"])
    given = answer(
        strategy("olmix", runs=12, regularization=0.0),
        problem(space, "one", "two"),
        one=lambda w: float(np.exp(-3 * w[0])),
        two=lambda w: float(np.exp(-3 * w[1])),
    )
    np.testing.assert_allclose(given, [0.5, 0.5], atol=0.03)


# -- Data Mixing Laws ------------------------------------------------------------------------------


def with_curve(spec: RunSpec, tokens: Sequence[int]) -> Observation:
    """Domain a looks better early and b is better later: E + B S^-.5 cross between the scales."""
    a = spec.mixture["a"]

    def loss(at: float) -> float:
        return 2.0 + 0.6 * a + (100.0 - 80.0 * a) * at**-0.5

    curve = tuple(Point(t, {"loss": loss(t)}) for t in tokens)
    return Observation.of(spec, {"loss": loss(spec.scale.tokens)}, curve=curve)


def test_dml_trains_twenty_mixtures() -> None:
    """2403.16952, METHODS 2.3 [P]: 20 mixtures; Dirichlet ones here, as the recipe says."""
    question = problem(FOUR, scales=(SMALL, LARGE))
    specs = strategy("dml").next(question, [], [])
    assert len(specs) == len(strategy("dml").planned(question)) == 20
    assert {s.scale for s in specs} == {SMALL}


def test_dml_answers_for_the_target_by_continuing_every_curve() -> None:
    """METHODS 2.3: step law E + B / S^beta per run, then the mixture law on what it predicts."""
    space = MixtureSpace(["a", "b"])
    question = problem(space, scales=(Scale(1000, 10_000), Scale(1000, 1_000_000)))
    answers = {}
    for extrapolate in (True, False):
        recipe = strategy("dml", extrapolate=extrapolate)
        done = [with_curve(s, (1000, 2500, 5000)) for s in recipe.next(question, [], [])]
        answers[extrapolate] = recipe.recommend(question, done)["a"]
    assert answers[False] > 0.9  # .6 a - 80 a / 100 falls with a
    assert answers[True] < 0.1  # .6 a - 80 a / 1000 rises
    assert strategy("dml") == strategy("dml", extrapolate=True)


def test_dml_has_the_log_linear_law_and_no_pull() -> None:
    """METHODS 2.3 [C]: L = c + k exp(t . r); the optimum of one such metric is one domain."""
    given = answer(
        strategy("dml"), problem(FOUR), loss=lambda w: 1 + np.exp(-w[0] - 2 * w[1] + w[2])
    )
    assert given[1] > 0.99


# -- Mixture experiment ----------------------------------------------------------------------------


def test_the_mixture_experiment_is_i_optimal_over_single_domains_and_pairs() -> None:
    """2608.23922, METHODS 1 and 2.21: an exchange over points with coordinates 0, 1/2 and 1."""
    recipe, question = strategy("mixture-experiment"), problem(FOUR)
    W = weights(recipe.next(question, [], []))
    assert len(W) == len(recipe.planned(question)) == 3 * (4 + 1)
    named = np.isin(np.round(W, 2), [0.0, 0.5, 1.0]).all(axis=1)
    assert named.sum() >= 9
    region = simplex.dirichlet(np.ones((400, 4)), np.random.default_rng(0))
    others = [
        average_variance(design(name, FOUR, 15, rng=np.random.default_rng(seed)), region)
        for name in ("regmix", "dirichlet", "maximin")
        for seed in range(3)
    ]
    assert average_variance(W, region) < min(others)


def test_the_mixture_experiment_finds_a_pair_that_helps_each_other() -> None:
    """METHODS 2.21: y = sum b_i p_i + b_ij p_i p_j, interactions selected."""
    given = answer(
        strategy("mixture-experiment", runs=40),
        problem(FOUR),
        loss=lambda w: 2 + 0.2 * w[2] + 0.2 * w[3] - 2 * w[0] * w[1],
    )
    np.testing.assert_allclose(given, [0.5, 0.5, 0, 0], atol=0.05)


# -- AutoScale -------------------------------------------------------------------------------------


def test_autoscale_perturbs_one_domain_at_a_time() -> None:
    """2407.20177, METHODS 2.7 [C]: 2 m + 1 runs, each domain's amount times 3 and a third."""
    W = weights(strategy("autoscale").next(problem(FOUR), [], []))
    assert len(W) == 2 * 4 + 1
    np.testing.assert_allclose(W[0], FOUR.prior, atol=1e-9)
    odds = W[1:] / (1 - W[1:]) * (1 - FOUR.prior) / FOUR.prior
    changed = [(int(i), float(row[i])) for row in odds for i in [np.argmax(np.abs(np.log(row)))]]
    for domain in range(4):
        factors = sorted(f for i, f in changed if i == domain)
        assert factors == pytest.approx([1 / 3, 3], rel=0.02)


def test_autoscale_asks_for_nothing_after_its_runs() -> None:
    recipe, question = strategy("autoscale"), problem(FOUR)
    done = trained(recipe.next(question, [], []), loss=lambda w: 1.0 + w[0])
    assert recipe.next(question, done, []) == []


def test_autoscale_adds_the_domains_up() -> None:
    """METHODS 2.7: a sum of (x_i + a_i)^-b_i, so the optimum of equal domains is equal shares."""
    space = MixtureSpace({"a": 5, "b": 3, "c": 2})
    given = answer(
        strategy("autoscale"),
        problem(space),
        loss=lambda w: float(((w + 0.1) ** -0.5).sum()),
    )
    np.testing.assert_allclose(given, np.full(3, 1 / 3), atol=0.06)


# -- CLIMB -----------------------------------------------------------------------------------------


def climb(space: MixtureSpace, loss: Metric, **settings: object) -> list[list[RunSpec]]:
    recipe, question = strategy("climb", **settings), problem(space)
    rounds: list[list[RunSpec]] = []
    done: list[Observation] = []
    while specs := recipe.next(question, done, []):
        rounds.append(specs)
        assert recipe.next(question, done, specs) == []  # a round waits for the one before
        done += trained(specs, loss=loss)
    return rounds


def test_climb_trains_64_then_32_then_16() -> None:
    """2504.13161, METHODS 1 and 2.14 [P]: later runs come from the predicted best."""
    rounds = climb(FOUR, lambda w: float(((w - 0.25) ** 2).sum()), candidates=2000)
    assert [len(r) for r in rounds] == [64, 32, 16]
    assert len(strategy("climb").planned(problem(FOUR))) == 112
    assert len({s.run_id for r in rounds for s in r}) == 112
    means = [np.mean([((s.mixture.array - 0.25) ** 2).sum() for s in r]) for r in rounds]
    assert means[1] < 0.4 * means[0]
    assert means[2] < 0.8 * means[1]


def test_climb_draws_at_random_from_the_four_times_as_many_best() -> None:
    """METHODS 2.14: the next batch is sampled among the top N, not its head.

    With the law exact, the worst of 32 drawn from the 128 best of 20,000 lies near the .64 % point
    of the candidates; the head of the list would end at .16 %.
    """
    second = climb(FOUR, lambda w: 1.0 - 0.5 * w[3], law="linear", rounds=(64, 32))[1]
    candidates = design("dirichlet", FOUR, 20_000, rng=np.random.default_rng(5))[:, 3]
    worst = min(s.mixture["d"] for s in second)
    assert 0.004 < (candidates >= worst).mean() < 0.0085


def test_climb_answers_the_predicted_optimum() -> None:
    """METHODS 2.14: the predictor's argmax, from all rounds."""
    recipe, question = strategy("climb", law="linear", rounds=(8, 4, 2)), problem(FOUR)
    done: list[Observation] = []
    while specs := recipe.next(question, done, []):
        done += trained(specs, loss=lambda w: 1.0 - 0.5 * w[3])
    assert isinstance(recipe, Answering)
    assert recipe.recommend(question, done)["d"] > 0.999


@pytest.mark.parametrize("name", ["regmix", "climb"])
def test_recipes_of_many_candidates_answer_for_two_domains(name: str) -> None:
    """On a grid of 2e-4 two domains have 5001 mixtures, far fewer than candidates."""
    settings = {"runs": 20} if name == "regmix" else {"rounds": (12, 6, 3)}
    recipe = strategy(name, law="linear", **settings)
    question = problem(MixtureSpace(["a", "b"]))
    done: list[Observation] = []
    while specs := recipe.next(question, done, []):
        done += trained(specs, loss=lambda w: 1.0 - 0.5 * w[0])
    assert isinstance(recipe, Answering)
    assert recipe.recommend(question, done)["a"] > 0.95


# -- ADMIRE and MFMS -------------------------------------------------------------------------------


def sequence(name: str, steps: int, **settings: object) -> tuple[list[int], list[RunSpec]]:
    world = make_world(4, 2, kind="two-scales", seed=3)
    question = Problem(world.space, world.objective, world.scales, costs=world.costs)
    recipe = strategy(name, **settings)
    sizes, done = list[int](), list[Observation]()
    for _ in range(steps):
        specs = recipe.next(question, done, [])
        sizes.append(len(specs))
        done += [world.run(s) for s in specs]
    return sizes, [o.spec for o in done]


@pytest.mark.parametrize(("name", "start"), [("admire", 1), ("mfms", 8)])
def test_sequential_recipes_start_small_and_go_on_one_by_one(name: str, start: int) -> None:
    """2508.11551 (METHODS 4.2: from one random run) and 2503.21023 (METHODS 4.3)."""
    sizes, specs = sequence(name, 4)
    small = min(s.scale for s in specs)
    assert sizes[0] == start
    assert {s.scale for s in specs[:start]} == {small}
    assert sizes[1] >= 1
    at_target = [n for n, size in enumerate(sizes[1:], 1) if size != 1]
    assert all(specs[sum(sizes[:n])].scale == small for n in at_target)


@pytest.mark.parametrize("name", ["admire", "mfms"])
def test_sequential_recipes_know_the_objective_alone(name: str) -> None:
    """METHODS 4.2, 4.3: one process for the objective; what cancels in it is never seen."""
    world = make_world(3, 2)
    recipe = strategy(name, design=6)
    question = Problem(world.space, Objective.of(("one", "two")), (SMALL, LARGE))
    specs = recipe.next(question, [], [])

    def cancelling(share: float) -> list[Observation]:
        return trained(
            specs,
            one=lambda w: 2 + w[1] + share * np.sin(9 * w[0]),
            two=lambda w: 2 - share * np.sin(9 * w[0]),
        )

    assert isinstance(recipe, Answering)
    calm, wild = (recipe.recommend(question, cancelling(s)) for s in (0.1, 50.0))
    np.testing.assert_allclose(calm.array, wild.array, atol=1e-3)


@pytest.mark.parametrize("name", ["admire", "mfms"])
def test_proxies_of_sequential_recipes_have_no_allowance(name: str) -> None:
    """METHODS 4.2, 4.3: gain against cost decides; no budget holds proxies back.

    Ladders of ours let proxies spend one target run, and a tenth of what target runs cost.
    """
    world = make_world(3, 2, kind="two-scales", seed=4)
    small, large = world.scales
    question = Problem(world.space, world.objective, world.scales, costs={small: 0.4, large: 1.0})
    recipe, done = strategy(name, design=3), list[Observation]()
    for _ in range(4):
        done += [world.run(s) for s in recipe.next(question, done, [])]
    assert sum(o.spec.scale == small for o in done[3:]) >= 1


# -- what every recipe is measured against ---------------------------------------------------------


def test_random_search_spends_48_runs_at_the_target_and_answers_its_best() -> None:
    """METHODS 0.3: best of random K at equal budget."""
    recipe, question = strategy("random"), problem(FOUR, scales=(SMALL, LARGE))
    done: list[Observation] = []
    while specs := recipe.next(question, done, []):
        assert len(specs) <= 4
        done += trained(specs, loss=lambda w: abs(w[0] - 0.3))
    assert [o.spec.scale for o in done] == [LARGE] * 48 == recipe.planned(question)
    best = min(done, key=lambda o: o.metrics["loss"])
    assert isinstance(recipe, Answering)
    assert recipe.recommend(question, done) == best.spec.mixture


def test_the_baselines_are_natural_uniform_temperature_and_unimax() -> None:
    """METHODS 0.3, 2.11 (UniMax 2501.11747), 13.1 step 1."""
    domains = [Domain(n, tokens=t) for n, t in (("a", 64e9), ("b", 16e9), ("c", 20e9))]
    space = MixtureSpace(domains, budget=100e9, epochs=4.0)
    specs = strategy("baselines").next(problem(space, scales=(SMALL, LARGE)), [], [])
    assert {s.scale for s in specs} == {LARGE}
    W = weights(specs)
    np.testing.assert_allclose(W[0], [0.64, 0.16, 0.2], atol=2e-4)
    np.testing.assert_allclose(W[1], np.full(3, 1 / 3), atol=2e-4)
    tempered = np.sqrt([0.64, 0.16, 0.2])
    np.testing.assert_allclose(W[2], tempered / tempered.sum(), atol=2e-4)
    tight = MixtureSpace(domains, budget=300e9, epochs=4.0)
    unimax = weights(strategy("baselines").next(problem(tight), [], []))[-1]
    np.testing.assert_allclose(unimax, [0.52, 16 * 4 / 300, 20 * 4 / 300], atol=2e-4)


def test_an_unknown_recipe_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'regmix'"):
        strategy("regmx")
