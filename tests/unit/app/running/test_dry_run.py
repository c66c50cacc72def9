"""What a sweep would do and cost: counted as the sweep counts, with nothing trained or written."""

import io
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mixopt import Scale
from mixopt.app.output import show_check, show_status
from mixopt.app.running import dry_run as module
from mixopt.app.running.dry_run import DryRun, dry_run
from mixopt.app.running.run_plans import Rates, check_rates
from mixopt.app.spec.spec_file import parse_spec
from mixopt.errors import InputError, SpecError
from mixopt.execution.ray import room
from mixopt.execution.ray.room import this_machine
from mixopt.ports import Report, TrainerInfo, ignore_report
from mixopt.runs import Observation, Place, RunSpec
from mixopt.testing.trainers import FakeTrainer

ADDRESS = f"{__name__}:Building"
SMALL, LARGE = Scale(1000, 10_000), Scale(1000, 40_000)
VALUES: dict[str, Any] = {
    "version": 1,
    "name": "mine",
    "trainer": {"use": ADDRESS},
    "scales": [{"params": 1000, "tokens": "10k"}, {"params": 1000, "tokens": "40k"}],
    "space": {
        "bounds": {"web": [0.1, 0.6]},
        "groups": {"g": {"domains": ["web", "code"], "lower": 0.3}},
    },
    "objective": {"minimize": ["loss/web", "loss/code"]},
    "strategy": {"use": "auto", "design": 8, "proposals": 4, "corrections": 2, "confirm_seeds": 1},
    "execution": {"use": "local"},
}  # fmt: skip


class Building(FakeTrainer):
    """Prepares a file of data where there is none; never trains."""

    def prepare(self, cache: Path) -> TrainerInfo:
        """The file."""
        cache.mkdir(parents=True, exist_ok=True)
        data = cache / "corpus"
        if not data.exists():
            data.write_text("made")
        return super().prepare(cache)

    def train(self, specs: Any, cache: Path, report: Report = ignore_report) -> list[Observation]:
        """Never.

        Raises:
            AssertionError: always.
        """
        raise AssertionError("a dry run trains nothing")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(rates: Rates | None = None, *, keep: bool = False, **changes: Any) -> DryRun:
    return dry_run(parse_spec({**VALUES, **changes}), None, rates, keep=keep)


def test_earlier_studies_are_looked_for_as_a_sweep_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"warm_start.*'runs/old': no such folder or file"):
        dry_run(parse_spec({**VALUES, "warm_start": ["runs/old"]}))


def test_nothing_is_written_unless_data_is_to_be_kept(place: Path) -> None:
    result = run()
    assert list(place.iterdir()) == []
    assert "forgotten" in result.data
    assert "prepared in" in run(keep=True).data
    assert (place / "runs" / "cache" / "corpus").read_text() == "made"
    again = run()
    assert "nothing had to be prepared" in again.data
    assert [p.name for p in (place / "runs").iterdir()] == ["cache"]


def test_runs_are_those_of_the_strategy_and_cost_what_their_scale_says(place: Path) -> None:
    result = run(Rates(flops_per_second=6e6, price_per_hour=2.0))
    runs = {plan.scale: plan.runs for plan in result.plans}
    planned = result.made.recipe.planned(result.made.problem)
    assert runs == {s: planned.count(s) for s in (SMALL, LARGE)}
    assert result.flops == pytest.approx(sum(s.flops for s in planned))
    hours = result.flops / 6e6 / 3600
    assert result.slot_hours == pytest.approx(hours)
    assert result.wall_hours == pytest.approx(hours)
    assert result.gpu_hours == 0.0
    assert result.money == pytest.approx(2.0 * hours)


def test_without_a_rate_hours_and_money_are_not_known(place: Path) -> None:
    result = run(Rates(price_per_hour=2.0))
    assert (result.slot_hours, result.wall_hours, result.money) == (None, None, None)
    assert "--flops-per-second" in page(result)


def seen(scale: Scale, seconds: float, count: int) -> list[Observation]:
    spec = RunSpec(run().made.problem.space.natural, scale)
    return [
        Observation(replace(spec, seed=i), metrics={"loss": 1.0}, place=Place("n", seconds))
        for i in range(count)
    ]


def test_runs_that_are_there_are_left_out_and_say_how_long_others_take(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {plan.scale: plan.runs for plan in run().plans}
    there = seen(SMALL, 3.0, 5)
    monkeypatch.setattr(module, "_seen", lambda *_: there)
    result = run()
    small, large = result.plans
    assert small.runs == before[SMALL] - 5
    assert small.hours == pytest.approx(small.runs * 3.0 / 3600)
    assert "5 runs of this scale" in small.how
    assert large.hours == pytest.approx(large.runs * 12.0 / 3600)  # four times the tokens
    assert "other scales" in large.how


@pytest.mark.parametrize(
    ("stop_after", "told"),
    [
        ({"runs": 5}, "execution.stop_after.runs is 5"),
        ({"flops": 1e6}, "execution.stop_after.flops is 1e+06"),
        ({"money": 1e-9}, "it will stop before its end"),
    ],
)
def test_limits_that_come_first_are_said(
    place: Path, stop_after: Mapping[str, float], told: str
) -> None:
    execution = {"use": "local", "stop_after": stop_after, "price_per_hour": 1.0}
    assert any(told in note for note in run(Rates(1e6), execution=execution).notes)
    wide = {"use": "local", "stop_after": {"runs": 10_000}}
    assert run(Rates(1e6), execution=wide).notes == ()


def test_a_deadline_that_has_passed_or_comes_too_soon_is_said(place: Path) -> None:
    def notes(deadline: str) -> str:
        execution = {"use": "local", "stop_after": {"deadline": deadline}}
        return " ".join(run(Rates(1e3), execution=execution).notes)

    assert "2020-01-02 03:00, which has passed: nothing would be trained" in notes(
        "2020-01-02T03:00"
    )
    soon = datetime.fromtimestamp(time.time() + 90).isoformat(timespec="seconds")
    assert "hours from now, and what is left takes" in notes(soon)
    assert notes("2222-01-01T00:00") == ""


def test_packs_and_gpus_are_counted_by_what_the_spec_asks_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [
        {"NodeID": str(i), "Alive": True, "Resources": {"CPU": 32.0, "GPU": 8.0}, "Labels": {}}
        for i in range(2)
    ]
    monkeypatch.setattr(room, "this_machine", lambda: nodes)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    execution = {
        "use": "ray",
        "gpus_per_pack": 1,
        "pack_size": 4,
        "per_scale": [{"params": 1000, "gpus_per_pack": 4}],
    }
    result = run(Rates(flops_per_second=1e6, price_per_hour=3.0), execution=execution)
    plan = result.plans[0]
    # Twelve runs in packs of at most four, on four slots: no slot is left idle.
    assert (plan.slots, plan.gpus, plan.runs) == (4, 4.0, 12)
    assert plan.sizes == (3, 3, 3, 3)
    assert result.gpu_hours == pytest.approx(result.flops / 1e6 / 3600)
    assert result.money == pytest.approx(3.0 * (result.gpu_hours or 0.0))
    assert "2 nodes, 64 CPUs, 16 GPUs" in result.machines
    none = {"use": "ray", "gpus_per_pack": 16}
    assert any("no room for a pack" in note for note in run(execution=none).notes)


def test_runs_of_other_configurations_are_counted_in_packs_of_their_own(place: Path) -> None:
    joint = {
        "strategy": {"use": "joint", "design": 8, "runs": 10},
        "knobs": {"rate": {"options": [0.1, 0.2]}},
        "execution": {"use": "local", "pack_size": 3},
        "space": {},
    }
    options = run(**joint).plans[0]
    assert sorted(options.sizes) == [1, 1, 2, 2, 2, 2]  # 4 and 4 of the design, two alone
    rate = run(**joint | {"knobs": {"rate": {"low": 0.1, "high": 0.2}}}).plans[0]
    assert (rate.runs, rate.packs, rate.pack) == (10, 10, 1)


def test_this_machine_has_what_the_system_says() -> None:
    (node,) = this_machine()
    assert node["Resources"]["CPU"] >= 1
    assert node["Resources"]["memory"] > 1e8


def test_promotion_is_counted_beside(place: Path) -> None:
    rules = {"scale": {"params": 2000, "tokens": "80k"}, "seeds": 4, "against": ["natural"]}
    result = run(promotion=rules)
    assert result.promotion is not None
    # two candidates, what lies between them, and one baseline
    assert (result.promotion.plans, result.promotion.flops) == (4, 4 * 4 * 6.0 * 2000 * 80_000)
    assert "at most 16 runs at 2k params x 80k tokens" in " ".join(page(result).split())
    assert run().promotion is None


def test_what_a_run_would_refuse_is_refused(place: Path) -> None:
    with pytest.raises(SpecError, match="unknown metric"):
        run(objective={"minimize": "loss/wab"})
    with pytest.raises(InputError, match="price-per-hour is -1"):
        check_rates(Rates(price_per_hour=-1))


def page(result: DryRun, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        show_status.show(show_check.check_page(result), console)
    return captured.get()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_people_read_data_constraints_and_cost(place: Path, width: int) -> None:
    result = run(Rates(flops_per_second=1e6, price_per_hour=2.0))
    shown = page(result, width)
    assert max(map(len, shown.splitlines())) <= width
    for words in ("10.0 % - 60.0 %", "loss/web", "GFLOP", "at 2 an hour"):
        assert words in " ".join(shown.split()), shown
    values = result.to_dict()
    assert values["domains"][0]["highest"] == pytest.approx(0.6)
    assert sum(scale["runs"] for scale in values["scales"]) == values["runs"]
