"""What became of earlier promotions, on the page."""

from dataclasses import replace

from mixopt import MixtureSpace, Objective, report
from mixopt.evidence.past import Past
from mixopt.report import ReportData
from mixopt.report.blocks import Plot
from mixopt.report.promoted import past

PAST = Past("old", "large run", 1, 1, "natural", 0.2, 0.1)


def data(**changes):
    space = MixtureSpace(["web", "code"])
    return replace(ReportData("study", space, Objective.of("loss")), **changes)


def test_the_past_is_drawn_where_there_is_one():
    assert past(data()) is None
    assert past(data(past=(replace(PAST, measured=float("nan")),))) is None
    (plot,) = past(data(past=(PAST,))).blocks
    assert isinstance(plot, Plot)
    assert plot.drawings[0]["data"][0]["x"] == [0.5]
    assert "Did earlier predictions come true?" in report.render(data(past=(PAST,)))
