"""Guards bind those too who choose by what was measured: random search and the best random run."""

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.runs import Kind
from mixopt.runs.kinds import DESIGN
from mixopt.runs.objective import Guard
from mixopt.strategies import Problem, strategy
from mixopt.strategies.kept import best_kept
from mixopt.testing.worlds import LARGE, SMALL

SPACE = MixtureSpace({"a": 2.0, "b": 1.0, "c": 1.0})
NATURAL = (0.5, 0.25, 0.25)


def run(w: tuple[float, ...], scale: Scale = SMALL, kind: Kind = DESIGN, **m: float) -> Observation:
    return Observation.of(RunSpec(SPACE.mixture(np.array(w)), scale, kind=kind), m)


def guarded(*, maximize: str = "", tolerance: float = 0.0) -> Objective:
    higher = frozenset({maximize} - {""})
    return Objective({"code": 1.0}, maximize=higher, guards=(Guard("web", tolerance),))


def test_the_best_is_of_those_that_keep_the_guards_as_measured() -> None:
    runs = [
        run(NATURAL, code=3.0, web=2.0),
        run((0.1, 0.9, 0.0), code=1.0, web=2.2),
        run((0.3, 0.4, 0.3), code=2.0, web=1.9),
    ]
    assert best_kept(runs, runs, guarded(), SPACE) is runs[2]
    assert best_kept(runs, runs, guarded(tolerance=0.2), SPACE) is runs[1]
    assert best_kept(runs, runs, Objective.of("code"), SPACE) is runs[1]
    # accuracies: 2.2 is the only one above what the natural mixture has
    assert best_kept(runs[1:], runs, guarded(maximize="web"), SPACE) is runs[1]
    assert best_kept(runs[::2], runs, guarded(maximize="web"), SPACE) is runs[0]


def test_where_no_run_keeps_them_it_is_the_one_nearest_to_that() -> None:
    natural = run(NATURAL, code=3.0, web=2.0)
    runs = [run((0.1, 0.9, 0.0), code=1.0, web=2.4), run((0.2, 0.4, 0.4), code=2.0, web=2.1)]
    assert best_kept(runs, [natural, *runs], guarded(), SPACE) is runs[1]


def test_every_scale_has_limits_of_its_own() -> None:
    known = [run(NATURAL, code=3.0, web=2.0), run(NATURAL, LARGE, code=2.0, web=1.0)]
    small, large = (
        run((0.3, 0.4, 0.3), code=2.5, web=1.9),
        run((0.3, 0.4, 0.3), LARGE, code=1, web=1.5),
    )
    other = run((0.4, 0.4, 0.2), LARGE, code=1.5, web=0.9)
    assert (
        best_kept([small, large, other], [*known, small, large, other], guarded(), SPACE) is other
    )


def test_nearest_is_by_the_share_of_each_limit() -> None:
    asked = Objective({"code": 1.0}, guards=(Guard("rare"), Guard("bits")))
    natural = run(NATURAL, code=3.0, rare=0.02, bits=2000.0)
    a_fifth = run((0.1, 0.9, 0.0), code=1.0, rare=0.024, bits=1900.0)
    a_twentieth = run((0.2, 0.4, 0.4), code=2.0, rare=0.019, bits=2100.0)
    runs = [a_fifth, a_twentieth]
    assert best_kept(runs, [natural, *runs], asked, SPACE) is a_twentieth


def test_a_neighbour_of_a_baseline_is_none_of_its_runs() -> None:
    natural, again = (run(NATURAL, code=3.0, web=w) for w in (1.9, 2.1))
    near = run((0.6, 0.2, 0.2), code=2.5, web=5.0)
    tempting = run((0.1, 0.9, 0.0), code=1.0, web=3.0)
    fits = run((0.2, 0.4, 0.4), code=2.0, web=1.99)  # below the mean of the baseline's two
    runs = [natural, again, near, tempting, fits]
    assert best_kept(runs, runs, guarded(), SPACE) is fits


def test_where_nothing_tells_a_limit_the_others_come_first() -> None:
    """At the large scale one mixture ran, and it is not the baseline."""
    known = [run(NATURAL, code=3.0, web=2.0), run((0.3, 0.4, 0.3), code=2.0, web=1.9)]
    alone = run((0.1, 0.9, 0.0), LARGE, code=1.0, web=9.0)
    assert best_kept([alone, *known], [alone, *known], guarded(), SPACE) is known[1]
    other = run((0.2, 0.8, 0.0), LARGE, code=0.5, web=1.0)
    assert best_kept([alone, other], [alone], guarded(), SPACE) is other


def test_a_baseline_that_was_not_run_is_predicted() -> None:
    """web = 2 + b, so the natural mixture would have 2.25."""
    shares = [(1 - b - c, b, c) for b in (0.0, 0.2, 0.4, 0.6) for c in (0.0, 0.15, 0.35)]
    runs = [run(w, code=3.0 - w[1], web=2.0 + w[1]) for w in shares]
    chosen = best_kept(runs, runs, guarded(), SPACE)
    assert chosen.spec.mixture["b"] == pytest.approx(0.2)
    assert best_kept(runs[:1], runs[:1], guarded(), SPACE) is runs[0]


def test_an_unknown_baseline_and_no_runs_are_refused() -> None:
    runs = [run(NATURAL, code=3.0, web=2.0), run((0.1, 0.9, 0.0), code=1.0, web=2.2)]
    asked = Objective({"code": 1.0}, guards=(Guard("web", baseline="olmo"),))
    with pytest.raises(InputError, match="names the baseline 'olmo'"):
        best_kept(runs, runs, asked, SPACE)
    with pytest.raises(InputError, match="at least one"):
        best_kept([], runs, asked, SPACE)


def test_best_random_and_random_search_keep_the_guards(kinds) -> None:  # type: ignore[no-untyped-def]
    """The mixtures of lowest code are of the domain that ruins web."""
    problem = Problem(SPACE, guarded(tolerance=0.05), (SMALL,))
    settings = {"law": "log-linear", "design": 12, "proposals": 0, "confirm_seeds": 1}
    recipe = strategy("auto", **settings)

    def trained(spec: RunSpec) -> Observation:
        b = spec.mixture["b"]
        return Observation.of(spec, {"code": 3.0 - b, "web": 2.0 + b})

    done = [trained(s) for s in recipe.next(problem, [], [])]
    sent = {kinds.confirmed(s): s.mixture for s in recipe.next(problem, done, [])}
    allowed = [o.spec.mixture for o in done if o.metrics["web"] <= 2.25 * 1.05 + 1e-9]
    best = max(allowed, key=lambda m: m["b"])
    assert max(o.spec.mixture["b"] for o in done) > best["b"] > 0.25
    assert sent.get("best-random", best) == best
    assert best in sent.values()
    assert strategy("random", runs=12).recommend(problem, done) == best  # type: ignore[attr-defined]
