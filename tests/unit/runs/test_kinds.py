"""Kinds of runs: what may be named, what the search learns from, how they are written."""

import json

import pytest

from mixopt.errors import InputError
from mixopt.runs.kinds import DESIGN, GIVEN, Kind, What


@pytest.mark.parametrize("what", What)
def test_every_kind_comes_back_from_json(what: What) -> None:
    needs_name = what in {What.CONFIRMATION, What.PROMOTION, What.REMEDY}
    kind = Kind(what, "only-a/b: c" if needs_name else "")
    assert Kind.from_dict(json.loads(json.dumps(kind.to_dict()))) == kind


def test_laws_learn_from_all_but_what_judges_the_search() -> None:
    outside = {
        w
        for w in What
        if not Kind(w, "x" if w in "confirmation promotion remedy" else "").in_search
    }
    assert outside == {What.CONFIRMATION, What.PROMOTION, What.COMPARISON}


def test_a_confirmation_is_of_a_named_candidate_and_a_design_of_none() -> None:
    assert Kind.confirmation("natural").confirms == "natural"
    assert Kind.reference("natural").confirms is None
    assert DESIGN.confirms is None
    with pytest.raises(InputError, match="named candidate; give its name"):
        Kind(What.CONFIRMATION)
    with pytest.raises(InputError, match="named gate; give its name"):
        Kind(What.REMEDY)
    assert str(Kind.remedy("odd runs")) == "remedy for odd runs"
    with pytest.raises(InputError, match="'natural' was given; leave it out"):
        Kind(What.DESIGN, "natural")


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="proposal"):
        Kind.from_dict({"what": "proposol"})


def test_people_read_words() -> None:
    assert str(GIVEN) == "given"
    assert str(Kind.confirmation("natural")) == "confirmation of natural"
    assert str(Kind.reference("unimax")) == "reference unimax"
