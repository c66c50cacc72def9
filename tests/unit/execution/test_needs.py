"""What a pack needs, by scale."""

import math
from dataclasses import replace
from typing import Any

import pytest

from mixopt.errors import InputError
from mixopt.execution.needs import Needs, NeedsByScale
from mixopt.runs import Scale
from mixopt.testing.executor_contract import fake_spec


def test_amounts_are_what_a_node_must_have_free() -> None:
    needs = Needs(
        cpus_per_pack=2, gpus_per_pack=0.5, memory_per_pack="8G", resources={"TPU": 4, "disk": 0}
    )
    assert needs.amounts == {"CPU": 2, "GPU": 0.5, "memory": 8e9, "TPU": 4}
    assert needs.threads == 2
    assert Needs(cpus_per_pack=0).amounts == {}
    assert Needs(cpus_per_pack=0.5).threads == 1


def test_a_pack_may_take_as_long_as_its_runs_one_after_the_other() -> None:
    runs = [fake_spec(seed) for seed in range(3)]  # 1,000 parameters, 10,000 tokens
    flops = 6 * 1_000 * 10_000
    assert Needs().seconds(runs) == math.inf
    assert Needs(timeout=60).seconds(runs) == 180
    assert Needs(timeout_per_pflop=1e9).seconds(runs) == pytest.approx(3 * flops / 1e15 * 1e9)
    both = Needs(timeout=60, timeout_per_pflop=1e9)
    assert both.seconds(runs) == pytest.approx(180 + 3 * flops / 1e15 * 1e9)


def test_an_entry_holds_from_its_parameters_on_and_builds_on_the_one_before() -> None:
    plan = NeedsByScale.of(
        Needs(timeout=60),
        [
            {"params": "1B", "nodes_per_pack": 2},
            {"params": "100M", "gpus_per_pack": 8, "timeout": 3600},
        ],
    )
    assert plan.at(Scale(99_999_999, 10)) == Needs(timeout=60)
    assert plan.at(Scale(100_000_000, 10)) == Needs(timeout=3600, gpus_per_pack=8)
    assert plan.at(Scale(2 * 10**9, 10)) == replace(plan.at(Scale(10**8, 10)), nodes_per_pack=2)
    assert len(plan.all) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gpus_per_pack": 1.5}, "gpus_per_pack is 1.5; above 1 give whole GPUs"),
        ({"memory_per_pack": "8 GB"}, "memory_per_pack is '8 GB'; give bytes, e.g. 8G"),
        ({"timeout": 0}, "timeout is 0; give a number above 0"),
        ({"resources": {"TPU": -1}}, "resources.TPU is -1"),
        ({"resources": {"gpu": 1}}, "resources.gpu has a setting of its own"),
        ({"labels": {"zone": 3}}, "labels.zone is 3; give text"),
        ({"nodes_per_pack": 0}, "nodes_per_pack is 0"),
    ],
)
def test_what_breaks_a_rule_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Needs(**settings)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"gpus_per_pack": 1}], r"per_scale\[0\].params is None; give the parameters"),
        ([{"params": "many"}], r"per_scale\[0\].params: 'many' is no count"),
        (
            [{"params": 5, "gpus_per": 1}],
            r"'gpus_per'; .*mean 'gpus_per_pack'",
        ),
        ([{"params": 5, "timeout": -1}], r"per_scale\[0\]: timeout is -1"),
        ([{"params": 5}, {"params": 5}], r"params 5 is there twice"),
        (["100M"], r"per_scale\[0\] is '100M'; give a mapping"),
    ],
)
def test_an_entry_that_says_nothing_clear_is_refused(entries: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NeedsByScale.of(Needs(), entries)
