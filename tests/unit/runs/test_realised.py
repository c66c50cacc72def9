"""What runs drew: totals, records, and whether it is what they were asked for."""

import json

from mixopt import Mixture, Realised, Schedule
from mixopt.runs.realised import mean_of

BOTH = Mixture.of({"web": 0.75, "code": 0.25})


def test_totals_are_those_of_all_phases() -> None:
    drawn = Realised(((60, {"web": 60}), (100, {"web": 10, "code": 30})), 1)
    assert drawn.tokens == {"web": 70, "code": 30}
    assert Realised.from_dict(json.loads(json.dumps(drawn.to_dict()))) == drawn


def test_a_run_follows_a_mixture_to_its_grain() -> None:
    drawn = Realised.whole({"web": 760, "code": 240}, 10)
    assert drawn.follows(BOTH)
    assert not Realised.whole({"web": 761, "code": 239}, 10).follows(BOTH)
    assert not Realised.whole({"web": 750, "code": 239, "math": 11}, 10).follows(BOTH)
    assert not Realised.whole({"web": 1000}, 10).follows(BOTH)


def test_what_is_drawn_as_asked_follows_what_is_asked() -> None:
    names = tuple(f"d{i}" for i in range(7))
    schedule = Schedule(
        (
            (1001, Mixture(names, (1 / 7,) * 7)),
            (1999, Mixture(names, (0.5, 0.5, 0, 0, 0, 0, 0))),
        )
    )
    drawn = Realised.exact(schedule.phases)
    assert drawn.follows(schedule.mean)
    assert drawn.phases[1] == (1999, {"d0": 499, "d1": 499} | dict.fromkeys(names[2:], 0))


def test_a_record_of_totals_alone_is_read() -> None:
    assert Realised.from_totals({}) is None
    drawn = Realised.from_totals({"web": 740, "code": 260})
    assert drawn is not None
    assert drawn.tokens == {"web": 740, "code": 260}
    assert drawn.follows(BOTH)  # 1 % off; totals say nothing finer than 2 %


def test_runs_count_alike_in_a_mean_whatever_their_length() -> None:
    drawn = [Realised.whole({"web": 10}, 1), Realised.whole({"web": 400, "code": 400}, 1)]
    assert mean_of(drawn, BOTH).to_dict() == {"web": 0.75, "code": 0.25}
