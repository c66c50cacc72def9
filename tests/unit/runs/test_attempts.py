"""Where runs were trained and what became of earlier attempts: kept exactly, and counted."""

import json

from mixopt import Mixture, Observation, RunSpec, Scale
from mixopt.runs import Attempt, Place

SPEC = RunSpec(Mixture.of({"web": 0.5, "code": 0.5}), Scale(10, 20))


def test_what_a_run_cost_counts_its_failed_attempts() -> None:
    broken = Attempt("the disk went away", 5.0, 3.0, Place("a", 4.0, 2.0), 1.7e9)
    unknown = Attempt("the worker died", 1.0, 2.0)
    seen = Observation(
        SPEC, flops=10.0, seconds=9.0, place=Place("b", 8.0, 0.5), attempts=(broken, unknown)
    )
    assert seen.spent == 16.0
    assert seen.gpu_seconds == 4.0 * 2.0 + 8.0 * 0.5
    assert seen.slot_seconds == 4.0 + 2.0 + 8.0
    assert Observation(SPEC, seconds=3.0).slot_seconds == 3.0


def test_place_and_attempts_survive_json() -> None:
    attempts = (Attempt("x", 1.0, 2.0, Place("a", 4.0, 2.0), 1.7e9), Attempt("y"))
    seen = Observation(SPEC, place=Place("b", 8.0, 0.5), attempts=attempts)
    assert Observation.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


def test_records_that_knew_neither_are_read() -> None:
    fields = Observation(SPEC).to_dict()
    del fields["place"], fields["attempts"]
    assert Observation.from_dict(fields) == Observation(SPEC)
