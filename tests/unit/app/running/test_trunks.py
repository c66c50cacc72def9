"""What a trainer is told of runs that begin alike; one that shares nothing is refused."""

from typing import Any

import pytest

from mixopt.app.running.trunks import parted
from mixopt.app.spec.spec_file import parse_spec
from mixopt.app.spec.values import Spec
from mixopt.errors import SpecError
from mixopt.ports import Capabilities
from mixopt.strategies.tails import tailpatch

ABLE = Capabilities(runtime=frozenset({"branch_at"}), branches=True, decays=True, schedules=True)


def spec() -> Spec:
    values: dict[str, Any] = {
        "version": 1,
        "name": "tails",
        "trainer": {"use": "lab:Trainer"},
        "scales": [{"params": 1000, "tokens": 8192}, {"params": 1000, "tokens": 65536}],
        "objective": {"minimize": "loss"},
    }
    return parse_spec(values)


def test_rates_fall_over_the_tail_and_the_smallest_scale_shares_its_trunk() -> None:
    config, runtime, doubts = parted(spec(), tailpatch(tail=0.25), ABLE, {"a": 1}, {"b": 2})
    assert config == {"a": 1, "decay": 0.25}
    assert runtime == {"b": 2, "branch_at": 6144}
    assert doubts == ()


def test_what_the_spec_says_stays() -> None:
    config, runtime, _ = parted(spec(), tailpatch(), ABLE, {"decay": 0.5}, {"branch_at": 100})
    assert (config, runtime) == ({"decay": 0.5}, {"branch_at": 100})


def test_a_trainer_that_shares_nothing_is_refused_or_paid_for() -> None:
    plain = Capabilities(schedules=True)
    with pytest.raises(SpecError, match="train the first 6554 of 8192 tokens anew") as error:
        parted(spec(), tailpatch(), plain, {}, {})
    assert "share_trunk: false" in str(error.value)
    config, runtime, doubts = parted(spec(), tailpatch(share_trunk=False), plain, {}, {})
    assert (config, runtime) == ({}, {})
    assert "does not declare a setting 'decay'" in doubts[0]
