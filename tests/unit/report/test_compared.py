"""Sweeps side by side: what may be compared, what may not, and what a reader sees of it."""

from dataclasses import replace

import pytest

from mixopt import InputError, Mixture, MixtureSpace, Objective
from mixopt.evidence.confirmation import Candidate, Comparison, Confirmation
from mixopt.evidence.verdict import Verdict
from mixopt.proposers import Gain, Recommendation
from mixopt.report import side_by_side
from mixopt.report.compared import Side, compare

NASTY = "<script>\"q'ü"
SPEC = {
    "name": "a",
    "seed": 0,
    "strategy": {"use": "auto", "design": 8},
    "store": {"use": "mlflow"},
}


def side(name="a", shares=None, **changes):
    shares = shares or {"web": 0.6, "code": 0.4}
    mixture = Mixture.of(shares)
    answer = Recommendation(
        mixture, 2.0, 0.1, {"loss": (2.0, 0.1)}, dict.fromkeys(shares, (0.1, 0.7)),
        {"natural": Gain(0.3, 0.1, 0.2)},
    )  # fmt: skip
    base = Side(
        name,
        MixtureSpace(list(shares)),
        Objective.of("loss"),
        f"Train on {name}",
        Verdict("shown", "Shown", "It is better."),
        unit="bits",
        metrics=("loss", "other"),
        trust="trust",
        recommendation=answer,
        scales=("1M × 1B",),
        data="d4",
        runs=9,
        flops=1e12,
        spec={**SPEC, "name": name},
    )
    return replace(base, **changes)


def measured(value, gain=0.5):
    ours = Candidate("recommended", Mixture.of({"web": 1.0}), (value, value))
    compared = Comparison("natural", gain, gain - 0.1, gain + 0.1, beyond_noise=True)
    return Confirmation((ours,), (compared,), 0.01)


def test_sweeps_of_one_question_are_compared_and_the_lowest_measured_is_named():
    one = side(confirmation=measured(2.0))
    other = side("b", {"web": 0.2, "code": 0.8}, confirmation=measured(1.9))
    both = compare([one, other])
    assert both.values
    assert both.reasons == ()
    assert both.best is other
    assert (both.domains, both.metrics) == (("web", "code"), ("loss", "other"))
    assert other.gains == {"natural": (0.5, 0.4, 0.6)}
    assert side_by_side.shares(both) == [("web", [0.6, 0.2]), ("code", [0.4, 0.8])]
    values = both.to_dict()
    assert values["best"] == "b"
    assert values["sweeps"]["a"]["gains"]["natural"] == {"gain": 0.5, "low": 0.4, "high": 0.6}


def test_predictions_name_no_best():
    both = compare([side(), side("b", confirmation=measured(1.9))])
    assert both.best is None
    assert any("Predicted, not measured with fresh seeds: a." in r for r in both.reasons)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": Objective.of("other")}, "have other objectives (a: loss; b: other)"),
        ({"unit": "nats"}, "are in other units (a: bits; b: nats)"),
        ({"scales": ("1M × 1B", "2M × 2B")}, "are at other scales (a: 1M × 1B; b: 2M × 2B)"),
        ({"data": "ff"}, "come from other data (a: d4; b: ff)"),
        ({"objective": Objective({"loss": 1.0}, scales={"loss": 2.0})}, "in other ways"),
    ],
)
def test_what_differs_is_named_and_values_are_not_held_against_each_other(changes, words):
    one, other = (side(n, confirmation=measured(v)) for n, v in (("a", 2.0), ("b", 1.9)))
    both = compare([one, replace(other, **changes)])
    assert not both.values
    assert both.best is None
    assert words in " ".join(both.reasons)
    assert words.split(" (")[0] in side_by_side.render(both)


def test_other_domains_are_said_and_kept_apart():
    both = compare([side(), side("b", {"web": 0.5, "math": 0.5})])
    assert both.domains == ("web",)
    assert both.apart == {"a": ("code",), "b": ("math",)}
    assert "1 of a, 1 of b are not in every sweep" in " ".join(both.reasons)


def test_a_sweep_without_an_answer_has_its_place():
    none = side(
        "b", recommendation=None, trust="", verdict=Verdict("untested", "No answer yet", "")
    )
    both = compare([side(), none])
    assert "No answer yet: b." in both.reasons
    assert both.to_dict()["sweeps"]["b"]["recommended"] is None
    assert "plot-mixtures" not in side_by_side.render(both)


def test_specs_differ_where_runs_or_answers_would():
    other = {
        **SPEC,
        "name": "b",
        "seed": 1,
        "strategy": {"use": "auto"},
        "store": {"use": "memory"},
    }
    both = compare([side(), side("b", spec=other)])
    assert both.differs == {"seed": (0, 1), "strategy.design": (8, None)}


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ([side()], "give two to 8"),
        ([side(), side()], "'a' was given twice"),
        ([side(), side("b", {"law": 1.0}, metrics=("else",))], "no domain and no metric in common"),
    ],
)
def test_what_cannot_be_put_side_by_side_is_refused(sides, message):
    with pytest.raises(InputError, match=message):
        compare(sides)


def test_the_page_shows_every_sweep_and_no_text_of_users_as_markup():
    one = side(question=NASTY, owner=NASTY, spec={**SPEC, "seed": NASTY})
    page = side_by_side.render(compare([one, side("b", {"web": 0.3, NASTY: 0.7})]))
    assert NASTY not in page
    for text in ("Train on a", "Train on b", "What each gains", "+0.3000", "seed"):
        assert text in page
    assert 'id="plot-mixtures"' in page
    assert len(page) < 1_000_000
