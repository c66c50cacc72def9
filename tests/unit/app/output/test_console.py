"""What the commands print: results to standard output, people's lines to standard error."""

import io
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mixopt import InputError, Mixture, Observation, RunSpec
from mixopt.app.output import console
from mixopt.app.output.price_table import one_price
from mixopt.diagnostics.gates import Gate, Level
from mixopt.diagnostics.trust import trust
from mixopt.evidence.numbers import number, signed
from mixopt.evidence.outcome import Outcome, TradeOff, sweep_outcome
from mixopt.execution.sweep import SweepStatus
from mixopt.laws import progress
from mixopt.laws.tiers import Tiers
from mixopt.proposers.prices import Price, Tier
from mixopt.strategies import Problem, strategy
from mixopt.testing.worlds import World, make_world

WORLD = make_world(3, 2, seed=1, noise=0.01)


@pytest.mark.parametrize(("terminal", "at"), [(True, ""), (False, "0 s ")])
def test_what_takes_long_says_what_its_fit_is_at(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, at: str
) -> None:
    text = io.StringIO()
    shown = Console(file=text, width=400, force_terminal=terminal, highlight=False)
    monkeypatch.setattr(console, "err", shown)
    monkeypatch.setattr(console, "_WORKING_SECONDS", 0.02)
    with console.working("Fitting"):
        progress.say("law 1 of 5")
        deadline = time.monotonic() + 60
        while "law 1 of 5" not in text.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert f"Fitting ... {at}law 1 of 5" in text.getvalue()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to standard output, as plain text of wide lines."""
    text = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=text, width=400, highlight=False))
    return text


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to standard error."""
    text = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=text, width=200, highlight=False))
    return text


@pytest.fixture(scope="module")
def outcome(kinds) -> Outcome:  # type: ignore[no-untyped-def]
    return make_outcome(WORLD, kinds)


def make_outcome(world: World, kinds) -> Outcome:  # type: ignore[no-untyped-def]
    question = Problem(world.space, world.objective, world.scales)
    W = world.space.round(world.space.sample(16, np.random.default_rng(0)))
    runs = [world.run(RunSpec(world.space.mixture(w), world.target, **kinds.design())) for w in W]
    best = world.space.mixture(world.space.round(world.optimum))
    for name, mixture in (("recommended", best), ("natural", world.space.natural)):
        for seed in (1, 2):
            spec = RunSpec(mixture, world.target, seed=seed, **kinds.confirms(name))
            runs.append(world.run(spec))
    spec = RunSpec(best, world.target, seed=3, **kinds.confirms("recommended"))
    runs.append(Observation.failure(spec, "died"))
    answer = strategy("auto", law="log-linear").answer(question, runs)
    return sweep_outcome(question, runs, answer, unit="nats/token")


def test_the_answer_has_every_domain_and_the_largest_share_first(
    screen: io.StringIO, outcome: Outcome
) -> None:
    console.show_outcome(outcome, WORLD.space)
    lines = screen.getvalue().splitlines()
    start = next(i for i, line in enumerate(lines) if "Recommended mixture" in line)
    assert lines[start + 1].split() == ["domain", "natural", "proposed", "interval"]
    rows = [re.split(r" {2,}", line.strip()) for line in lines[start + 2 : start + 5]]
    shares = [float(row[2].rstrip(" %")) for row in rows]
    assert shares == sorted(shares, reverse=True)
    mixture = outcome.recommendation.mixture
    assert {row[0]: float(row[2].rstrip(" %")) for row in rows} == pytest.approx(
        {name: 100 * share for name, share in mixture.to_dict().items()}, abs=0.06
    )
    assert {row[1] for row in rows} == {"33.3 %"}


def test_candidates_are_compared_with_the_recommendation(
    screen: io.StringIO, outcome: Outcome
) -> None:
    console.show_outcome(outcome, WORLD.space)
    text = screen.getvalue()
    assert "Trained with fresh seeds: mean of loss-0, loss-1 (nats/token)" in text
    rows = {
        line.split()[0]: line.split()[1:]
        for line in text.splitlines()
        if line.startswith(("recommended", "natural"))
    }
    confirmation = outcome.confirmation
    assert confirmation is not None
    ours, theirs = confirmation.candidates
    assert rows["recommended"] == [number(ours.mean), number(ours.sd), "2", "(1", "failed)"]
    difference = confirmation.comparisons[0].difference
    assert rows["natural"] == [
        number(theirs.mean), number(theirs.sd), "2", signed(difference), "yes",
    ]  # fmt: skip
    assert confirmation.verdict in text
    assert outcome.checkup.trust.line in text


def test_a_difference_within_noise_is_said_in_capitals(
    screen: io.StringIO, outcome: Outcome
) -> None:
    confirmation = outcome.confirmation
    assert confirmation is not None
    weak = tuple(replace(c, beyond_noise=False) for c in confirmation.comparisons)
    weaker = replace(outcome, confirmation=replace(confirmation, comparisons=weak))
    console.show_outcome(weaker, WORLD.space)
    text = screen.getvalue()
    row = next(line for line in text.splitlines() if line.startswith("natural"))
    assert row.split()[-1] == "NO"
    behind = tuple(replace(c, lost=True) for c in weak)
    rivals = tuple(replace(c, tokens=1000 * n) for n, c in enumerate(confirmation.candidates, 1))
    lost = replace(confirmation, comparisons=behind, candidates=rivals)
    console.show_outcome(replace(outcome, confirmation=lost), WORLD.space)
    rows = [line for line in screen.getvalue().splitlines() if line.startswith("natural")]
    assert rows[-1].split()[-2:] == ["BETTER", "2k"]  # rivals of equal cost may have more tokens
    assert "Not shown: The recommended mixture is not better than natural beyond noise" in text


def test_settings_front_warnings_and_next_steps_are_shown(
    screen: io.StringIO, outcome: Outcome
) -> None:
    front = tuple(
        TradeOff(Mixture.of({"d0": a, "d1": 1 - a}), {"loss-0": 1 - a, "loss-1": a})
        for a in np.linspace(0, 1, 20)
    )
    console.show_outcome(
        replace(outcome, settings={"lr": 0.01, "[b]x": 2}, front=front, warnings=("[red]odd",)),
        WORLD.space,
        {"Report": "runs/x/report.html", "Every run": "mixopt ui runs/x"},
    )
    text = screen.getvalue()
    assert "With the settings: lr 0.01, [b]x 2" in text
    assert "Trade-offs, 8 of 20 in the report" in " ".join(text.split())
    assert "d0 100.0 %" in text
    assert "d1 100.0 %" in text
    assert "Note: [red]odd" in text
    assert "Report     runs/x/report.html" in text
    assert "Every run  mixopt ui runs/x" in text


def test_without_confirmation_there_is_no_table_of_candidates(
    screen: io.StringIO, outcome: Outcome
) -> None:
    console.show_outcome(replace(outcome, confirmation=None), WORLD.space)
    assert "Trained with fresh seeds" not in screen.getvalue()
    assert outcome.checkup.trust.line in screen.getvalue()


def test_the_checkup_is_a_list(screen: io.StringIO, outcome: Outcome) -> None:
    console.show_checkup(outcome)
    text = screen.getvalue()
    assert sum(line.startswith("- ") for line in text.splitlines()) == len(outcome.checkup.lines())
    for line in outcome.checkup.lines():
        assert f"- {line}" in " ".join(text.split())


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (SweepStatus(planned=10, done=3, flops=2e9), "3/10 runs | 2GFLOP"),
        (SweepStatus(planned=10, done=3, failed=1, flops=2e9), "3/10 runs | 1 failed | 2GFLOP"),
        (
            SweepStatus(planned=10, done=3, flops=2e9, eta_seconds=125.0),
            "3/10 runs | 2GFLOP | ETA 2 min 05 s",
        ),
        (SweepStatus(planned=3, done=3, flops=2e9, eta_seconds=0.0), "3/3 runs | 2GFLOP"),
        (
            SweepStatus(planned=3, done=1, flops=2e9, best=1.5, best_mixture="web 60%"),
            "1/3 runs | 2GFLOP | best 1.5000 nats (web 60%)",
        ),
    ],
)
def test_a_status_is_one_line(status: SweepStatus, line: str) -> None:
    assert console.describe(status, "nats") == line


def test_away_from_a_terminal_progress_is_lines_and_few_of_them(
    errors: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("mixopt.app.output.console.time.monotonic", lambda: now[0])
    with console.SweepProgress("nats") as progress:
        progress(SweepStatus(planned=9, phase="design", running=4))
        progress(SweepStatus(planned=9, done=1, phase="design", running=4))
        progress(SweepStatus(planned=9, done=2, phase="design", running=4))  # too soon
        now[0] += 6.0
        progress(SweepStatus(planned=9, done=3, phase="design", running=4))
        now[0] += 6.0
        progress(SweepStatus(planned=9, done=3, phase="design", running=4))  # nothing new
        progress(SweepStatus(planned=9, done=3, phase="proposal", running=1))
        progress(SweepStatus(planned=9, done=9, phase="proposal", running=0))
    told = [line.split(" runs")[0] for line in errors.getvalue().splitlines()]
    assert told == ["[design] 0/9", "[design] 1/9", "[design] 3/9", "[proposal] 3/9",
                    "[proposal] 9/9"]  # fmt: skip


def test_on_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    live = Console(file=text, width=120, force_terminal=True)
    monkeypatch.setattr(console, "err", live)
    with console.SweepProgress("nats") as progress:
        progress(SweepStatus(planned=4, done=2, phase="design", running=1, flops=1e9))
    assert "2/4 runs" in text.getvalue()
    assert "design" in text.getvalue()


def test_an_error_is_shown_as_it_is(errors: io.StringIO) -> None:
    console.show_error(InputError("weights [0.5] of 'web'; give [bold] numbers"))
    assert errors.getvalue() == "mixopt: weights [0.5] of 'web'; give [bold] numbers\n"


@pytest.mark.parametrize("path", [None, Path("-")])
def test_json_goes_to_standard_output(
    path: Path | None, capsys: pytest.CaptureFixture[str]
) -> None:
    console.write_json(path, {"a": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}


def test_files_are_written_with_their_folders_or_refused(tmp_path: Path) -> None:
    console.write_json(tmp_path / "new" / "out.json", {"a": 1})
    assert json.loads((tmp_path / "new" / "out.json").read_text()) == {"a": 1}
    with pytest.raises(ValueError, match="JSON"):
        console.write_json(tmp_path / "nan.json", {"a": float("nan")})
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*give another path"):
        console.write_text(tmp_path / "file" / "below.txt", "x")


def test_the_clock_is_for_people() -> None:
    assert [console.clock(s) for s in (7, 59.6, 125, 7322)] == [
        "7 s", "1 min 00 s", "2 min 05 s", "2 h 02 min",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("level", "told", "aside"),
    [
        ("trust", r"0\.0074 to 0\.0172 +costs *$", ""),
        ("ranking only", r"0\.0074 to 0\.0172 +costs *$", "read the sign of a cost"),
        ("do not trust", r"- +not to be trusted *$", "Guesses without an interval"),
    ],
)
def test_a_price_claims_what_the_verdict_on_its_model_allows(
    screen: io.StringIO, outcome: Outcome, level: Level, told: str, aside: str
) -> None:
    tier = Tier("tier=1", ("d1",), also=("licence=nc",))
    row = Price(tier, "without", 0.3, 0.0, WORLD.space.natural, 0.0123, 0.003)
    gate = Gate("gate", "no", "as the test says", allows=level)
    judged = replace(outcome, checkup=replace(outcome.checkup, trust=trust([gate])))
    console.out.print(one_price(judged, row))
    title, _, cells, *asides = screen.getvalue().splitlines()
    assert title.strip().endswith("[nats/token]")
    assert cells.startswith("tier=1, licence=nc  30.0 %  left out  +0.0123")
    assert re.search(told, cells), cells
    assert aside in " ".join(asides)
    assert bool(aside) == bool(asides)


def test_what_a_law_has_learned_of_tiers_is_shown(screen: io.StringIO, outcome: Outcome) -> None:
    assert outcome.summary()["constants"] is None
    W = np.random.default_rng(0).dirichlet(np.ones(3), size=30)
    Y = 2 + 0.8 * (W @ [[1.0], [0.3], [0.3]]) ** -0.4
    fitted = Tiers((1, 2, 2)).fit(W, np.hstack([Y, Y]), rng=np.random.default_rng(0))
    told = replace(outcome, surrogate=replace(outcome.surrogate, fitted=fitted))
    console.show_outcome(told, WORLD.space)
    lines = screen.getvalue().splitlines()
    start = next(i for i, line in enumerate(lines) if "in tokens of tier 1" in line)
    assert lines[start + 1].split() == ["loss-0", "loss-1"]
    assert lines[start + 2].split() == ["tier", "1:", "d0", "1.000", "1.000"]
    worth = number(fitted.worths[0, 1], 3)
    assert lines[start + 3].split() == ["tier", "2:", "d1,", "d2", worth, worth]
    assert lines[start + 4].startswith("Orders of magnitude")
    values = told.summary()["constants"]["values"]
    assert values["loss-1"]["tier 2: d1, d2"] == fitted.worths[1, 1]
