"""The parts of a report: what a lead reads first, gates, what it took, and the list of runs."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from mixopt import Domain, MixtureSpace, Objective, Observation, RunSpec, Scale, report
from mixopt.diagnostics import Trust
from mixopt.diagnostics.gates import Gate, Remedy
from mixopt.diagnostics.influence import Influence
from mixopt.diagnostics.trust import trust
from mixopt.evidence.confirmation import confirm
from mixopt.evidence.decision import Decision, Difference, Result
from mixopt.evidence.past import Past
from mixopt.evidence.rules import Given
from mixopt.laws.constants import Constants
from mixopt.proposers import Gain, Recommendation
from mixopt.proposers.prices import Price, Prices, Tier
from mixopt.report import Evidence, Origin, ReportData
from mixopt.report.blocks import Answer, Chip, Plot, Runs, Table, Words
from mixopt.report.constants import constants
from mixopt.report.gain import gain, measured
from mixopt.report.gates import gates
from mixopt.report.law_figures import calibration, interactions, responses, small_large
from mixopt.report.prices import prices
from mixopt.report.promoted import promotion
from mixopt.report.run_list import runs
from mixopt.report.sections import answer, failures
from mixopt.report.spent import hosts, spent
from mixopt.report.wording import MISSING
from mixopt.runs.attempts import Place
from mixopt.runs.kinds import DESIGN, Kind, What
from mixopt.strategies.promoting import Plan

SPACE = MixtureSpace([Domain("web"), Domain("code"), Domain("math")])
SMALL, LARGE = Scale(1000, 64_000), Scale(2000, 256_000)
NATURAL, BEST = SPACE.natural, SPACE.mixture([0.2, 0.5, 0.3])
NASTY = '</script><script>alert("ü")</script>'


def run(mixture, kind=DESIGN, scale=SMALL, seed=0, loss=2.0, host="alpha"):
    spec = RunSpec(mixture, scale, seed=seed, kind=kind)
    place = Place(host) if host else None
    return Observation.of(spec, {"loss": loss}, flops=1e12, seconds=30.0, place=place)


def trained(scale, what=Kind.confirmation, shift=0.0):
    """Two seeds each of the recommendation and natural, `shift` worse."""
    return [
        run(mixture, what(name), scale, seed, value + shift + 0.001 * seed)
        for name, mixture, value in (("recommended", BEST, 1.0), ("natural", NATURAL, 1.5))
        for seed in (1, 2)
    ]


def data(**changes):
    seen = trained(LARGE)
    base = ReportData(
        "study",
        SPACE,
        Objective.of("loss"),
        tuple(seen),
        Recommendation(
            BEST,
            1.0,
            0.01,
            {},
            dict.fromkeys(SPACE.names, (0.1, 0.6)),
            {"natural": Gain(0.4, 0.1, 0.3)},
        ),
        confirm(seen, Objective.of("loss")),
        unit="bits",
    )
    return replace(base, **changes)


@pytest.mark.parametrize("level", ["trust", "ranking only", "do not trust"])
def test_prices_have_no_interval_where_their_model_is_not_to_be_trusted(level):
    row = Price(Tier("licence=nc", ("web",)), "without", 0.2, 0.0, NATURAL, 0.05, 0.02)
    trusted = Evidence(trust([Gate("gate", "no", "told", allows=level)]))
    absent = Price(Tier("tier=2", ("math",)), "without", 0.0, 0.0, NATURAL, 0.0, 0.0)
    section = prices(data(prices=Prices((row, absent)), evidence=trusted))
    (_, _, _, _, chip, _, cost, interval), (*_, nothing, none) = section.blocks[0].rows
    assert (nothing, none) == ("0.0000", MISSING)  # no figure of a model, so no interval of one
    assert cost == "+0.0500"
    if level == "do not trust":
        assert (chip, interval) == (Chip("not to be trusted", "open"), MISSING)
        assert "Guesses without an interval, of a model" in section.caption
    else:
        assert (chip, interval) == (Chip("costs", "no"), "+0.0171 to +0.0829")
        assert ("read the sign of a cost" in section.caption) == (level == "ranking only")


def test_constants_of_a_law_have_a_column_for_each_metric():
    assert constants(data()) is None
    told = Constants("What it is", ("one", "two"), np.array([[1.0, 0.5], [1.0, 0.25]]), "careful")
    section = constants(data(constants=told, metrics=("loss", "code")))
    assert section.blocks[0].heads == ["", "loss", "code"]
    assert section.blocks[0].rows == [["one", "1.000", "1.000"], ["two", "0.500", "0.250"]]
    assert (section.title, section.caption) == ("What it is", "Careful.")


def card(study) -> Answer:
    (block,) = answer(study).blocks
    assert isinstance(block, Answer)
    return block


def gate(state, allows="trust", remedy=None, **values):
    return Gate(f"gate {state}", state, f"told {state}", allows=allows, remedy=remedy, **values)


HELD = gate("yes", value=0.9, low=0.8, high=0.95, threshold=0.5)
DEAR, CHEAP = Remedy("8 dear runs", 8, 8e12), Remedy("2 cheap runs", 2, 2e12)
DOUBTED = Trust(
    "ranking only",
    (
        HELD,
        gate("no", "ranking only", DEAR, value=2.0, threshold=1.0),
        gate("not measured", "ranking only", CHEAP),
    ),
    ("epochs (unknown)",),
)


def test_the_card_has_question_answer_trust_owner_dates_and_what_it_took():
    began = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    origin = Origin(
        "More code?", "ada@lab", began, began, began.replace(hour=11), pages={}, hint=""
    )
    shown = card(data(origin=origin, evidence=Evidence(DOUBTED)))
    assert shown.question == "More code?"
    assert "Train on 50.0 % code" in shown.headline
    assert shown.verdict[:2] == ("shown", "Shown")
    assert shown.trust[:2] == ("untested", "Ranking only")
    assert "Cheapest next step: 2 cheap runs." in shown.trust[2]
    assert dict(shown.facts) == {
        "owner": "ada@lab", "ran": "2026-03-01 09:30 to 11:30", "report of": "2026-03-01 09:30",
    }  # fmt: skip
    values = {name: value for value, name in shown.tiles}
    assert values["measured gain over natural bits, 90 %"].startswith("+0.5000 ± 0.0")
    assert values["training compute"] == "4 TFLOP"
    assert values["training time, all runs"] == "2 min"
    assert values["from first to last run"] == "2 h 0 min"
    assert values["host"] == "1"


def test_the_card_says_what_was_predicted_where_nothing_was_measured():
    shown = card(data(confirmation=None))
    assert ("+0.3000", "predicted gain over natural bits, luck allowed for") in shown.tiles
    assert shown.trust is None


def test_gates_come_with_value_threshold_and_the_cheapest_step_first():
    section = gates(data(evidence=Evidence(DOUBTED)))
    table = next(b for b in section.blocks if isinstance(b, Table))
    assert [row[1].text for row in table.rows] == ["no", "not measured", "yes"]
    assert [row[1].state for row in table.rows] == ["no", "open", "yes"]
    assert table.rows[0][2:] == ["Told no.", "8 dear runs", "2.00", "1.00"]
    assert table.rows[2][3:] == ["", "0.90 (0.80 to 0.95)", "0.50"]
    words = [b.text for b in section.blocks if isinstance(b, Words)]
    assert words[0] == f"{DOUBTED.line}."
    assert words[1] == "The cheapest step to more trust: 2 cheap runs (2 runs, 2 TFLOP)."
    assert "epochs (unknown)" in words[2]
    assert gates(data()) is None


def test_every_scale_with_fresh_seeds_is_compared_and_a_promotion_counts():
    promoted = trained(Scale(9000, 512_000), lambda name: Kind(What.PROMOTION, name), shift=-0.2)
    study = data(observations=(*trained(LARGE), *promoted))
    by_scale = measured(study)
    assert list(by_scale) == [Scale(9000, 512_000), LARGE]  # largest first
    section = gain(study)
    picture, *_ = section.blocks
    assert isinstance(picture, Plot)
    drawn = [t["name"] for t in picture.drawings[0]["data"]]
    assert drawn == ["measured at 9k × 512k", "measured at 2k × 256k", "predicted"]
    tables = [b for b in section.blocks if isinstance(b, Table)]
    assert [t.rows[1][1] for t in tables] == ["1.3015", "1.5015"]
    assert all(isinstance(t.rows[1][-1], Chip) and t.rows[1][-1].text == "yes" for t in tables)


def test_rivals_of_equal_cost_are_compared_though_they_are_trained_for_longer():
    """They stand in the table of the recommendation, with their tokens, whoever wins."""
    longer = Scale(LARGE.params, 2 * LARGE.tokens)
    seen = [
        replace(o, spec=replace(o.spec, scale=longer), metrics={"loss": o.metrics["loss"] - 1.0})
        if o.spec.kind.confirms == "natural"
        else o
        for o in trained(LARGE)
    ]
    study = data(observations=tuple(seen), confirmation=confirm(seen, Objective.of("loss")))
    ((scale, shown),) = measured(study).items()
    assert scale == LARGE
    assert [c.name for c in shown.candidates] == ["recommended", "natural"]
    (table,) = (b for b in gain(study).blocks if isinstance(b, Table))
    assert table.heads[-1] == "tokens"
    assert [row[-1] for row in table.rows] == ["256k", "512k"]
    assert table.rows[1][-2] == Chip("better", "no")


def test_what_it_took_is_counted_by_scale_purpose_and_machine():
    failed = Observation.failure(RunSpec(BEST, SMALL, kind=DESIGN), "out of memory")
    seen = (run(NATURAL), run(BEST, seed=1, host="beta"), failed, *trained(LARGE))
    section = spent(data(observations=seen))
    table, words = section.blocks
    rows = {(r[0], r[1]): r[2:] for r in table.rows}
    assert rows["1k × 64k", "design"] == ["3", "1", "2 TFLOP", "60 s"]
    assert rows["all", ""] == ["7", "1", "6 TFLOP", "3 min"]
    assert hosts(seen) == {"alpha": 5, "beta": 1}
    assert "alpha (5), beta (1); of 1 runs it is not on record" in words.text
    assert "not on record" in spent(data(observations=(run(BEST, host=""),))).blocks[1].text
    assert spent(data(observations=())) is None


def test_runs_lead_to_their_pages_and_come_scale_by_scale():
    small, large = run(NATURAL), run(NATURAL, scale=LARGE)
    pages = {small.run_id: "https://mlflow.lab/#/experiments/1/runs/a", "another": "https://x"}
    study = data(observations=(small, large), origin=Origin(pages=pages, hint="mixopt ui runs/x"))
    listing = runs(study).blocks[0]
    assert isinstance(listing, Runs)
    assert listing.values["scales"] == ["2k × 256k", "1k × 64k"]
    assert listing.values["pages"] == {small.run_id: pages[small.run_id]}
    assert len(runs(study).blocks) == 1  # where there are pages, no other way is told
    alone = runs(replace(study, origin=Origin(hint="mixopt ui runs/x"))).blocks
    assert alone[1] == Words("mixopt ui runs/x")


def test_failed_runs_are_grouped_by_cause():
    seen = [
        Observation.failure(
            RunSpec(BEST, SMALL, seed=i), f"run {i:016x}: disk full", place=Place("alpha")
        )
        for i in range(3)
    ]
    bullets, table = failures(data(observations=tuple(seen))).blocks
    assert bullets.items == ["3 runs on alpha (3): run 0000000000000000: disk full"]
    assert len(table.rows) == 3


def test_mixtures_that_ran_at_two_scales_are_set_against_each_other():
    points = [SPACE.mixture(w) for w in ([0.2, 0.3, 0.5], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8])]
    pairs = [
        run(m, scale=s, loss=1.0 + i + (s == LARGE))
        for i, m in enumerate(points)
        for s in (SMALL, LARGE)
    ]
    section = small_large(data(observations=tuple(pairs)))
    (trace,) = section.blocks[0].drawings[0]["data"]
    assert (trace["x"], trace["y"]) == ([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    few = small_large(data(observations=tuple(pairs[:4])))
    assert "Fewer than three mixtures ran at two scales" in few.blocks[0].text
    assert small_large(data(observations=tuple(pairs[:1]))) is None


def test_pairs_of_domains_are_shown_where_the_law_sees_any():
    names, zeros = SPACE.names, np.zeros((3, 1))
    pair = np.array([[0, -0.1, 0], [-0.1, 0, 0.2], [0, 0.2, 0]])
    seen = Influence(names, ("loss",), zeros, zeros[:, 0], zeros[:, 0], pair, 0.05)
    drawing = interactions(data(evidence=Evidence(influence=seen))).blocks[0].drawings[0]
    assert drawing["data"][0]["z"][0] == [None, -0.1, 0.0]
    flat = replace(seen, interaction=np.zeros((3, 3)))
    assert interactions(data(evidence=Evidence(influence=flat))) is None


def test_without_a_law_there_are_no_pictures_of_it():
    assert responses(data()) is None
    assert calibration(data()) is None


def decided(state="yes"):
    """A promotion over natural at a larger scale."""
    results = (
        Result(Plan("recommended", BEST), (1.0, 1.02)),
        Result(Plan("natural", NATURAL, rival=True), (1.5,), failed=1),
    )
    return Decision(
        "study",
        Scale(9000, 512_000),
        "loss",
        "bits",
        "recommended",
        results,
        (Difference("natural", 0.49, 0.4, 0.58),),
        (gate(state, "do not trust"), gate("yes")),
        ("transfer (one plan)",),
        0.01,
        Given("abcd", 0),
        Past("study", "promotion", 9000, 512_000, "natural", 0.5, 0.49),
        ("r1",),
    )


def test_a_promotion_has_its_place_and_is_absent_before_one():
    assert promotion(data()) is None
    section = promotion(data(promotion=decided("no")))
    words, rules, plans, unasked = section.blocks
    assert words.heading == "Not passed"
    assert words.text == decided("no").headline
    assert [row[1].text for row in rules.rows] == ["no", "yes"]
    assert plans.rows[0] == ["recommended", "1.0100", "2", "–", "–"]
    assert plans.rows[1] == ["natural", "1.5000", "1 (+ 1 failed)", "+0.4900", "+0.4000 to +0.5800"]
    assert list(plans.mark) == [0]
    assert "transfer (one plan)" in unasked.text
    assert "given before the first run" in section.caption
    passed = report.render(data(promotion=decided()))
    assert "Promoted: train on" in passed


@pytest.mark.parametrize("field", ["question", "owner", "hint", "running"])
def test_what_people_write_never_becomes_markup(field):
    page = report.render(data(origin=Origin(**{field: NASTY})))
    assert NASTY not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(" in page


def test_a_page_loads_itself_again_only_while_something_runs():
    assert 'http-equiv="refresh"' not in report.render(data())
    page = report.render(data(origin=Origin(running="12 of 40 runs are in")))
    assert '<meta http-equiv="refresh" content="15">' in page
    assert "12 of 40 runs are in" in page
