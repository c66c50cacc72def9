"""What becomes of a sweep: outcome, report, export, next steps."""

import html
import io
import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mixopt import InputError, Objective, Observation, RunSpec, Study
from mixopt.app.output import console
from mixopt.app.plans.plan_source import from_sweep
from mixopt.app.results.publish import (
    answer,
    conclude,
    finish,
    fit_table,
    next_steps,
    table_space,
)
from mixopt.app.results.reports import write_report
from mixopt.app.running.launch import Sweep
from mixopt.app.spec.spec_file import parse_spec
from mixopt.errors import StoreError
from mixopt.evidence.numbers import number, percent
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered
from mixopt.execution.local import MemoryStore
from mixopt.export import export
from mixopt.ports import TrainerInfo
from mixopt.runs.run_table import RunTable
from mixopt.strategies import Answering, Problem, strategy
from mixopt.testing.trainers import NAME
from mixopt.testing.worlds import make_world

WORLD = make_world(3, 2, seed=1, noise=0.01)
BEST = WORLD.space.mixture(WORLD.space.round(WORLD.optimum))
RECIPE = {"use": "auto", "design": 12, "proposals": 0, "law": "log-linear", "confirm_seeds": 2}


def export_sweep(sweep: Sweep, target: str) -> str:
    """What `mixopt export` writes of a sweep."""
    plan, about = answer(sweep)
    return export(plan, target, about=about).text


def sweep(folder: Path, runs: Sequence[Observation] = (), **changes: Any) -> Sweep:
    values = {
        "version": 1,
        "name": "study",
        "trainer": {"use": NAME},
        "scales": [{"params": 10**7, "tokens": 10**9}],
        "objective": {"minimize": list(WORLD.metrics)},
        "strategy": RECIPE,
        **changes,
    }
    store = MemoryStore()
    for seen in runs:
        store.open(seen.spec)
        store.close(seen)
    spec = parse_spec(values)
    info = TrainerInfo(
        WORLD.space.domains, WORLD.metrics, "nats/token", "d4t4", ("odd data",), {"licence": "cc"}
    )
    problem = Problem(WORLD.space, WORLD.objective, (WORLD.target,), seed=spec.seed)
    return Sweep(spec, folder, info, problem, store)


def searched(kinds: Any, n: int = 12) -> list[Observation]:
    W = WORLD.space.round(WORLD.space.sample(n, np.random.default_rng(0)))
    specs = [RunSpec(WORLD.space.mixture(w), WORLD.target, **kinds.design()) for w in W]
    return [WORLD.run(s) for s in specs]


def confirmed(kinds: Any) -> list[Observation]:
    specs = [
        RunSpec(mixture, WORLD.target, seed=seed, **kinds.confirms(name))
        for name, mixture in (("recommended", BEST), ("natural", WORLD.space.natural))
        for seed in (1, 2)
    ]
    return [WORLD.run(s) for s in specs]


def test_the_answer_is_that_of_the_strategy(tmp_path: Path, kinds: Any) -> None:
    pulled = {"use": "olmix", "regularization": 5.0}
    made = sweep(tmp_path, searched(kinds), strategy=pulled)
    found = conclude(made)
    recipe = strategy(pulled["use"], regularization=5.0)
    assert isinstance(recipe, Answering)
    expected = recipe.answer(made.problem, made.store.observations()).mixture
    assert found.recommendation.mixture == expected  # near natural, not the law's optimum
    assert np.abs(expected.array - WORLD.space.prior).max() < 0.05
    assert found.unit == "nats/token"
    assert found.warnings == ("odd data",)


def test_what_was_confirmed_stays_the_answer(tmp_path: Path, kinds: Any) -> None:
    found = conclude(sweep(tmp_path, [*searched(kinds), *confirmed(kinds)]))
    assert found.recommendation.mixture == BEST
    assert found.confirmation is not None
    assert found.confirmation.passed


def test_without_a_run_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        conclude(sweep(tmp_path))


def test_a_finished_sweep_keeps_outcome_and_report(tmp_path: Path, kinds: Any) -> None:
    made = sweep(tmp_path, [*searched(kinds), *confirmed(kinds)])
    outcome = finish(made, trained=16)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "odd data" in page
    assert "d4t4" in page
    assert str(made.spec.name) in page
    store = made.store
    assert isinstance(store, MemoryStore)
    assert store.files["report.html"].decode() == page
    kept = store.annotations()["outcome"]
    assert Outcome.from_dict(kept).recommendation.mixture == BEST
    assert Outcome.from_dict(kept).summary()["verdict"] == outcome.summary()["verdict"]


def test_a_report_is_written_again_only_where_something_was_trained(
    tmp_path: Path, kinds: Any
) -> None:
    made = sweep(tmp_path, [*searched(kinds), *confirmed(kinds)])
    finish(made, trained=16)
    (tmp_path / "report.html").write_text("mine")
    finish(made, trained=0)
    assert (tmp_path / "report.html").read_text() == "mine"
    finish(made, trained=1)
    assert (tmp_path / "report.html").read_text() != "mine"
    (tmp_path / "report.html").unlink()
    finish(made, trained=0)
    assert (tmp_path / "report.html").is_file()


def test_a_report_that_cannot_be_written_is_an_error_in_words(tmp_path: Path, kinds: Any) -> None:
    made = sweep(tmp_path, searched(kinds))
    outcome, study = conclude(made), Study(WORLD.space, WORLD.objective)
    study.tell(searched(kinds))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*give another path"):
        write_report(made, outcome, tmp_path / "file" / "report.html")
    with pytest.raises(InputError, match=r"cannot write .*give another path"):
        study.report(tmp_path / "file" / "report.html")
    assert write_report(made, outcome, tmp_path / "other.html").is_file()


def test_an_export_has_the_answer_and_where_it_came_from(tmp_path: Path, kinds: Any) -> None:
    made = sweep(tmp_path, [*searched(kinds), *confirmed(kinds)])
    text = export_sweep(made, "json")
    for name, share in BEST.to_dict().items():
        assert f'"{name}": {share:.6g}'[:10] in text or share == 0
    assert '"study"' in text
    with pytest.raises(InputError, match="did you mean 'json'"):
        export_sweep(made, "jsn")


def test_an_export_takes_along_what_sweep_and_spec_know(tmp_path: Path, kinds: Any) -> None:
    names = WORLD.space.names
    where = {names[0]: "/d/a", names[1]: [{"path": "/d/b"}, "/d/c"], names[2]: "builtin:x"}
    made = sweep(
        tmp_path,
        searched(kinds),
        trainer={"use": NAME, "config": {"domains": where}},
        space={"domains": {names[0]: {"tokens": "1T"}}},
    )
    sizes = {
        "training_tokens": dict.fromkeys(names, 900),
        "training_documents": dict.fromkeys(names, 3),
        "training_bytes": dict.fromkeys(names, 3600),
    }
    domains = (replace(WORLD.space.domains[0], tokens=1e12), *WORLD.space.domains[1:])
    space = WORLD.space.replace(domains=domains)
    made = replace(
        made,
        info=replace(made.info, notes=sizes),
        problem=replace(made.problem, space=space),
    )
    known = from_sweep(made)
    assert known.paths == {names[0]: "/d/a", names[1]: ["/d/b", "/d/c"]}
    assert known.tokens_per_example == dict.fromkeys(names, 300.0)
    assert known.tokens_per_byte == dict.fromkeys(names, 0.25)
    assert "not the target's" in known.measured
    assert known.unique == {names[0]: 1e12}  # the others' are those of the proxies' data
    assert (known.tokens, known.max_epochs) == (None, None)

    limited = replace(made, problem=replace(made.problem, space=space.replace(budget=1e9)))
    known = from_sweep(limited)
    assert known.tokens == 10**9
    assert known.max_epochs == dict.fromkeys(names, 4.0)


def test_a_report_of_a_table_names_its_runs(tmp_path: Path, kinds: Any) -> None:
    table = RunTable.from_observations(searched(kinds), WORLD.space.names)
    study = Study(WORLD.space, WORLD.objective, law="log-linear")
    fit_table(table, study)
    study.report(tmp_path / "r.html", "my <runs>")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "my &lt;runs&gt;" in page
    assert "my <runs>" not in page


def test_next_steps_can_be_copied(tmp_path: Path) -> None:
    steps = next_steps(tmp_path)
    assert steps["Report"] == str(tmp_path / "report.html")
    commands = [c for what, c in steps.items() if what != "Report"]
    assert all(str(tmp_path) in c for c in commands)
    assert {c.split()[1] for c in commands} == {"ui", "report", "export"}
    promoted = next_steps(tmp_path, rules=True)["Before a large run"]
    assert promoted.endswith(f"promote {tmp_path} --dry-run")


def test_a_table_allows_all_mixtures_of_its_domains_or_what_a_spec_does(tmp_path: Path) -> None:
    table = RunTable.from_frame(pd.DataFrame({"w/d0": [0.5], "w/d1": [0.5], "m/x": [1.0]}))
    assert table_space(table).names == ("d0", "d1")
    assert table_space(table).upper.tolist() == [1.0, 1.0]
    made = sweep(tmp_path, space={"bounds": {"d1": [0.0, 0.3]}})
    assert table_space(table, made.spec).upper.tolist() == [1.0, 0.3]


def test_runs_that_failed_are_told(tmp_path: Path, kinds: Any) -> None:
    runs = searched(kinds)
    runs[0] = Observation.failure(runs[0].spec, "out of memory")
    found = conclude(sweep(tmp_path, runs))
    assert any("1 of 12 runs failed" in w for w in found.warnings)


# -- screen, page and JSON say the same ------------------------------------------------------------


def judged_at(kinds: Any, **values: tuple[float, ...]) -> list[Observation]:
    """Confirmations of these candidates with these values of every metric."""
    mixtures = {
        "recommended": BEST,
        "natural": WORLD.space.natural,
        "best-random": WORLD.space.mixture(np.array([0.2, 0.3, 0.5])),
    }
    return [
        Observation.of(
            RunSpec(mixtures[name], WORLD.target, seed=seed, **kinds.confirms(name)),
            dict.fromkeys(WORLD.metrics, value),
        )
        for key, losses in values.items()
        for name in [key.replace("_", "-")]
        for seed, value in enumerate(losses, start=1)
    ]


ANSWERS: dict[str, tuple[dict[str, tuple[float, ...]], str, str]] = {
    "passed": ({"recommended": (2.0, 2.02), "natural": (2.5, 2.52)}, "shown", "Shown"),
    "failed": ({"recommended": (2.5, 2.52), "natural": (2.0, 2.02)}, "not-shown", "Not shown"),
    "tied": ({"recommended": (2.0, 2.02), "natural": (2.0, 2.02)}, "not-shown", "Not shown"),
    "beaten": (
        {"recommended": (2.0, 2.02), "natural": (2.5, 2.52), "best_random": (1.0, 1.02)},
        "not-shown",
        "Beaten",
    ),
    "noise unknown": ({"recommended": (2.0,), "natural": (2.5,)}, "untested", "Not tested"),
    "unknown": ({}, "untested", "Not tested"),
}


def shown_on(screen: io.StringIO, answer: Outcome | Unanswered) -> str:
    if isinstance(answer, Unanswered):
        console.show_unanswered(answer)
    else:
        console.show_outcome(answer, WORLD.space)
    return screen.getvalue()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=text, width=600, highlight=False))
    return text


def sentences(page: str) -> str:
    """What a reader sees of the page."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.mark.parametrize("case", ANSWERS)
def test_screen_page_and_json_give_one_verdict(
    tmp_path: Path, kinds: Any, screen: io.StringIO, case: str
) -> None:
    values, state, badge = ANSWERS[case]
    made = sweep(tmp_path, [*searched(kinds), *judged_at(kinds, **values)])
    outcome = finish(made, trained=16)
    assert isinstance(outcome, Outcome)
    told, summary = shown_on(screen, outcome), outcome.summary()
    page = sentences((tmp_path / "report.html").read_text(encoding="utf-8"))
    stored = Outcome.from_dict(made.store.annotations()["outcome"]).summary()
    exported = json.loads(export_sweep(made, "json"))

    assert (summary["state"], summary["badge"]) == (state, badge)
    for key in ("headline", "verdict", "state", "badge"):
        assert summary[key] == stored[key] == exported["provenance"][key]
    for text in (told, page):
        assert summary["headline"] in text
        assert badge in text
        assert summary["verdict"] in text
        assert ("Train on 61" in text or "Train on 60" in text) == (badge == "Shown")
        assert outcome.checkup.trust.line in text
        assert "-0 %" not in text
        assert "−0 %" not in text
        assert "as in the table" not in text
    assert ("Trust this answer" in page) <= (state != "not-shown")
    assert (summary["trust"]["level"] == "yes") <= (state != "not-shown")
    for name, share in outcome.recommendation.mixture.to_dict().items():
        if share > 0:
            assert f"{percent(share)} {name}" in summary["headline"]
            assert percent(share) in told
    assert exported["predictions"] == summary["predicted"]
    assert exported["predictions"]["metrics"]
    for candidate in outcome.confirmation.candidates if outcome.confirmation else ():
        assert number(candidate.mean) in told
        assert number(candidate.mean) in page


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (lambda kinds: [], "no run has finished yet"),
        (
            lambda kinds: [Observation.failure(o.spec, "disk full") for o in searched(kinds, 3)],
            "none of 3 runs succeeded",
        ),
        (
            lambda kinds: [replace(o, metrics={"loss-0": 1.0}) for o in searched(kinds, 4)],
            "the trainer gave no metric 'loss-1'",
        ),
    ],
)
def test_where_nothing_can_be_concluded_all_three_say_why(
    tmp_path: Path, kinds: Any, screen: io.StringIO, runs: Any, reason: str
) -> None:
    made = sweep(tmp_path, runs(kinds), strategy={"use": "random"})
    answer = finish(made, trained=1)
    assert isinstance(answer, Unanswered)
    assert reason in answer.reason
    page = sentences((tmp_path / "report.html").read_text(encoding="utf-8"))
    told, summary = shown_on(screen, answer), answer.summary()
    for text in (told, page, json.dumps(summary)):
        assert answer.reason in text
        assert "No answer yet" in text
        assert all(why in text for why in answer.failures)
    assert summary["recommended"] is None
    with pytest.raises(InputError, match=re.escape(answer.reason)):
        export_sweep(made, "json")


def test_a_run_without_the_metric_of_the_objective_leaves_the_answer_standing(
    tmp_path: Path, kinds: Any
) -> None:
    """Such a run may be in a store already; report, export and confirmation go on without it."""
    runs = [*searched(kinds), *confirmed(kinds)]
    for odd in (0, len(runs) - 1):
        runs[odd] = replace(runs[odd], metrics={"other": 1.0})
    made = sweep(tmp_path, runs)
    outcome = finish(made, trained=16)
    assert isinstance(outcome, Outcome)
    assert any("2 of 16 runs failed" in w for w in outcome.warnings)
    assert outcome.confirmation is not None
    assert sum(c.failed for c in outcome.confirmation.candidates) == 1
    assert "needs; it gave: other" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert json.loads(export_sweep(made, "json"))["weights"]


def test_a_changed_direction_changes_the_answer_and_the_report_alike(
    tmp_path: Path, kinds: Any, screen: io.StringIO
) -> None:
    made = sweep(tmp_path, searched(kinds))
    first = finish(made, trained=12)
    flipped = Objective.of((), maximize=WORLD.metrics)
    changes = ("objective.minimize was changed after 12 runs; all runs are read under the new one",)
    turned = replace(made, problem=replace(made.problem, objective=flipped), changes=changes)
    second = finish(turned, trained=0)  # no run is new, the question is
    assert isinstance(first, Outcome)
    assert isinstance(second, Outcome)
    assert first.recommendation.mixture != second.recommendation.mixture
    page = sentences((tmp_path / "report.html").read_text(encoding="utf-8"))
    for text in (page, shown_on(screen, second), json.dumps(second.summary())):
        assert changes[0] in text
        assert flipped.describe() in text
    other = replace(made, spec=parse_spec({**made.spec.model_dump(), "strategy": {"use": "olmix"}}))
    assert finish(other, trained=0) != second  # so is the strategy


def test_a_finished_sweep_is_reported_and_exported_from_what_is_stored(
    tmp_path: Path, kinds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sweep(tmp_path, [*searched(kinds), *confirmed(kinds)])
    finish(made, trained=16)
    monkeypatch.setattr(
        "mixopt.app.results.publish.sweep_outcome", None
    )  # nothing is concluded again
    begun = time.process_time()
    export_sweep(made, "json")
    write_report(made, conclude(made), tmp_path / "again.html")
    assert time.process_time() - begun < 3.0
