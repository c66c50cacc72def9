"""What sbatch is asked for, and what is refused before it is asked."""

from typing import Any

import pytest

from mixopt.errors import InputError
from mixopt.execution import check_executor
from mixopt.execution.slurm.executor import needs_of
from mixopt.execution.slurm.requests import SlurmNeeds
from mixopt.runs import Scale
from mixopt.testing.executor_contract import fake_spec


def test_a_plain_pack_is_one_task_with_a_cpu() -> None:
    assert SlurmNeeds().sbatch([fake_spec()]) == [
        "--nodes=1",
        "--ntasks-per-node=1",
        "--cpus-per-task=1",
    ]


def test_every_need_has_its_option() -> None:
    needs = SlurmNeeds(
        cpus_per_pack=4,
        gpus_per_pack=2,
        memory_per_pack="8G",
        nodes_per_pack=3,
        resources={"shard": 5},
        partition="a100,h100",
        account="lab",
        options={"qos": "high", "exclusive": True, "contiguous": False, "nice": 100},
    )
    assert needs.sbatch([fake_spec()])[:2] == ["--nodes=3", "--ntasks-per-node=1"]
    assert needs.sbatch([fake_spec()])[2:] == [
        "--cpus-per-task=4",
        "--gpus-per-node=2",
        "--mem=7812500K",  # 8e9 / 1024
        "--gres=shard:5",
        "--partition=a100,h100",
        "--account=lab",
        "--qos=high",
        "--exclusive",
        "--nice=100",
    ]


def test_slurm_ends_what_the_driver_should_have_ended_unless_a_time_is_given() -> None:
    specs = [fake_spec(0), fake_spec(1)]
    assert SlurmNeeds(timeout=100).sbatch(specs)[-1] == "--time=6"  # (200 + 120) s, rounded up
    own = SlurmNeeds(timeout=100, options={"time": "1-00:00:00"}).sbatch(specs)
    assert [word for word in own if word.startswith("--time")] == ["--time=1-00:00:00"]


def test_larger_scales_go_elsewhere() -> None:
    needs = needs_of(
        {
            "partition": "cpu",
            "per_scale": [{"params": "1M", "gpus_per_pack": 1, "partition": "gpu"}],
        }
    )
    assert needs.at(Scale(1_000, 10)).partition == "cpu"
    assert needs.at(Scale(2_000_000, 10)).partition == "gpu"
    assert needs.at(Scale(2_000_000, 10)).gpus_per_pack == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gpus_per_pack": 0.5}, "gpus_per_pack"),
        ({"cpus_per_pack": 0}, "cpus_per_pack is 0"),
        ({"partition": "gpu --wrap=x"}, "partition 'gpu --wrap=x' is no name"),
        ({"account": "a b"}, "account 'a b' is no name"),
        ({"labels": {"a": "b"}}, "no setting 'labels'"),
        ({"per_scale": [{"params": "1M", "labels": {"a": "b"}}]}, "constraint: NAME"),
        ({"resources": {"shard": 0.5}}, "resources"),
        ({"options": {"wrap": "x"}}, "options has no 'wrap'"),
        ({"options": {"array": "1-3"}}, "options has no 'array'"),
        ({"options": {"mem": "8G"}}, "setting of its own: memory_per_pack"),
        ({"options": {"partition": "x"}}, "setting of its own: partition"),
        ({"options": {"qoz": "x"}}, "did you mean 'qos'"),
        ({"options": {"qos": "a\nb"}}, "text of one line"),
        ({"options": {"qos": ""}}, "text of one line"),
        ({"options": {"gres": "a:1"}, "resources": {"b": 1}}, "join them"),
        ({"per_scale": [{"params": "1M", "partitions": "x"}]}, "did you mean 'partition'"),
        ({"max_slots": 0}, "max_slots"),
        ({"retries": {"preempted": 1}}, "unknown cause 'preempted'"),
    ],
)
def test_what_slurm_has_not_is_refused_before_anything_is_submitted(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_executor("slurm", settings)
