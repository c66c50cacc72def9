"""Failed runs are said by cause, and many of them leave no answer as trusted as it was."""

import pytest

from mixopt import Mixture, Observation, RunSpec, Scale
from mixopt.evidence.failures import burnt, failures

SPECS = [RunSpec(Mixture.of({"web": 0.5, "code": 0.5}), Scale(10, 20), seed) for seed in range(60)]
DISK = "OSError: [Errno 5] Input/output error: '/shared/{}'"


def sweep(broken: int, diverged: int = 0) -> list[Observation]:
    return [
        Observation.failure(s, DISK.format(i))
        if i < broken
        else Observation.failure(s, "the loss is no number: the run diverged")
        if i < broken + diverged
        else Observation(s, metrics={"loss": 1.0})
        for i, s in enumerate(SPECS)
    ]


def test_causes_and_their_numbers_are_one_reason_for_doubt() -> None:
    (told,) = failures(sweep(50, 3))
    assert told.startswith("53 of 60 runs failed (50: OSError")
    assert "3: the loss is no number" in told
    (alone,) = failures(sweep(1))
    assert alone == f"1 of 60 runs failed: {DISK.format(0)}"
    assert failures(sweep(0)) == ()


@pytest.mark.parametrize(
    ("broken", "diverged", "level"),
    [
        (50, 0, "do not trust"),
        (31, 0, "do not trust"),
        (30, 0, "ranking only"),
        (13, 40, "ranking only"),
        (12, 0, None),
        (0, 50, None),  # what mixtures do is no fault of the machines
    ],
)
def test_many_broken_runs_lower_trust(broken: int, diverged: int, level: str | None) -> None:
    gate = burnt(sweep(broken, diverged))
    if level is None:
        assert gate is None
        return
    assert gate is not None
    assert (gate.allows, gate.state) == (level, "no")
    assert f"{broken} of 60 runs" in gate.told
    assert gate.remedy is not None
    assert "mixopt retry" in gate.remedy.what
    assert gate.remedy.cost == broken * SPECS[0].scale.flops
