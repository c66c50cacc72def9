"""What a sweep has spent: failed runs and failed attempts cost as much as others."""

from mixopt import Mixture, Observation, RunSpec, Scale
from mixopt.execution.spent import Spent
from mixopt.runs import Attempt, Place

SPEC = RunSpec(Mixture.of({"web": 0.5, "code": 0.5}), Scale(10, 20))


def test_gpus_are_priced_and_slots_where_there_are_none() -> None:
    again = Observation(
        SPEC,
        flops=5e9,
        place=Place("a", 1800.0, 2.0),
        attempts=(Attempt("lost", 1e9, 0.0, Place("b", 900.0, 4.0)),),
    )
    spent = Spent.of([again, Observation.failure(SPEC, "no", seconds=900.0, flops=2e9)])
    assert spent == Spent(2, 8e9, 1.0, 2.0)
    assert spent.money(3.0) == 6.0
    assert spent.money(None) is None
    without = Spent.of([Observation(SPEC, seconds=1800.0)])
    assert without.money(3.0) == 1.5
    assert Spent.of([]).to_dict(3.0) == {
        "flops": 0.0, "slot_hours": 0.0, "gpu_hours": 0.0, "money": 0.0,
    }  # fmt: skip
