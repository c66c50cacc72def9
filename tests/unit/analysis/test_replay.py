"""The replay benchmark: only real runs at real cost, answers by model, words for bad input."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.replay import main, play, replay, summary, to_answer, to_best
from analysis.replay_worlds import Known, Narrow, Oracle, Pool
from mixopt import InputError, Scale
from mixopt.runs.kinds import DESIGN
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.strategies import strategy
from mixopt.testing.worlds import KINDS, make_world


def table(*, scales: bool = True, n: int = 40) -> pd.DataFrame:
    world = make_world(4, 3, kind="two-scales", seed=1)
    rng = np.random.default_rng(0)
    parts = []
    for i, scale in enumerate(world.scales if scales else world.scales[-1:]):
        W = rng.dirichlet(np.ones(4), size=n if i == 0 else n // 2).round(3)
        Y = world.truth(W / W.sum(axis=1, keepdims=True), scale)
        frame = pd.DataFrame(np.hstack([W, Y]))
        frame.columns = [f"w/{d}" for d in world.space.names] + [f"m/{m}" for m in world.metrics]
        parts.append(frame.assign(params=scale.params, tokens=scale.tokens))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "runs.csv"
    table().to_csv(found, index=False)
    return found


@pytest.mark.slow
def test_records_hold_what_was_promised(path: Path, tmp_path: Path) -> None:
    out, drawn = tmp_path / "out.json", tmp_path / "out.png"
    arguments = f"{path} --strategies auto,random --budget 6 --seeds 2 --initial 5 --json {out}"
    assert main([*arguments.split(), "--figure", str(drawn)]) == 0
    records = json.loads(out.read_text())
    assert {r["strategy"] for r in records} == {"auto", "random"}
    for record in records:
        assert {"strategy", "seed", "runs", "cost", "regret", "seconds"} <= set(record)
        assert record["regret"] >= 0
        assert record["targets"] <= 6 + 1e-9
    for seed in (0, 1):
        ours = [r for r in records if r["strategy"] == "auto" and r["seed"] == seed]
        assert [r["cost"] for r in ours] == sorted(r["cost"] for r in ours)
    assert drawn.stat().st_size > 10_000


def test_the_pool_is_all_there_is_and_costs_are_real() -> None:
    runs = RunTable.from_frame(table())
    pool = Pool.of(runs, Objective.of(runs.metrics))
    small, large = pool.scales
    assert pool.costs[large] / pool.costs[small] == pytest.approx(100)
    problem = pool.problem(0)
    assert len(problem.pool[small]) == 40
    assert len(problem.pool[large]) == 20
    best = min(problem.pool[large], key=pool.regret)
    assert pool.regret(best) == 0.0
    recipe = strategy("ladder", design=6, runs=30, batch=1)
    records = list(play(pool, recipe, 5 * pool.costs[large], 0))
    assert records[-1]["regret"] <= np.median([pool.regret(m) for m in problem.pool[large]])
    assert records == [
        {**r, "seconds": s["seconds"]}
        for r, s in zip(play(pool, recipe, 5 * pool.costs[large], 0), records, strict=True)
    ]


def test_costs_follow_the_runs_of_every_scale() -> None:
    runs = RunTable.from_frame(table())
    pool = Pool.of(runs, Objective.of(runs.metrics))
    recipe = strategy("ladder", design=6, runs=14, batch=1)
    last = list(play(pool, recipe, np.inf, 1))[-1]
    small, large = (pool.costs[s] for s in pool.scales)
    counts = [k for k in range(15) if (14 - k) * small + k * large == pytest.approx(last["cost"])]
    assert len(counts) == 1


def test_milestones_are_read_off_the_records() -> None:
    rows = [
        {"seed": 0, "runs": n, "targets": float(n), "found": n >= 3, "regret": r}
        for n, r in ((1, 0.2), (2, 0.0), (3, 0.1), (4, 0.0), (5, 0.0))
    ]
    assert to_best(rows) == [3]
    assert to_answer(rows) == [4.0]
    never = [{**r, "found": False, "regret": 1.0} for r in rows]
    assert to_best(never) == [np.inf]
    assert to_answer(never) == [np.inf]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_ours_is_never_worse_than_random_beyond_noise(kind: str) -> None:
    """At 18 runs. At 9 random search is ahead in sparse worlds: regret .02 of a sd against .16."""
    world = Known(make_world(4, 2, kind=kind, seed=3, noise=0.1))
    recipes = {
        "ladder": strategy("ladder", design=6, runs=24, batch=4, proxies=16),
        "random": strategy("random", runs=24, batch=2),
    }
    records = replay(world, recipes, budget=18, seeds=range(3))
    final = {
        name: np.mean(
            [[r["regret"] for r in records if r["strategy"] == name and r["seed"] == s][-1]
             for s in range(3)]
        )
        for name in recipes
    }  # fmt: skip
    assert final["ladder"] <= final["random"] + 0.1 * world.world.spread


def test_worlds_know_their_optimum() -> None:
    for kind in KINDS:
        world = make_world(5, 3, kind=kind, seed=4)
        W = np.random.default_rng(0).dirichlet(np.full(5, 0.5), size=4000)
        assert world.best <= world.value(W).min() + 1e-9
        assert world.space.contains(world.optimum, 1e-6)[0]


@pytest.mark.slow
def test_the_admire_protocol_takes_the_first_48_and_prices_by_size(
    path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    arguments = f"{path} --strategies admire --budget 0.6 --seeds 1 --protocol admire --json {out}"
    assert main(arguments.split()) == 0
    records = json.loads(out.read_text())
    assert records[0]["runs"] == 2
    assert records[0]["targets"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--budget 0.0001", "does not pay one run: the cheapest costs 0.01"),
        ("--scales 5e6", "no run at scale '5e6'; the table has 1e\\+06:1e\\+08"),
        ("--scales big", "scale 'big' is no number"),
        ("--objective lss-0", "did you mean 'loss-0'"),
        ("--objective avg7", "the table has 3"),
        ("--strategies rndom", "did you mean 'random'"),
    ],
)
def test_bad_input_is_answered_in_words(
    path: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(path), "--seeds", "1", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error


def test_a_table_without_scales_or_with_missing_metrics_plays() -> None:
    frame = table(scales=False).drop(columns=["params", "tokens"])
    frame.loc[3, "m/loss-1"] = np.nan
    runs = RunTable.from_frame(frame)
    pool = Pool.of(runs, Objective.of(runs.metrics))
    assert pool.scales == (Scale(1, 1),)
    assert len(pool.problem(0).pool[Scale(1, 1)]) == len(frame) - 1
    records = list(play(pool, strategy("ladder", design=4, runs=8), 8.0, 0))
    assert records[-1]["runs"] == 8
    assert "runs to best" in summary([{"strategy": "x", "seed": 0, **r} for r in records])


@pytest.mark.slow
def test_an_oracle_fitted_to_real_runs_follows_them_and_can_be_searched() -> None:
    pytest.importorskip("sklearn")
    runs = RunTable.from_frame(table(scales=False, n=120), renormalize=True)
    oracle = Oracle.of(Pool.of(runs, Objective.of(runs.metrics)))
    assert "a family that no strategy uses" in oracle.note
    problem = oracle.problem(0)
    assert not problem.pool
    world, X = make_world(4, 3, kind="two-scales", seed=1), problem.space.uniform
    seen = oracle.run(problem.run(X, DESIGN))
    truth = world.truth(X.array[None])[0]
    np.testing.assert_allclose(list(seen.metrics.values()), truth, rtol=0.02)
    limit = 24 * problem.cost(problem.target)
    first, *_, last = play(oracle, strategy("ladder", design=6, runs=24, batch=2), limit, 0)
    assert first["regret"] > last["regret"] >= -1e-6
    assert last["regret"] < 0.1 * world.spread


def test_narrow_pools_are_of_each_seed_and_know_their_truth() -> None:
    world = Narrow("plain", 5, size=30, alone=0.25, noise=0.5)
    problem = world.problem(3)
    (pool,) = problem.pool.values()
    assert pool != world.problem(4).pool[problem.target]
    lost = np.array([world.regret(m) for m in pool])
    assert lost.min() == 0.0
    assert lost.std() == pytest.approx(1.0, abs=0.15)  # points
    seen = [100 * world.run(problem.run(m, DESIGN)).metrics["accuracy"] for m in pool]
    best = max(world.truth[m] for m in pool)
    off = np.array(seen) - (best - lost)
    assert off.std() == pytest.approx(0.5, abs=0.2)
    assert seen == [100 * world.run(problem.run(m, DESIGN)).metrics["accuracy"] for m in pool]
    with pytest.raises(InputError, match="alone is 2"):
        Narrow(alone=2.0)


def test_where_no_law_can_learn_ours_is_the_best_run_as_it_is_of_random_search() -> None:
    """Every mixture's accuracy is its own; the first ten runs are the same."""
    world = Narrow("plain", 5, size=30, alone=1.0, noise=0.1)
    answers = {}
    for name in ("ladder", "random"):
        recipe = strategy(name, **({"design": 10} if name == "ladder" else {"batch": 10}), runs=10)
        answers[name] = list(play(world, recipe, np.inf, 0))[-1]["regret"]
    assert answers["ladder"] == answers["random"]
